"""What a protocol is: a record of pure things, and what they take and give before the first command."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.model.decision import Denied
from gateway.model.identity import Identity, Route
from gateway.model.resource import Database
from gateway.model.statement import Catalog, Statement
from gateway.sansio.conversation import Conversation
from gateway.sansio.exchange import Facts
from gateway.sansio.flow import Flow
from gateway.sansio.preparation import Preparation
from gateway.sansio.rehearsal import Rehearsals
from gateway.sansio.spread import Router


@dataclass(frozen=True, slots=True)
class Startup:
    """What a client asked for before anything was decided.

    ``kind`` is ``session`` or ``cancel``; for a cancel only ``cancel_key`` counts. ``settings`` are judged as
    ``SET``. ``parameters`` is what the protocol needs later and nobody judges. ``person`` is whom the
    certificate names, put in by the engine before ``converse``.
    """

    kind: str = "session"
    db_user: str = ""
    db_name: str = ""
    application: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    cancel_key: bytes = b""
    version: int = 0
    person: str = ""


@dataclass(frozen=True, slots=True)
class Hello:
    """What the listener knows when a flow starts: whether TLS runs already.

    ``public`` is where clients reach this listener as ``host:port``, where it is one protocol's alone.
    ``said`` is how the database greets, as far as that is known, where the protocol's server speaks first.
    """

    encrypted: bool
    tls_required: bool = True
    public: str = ""
    said: bytes = b""


@dataclass(frozen=True, slots=True)
class Login:
    """What a backend login needs; ``secret`` is None where a certificate, already presented by TLS, is it.

    ``settings`` are the client's, once allowed, plus what the gateway pins. ``said`` is what ``dial``
    returned.
    """

    startup: Startup
    route: Route
    database: Database
    secret: str | None = field(default=None, repr=False)
    said: bytes = b""


@dataclass(frozen=True, slots=True)
class Ready:
    """A logged-in backend: ``greeting`` is what the client must see before its first command is answered.

    ``greeting`` must not hold the backend's own cancel key; the engine makes one with ``Protocol.greet``.
    ``cancel_key`` is the backend's, opaque. ``server_version`` is the server's own words.
    """

    server_version: str
    parameters: Mapping[str, str]
    cancel_key: bytes
    search_path: tuple[str, ...] | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpeaksFirst:
    """What is needed where the server speaks first, and a client must be greeted as its own server would.

    ``read`` takes a greeting from a new connection; ``shared`` makes one of several, where any of their
    servers may be meant.
    """

    read: Callable[[], Flow[bytes]]
    shared: Callable[[Sequence[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One database protocol: its name, how it starts, how it logs in, how it talks, what it means."""

    name: str
    default_port: int
    alpn: tuple[str, ...]
    accept: Callable[[Hello], Flow[Startup]]
    # Up to the end of TLS with the backend; returns what the login needs of it, if anything.
    dial: Callable[[Database, Startup], Flow[bytes | None]]
    login: Callable[[Login], Flow[Ready]]
    # What an accepted client sees, with the gateway's own cancel key.
    greet: Callable[[Startup, Ready, bytes], bytes]
    refuse_startup: Callable[[Startup | None, Denied], bytes]
    startup_statement: Callable[[Startup, Route], Statement]  # start-up settings, judged as SET
    converse: Callable[[Startup, Ready, Route], Conversation]
    classify: Callable[[Statement], Facts]
    cancel: Callable[[bytes, Login], Flow[None]]  # on a new backend connection, after ``dial``
    new_cancel_key: Callable[[Startup], bytes]
    read_catalog: Callable[[], Flow[Catalog]]  # on a second, logged-in connection
    route_conflict: Callable[[Startup, Identity], str]  # a sentence when start-up contradicts the certificate
    has_catalog: bool = True  # False: names say all, and nothing is read on a second connection
    # What rehearses the entries of a corpus, by their kind; empty: they are not judged.
    rehearsals: Rehearsals = field(default_factory=dict)
    obligations: frozenset[str] = frozenset()  # the kinds that can be carried out; all others are refusals
    # True: on a port of its own a client begins with TLS, and need not name the protocol in it.
    begins_with_tls: bool = False
    # How a client hears that it is turned away, where one message is not enough; it is driven as long as a
    # farewell may take. None: ``refuse_startup`` is written, and that is all.
    turn_away: Callable[[Denied], Flow[None]] | None = None
    preparation: Preparation = field(default_factory=Preparation)  # what regate doctor says of its servers
    # Who sends what to whom, where the database turns out to be several servers; None where it is one.
    spread: Callable[[Startup, Ready, Route], Router | None] | None = None
    # What the proxy says, ahead of the client, to a service elsewhere: only it knows how it was reached.
    introduce: Callable[[Startup], bytes] | None = None
    # What the error of a login says as a user whom the server does not know, where it has no SQLSTATE.
    strangers: tuple[str, ...] = ()
    speaks_first: SpeaksFirst | None = None  # the server does, before a client says what it wants
    # True: drivers go on over one connection with what they began over another, so one process serves all.
    stays_together: bool = False
