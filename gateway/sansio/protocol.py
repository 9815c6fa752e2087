"""What a protocol is: a record of pure things, driven by ``gateway.session``.

The engine's side of the contract, for each chunk that arrives from the client::

    for item in conversation.from_client(chunk):      # lazily: state moves as items are handled
        Housekeeping -> queue its bytes, in order
        Request      -> facts = classify each statement; if conversation.must_settle(request, facts): flush
        Settle       -> flush what is queued, then wait until conversation.is_settled()
        Answered     -> queue its answer, in order: it goes to the client, and nothing to the backend
    flush = judge all queued requests in one question, record each decision durably, then in order
            Allowed -> backend gets conversation.admit(request, facts)
            Denied  -> conversation.refuse(request, facts, denial) says what either side gets

Exactly one of ``admit`` and ``refuse`` is called for each request, in the order of the pipeline.
"""

import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.model.classification import Classification
from gateway.model.decision import Denied
from gateway.model.identity import Identity, Route
from gateway.model.obligation import Obligations, RowFilter
from gateway.model.resource import Database
from gateway.model.statement import Catalog, NameContext, Phase, Statement
from gateway.sansio.flow import Flow
from gateway.sansio.preparation import Preparation
from gateway.sansio.rehearsal import Rehearsals
from gateway.sansio.spread import Router

Facts: TypeAlias = tuple[Classification, ...]


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


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One thing a client asks that must be judged before any byte of it moves on.

    ``raw`` is what is forwarded if allowed: the very bytes that were judged. ``covered_by`` is the request
    whose durable record already stands for this one (an Execute behind its Bind); the engine judges it again
    but writes no second record while the verdict is the same.
    """

    raw: bytes
    phase: Phase
    statements: tuple[Statement, ...]
    name: str = ""  # of the prepared statement or portal
    bind_types: tuple[str, ...] = ()
    covered_by: "Request | None" = None
    sets: int | None = 1  # rows of values that it runs with at once; None: more than are counted


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """A frame on the protocol's explicit allow-list, or the continuation of a stream that was judged.

    With ``ends`` it is the client's last word: that the backend closes then is no surprise.
    """

    raw: bytes
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Settle:
    """Nothing further may be judged until the backend has answered: flush, then wait for ``is_settled``.

    ``raw`` is sent to the backend first, so that it answers (PostgreSQL: Flush).
    """

    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Answered:
    """A frame on the protocol's explicit list of those that the gateway answers by itself.

    ``raw`` are the client's bytes, of which none goes on; ``to_client`` is empty where no answer is expected.
    """

    raw: bytes
    to_client: bytes


Item: TypeAlias = Request | Housekeeping | Settle | Answered
"""What a client's bytes are."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What either side gets when a request is refused, in the order of the pipeline."""

    to_backend: bytes = b""
    to_client: bytes = b""
    close: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an admitted request ended. ``rows`` is None where the protocol does not say."""

    request: Request
    rows: int | None = None
    bytes: int = 0
    error_code: str = ""
    executed: bool = True


@dataclass(frozen=True, slots=True)
class Duty:
    """What must be done with a request: *obligations*, and of each row filter the condition in SQL.

    A condition is ``""`` where all rows may be seen and None where none may. ``salt`` is a secret of the
    cluster's, for masks that hash; it must not be shown to anybody.
    """

    obligations: Obligations
    conditions: tuple[tuple[RowFilter, str | None], ...] = ()
    salt: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Obliged:
    """A duty can be done; ``statements`` are what will be sent, where that is not what was asked for."""

    statements: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class Unable:
    """A duty cannot be done with this request, which is then refused: ``code`` is stable."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Relay:
    """What a chunk from the backend becomes: usually the very chunk, and whatever ended with it.

    ``to_backend`` is the gateway's own answer or question, which nobody waited for. ``ends`` are the outcomes
    of requests that went on as a ``Pipeline``.
    """

    to_client: bytes
    outcomes: tuple[Outcome, ...] = ()
    to_backend: bytes = b""
    ends: "tuple[Ends, ...]" = ()


class Conversation(typing.Protocol):
    """The command phase as a machine: bytes in, values out; it raises nothing but ProtocolError."""

    def from_client(self, data: bytes) -> Iterator[Item]:
        """What the client's next bytes hold, lazily."""
        ...

    def must_settle(self, request: Request, facts: Facts) -> bool:
        """True when what follows this request cannot be judged before the backend has answered it."""
        ...

    def is_settled(self) -> bool:
        """True when nothing that changes what names mean is unanswered."""
        ...

    def admit(self, request: Request, facts: Facts) -> bytes:
        """The bytes to forward; from here on the conversation expects their answer."""
        ...

    def refuse(self, request: Request, facts: Facts, denial: Denied) -> Refusal:
        """What both sides get instead."""
        ...

    def oblige(self, request: Request, facts: Facts, duty: Duty) -> Obliged | Unable:
        """How *duty* is done with a request that is neither admitted nor refused yet.

        The ``admit`` that follows does it; where other statements are sent for it, they are judged first.
        """
        ...

    def overdue(self, request: Request, denial: Denied) -> bool:
        """True when *request* runs now, and for too long: its cancellation will be told as *denial*."""
        ...

    def from_backend(self, data: bytes) -> Relay:
        """What the backend's next bytes become."""
        ...

    def names(self) -> NameContext:
        """The context that names stand in now."""
        ...

    def set_catalog(self, catalog: Catalog | None) -> None:
        """The engine read the catalogue (or could not: None)."""
        ...

    def wants_catalog(self) -> bool:
        """True when the catalogue it has is stale: DDL ran, or it never had one."""
        ...

    def abandon(self) -> tuple[Outcome, ...]:
        """The connection is over: every admitted request without an end, as an outcome not known."""
        ...

    def farewell(self, denial: Denied) -> bytes:
        """The native message that ends a live session."""
        ...


@dataclass(slots=True, eq=False)
class Repetition:
    """A chunk that is one whole request and nothing else, and whose facts are known under the names of now.

    Mostly it was classified before and only its values are new. It changes nothing that later requests
    depend on.
    """

    request: Request
    facts: Facts
    subject: object  # the protocol's own: what was run before, if that has a name


@typing.runtime_checkable
class Repeating(Conversation, typing.Protocol):
    """A conversation that knows a request again, so that it can be asked about without being read anew."""

    def repeat(self, data: bytes) -> Repetition | None:
        """What *data* repeats, where nothing is under way; None for whatever else it is. Changes nothing."""
        ...

    def is_still(self, repetition: Repetition) -> bool:
        """True while what ``repeat`` found holds."""
        ...

    def admit_again(self, repetition: Repetition) -> bytes:
        """The bytes to forward; from here on the conversation expects their answer."""
        ...


End: TypeAlias = tuple[int | None, int, str]
"""How a request of a pipeline ended: rows, bytes and error code, as ``Outcome`` has them."""


@dataclass(slots=True, eq=False)
class Pipeline:
    """Whole requests at the beginning of what has arrived, of one statement each, that are all known.

    The same request stands in it as the same object, as do its facts. ``raw`` is what is forwarded; ``rest``
    is what stands behind the last whole one. ``ids`` and ``started_ns`` are those of the records, once made.
    """

    raw: bytes
    rest: bytes
    requests: Sequence[Request]
    facts: Sequence[Facts]
    ids: Sequence[str] = ()
    started_ns: int = 0


@dataclass(frozen=True, slots=True)
class Ends:
    """How requests of a pipeline ended, from the one at *first* on, in their order."""

    pipeline: Pipeline
    first: int
    ends: Sequence[End]


@typing.runtime_checkable
class Pipelining(Conversation, typing.Protocol):
    """A conversation whose requests come in pipelines, and do not change what those behind them mean."""

    def pipeline(self, data: bytes) -> Pipeline | None:
        """What *data* ends or begins, if it is nothing but plain requests. Changes nothing."""
        ...

    def admit_pipeline(self, pipeline: Pipeline) -> bytes:
        """The bytes to forward; from here on the conversation expects their answers, and has its rest."""
        ...


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
