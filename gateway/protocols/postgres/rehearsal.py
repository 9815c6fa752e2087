"""A session that is only rehearsed: the entries of a corpus, and a server that has nothing in it.

The entries assume the database ``appdb``, the database user ``analyst``, the search path ``app`` and UTF-8.
The catalogue holds what the shipped corpora speak of; where an entry names a column that is not in it,
``a.b`` would count as a call of ``b``.
"""

import struct
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, assert_never

from gateway.errors import ProtocolError
from gateway.model.identity import Identity, Route, Use
from gateway.model.statement import Catalog, NameContext, Relation, Statement
from gateway.protocols.postgres import messages
from gateway.protocols.postgres.conversation import MARKER, converse
from gateway.protocols.postgres.handshake import accept, route_conflict
from gateway.sansio.flow import Read, StartTls, Write
from gateway.sansio.protocol import Hello, Ready, Startup
from gateway.sansio.rehearsal import End, Ending, Log, Rehearsal, Rehearsals, closed, statement
from gateway.sansio.rehearse import wire

ROUTE: Final = Route("appdb", "postgres", "analyst", "appdb")
_ORDERS: Final = (
    "id customer_id amount note total status item product price quantity region created_at updated_at "
    "created updated ordered_at date"
)
_CUSTOMERS: Final = (
    "id name email note phone address city country region created_at updated_at created updated"
)
CATALOG: Final = Catalog(
    {
        ("app", "orders"): Relation("table", tuple(_ORDERS.split())),
        ("app", "customers"): Relation("table", tuple(_CUSTOMERS.split())),
        ("app", "salaries"): Relation("table", ("id", "amount")),
        ("app", "events"): Relation("table", ("id",)),
        ("app", "v_pay"): Relation("view", ("id", "who", "amount")),
        ("secret", "pay"): Relation("table", ("id", "who", "amount")),
    },
    functions=frozenset({("app", "leak"), ("app", "get_pay"), ("app", "proc")}),
    operators=frozenset({("app", "@@@")}),
    types=frozenset({("app", "mood")}),
)
PATH: Final = ("app",)
NAMES: Final = NameContext(ROUTE.db_name, ROUTE.db_user, PATH, CATALOG)
_READY: Final = Ready("15.1", {}, b"", PATH)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_IDENTITY: Final = Identity("analyst", ("analyst",), {}, "", Use.DATABASE, _NEVER, _NEVER, "", ROUTE)


def sql(text: str) -> Rehearsal:
    """A text, sent to run at once."""
    return statement(Statement(text, "postgres", NAMES))


def frames(data: bytes) -> Rehearsal:
    """A client's messages behind its login."""
    talk = converse(Startup(), _READY, ROUTE)
    talk.set_catalog(CATALOG)
    return wire(talk, EmptyServer(), data)


def startup(data: bytes) -> Rehearsal:
    """A connection's first bytes: as they come, and where only TLS is missing, as what comes inside it."""
    log = Log()
    try:
        found, at = _accepted(data, encrypted=False)
        if found is not None and found.kind == "session":
            found, at = _accepted(data, encrypted=True)
    except ProtocolError as error:
        return closed(log, error)
    if found is None:
        return log.ending(End.HELD, f"{len(data)} bytes wait for the rest of the start-up packet")
    if found.kind == "cancel":
        return Ending(End.DENIED, "a cancel opens nothing, and its key is none that the gateway gave out")
    return (yield from _opened(log, found, data[at:]))


def _opened(log: Log, found: Startup, rest: bytes) -> Rehearsal:
    """What a whole start-up packet gets, and the messages that came right behind it."""
    against = route_conflict(found, _IDENTITY)
    if against:
        return Ending(End.DENIED, against)
    if found.settings:
        names = NameContext(db_name=ROUTE.db_name, db_user=ROUTE.db_user)
        log.note((yield (Statement("", "postgres", names, settings=found.settings),)))
    if rest and not log.denials:
        return (yield from frames(rest))
    return replace(log.ending(), needs_tls=not log.denials)


def _accepted(data: bytes, *, encrypted: bool) -> tuple[Startup | None, int]:
    """What ``accept`` makes of *data*, and how many of its bytes; None where it waits for more."""
    flow = accept(Hello(encrypted, tls_required=False))
    at = 0
    try:
        action = next(flow)
        while True:
            taken = b""
            match action:
                case Read(size):
                    if at + size > len(data):
                        return None, at
                    taken = data[at : at + size]
                    at += size
                case StartTls():
                    if at < len(data):
                        raise ProtocolError("bytes came ahead of the TLS handshake")
                    return None, at
                case Write():
                    pass
                case other:
                    assert_never(other)
            action = flow.send(taken)
    except StopIteration as stop:
        found: Startup = stop.value
        return found, at


class EmptyServer:
    """Answers every message as a server would that finds nothing to return."""

    def __init__(self) -> None:
        self._skips = False  # to the next Sync, after an error
        self._status = b"I"
        self._texts: dict[bytes, bytes] = {}  # prepared statements
        self._portals: dict[bytes, bytes] = {}

    def answer(self, data: bytes) -> bytes:
        """What comes back for *data*, which holds whole messages."""
        out, at = [], 0
        while at < len(data):
            stop = at + 1 + messages.length_at(data, at + 1)[0]
            out.append(self._one(data[at], data[at + 5 : stop]))
            at = stop
        return b"".join(out)

    def _one(self, kind: int, body: bytes) -> bytes:
        if kind == messages.SYNC:
            self._skips = False
            return self._ready()
        if kind == messages.QUERY:
            self._skips = False
            return self._run(body.rstrip(b"\0")) + self._ready()
        if self._skips:
            return b""
        if MARKER.encode() in body or kind == messages.FUNCTION_CALL:
            self._skips = kind != messages.FUNCTION_CALL
            return _error(body) + (b"" if self._skips else self._ready())
        match kind:
            case messages.PARSE:
                name, _, rest = body.partition(b"\0")
                self._texts[name] = rest.partition(b"\0")[0]
                return messages.frame(messages.PARSE_COMPLETE)
            case messages.BIND:
                portal, _, rest = body.partition(b"\0")
                self._portals[portal] = self._texts.get(rest.partition(b"\0")[0], b"")
                return messages.frame(messages.BIND_COMPLETE)
            case messages.EXECUTE:
                return self._run(self._portals.get(body.partition(b"\0")[0], b""))
            case messages.DESCRIBE:
                parameters = messages.frame(messages.PARAMETER_DESCRIPTION, b"\0\0")
                return (parameters if body[:1] == b"S" else b"") + messages.frame(messages.NO_DATA)
            case messages.CLOSE:
                return messages.frame(messages.CLOSE_COMPLETE)
            case _:
                return b""

    def _run(self, text: bytes) -> bytes:
        if MARKER.encode() in text:
            self._status = b"E" if self._status != b"I" else b"I"
            return _error(text)
        word = text.split(None, 1)[0].upper() if text.split() else b""
        if not word:
            return messages.frame(messages.EMPTY_QUERY_RESPONSE)
        self._status = _STATUS_AFTER.get(word, self._status)
        row = _PATH_ROW if word == b"SHOW" else b""
        return row + messages.frame(messages.COMMAND_COMPLETE, word + b"\0")

    def _ready(self) -> bytes:
        return messages.frame(messages.READY_FOR_QUERY, self._status)


_STATUS_AFTER: Final = {b"BEGIN": b"T", b"START": b"T", b"COMMIT": b"I", b"END": b"I", b"ROLLBACK": b"I"}
_PATH_ROW: Final = messages.frame(messages.DATA_ROW, struct.pack(">HI", 1, 3) + b"app")


def _error(text: bytes) -> bytes:
    """A syntax error that names what it met, as the substitute for a refused message relies on."""
    said = b"syntax error at or near " + text.replace(b"\0", b" ")
    return messages.frame(messages.ERROR_RESPONSE, b"SERROR\0C42601\0M" + said + b"\0\0")


REHEARSALS: Final[Rehearsals] = {"sql": sql, "wire": frames, "startup": startup}
