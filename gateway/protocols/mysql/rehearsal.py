"""A session that is only rehearsed: the entries of a corpus, and a server that has nothing in it.

The entries assume the database user ``analyst`` and the current database ``app``, in utf8mb4 with the
server's usual ``sql_mode``. A packet numbered 1 is a client's answer to the greeting; where a COM_QUERY
begins with a byte that no text begins with, query attributes were agreed on.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from gateway.errors import ProtocolError
from gateway.model.identity import Identity, Route, Use
from gateway.model.statement import NameContext, Statement
from gateway.protocols.mysql import capabilities, commands, context
from gateway.protocols.mysql.conversation import MysqlConversation
from gateway.protocols.mysql.handshake import read_answer, route_conflict
from gateway.protocols.mysql.packets import HEADER, Fields, counted, packet
from gateway.sansio.protocol import Ready
from gateway.sansio.rehearsal import End, Ending, Log, Rehearsal, Rehearsals, closed, statement
from gateway.sansio.rehearse import wire

MODES: Final = frozenset({"STRICT_TRANS_TABLES", "NO_ENGINE_SUBSTITUTION", f"{context.CASE}=0"})
VERSIONS: Final = {"mysql": "8.0.36", "mariadb": "10.11.6-MariaDB"}
_NAMES: Final = NameContext("app", "analyst", search_path=("app",))
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_ANSWER: Final = 1  # the number of a client's packet behind the greeting
_FIRST_OF_TEXT: Final = 0x09


def rehearsals(dialect: str) -> Rehearsals:
    """What rehearses the entries of one of the two, by their kind."""
    return {"sql": _sql(dialect), "wire": _frames(dialect)}


def _sql(dialect: str) -> Callable[[str], Rehearsal]:
    def sql(text: str) -> Rehearsal:
        """A text, sent to run at once."""
        version = VERSIONS[dialect]
        return statement(Statement(text, dialect, _NAMES, server_version=version, modes=MODES))

    return sql


def _frames(dialect: str) -> Callable[[bytes], Rehearsal]:
    route = Route("appdb", dialect, "analyst", "app")

    def frames(data: bytes) -> Rehearsal:
        """A client's packets, behind its login or up to it."""
        if data[3:4] == bytes((_ANSWER,)):
            return _answer(route, data)
        flags = capabilities.OFFERED & ~capabilities.QUERY_ATTRIBUTES
        if data[HEADER : HEADER + 1] == bytes((commands.QUERY,)) and data[HEADER + 1] < _FIRST_OF_TEXT:
            flags |= capabilities.QUERY_ATTRIBUTES
        extra = {
            "dialect": dialect,
            "capabilities": str(flags),
            "modes": ",".join(sorted(MODES)),
            "charset": "utf8mb4",
        }
        talk = MysqlConversation(Ready(VERSIONS[dialect], {}, b"", ("app",), extra), route)
        return wire(talk, EmptyServer(VERSIONS[dialect]), data)

    return frames


def _answer(route: Route, data: bytes) -> Rehearsal:
    """Who a client says it is; what it says in the clear is refused."""
    yield from ()
    log, size = Log(), int.from_bytes(data[:3], "little")
    if len(data) < HEADER + size:
        return log.ending(End.HELD, f"{len(data)} bytes wait for the rest of the first packet")
    try:
        startup = read_answer(_ANSWER, data[HEADER : HEADER + size], capabilities.OFFERED)
    except ProtocolError as error:
        return closed(log, error)
    identity = Identity("analyst", ("analyst",), {}, "", Use.DATABASE, _NEVER, _NEVER, "", route)
    against = route_conflict(startup, identity)
    if against:
        return Ending(End.DENIED, against)
    return replace(log.ending(), needs_tls=True)


class EmptyServer:
    """Answers every command as a server would that finds nothing to return."""

    def __init__(self, version: str) -> None:
        self._prepared = 0
        self._version = version

    def answer(self, data: bytes) -> bytes:
        """What comes back for *data*, which holds whole packets."""
        out, at = [], 0
        while at < len(data):
            stop = at + HEADER + int.from_bytes(data[at : at + 3], "little")
            out.append(self._one(data[at + HEADER : stop]))
            at = stop
        return b"".join(out)

    def _one(self, payload: bytes) -> bytes:
        code = Fields(payload).number(1)
        if payload == context.QUESTION[HEADER:]:
            return _context(self._version)
        if code in {commands.QUIT, commands.LONG_DATA, commands.CLOSE}:
            return b""
        if code == commands.PREPARE:
            self._prepared += 1
            return packet(1, b"\0" + self._prepared.to_bytes(4, "little") + bytes(7))
        if code in {commands.FIELD_LIST, commands.FETCH}:
            return packet(1, b"\xfe\0\0\2\0\0\0")
        return packet(1, b"\0\0\0\2\0\0\0")


def _context(version: str) -> bytes:
    """The answer to the gateway's own question: nothing has changed."""
    words = sorted(mode for mode in MODES if "=" not in mode)
    values = (b"app", ",".join(words).encode(), b"utf8mb4", version.encode())
    row = b"".join(counted(value.hex().upper().encode()) for value in values) + counted(b"0")
    columns = b"".join(packet(at, b"\3def") for at in range(2, 7))
    return packet(1, b"\5") + columns + packet(7, row) + packet(8, b"\xfe\0\0\2\0\0\0")
