"""The one file that ``regate start`` reads, as frozen values; a mistake names the file, line and path."""

import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import address, document, schema, storage, supply
from gateway.address import Address
from gateway.document import Document, Problem
from gateway.errors import ConfigError
from gateway.mistakes import Path as Where
from gateway.mistakes import dotted, shown, suggestion
from gateway.model.resource import SEVERAL_SEEDS, WITH_SECRET, BackendAuth, BackendTls, Database
from gateway.storage import Storage
from gateway.supply import Supply

DEFAULT_PATH = Path("/etc/regate.yaml")
DEFAULT_DATA_DIR = Path("/var/lib/regate")
DEFAULT_LISTEN = "0.0.0.0:3080"
DEFAULT_AUTH_LISTEN = "0.0.0.0:3025"
MAX_SOCKET_PATH = 107  # bytes of sun_path on Linux, less the closing NUL
MIN_PERIOD_SECONDS = 1  # of a dynamic label
_OWN_PORTS = (
    "postgres",
    "redis",
    "mysql",
    "mariadb",
    "mongodb",
)  # protocols that may have a port of their own: postgres_listen_addr
_ADDRESS_OF_OPA = re.compile(
    r"unix:/.+|https://[^/?#@]+|http://(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?"
)
"""Plain HTTP to another host would show the token to the network."""
_DURATION_PART = re.compile(r"([0-9.]+)([hms])")
_ROOM_FOR_SOCKETS = 32  # the longest socket name that is made below the data directory


@dataclass(frozen=True, slots=True)
class Log:
    """Where logs go: *output* is ``stderr``, ``stdout`` or a path; *format* is text, json or empty."""

    severity: str = "INFO"
    output: str = "stderr"
    format: str = ""


@dataclass(frozen=True, slots=True)
class AuthService:
    """Accounts, roles, certificate authorities, the audit log; *listen* is where a proxy elsewhere dials."""

    enabled: bool = True
    listen: Address | None = None


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate, with what lies between it and a known root, and its key: two files in PEM."""

    cert_file: Path
    key_file: Path


@dataclass(frozen=True, slots=True)
class ProxyService:
    """The one public TLS port; *public* are the addresses that clients dial, the first of them shown."""

    listen: Address
    public: tuple[Address, ...]
    enabled: bool = True
    protocols: Mapping[str, Address] = field(default_factory=dict)
    """Further ports, each for one database protocol alone."""
    web: KeyPair | None = None
    """A certificate that clients' roots know, for the API and web pages; without one, the cluster's own."""


@dataclass(frozen=True, slots=True)
class DynamicLabel:
    """A label whose value is the first line that a command prints, asked again every *period_seconds*."""

    name: str
    command: tuple[str, ...]
    period_seconds: float


@dataclass(frozen=True, slots=True)
class DbService:
    """The service next to the databases, and those that the file enrols, with their static labels.

    ``dynamic_labels`` are those of a database by its name.
    """

    enabled: bool = True
    databases: tuple[Database, ...] = ()
    dynamic_labels: Mapping[str, tuple[DynamicLabel, ...]] = field(default_factory=dict)
    workers: int = 1
    """Processes that serve sessions; 1: the one that does everything else too."""


@dataclass(frozen=True, slots=True)
class Join:
    """How a service elsewhere finds its cluster.

    *server* is the proxy for a database service, and the auth service for a proxy. *token* is the token
    itself or, with a slash in it, the path of a file that holds it; nothing needs it once the service joined.
    """

    server: Address
    token: str = field(default="", repr=False)
    ca_pin: str = ""

    @property
    def token_file(self) -> Path | None:
        """The file that holds the token, when *token* names one."""
        return Path(self.token) if "/" in self.token else None


@dataclass(frozen=True, slots=True)
class Opa:
    """The OPA to run; without one it is found or installed.

    With an *address* it is the operator's own that decides, asked with the token in *token_file*; *path* is
    then only used to build the bundle that it loads.
    """

    path: Path | None = None
    address: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file, with every default filled in and every path absolute."""

    path: Path
    cluster_name: str
    data_dir: Path
    proxy_service: ProxyService
    audit_dir: Path
    storage: Storage
    log: Log = field(default_factory=Log)
    auth_service: AuthService = field(default_factory=AuthService)
    db_service: DbService = field(default_factory=DbService)
    opa: Opa = field(default_factory=Opa)
    policy_dir: Path | None = None
    policy: Supply = field(default_factory=Supply)
    join: Join | None = None
    """Where the rest of the cluster is, for a service that runs by itself."""
    diagnostics: Address | None = None
    """Where probes and metrics are served in plain HTTP, for monitoring on this host."""

    @property
    def listens_at(self) -> Address:
        """The port of this process: the proxy's, or the auth service's where that runs by itself."""
        if self.proxy_service.enabled:
            return self.proxy_service.listen
        return self.auth_service.listen or address.parse(DEFAULT_AUTH_LISTEN)

    @property
    def services(self) -> tuple[str, ...]:
        """The services that this process runs."""
        enabled = {
            "auth": self.auth_service.enabled,
            "proxy": self.proxy_service.enabled,
            "db": self.db_service.enabled,
        }
        return tuple(name for name, on in enabled.items() if on)

    @property
    def admin_socket(self) -> Path:
        """Where commands on this host reach the API without a login."""
        return self.data_dir / "admin.sock"


def load(path: Path) -> Config:
    """Read and check the file at *path*; a ConfigError lists every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error
    except OSError as error:
        hint = "write one with: regate configure --output=file://" + str(path.absolute())
        raise ConfigError(f"cannot read {path}: {os.strerror(error.errno or 0)}", hint=hint) from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """The configuration in *text*; relative paths in it start at the folder of *path*."""
    value, positions = document.read(text, str(path), schema.load("config"))
    read = Document(value, positions)
    document.refuse(str(path), sorted(_problems(read, path)))
    return _config(value, path)


def known_protocols() -> tuple[str, ...]:
    """The database protocols of this version: one folder each, found without the cost of importing them."""
    folder = Path(__file__).parent / "protocols"
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "_"))


def _config(value: Mapping[str, Any], path: Path) -> Config:
    overall = value.get("regate") or value.get("teleport") or {}
    base = path.absolute().parent
    data_dir = base / overall.get("data_dir", DEFAULT_DATA_DIR)
    audit_dir = value.get("audit", {}).get("dir")
    opa = value.get("opa", {})
    policy_dir = value.get("policy", {}).get("dir")
    log = overall.get("log", {})
    databases = value.get("db_service", {}).get("databases") or ()
    return Config(
        path=path.absolute(),
        cluster_name=overall.get("cluster_name") or platform.node(),
        data_dir=data_dir,
        proxy_service=_proxy_service(value.get("proxy_service", {}), base),
        audit_dir=base / audit_dir if audit_dir else data_dir / "audit",
        storage=storage.read(value.get("auth_service", {}).get("storage", {}), base, data_dir),
        log=Log(
            severity=log.get("severity", "INFO"),
            output=log.get("output", "stderr"),
            format=log.get("format", {}).get("output", ""),
        ),
        auth_service=_auth_service(value.get("auth_service", {})),
        db_service=DbService(
            enabled=value.get("db_service", {}).get("enabled", True),
            databases=tuple(_database(item, base) for item in databases),
            dynamic_labels={
                item["name"]: tuple(map(_dynamic_label, item["dynamic_labels"]))
                for item in databases
                if item.get("dynamic_labels")
            },
            workers=value.get("db_service", {}).get("workers", 1),
        ),
        opa=Opa(
            path=base / opa["path"] if "path" in opa else None,
            address=opa.get("address", ""),
            token_file=base / opa["token_file"] if "token_file" in opa else None,
            ca_file=base / opa["ca_file"] if "ca_file" in opa else None,
        ),
        policy_dir=base / policy_dir if policy_dir else None,
        policy=supply.read(value.get("policy", {}), base),
        join=_join(overall, base),
        diagnostics=address.parse(overall["diag_addr"]) if "diag_addr" in overall else None,
    )


def _auth_service(section: Mapping[str, Any]) -> AuthService:
    listen = section.get("listen_addr")
    return AuthService(section.get("enabled", True), address.parse(listen) if listen else None)


def _join(overall: Mapping[str, Any], base: Path) -> Join | None:
    server = overall.get("proxy_server") or overall.get("auth_server")
    if server is None:
        return None
    token = overall.get("auth_token", "")
    if "/" in token:
        token = str(base / token)
    default = 443 if "proxy_server" in overall else address.parse(DEFAULT_AUTH_LISTEN).port
    return Join(address.parse(server, default_port=default), token, overall.get("ca_pin", ""))


def _proxy_service(section: Mapping[str, Any], base: Path) -> ProxyService:
    listen = address.parse(section.get("listen_addr", DEFAULT_LISTEN))
    own = Address(platform.node() if listen.is_wildcard else listen.host, listen.port)
    public = tuple(
        address.parse(text, default_port=listen.port) for text in _as_list(section.get("public_addr"))
    )
    pairs = section.get("https_keypairs")
    web = KeyPair(base / pairs[0]["cert_file"], base / pairs[0]["key_file"]) if pairs else None
    ports = {name: section[f"{name}_listen_addr"] for name in _OWN_PORTS if f"{name}_listen_addr" in section}
    return ProxyService(
        listen=listen,
        public=public or (own,),
        enabled=section.get("enabled", True),
        protocols={name: address.parse(text) for name, text in ports.items()},
        web=web,
    )


def _database(item: Mapping[str, Any], base: Path) -> Database:
    tls = item.get("tls", {})
    auth = item.get("auth", {})
    ca_file = tls.get("ca_cert_file")
    secret_file = auth.get("secret_file")
    return Database(
        name=item["name"],
        protocol=item["protocol"],
        uri=item["uri"],
        description=item.get("description", ""),
        labels=dict(item.get("static_labels") or {}),
        auth=BackendAuth(auth.get("method", "certificate")),
        tls=BackendTls(
            ca=(base / ca_file).read_text(encoding="ascii") if ca_file else "",
            server_name=tls.get("server_name", ""),
        ),
        secret_file=str(base / secret_file) if secret_file else "",
        secret_env=auth.get("secret_env", ""),
        max_connections=item.get("max_connections", 0),
    )


def _dynamic_label(item: Mapping[str, Any]) -> DynamicLabel:
    return DynamicLabel(item["name"], tuple(item["command"]), _seconds(item["period"]))


def _seconds(duration: str) -> float:
    """The seconds in ``1h2m3.5s``, whose form the schema has checked."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * units[unit] for number, unit in _DURATION_PART.findall(duration))


def _as_list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _problems(read: Document, path: Path) -> Iterator[Problem]:
    """What a schema cannot say."""
    value = read.value
    if "regate" in value and "teleport" in value:
        yield _problem(read, ("teleport",), "expected one of regate and teleport, got both")
    yield from _service_problems(read)
    yield from _opa_problems(read, path.absolute().parent)
    for where, sentence in supply.problems(value.get("policy", {})):
        yield _problem(read, ("policy", *where), sentence)
    overall = value.get("regate") or value.get("teleport") or {}
    data_dir = path.absolute().parent / overall.get("data_dir", DEFAULT_DATA_DIR)
    if len(os.fsencode(data_dir)) + _ROOM_FOR_SOCKETS > MAX_SOCKET_PATH:
        most = MAX_SOCKET_PATH - _ROOM_FOR_SOCKETS
        key = "regate" if "regate" in value else "teleport"
        yield _problem(read, (key, "data_dir"), f"expected a path of at most {most} bytes (it holds sockets)")
    if _is_bad_address(overall.get("diag_addr", "localhost:1")):
        key = "regate" if "regate" in value else "teleport"
        sentence = f"expected host:port, got {shown(overall['diag_addr'])}"
        yield _problem(read, (key, "diag_addr"), sentence)
    yield from _proxy_problems(read, path.absolute().parent)
    for where, sentence in storage.problems(value.get("auth_service", {}).get("storage", {})):
        yield _problem(read, ("auth_service", "storage", *where), sentence)
    seen: set[str] = set()
    for index, item in enumerate(value.get("db_service", {}).get("databases") or ()):
        at = ("db_service", "databases", index)
        if item["name"] in seen:
            yield _problem(
                read, (*at, "name"), f"expected a name of its own, got {shown(item['name'])} again"
            )
        seen.add(item["name"])
        yield from _database_problems(read, at, item, path.absolute().parent)


def _service_problems(read: Document) -> Iterator[Problem]:
    """Which services may share a process, and what one that runs by itself must know."""
    value, key = read.value, "teleport" if "teleport" in read.value else "regate"
    overall = value.get(key) or {}
    names = ("auth_service", "proxy_service", "db_service")
    auth, proxy, db = (value.get(name, {}).get("enabled", True) for name in names)
    for name in ("proxy_server", "auth_server"):
        if _is_bad_address(overall.get(name, "localhost:1"), default_port=1):
            yield _problem(read, (key, name), f"expected host:port, got {shown(overall[name])}")
    listen = value.get("auth_service", {}).get("listen_addr")
    if listen is not None and _is_bad_address(listen):
        yield _problem(read, ("auth_service", "listen_addr"), f"expected host:port, got {shown(listen)}")
    if not (auth or proxy or db):
        yield _problem(read, ("db_service", "enabled"), "expected one service to be enabled, got none")
    elif db and auth != proxy:
        other = "proxy_service" if auth else "auth_service"
        sentence = "expected yes: a database service runs with both others in its process, or with none"
        yield _problem(read, (other, "enabled"), sentence)
    elif auth and not proxy and "public_addr" not in value.get("proxy_service", {}):
        sentence = "expected public_addr: the addresses that clients and proxies dial, the clients' first"
        yield _problem(read, ("proxy_service",), sentence)
    elif not auth:
        wanted, what = ("proxy_server", "the proxy") if db else ("auth_server", "the auth service")
        if wanted not in overall:
            sentence = f"expected the address of {what}, as in {wanted}: host:port"
            yield _problem(read, (key, wanted) if key in value else (), sentence)


def _opa_problems(read: Document, base: Path) -> Iterator[Problem]:
    """An OPA of the operator's own needs an address that can be trusted, and a token."""
    section = read.value.get("opa", {})
    text = section.get("address", "")
    for name in ("token_file", "ca_file"):
        if name in section and not text:
            yield _problem(read, ("opa", name), f"expected nothing: {name} goes with an address")
    if not text:
        return
    if _ADDRESS_OF_OPA.fullmatch(text) is None:
        sentence = f"expected unix:/path, https://host:port, or http:// on this host, got {shown(text)}"
        yield _problem(read, ("opa", "address"), sentence)
    elif not text.startswith("unix:") and read.value.get("db_service", {}).get("workers", 1) > 1:
        sentence = "expected unix:/path: several workers ask OPA over a unix socket"
        yield _problem(read, ("opa", "address"), sentence)
    if "token_file" not in section:
        sentence = 'expected the field "token_file", the file with the token that may push data to it'
        yield _problem(read, ("opa",), sentence)
    elif trouble := _unreadable(base / section["token_file"]):
        yield _problem(read, ("opa", "token_file"), trouble)
    if "ca_file" in section and (trouble := _pem_trouble(base / section["ca_file"])):
        yield _problem(read, ("opa", "ca_file"), trouble)


def _unreadable(path: Path) -> str:
    try:
        path.read_bytes()
    except OSError as error:
        return f"cannot read {path}: {os.strerror(error.errno or 0)}"
    return ""


def _proxy_problems(read: Document, base: Path) -> Iterator[Problem]:
    section = read.value.get("proxy_service", {})
    for name in _OWN_PORTS:
        if _is_bad_address(text := section.get(f"{name}_listen_addr", "localhost:1")):
            at = ("proxy_service", f"{name}_listen_addr")
            yield _problem(read, at, f"expected host:port, got {shown(text)}")
    for index, pair in enumerate(section.get("https_keypairs") or ()):
        for name, look in (("cert_file", _pem_trouble), ("key_file", _unreadable)):
            if trouble := look(base / pair[name]):
                yield _problem(read, ("proxy_service", "https_keypairs", index, name), trouble)
    listen = section.get("listen_addr", DEFAULT_LISTEN)
    if _is_bad_address(listen):
        yield _problem(read, ("proxy_service", "listen_addr"), f"expected host:port, got {shown(listen)}")
    for text in _as_list(section.get("public_addr")):
        if _is_bad_address(text, default_port=1) or address.parse(text, default_port=1).is_wildcard:
            sentence = f"expected an address that clients can dial, got {shown(text)}"
            yield _problem(read, ("proxy_service", "public_addr"), sentence)


def _database_problems(read: Document, at: Where, item: Mapping[str, Any], base: Path) -> Iterator[Problem]:
    known = known_protocols()
    if item["protocol"] not in known:
        sentence = f"expected one of {', '.join(known)}, got {shown(item['protocol'])}"
        yield _problem(read, (*at, "protocol"), sentence + suggestion(item["protocol"], known))
    uri = item["uri"]
    on_socket = uri.startswith("unix:/")
    seeds = uri.split(",") if item["protocol"] in SEVERAL_SEEDS else [uri]
    if not on_socket and any(_is_bad_address(seed) or address.parse(seed).is_wildcard for seed in seeds):
        yield _problem(read, (*at, "uri"), f"expected host:port or unix:/path, got {shown(uri)}")
    auth = item.get("auth", {})
    method = auth.get("method", "certificate")
    secrets = [name for name in ("secret_file", "secret_env") if name in auth]
    if method in WITH_SECRET and len(secrets) != 1:
        yield _problem(read, (*at, "auth"), "expected one of secret_file and secret_env")
    if method not in WITH_SECRET and secrets:
        yield _problem(read, (*at, "auth", secrets[0]), f"expected no secret with the method {method}")
    if (method == "none") != on_socket and method not in WITH_SECRET:
        sentence = "the method none is for unix sockets, and the method certificate for addresses"
        yield _problem(read, (*at, "auth"), sentence)
    labels = set(item.get("static_labels") or {})
    for index, label in enumerate(item.get("dynamic_labels") or ()):
        here = (*at, "dynamic_labels", index)
        if label["name"] in labels:
            sentence = f"expected a label of its own, got {shown(label['name'])} again"
            yield _problem(read, (*here, "name"), sentence)
        labels.add(label["name"])
        if _seconds(label["period"]) < MIN_PERIOD_SECONDS:
            sentence = f"expected at least {MIN_PERIOD_SECONDS}s, got {shown(label['period'])}"
            yield _problem(read, (*here, "period"), sentence)
    ca_file = item.get("tls", {}).get("ca_cert_file")
    if ca_file and (trouble := _pem_trouble(base / ca_file)):
        yield _problem(read, (*at, "tls", "ca_cert_file"), trouble)


def _pem_trouble(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        return f"cannot read {path}: {os.strerror(error.errno or 0)}"
    return "" if "-----BEGIN CERTIFICATE-----" in text else f"expected a PEM certificate in {path}"


def _is_bad_address(text: str, *, default_port: int | None = None) -> bool:
    try:
        address.parse(text, default_port=default_port)
    except ConfigError:
        return True
    return False


def _problem(read: Document, path: Where, sentence: str) -> Problem:
    return Problem(read.line(path), dotted(path), sentence)
