"""What passes between the engine and a conversation: requests, their ends, and what either side gets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.model.classification import Classification
from gateway.model.obligation import Obligations, RowFilter
from gateway.model.statement import Phase, Statement

Facts: TypeAlias = tuple[Classification, ...]


@dataclass(slots=True, eq=False)
class Request:
    """One thing a client asks that must be judged before any byte of it moves on.

    ``raw`` is what is forwarded if allowed: the very bytes that were judged; nothing changes it but the
    conversation, which may empty it once they are with the server. ``covered_by`` is the request whose
    durable record already stands for this one (an Execute behind its Bind); the engine judges it again but
    writes no second record while the verdict is the same.
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

    ``raw`` are the client's bytes, of which none goes on; ``to_client`` is empty where no answer is expected,
    and ``is_refusal`` says that it is a no.
    """

    raw: bytes
    to_client: bytes
    is_refusal: bool = False


Item: TypeAlias = Request | Housekeeping | Settle | Answered
"""What a client's bytes are."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What either side gets when a request is refused, in the order of the pipeline."""

    to_backend: bytes = b""
    to_client: bytes = b""
    close: bool = False


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
class Outcome:
    """How an admitted request ended. ``rows`` is None where the protocol does not say."""

    request: Request
    rows: int | None = None
    bytes: int = 0
    error_code: str = ""
    executed: bool = True


@dataclass(slots=True, eq=False)
class Repetition:
    """A chunk that is one whole request and nothing else, and whose facts are known under the names of now.

    Mostly it was classified before and only its values are new. It changes nothing that later requests
    depend on.
    """

    request: Request
    facts: Facts
    subject: object  # the protocol's own: what was run before, if that has a name


End: TypeAlias = tuple[int | None, int, str]
"""How a request of a pipeline ended: rows, bytes and error code, as ``Outcome`` has them."""


Stretch: TypeAlias = tuple[Request, Facts, int]
"""The same request so many times in a row, with its facts; both are the same objects wherever they stand."""


@dataclass(slots=True, eq=False)
class Pipeline:
    """Whole requests at the beginning of what has arrived, of one statement each, that are all known.

    ``count`` of them stand in ``stretches``. ``raw`` is what is forwarded; ``rest`` is what stands behind the
    last whole one. ``ids`` and ``started_ns`` are those of the records, once made.
    """

    raw: bytes
    rest: bytes
    stretches: Sequence[Stretch]
    count: int
    ids: Sequence[str] = ()
    started_ns: int = 0


@dataclass(frozen=True, slots=True)
class Ends:
    """How *count* requests of a pipeline ended, from *first* on: each end with how often it comes."""

    pipeline: Pipeline
    first: int
    count: int
    ends: Sequence[tuple[End, int]]


@dataclass(frozen=True, slots=True)
class Relay:
    """What a chunk from the backend becomes: usually the very chunk, and whatever ended with it.

    ``to_backend`` is the gateway's own answer or question, which nobody waited for. ``ends`` are the outcomes
    of requests that went on as a ``Pipeline``.
    """

    to_client: bytes
    outcomes: tuple[Outcome, ...] = ()
    to_backend: bytes = b""
    ends: tuple[Ends, ...] = ()
