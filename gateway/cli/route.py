"""A certificate for one database: the one that is kept while it lasts, else a new one."""

import shlex
from collections.abc import Mapping
from datetime import datetime, timedelta

from gateway.address import Address
from gateway.cli import channel, keys, profile
from gateway.cli.client import segment
from gateway.cli.profile import Certified, DatabaseLogin, Profile
from gateway.clock import SystemClock, utc
from gateway.errors import ConfigError
from gateway.model.identity import Route

_SPARE = timedelta(minutes=1)  # a certificate that ends sooner is replaced before it is used


def obtain(
    chosen: Profile, database: str, *, db_user: str, db_name: str, now: datetime | None = None
) -> DatabaseLogin:
    """A certificate for that database, good for a while yet; what is empty comes from the last one."""
    at = now or utc(SystemClock())
    kept = profile.database_login(chosen, database, db_user=db_user, db_name=db_name, now=at)
    if kept is not None and kept.certified.expires - at > _SPARE:
        return kept
    if kept is not None:
        db_user, db_name = kept.route.db_user, kept.route.db_name
    return renew(chosen, database, db_user=db_user, db_name=db_name)


def renew(chosen: Profile, database: str, *, db_user: str, db_name: str) -> DatabaseLogin:
    """A new certificate for that database; the key is made here."""
    if not db_user:
        raise ConfigError(
            f"which database user on {database}?", hint="give --db-user=NAME; regate db ls shows yours"
        )
    made = keys.make()
    body = {"db_user": db_user, "db_name": db_name, "csr": made.request_pem}
    answer = channel.api(chosen).post(f"/v1/db/{segment(database)}/certificate", body)
    channel.learn(chosen, answer, channel.kept_trust(chosen))
    route = Route(database, str(answer["protocol"]), db_user, db_name)
    native = str(answer.get("native", ""))
    folder = profile.save_database(
        chosen, route, key=made.key_pem, certificate=answer["certificate"], native=native
    )
    expires = datetime.fromisoformat(answer["expires"])
    return DatabaseLogin(route, Certified(folder / "key.pem", folder / "cert.pem", expires), native)


def psql(settings: Mapping[str, str]) -> str:
    """The command psql with these settings of libpq, as it is typed."""
    words = " ".join(f"{name}={_conninfo(value)}" for name, value in settings.items() if value)
    return f"psql {shlex.quote(words)}"


def _conninfo(value: str) -> str:
    """A value of a libpq connection string."""
    if value and not set(value) & set(" '\\"):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def settings(chosen: Profile, login: DatabaseLogin) -> dict[str, str]:
    """What libpq needs to reach the database through the proxy's public port, under libpq's own names."""
    proxy: Address = chosen.proxy
    found = {
        "host": proxy.host,
        "port": str(proxy.port),
        "user": login.route.db_user,
        "dbname": login.route.db_name,
        "sslmode": "verify-full",
        "sslrootcert": str(chosen.host_ca),
        "sslcert": str(login.certified.certificate),
        "sslkey": str(login.certified.key),
        "gssencmode": "disable",
    }
    return {name: value for name, value in found.items() if value}
