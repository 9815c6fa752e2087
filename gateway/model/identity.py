"""Who is on the other end of a connection, as a verified certificate says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Use(StrEnum):
    """What a certificate may be used for; each use belongs to exactly one certificate authority."""

    USER = "user"  # user CA: a login; opens the API, never a database
    DATABASE = "database"  # user CA: a login routed to one database; opens that database, never the API
    SESSION = "session"  # user CA: one session of such a route, through one proxy to one agent, once
    HOST = "host"  # host CA: a Regate service
    DB_SERVER = "db-server"  # database CA: a database server
    DB_CLIENT = "db-client"  # database-client CA: the gateway towards a database server


@dataclass(frozen=True, slots=True)
class Route:
    """The one database, database user and database name that a ``Use.DATABASE`` certificate opens."""

    database: str
    protocol: str
    db_user: str
    db_name: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which joining of a bot a login comes from, and the how manieth certificate since it is."""

    instance: str
    generation: int


@dataclass(frozen=True, slots=True)
class Identity:
    """A person or machine, and what its certificate claims; the store decides what of it still holds.

    ``roles`` are the certificate's cap: effective roles are those of them that the user still has.
    ``expires`` is the certificate's own end, ``login_expires`` the end of the login behind it (they are
    equal for a login certificate). Both are aware datetimes in UTC. A session certificate carries
    ``agent``, the one service that may accept it, and ``client_address``, where the person connects from.
    ``login_address`` is where the login came from, without a port; empty where that is not known.
    ``service`` is what a host certificate is for: ``proxy`` or ``db``, empty for the cluster's own port.
    ``lineage`` stands in a bot's login alone: it is what lets the login be renewed.
    """

    user: str
    roles: tuple[str, ...]
    traits: Mapping[str, tuple[str, ...]]
    cluster: str
    use: Use
    expires: datetime
    login_expires: datetime
    serial: str
    route: Route | None = None
    key_id: str = field(default="")
    agent: str = ""
    client_address: str = ""
    login_address: str = ""
    service: str = ""
    lineage: Lineage | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Who calls the API: ``local`` is the administrator on the auth host, ``user`` a person with a login.

    ``roles`` and ``traits`` are those of the login, which the policy narrows to what the user still has.
    """

    kind: str
    name: str
    roles: tuple[str, ...] = ()
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
