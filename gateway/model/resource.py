"""The resources an operator writes, as the rest of the program reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class BackendAuth(StrEnum):
    """How the gateway logs in to a database."""

    CERTIFICATE = "certificate"  # a client certificate minted for the session and the database user
    SCRAM = "scram"  # a secret that the gateway holds, from a file or the environment
    PASSWORD = "password"  # noqa: S105 -- a method. The same secret where the server wants it as it is, inside TLS
    NONE = "none"  # unix socket with peer or trust authentication


WITH_SECRET: frozenset[str] = frozenset({BackendAuth.SCRAM, BackendAuth.PASSWORD})
"""The methods for which the gateway holds a secret."""

SEVERAL_SEEDS: frozenset[str] = frozenset({"redis"})
"""The protocols whose databases may be found through any of several servers."""


@dataclass(frozen=True, slots=True)
class BackendTls:
    """How the gateway verifies a database server: always the chain, and the name unless told another."""

    ca: str = ""  # PEM text; empty means the cluster's own database CA
    server_name: str = ""  # the name the certificate must carry; empty means the host of the address


@dataclass(frozen=True, slots=True)
class Database:
    """One enrolled database. ``uri`` is ``host:port`` or ``unix:/path/to/socket``.

    For the protocols in ``SEVERAL_SEEDS`` it may be several with commas: the first that answers counts.
    """

    name: str
    protocol: str
    uri: str
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    auth: BackendAuth = BackendAuth.CERTIFICATE
    tls: BackendTls = field(default_factory=BackendTls)
    secret_file: str = ""  # SCRAM: file whose first line is the password
    secret_env: str = ""  # SCRAM: environment variable that holds it
    max_connections: int = 0  # 0: no cap
    elsewhere: bool = False  # reached through services that joined, never dialled from here
