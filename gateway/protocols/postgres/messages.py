"""The wire's words: message kinds, and the few messages that the gateway reads or writes itself.

Implements the message formats of https://www.postgresql.org/docs/current/protocol-message-formats.html for
protocol 3.0 and 3.2. Left out: replication messages and GSSAPI, which the gateway never speaks.
"""

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import ProtocolError
from gateway.sansio.reader import Reader

# Client to server; the same byte may mean something else in the other direction.
QUERY: Final = ord("Q")
PARSE: Final = ord("P")
BIND: Final = ord("B")
EXECUTE: Final = ord("E")
DESCRIBE: Final = ord("D")
CLOSE: Final = ord("C")
FLUSH: Final = ord("H")
SYNC: Final = ord("S")
COPY_DATA: Final = ord("d")
COPY_DONE: Final = ord("c")
COPY_FAIL: Final = ord("f")
FUNCTION_CALL: Final = ord("F")
TERMINATE: Final = ord("X")

# Server to client.
AUTHENTICATION: Final = ord("R")
BACKEND_KEY_DATA: Final = ord("K")
BIND_COMPLETE: Final = ord("2")
CLOSE_COMPLETE: Final = ord("3")
COMMAND_COMPLETE: Final = ord("C")
COPY_IN_RESPONSE: Final = ord("G")
COPY_OUT_RESPONSE: Final = ord("H")
DATA_ROW: Final = ord("D")
EMPTY_QUERY_RESPONSE: Final = ord("I")
ERROR_RESPONSE: Final = ord("E")
NEGOTIATE_PROTOCOL_VERSION: Final = ord("v")
NO_DATA: Final = ord("n")
NOTICE_RESPONSE: Final = ord("N")
NOTIFICATION_RESPONSE: Final = ord("A")
PARAMETER_DESCRIPTION: Final = ord("t")
PARAMETER_STATUS: Final = ord("S")
PARSE_COMPLETE: Final = ord("1")
PORTAL_SUSPENDED: Final = ord("s")
READY_FOR_QUERY: Final = ord("Z")
ROW_DESCRIPTION: Final = ord("T")

SSL_REQUEST: Final = 80877103
GSSENC_REQUEST: Final = 80877104
CANCEL_REQUEST: Final = 80877102
VERSION_3_0: Final = 0x00030000
VERSION_3_2: Final = 0x00030002

MAX_STARTUP: Final = 10_000  # PostgreSQL's MAX_STARTUP_PACKET_LENGTH
MAX_NAME: Final = 63  # NAMEDATALEN - 1: the server's tables of statements and portals cut names there

_TYPES: Final = 1_000  # of parameters; a bulk insert may fix more, for parameters that it has

_LENGTH = struct.Struct(">I")
length_at = _LENGTH.unpack_from
_COUNT = struct.Struct(">H")
_SIZE = struct.Struct(">i")  # of a value
_NULL: Final = -1

SYNC_FRAME: Final = b"S\0\0\0\x04"
FLUSH_FRAME: Final = b"H\0\0\0\x04"


def frame(kind: int, body: bytes = b"") -> bytes:
    """One message: kind, length, body."""
    return bytes((kind,)) + _LENGTH.pack(len(body) + 4) + body


def u32(value: int) -> bytes:
    """Four bytes, unsigned."""
    return _LENGTH.pack(value)


def text(value: str) -> bytes:
    """NUL-terminated UTF-8; a NUL inside is the caller's fault and refused."""
    data = value.encode()
    if b"\0" in data:
        raise ProtocolError("text holds a NUL")
    return data + b"\0"


def query(sql: str) -> bytes:
    """A simple Query."""
    return frame(QUERY, text(sql))


def startup_message(version: int, parameters: Mapping[str, str]) -> bytes:
    """A StartupMessage, which has no kind byte."""
    pairs = b"".join(text(name) + text(value) for name, value in parameters.items())
    body = u32(version) + pairs + b"\0"
    return u32(len(body) + 4) + body


def cancel_request(key: bytes) -> bytes:
    """A CancelRequest for *key*: the server's process number and secret, as BackendKeyData held them."""
    return u32(len(key) + 8) + u32(CANCEL_REQUEST) + key


def parameter_status(name: str, value: str) -> bytes:
    """A ParameterStatus."""
    return frame(PARAMETER_STATUS, text(name) + text(value))


def negotiate_protocol_version(version: int, options: Iterable[str]) -> bytes:
    """Tell the client which version it gets, and which ``_pq_.`` options are not known."""
    names = [text(name) for name in options]
    return frame(NEGOTIATE_PROTOCOL_VERSION, u32(version) + u32(len(names)) + b"".join(names))


def decode(data: bytes) -> str | None:
    """UTF-8 text, or None; never with replaced characters."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def words(data: bytes, what: str) -> str:
    """UTF-8 text that must be readable."""
    value = decode(data)
    if value is None:
        raise ProtocolError(f"{what} is not UTF-8")
    return value


def read_query(body: bytes) -> bytes:
    """The text of a Query: one string and nothing behind it."""
    if body.find(b"\0") != len(body) - 1 or not body:
        raise ProtocolError("query text does not end where its message ends")
    return body[:-1]


@dataclass(frozen=True, slots=True)
class Parse:
    """A Parse, taken apart: ``types`` are the parameter types that the client fixed."""

    name: bytes
    text: bytes
    types: tuple[int, ...]


def read_parse(body: bytes) -> Parse:
    """A Parse; bytes behind its list of types are a fault."""
    reader = Reader(body)
    name, statement = reader.cstring(), reader.cstring()
    count = reader.u16()
    if reader.left() != 4 * count:
        raise ProtocolError(f"{count} parameter types in {reader.left()} bytes")
    if count > _TYPES and count > statement.count(b"$"):
        raise ProtocolError(f"{count} parameter types for a statement without as many parameters")
    return Parse(name, statement, struct.unpack(f">{count}I", reader.rest()))


def with_text(body: bytes, statement: bytes) -> bytes:
    """The Parse whose body is *body*, with another text."""
    name_end = body.index(b"\0")
    text_end = body.index(b"\0", name_end + 1)
    return frame(PARSE, body[: name_end + 1] + statement + body[text_end:])


def read_bind(data: bytes, at: int, stop: int) -> tuple[bytes, bytes, int]:
    """Portal, statement and number of values of the Bind whose body is ``data[at:stop]``.

    The values themselves are not opened, for nobody here may look; that their sizes end where the message
    ends is looked at, so that it can be read in one way only.
    """
    first = data.find(b"\0", at, stop)
    second = data.find(b"\0", first + 1, stop) if first >= 0 else -1
    if second < 0 or second + 3 > stop:
        raise ProtocolError("bind ends inside its names")
    formats = _COUNT.unpack_from(data, second + 1)[0]
    behind = second + 3 + 2 * formats
    if behind + 2 > stop:
        raise ProtocolError("bind ends inside its formats")
    values = _COUNT.unpack_from(data, behind)[0]
    if formats > 1 and formats != values:
        raise ProtocolError(f"bind has {formats} formats for {values} values")
    _check_values(data, behind + 2, stop, values)
    return data[at:first], data[first + 1 : second], values


def _check_values(data: bytes, at: int, stop: int, values: int) -> None:
    """ProtocolError unless *values* values and the formats of a result's columns fill ``data[at:stop]``."""
    for _ in range(values):
        if at + 4 > stop:
            raise ProtocolError("bind ends inside its values")
        size = _SIZE.unpack_from(data, at)[0]
        if size < _NULL:
            raise ProtocolError(f"bind has a value of {size} bytes")
        at += 4 if size == _NULL else 4 + size
    if at + 2 > stop or at + 2 + 2 * _COUNT.unpack_from(data, at)[0] != stop:
        raise ProtocolError("bind does not end behind the formats of its result")


def read_execute(data: bytes, at: int, stop: int) -> bytes:
    """The portal of an Execute: a name and four bytes of row limit."""
    end = data.find(b"\0", at, stop)
    if end < 0 or end + 5 != stop:
        raise ProtocolError("execute is not a portal and a row limit")
    return data[at:end]


def read_target(data: bytes, at: int, stop: int) -> tuple[bool, bytes]:
    """What a Describe or Close names: (is a statement, its name)."""
    end = data.find(b"\0", at + 1, stop) if at < stop else -1
    if end < 0 or end + 1 != stop or data[at] not in b"SP":
        raise ProtocolError("describe or close names neither a statement nor a portal")
    return data[at] == SYNC, data[at + 1 : end]


_TAG_ROWS = re.compile(rb" (\d{1,20})\0$")


def rows_of(tag: bytes) -> int | None:
    """The number of rows that a CommandComplete tag states, if it does."""
    found = _TAG_ROWS.search(tag)
    return int(found[1]) if found else None


def read_pair(body: bytes) -> tuple[bytes, bytes]:
    """Name and value of a ParameterStatus."""
    reader = Reader(body)
    pair = reader.cstring(), reader.cstring()
    reader.finish()
    return pair


def read_row(body: bytes) -> list[str | None]:
    """The columns of a DataRow of the gateway's own queries, as text."""
    reader = Reader(body)
    columns: list[str | None] = []
    for _ in range(reader.u16()):
        size = reader.i32()
        columns.append(None if size < 0 else words(reader.raw(size), "column"))
    reader.finish()
    return columns
