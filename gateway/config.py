"""What the one file that ``regate start`` reads may say, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway import address
from gateway.address import Address
from gateway.model.resource import Database
from gateway.storage import Storage
from gateway.supply import Supply
from gateway.texts import Texts

DEFAULT_PATH = Path("/etc/regate.yaml")
DEFAULT_DATA_DIR = Path("/var/lib/regate")
DEFAULT_LISTEN = "0.0.0.0:3080"
DEFAULT_AUTH_LISTEN = "0.0.0.0:3025"
DEFAULT_DEADLINE_MS = 250
OWN_PORTS = (
    "postgres",
    "redis",
    "mysql",
    "mariadb",
    "mongodb",
)  # protocols that may have a port of their own: postgres_listen_addr
CONNECTS_PER_SECOND = 50  # of one user
TOLD_PORTS = tuple(name for name in OWN_PORTS if name != "postgres")  # as redis_public_addr says, too


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
    native: Mapping[str, str] = field(default_factory=dict)
    """Where clients reach such a port, for those whose clients cannot use the public one: ``host:port``, or
    ``:port`` on whatever host they dial the proxy at."""
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
    deny_addresses: tuple[str, ...] = ()
    """Networks where no database may be, besides those that ``gateway.ranges`` always refuses."""
    connects_per_second: int = CONNECTS_PER_SECOND
    """Connections that one user may open in a second."""


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
    then only used to build the bundle that it loads. A question about a connect or a statement that was not
    answered after *deadline_ms* is refused.
    """

    path: Path | None = None
    address: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None
    deadline_ms: int = DEFAULT_DEADLINE_MS

    @property
    def deadline_seconds(self) -> float:
        """The same, as the client of the policy takes it."""
        return self.deadline_ms / 1000


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
    texts: Texts = field(default_factory=Texts)
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


def known_protocols() -> tuple[str, ...]:
    """The database protocols of this version: one folder each, found without the cost of importing them."""
    folder = Path(__file__).parent / "protocols"
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "_"))
