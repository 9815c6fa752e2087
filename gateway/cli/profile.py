"""What a person's machine keeps about each proxy: its authority, the login, one certificate per database.

::

    ~/.regate/                       (REGATE_HOME)
        current                      the proxy of the last login
        profiles/gate.example.com_3080/
            profile.json             proxy, cluster, user
            proxy-ca.pem             what the proxy's own certificate is verified with; absent: system roots
            host-ca.pem              the cluster's host authority, for psql and other clients
            key.pem cert.pem         the login
            identity.pem             a bot's instead: both in one file, as they change while others read
            databases/my-postgres/
                current              the route of the last db login
                3f0c…/               a route: route.json key.pem cert.pem

Keys are made here and never leave. Certificates that have ended are removed whenever a profile is opened.
"""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from cryptography import x509

from gateway import address
from gateway.address import Address
from gateway.cli import private
from gateway.cli.failures import LoginNeededError
from gateway.errors import ConfigError
from gateway.model.identity import Route

DEFAULT_PORT = 3080
IDENTITY = "identity.pem"
_FILES_OF_LOGIN = ("cert.pem", "key.pem", IDENTITY, "databases")


@dataclass(frozen=True, slots=True)
class Certified:
    """A private key and its certificate, as two files, and when the certificate ends."""

    key: Path
    certificate: Path
    expires: datetime


@dataclass(frozen=True, slots=True)
class DatabaseLogin:
    """The certificate that opens one database as one database user.

    *native* is where its own clients find a port of the protocol's own: ``host:port``, ``:port`` on the
    proxy's host, or empty where there is none or nobody said.
    """

    route: Route
    certified: Certified
    native: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """One proxy that this person has trusted; *login* is None when there is none or it has ended."""

    folder: Path
    proxy: Address
    cluster: str = ""
    user: str = ""
    login: Certified | None = None
    others: tuple[Address, ...] = ()  # more proxies of the same cluster, for when this one is gone

    @property
    def host_ca(self) -> Path:
        """The cluster's host authority, for clients that want a file."""
        path = self.folder / "host-ca.pem"
        try:
            private.read(path)  # whoever could change it could stand in for the proxy
        except FileNotFoundError:
            raise _no_login(str(self.proxy), self.user) from None
        return path

    def proxy_ca(self) -> str | None:
        """What the proxy is verified with, in PEM; None stands for the system's roots."""
        try:
            return private.read(self.folder / "proxy-ca.pem").decode("ascii")
        except FileNotFoundError:
            return None


def home() -> Path:
    """The folder of all profiles."""
    chosen = os.environ.get("REGATE_HOME")
    return Path(chosen) if chosen else Path.home() / ".regate"


def proxy_address(text: str) -> Address:
    """The proxy's address as typed: the port may be left out, and so may ``https://``."""
    found = address.parse(text.removeprefix("https://").rstrip("/"), default_port=DEFAULT_PORT)
    if found.is_wildcard:
        raise ConfigError(f"{text!r} is no address to dial", hint="write host:port, as in localhost:3080")
    return found


def open_profile(proxy: Address, *, now: datetime, at: Path | None = None) -> Profile:
    """The profile for *proxy*, made empty when there is none; whatever has expired in it is wiped.

    *at* is the folder of all profiles, where it is another one than ``home()``.
    """
    root = private.folder(at or home())
    path = private.folder(private.folder(root / "profiles") / _folder_name(proxy))
    try:
        about = json.loads(private.read(path / "profile.json"))
        others = tuple(proxy_address(text) for text in about.get("others", ()))
        profile = Profile(
            path, proxy_address(about["proxy"]), str(about["cluster"]), str(about["user"]), others=others
        )
    except FileNotFoundError:
        return Profile(path, proxy)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path / 'profile.json'} cannot be read", hint=f"rm -r {path}") from error
    if profile.proxy != proxy:
        raise ConfigError(f"{path} is about {profile.proxy}, expected {proxy}", hint=f"rm -r {path}")
    login = _certified(path, now)
    if login is None:
        forget_login(profile)
    _wipe_databases(profile, now)
    return replace(profile, login=login)


def current(proxy: str, *, now: datetime) -> Profile:
    """The profile that a command works with: that of *proxy* when given, else of the last login."""
    if proxy:
        wanted = proxy_address(proxy)
        if not private.check_folder(home()):
            raise _no_login(str(wanted))
        return open_profile(wanted, now=now)
    if not private.check_folder(home()):
        raise _no_login("")
    try:
        name = private.read(home() / "current").decode("utf-8").strip()
    except FileNotFoundError:
        raise _no_login("") from None
    return open_profile(proxy_address(name), now=now)


def all_profiles(*, now: datetime) -> list[Profile]:
    """Every profile, by address."""
    if not private.check_folder(home()) or not private.check_folder(home() / "profiles"):
        return []
    found = []
    for path in sorted((home() / "profiles").glob("*/profile.json")):
        private.check_folder(path.parent)
        try:
            proxy = proxy_address(json.loads(private.read(path))["proxy"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} cannot be read", hint=f"rm -r {path.parent}") from error
        found.append(open_profile(proxy, now=now))
    return found


def need_login(profile: Profile) -> Certified:
    """The profile's login, or a LoginNeededError that says how to get one."""
    if profile.login is None:
        raise _no_login(str(profile.proxy), profile.user)
    return profile.login


def save(profile: Profile, *, host_ca: str, proxy_ca: str | None) -> None:
    """Keep what was verified about the proxy; *proxy_ca* is None where the system's roots verified it."""
    about = {
        "proxy": str(profile.proxy),
        "cluster": profile.cluster,
        "user": profile.user,
        "others": [str(other) for other in profile.others],
    }
    private.write(profile.folder / "host-ca.pem", host_ca.encode("ascii"))
    if proxy_ca is None:
        private.remove(profile.folder / "proxy-ca.pem")
    else:
        private.write(profile.folder / "proxy-ca.pem", proxy_ca.encode("ascii"))
    private.write(profile.folder / "profile.json", json.dumps(about, indent=1).encode("utf-8"))


def save_login(profile: Profile, *, key: str, certificate: str) -> None:
    """Replace the login; what an earlier one left behind is removed first."""
    forget_login(profile)
    private.write(profile.folder / "key.pem", key.encode("ascii"))
    private.write(profile.folder / "cert.pem", certificate.encode("ascii"))
    private.write(home() / "current", str(profile.proxy).encode("utf-8"))


def save_identity(profile: Profile, *, key: str, certificate: str) -> None:
    """Replace a bot's login in one step; certificates for databases stay, until they end by themselves."""
    private.write(profile.folder / IDENTITY, (certificate + key).encode("ascii"))
    private.write(profile.folder.parent.parent / "current", str(profile.proxy).encode("utf-8"))


def forget_login(profile: Profile) -> None:
    """Remove the login and every database certificate; the trust in the proxy stays."""
    for name in _FILES_OF_LOGIN:
        private.remove(profile.folder / name)


def save_database(profile: Profile, route: Route, *, key: str, certificate: str, native: str = "") -> Path:
    """Keep a database certificate and make its route the database's current one; returns its folder."""
    parent = private.folder(private.folder(profile.folder / "databases") / _name(route.database))
    path = private.folder(parent / _route_name(route.db_user, route.db_name))
    private.write(path / "key.pem", key.encode("ascii"))
    private.write(path / "cert.pem", certificate.encode("ascii"))
    private.write(
        path / "route.json", json.dumps(asdict(route) | {"native": native}, indent=1).encode("utf-8")
    )
    private.write(parent / "current", path.name.encode("ascii"))
    return path


def database_login(
    profile: Profile, database: str, *, db_user: str, db_name: str, now: datetime
) -> DatabaseLogin | None:
    """The kept certificate for that route; an empty user or name takes it from the last ``db login``."""
    parent = profile.folder / "databases" / _name(database)
    if not private.check_folder(parent):
        return None
    last = _read_route(parent, now)
    db_user = db_user or (last.route.db_user if last else "")
    db_name = db_name or (last.route.db_name if last else "")
    if last and (last.route.db_user, last.route.db_name) == (db_user, db_name):
        return last
    return _database_login(parent / _route_name(db_user, db_name), now)


def database_logins(profile: Profile, *, now: datetime) -> list[DatabaseLogin]:
    """Every kept database certificate."""
    root = profile.folder / "databases"
    if not private.check_folder(root):
        return []
    found = [_database_login(path, now) for path in sorted(root.glob("*/*/"))]
    return [login for login in found if login is not None]


def forget_database(profile: Profile, database: str) -> bool:
    """Remove the certificates of *database*; False when there were none."""
    path = profile.folder / "databases" / _name(database)
    if not path.exists():
        return False
    private.remove(path)
    return True


def _read_route(parent: Path, now: datetime) -> DatabaseLogin | None:
    try:
        name = private.read(parent / "current").decode("ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return _database_login(parent / Path(name).name, now)


def _database_login(path: Path, now: datetime) -> DatabaseLogin | None:
    if not private.check_folder(path):
        return None
    certified = _certified(path, now)
    try:
        about = json.loads(private.read(path / "route.json"))
        route = Route(**{name: str(about[name]) for name in ("database", "protocol", "db_user", "db_name")})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    native = str(about.get("native", ""))
    return DatabaseLogin(route, certified, native) if certified else None


def _wipe_databases(profile: Profile, now: datetime) -> None:
    for path in (profile.folder / "databases").glob("*/*/"):
        if _certified(path, now) is None:
            private.remove(path)


def _certified(path: Path, now: datetime) -> Certified | None:
    """The key and certificate in *path* when both are there, belong together and have not ended."""
    both = path / IDENTITY
    key, cert = (both, both) if both.is_file() else (path / "key.pem", path / "cert.pem")
    try:
        private.read(key)
        certificate = x509.load_pem_x509_certificate(private.read(cert))
    except (FileNotFoundError, ValueError):
        return None
    expires = certificate.not_valid_after_utc
    return Certified(key, cert, expires) if now < expires else None


def _folder_name(proxy: Address) -> str:
    """A name nobody reads more into: libpq takes ``a:b`` for an engine, and a URL decodes ``%``."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", f"{proxy.host}_{proxy.port}")


def _name(text: str) -> str:
    """*text* as the name of a folder: no separator, nothing hidden."""
    quoted = quote(text, safe="")
    return "%2E" + quoted[1:] if quoted.startswith(".") else quoted


def _route_name(db_user: str, db_name: str) -> str:
    return hashlib.sha256(f"{db_user}\0{db_name}".encode()).hexdigest()[:16]


def _no_login(proxy: str, user: str = "") -> LoginNeededError:
    command = f"regate login --proxy={proxy or 'HOST:PORT'} --user={user or 'NAME'}"
    return LoginNeededError("you are not logged in, or the login has ended", hint=f"run: {command}")
