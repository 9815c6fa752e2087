"""Clients that do TLS themselves: where they find the database, and what they are started with.

PostgreSQL's clients come to the public port. Those of MySQL wait for the server to speak first, and those of
MongoDB and Redis say nothing in TLS of what they speak: they need the port that is their protocol's alone.
"""

import shlex
import shutil
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway import address
from gateway.address import Address
from gateway.cli import private
from gateway.cli.clients import MYSQL, PROGRAMS
from gateway.cli.profile import DatabaseLogin, Profile
from gateway.errors import ConfigError

_BOTH: Final = "both.pem"  # the certificate and its key in one file, which is how MongoDB's clients want them
_OPTIONS: Final = "my.cnf"


def find(chosen: Profile, got: DatabaseLogin) -> Address | None:
    """What the protocol's own clients dial; None where there is no port for them."""
    if got.route.protocol == "postgres":
        return chosen.proxy
    if not got.native:
        return None
    found = address.parse(got.native)
    return found if found.host else Address(chosen.proxy.host, found.port)


def need(chosen: Profile, got: DatabaseLogin) -> Address:
    """The same; ConfigError says what else there is."""
    found = find(chosen, got)
    if found is None:
        raise ConfigError(missing(got), hint=f"use regate db connect {got.route.database}")
    return found


def missing(got: DatabaseLogin) -> str:
    """Why there is nothing to dial, and what to do."""
    name = got.route.protocol
    return (
        f"there is no port for {name} clients that do TLS themselves (proxy_service.{name}_listen_addr); "
        "regate db connect and regate proxy db --tunnel need none"
    )


def command(chosen: Profile, got: DatabaseLogin, where: Address) -> str:
    """The client's own program on *where*, as it is typed."""
    protocol = got.route.protocol
    if protocol in MYSQL:
        words = ["mariadb", f"--defaults-file={_option_file(chosen, got, where)}"]
        if shutil.which("mariadb") is None and shutil.which("mysql") is not None:
            words[0] = "mysql"
        return shlex.join(words)
    if protocol == "mongodb":
        return shlex.join([PROGRAMS[protocol].name, _mongodb(chosen, got, where)])
    files = ("--cacert", str(chosen.host_ca), "--cert", str(got.certified.certificate))
    words = ["redis-cli", "-h", where.host, "-p", str(where.port), "--tls", *files]
    words += ["--key", str(got.certified.key)]
    return shlex.join([*words, *(["-n", got.route.db_name] if got.route.db_name not in {"", "0"} else [])])


def environment(chosen: Profile, got: DatabaseLogin) -> dict[str, str]:
    """The variables that programs read by themselves, or that by custom have the address of a database."""
    where, protocol = need(chosen, got), got.route.protocol
    if protocol in MYSQL:  # both makers' programs read my.cnf in that folder
        return {"MYSQL_HOME": str(_option_file(chosen, got, where).parent)}
    if protocol == "mongodb":
        return {"MONGODB_URI": _mongodb(chosen, got, where)}
    if protocol == "redis":
        return {"REDIS_URL": _redis(chosen, got, where)}
    raise ConfigError(f"clients of {protocol} read no variables", hint="use regate proxy db --tunnel")


def _option_file(chosen: Profile, got: DatabaseLogin, where: Address) -> Path:
    """What MySQL's and MariaDB's programs read; what only one of them knows is written for that one."""
    mysql_alone = shutil.which("mariadb") is None
    lines = [
        "[client]",
        f"host={_option(where.host)}",
        f"port={where.port}",
        "protocol=tcp",
        f"user={_option(got.route.db_user)}",
        f"ssl-ca={_option(str(chosen.host_ca))}",
        f"ssl-cert={_option(str(got.certified.certificate))}",
        f"ssl-key={_option(str(got.certified.key))}",
        *(["ssl-mode=VERIFY_IDENTITY"] if mysql_alone else []),
        "[client-mariadb]",
        "ssl-verify-server-cert",
    ]
    if got.route.db_name:
        lines += ["[mysql]", f"database={_option(got.route.db_name)}"]
    name = _OPTIONS if where == find(chosen, got) else f"{where.port}.cnf"  # a port here must not replace it
    path = got.certified.key.with_name(name)
    private.write(path, ("\n".join(lines) + "\n").encode())
    return path


def _option(value: str) -> str:
    """A value in an option file."""
    if any(letter < " " for letter in value):
        raise ConfigError(f"{value!r} cannot stand in an option file", hint="use regate db connect")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _mongodb(chosen: Profile, got: DatabaseLogin, where: Address) -> str:
    both = got.certified.key.with_name(_BOTH)
    private.write(both, private.read(got.certified.certificate) + private.read(got.certified.key))
    name = quote(got.route.db_name, safe="")
    files = f"tlsCAFile={_in_query(chosen.host_ca)}&tlsCertificateKeyFile={_in_query(both)}"
    return f"mongodb://{where}/{name}?directConnection=true&tls=true&{files}"


def _redis(chosen: Profile, got: DatabaseLogin, where: Address) -> str:
    """As redis-py reads it."""
    certified = got.certified
    files = f"ssl_certfile={_in_query(certified.certificate)}&ssl_keyfile={_in_query(certified.key)}"
    name = quote(got.route.db_name, safe="") or "0"
    return f"rediss://{where}/{name}?{files}&ssl_ca_certs={_in_query(chosen.host_ca)}"


def _in_query(path: Path) -> str:
    return quote(str(path), safe="/")
