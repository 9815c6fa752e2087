"""Messages of the wire protocol, as far as a session needs them, in both directions.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/. OP_MSG in full; OP_QUERY and OP_REPLY
for the old form of hello. Left out on purpose: OP_COMPRESSED, which is never offered, and every message of
the years before OP_MSG.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import ProtocolError
from gateway.protocols.mongodb import documents
from gateway.protocols.mongodb.checksum import crc32c

OP_REPLY: Final = 1
OP_QUERY: Final = 2004
OP_COMPRESSED: Final = 2012
OP_MSG: Final = 2013

HEADER: Final = 16
MAX_MESSAGE: Final = 48_000_000 + HEADER * 1024  # maxMessageSizeBytes, and what the server adds to it
MAX_CHECKED: Final = 64 << 10  # bytes of a message whose checksum is verified; no driver sends any

CHECKSUM, MORE_TO_COME, EXHAUST_ALLOWED = 1, 2, 1 << 16
_REQUIRED: Final = 0xFFFF  # flags that nobody may ignore
_HEAD: Final = struct.Struct("<iiii")
_I32: Final = struct.Struct("<i")
_U32: Final = struct.Struct("<I")
_NAMES: Final = {2001: "OP_UPDATE", 2002: "OP_INSERT", 2005: "OP_GET_MORE", 2006: "OP_DELETE",
                 2007: "OP_KILL_CURSORS", OP_COMPRESSED: "OP_COMPRESSED"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Head:
    """The sixteen bytes that every message starts with."""

    size: int
    request_id: int
    response_to: int
    code: int


@dataclass(frozen=True, slots=True)
class Message:
    """An OP_MSG of a client's: ``body`` is the command, ``sequences`` are lists that stand beside it."""

    raw: bytes
    head: Head
    flags: int
    body: bytes
    sequences: tuple[tuple[str, bytes], ...]

    @property
    def is_silent(self) -> bool:
        """True when the client waits for no answer."""
        return bool(self.flags & MORE_TO_COME)

    def plain(self) -> bytes:
        """The message without flags and checksum: what the server gets; it then answers each one."""
        if not self.flags:
            return self.raw
        end = len(self.raw) - (4 if self.flags & CHECKSUM else 0)
        return _message(self.head.request_id, self.head.response_to, 0, self.raw[HEADER + 4 : end])


@dataclass(frozen=True, slots=True)
class Query:
    """An OP_QUERY, which only says hello."""

    raw: bytes
    head: Head
    collection: str
    body: bytes


def head_at(data: bytes, at: int = 0) -> Head:
    """The header at *at*; ProtocolError when it is none."""
    size, request_id, response_to, code = _HEAD.unpack_from(data, at)
    if not HEADER + 5 <= size <= MAX_MESSAGE:
        raise ProtocolError(f"a message says that it has {size} bytes")
    return Head(size, request_id, response_to, code)


def message(request_id: int, body: Mapping[str, Any], response_to: int = 0) -> bytes:
    """An OP_MSG with nothing but *body*."""
    return _message(request_id, response_to, 0, b"\0" + documents.encode(body))


def with_body(head: Head, body: bytes, sequences: tuple[tuple[str, bytes], ...] = ()) -> bytes:
    """An OP_MSG in the place of the one with *head*, without flags."""
    parts = [b"\0", body]
    for name, held in sequences:
        encoded = name.encode() + b"\0" + held
        parts += [b"\1", _I32.pack(len(encoded) + 4), encoded]
    return _message(head.request_id, head.response_to, 0, b"".join(parts))


def reply(response_to: int, body: Mapping[str, Any]) -> bytes:
    """An OP_REPLY with one document, for the old form of hello."""
    encoded = documents.encode(body)
    rest = struct.pack("<iqii", 8, 0, 0, 1) + encoded
    return _HEAD.pack(HEADER + len(rest), response_to, response_to, OP_REPLY) + rest


def _message(request_id: int, response_to: int, flags: int, sections: bytes) -> bytes:
    size = HEADER + 4 + len(sections)
    return _HEAD.pack(size, request_id, response_to, OP_MSG) + _U32.pack(flags) + sections


class Reader:
    """Cuts a client's bytes into messages; what cannot be one is a ProtocolError at its header."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._held = 0
        self._wanted = HEADER

    @property
    def is_empty(self) -> bool:
        """True when no message has begun."""
        return not self._held

    def feed(self, data: bytes) -> Iterator[Message | Query]:
        """Each message that is whole now."""
        self._chunks.append(data)
        self._held += len(data)
        while self._held >= self._wanted:
            held = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            head = head_at(held)
            if head.code not in {OP_MSG, OP_QUERY}:
                raise ProtocolError(f"{_NAMES.get(head.code, f'message kind {head.code}')} is not offered")
            if self._held < head.size:
                self._chunks, self._wanted = [held], head.size
                return
            rest = held[head.size :]
            self._chunks, self._held, self._wanted = [rest], len(rest), HEADER
            yield decode(held[: head.size], head)


def decode(raw: bytes, head: Head) -> Message | Query:
    """The message in *raw*, which is whole."""
    return _query(raw, head) if head.code == OP_QUERY else _op_msg(raw, head)


def _op_msg(raw: bytes, head: Head) -> Message:
    flags: int = _U32.unpack_from(raw, HEADER)[0]
    if flags & _REQUIRED & ~(CHECKSUM | MORE_TO_COME):
        raise ProtocolError(f"message flags {flags & _REQUIRED:#x} are not known")
    at, end = HEADER + 4, len(raw)
    if flags & CHECKSUM:
        end -= 4
        _verify(raw, end)
    body: bytes | None = None
    sequences: list[tuple[str, bytes]] = []
    while at < end:
        kind = raw[at]
        if kind == 0 and body is None:
            size = documents.size_at(raw[:end] if end != len(raw) else raw, at + 1)
            body = raw[at + 1 : at + 1 + size]
            at += 1 + size
        elif kind == 1:
            name, held, at = _sequence(raw, at + 1, end)
            if any(name == other for other, _ in sequences):
                raise ProtocolError("a list stands twice in one message")
            sequences.append((name, held))
        else:
            raise ProtocolError(f"a section of kind {kind} cannot stand here")
    if body is None or at != end:
        raise ProtocolError("a message has no body")
    return Message(raw, head, flags, body, tuple(sequences))


def _sequence(raw: bytes, at: int, end: int) -> tuple[str, bytes, int]:
    """The name of a section of kind 1, its documents, and where it ends."""
    if at + 4 > end:
        raise ProtocolError("a section ends before its length")
    size: int = _I32.unpack_from(raw, at)[0]
    stop = raw.find(b"\0", at + 4, min(end, at + 4 + 256))
    after = at + size
    if size < 6 or after > end or not at + 4 < stop < after:
        raise ProtocolError(f"a section of {size} bytes does not fit where it stands")
    held = raw[stop + 1 : after]
    documents.count(held)
    try:
        return raw[at + 4 : stop].decode("ascii"), held, after
    except UnicodeDecodeError:
        raise ProtocolError("the name of a section is not ASCII") from None


def _verify(raw: bytes, end: int) -> None:
    if len(raw) > MAX_CHECKED:
        raise ProtocolError(f"checksums are read on messages of up to {MAX_CHECKED} bytes")
    if end < HEADER + 4 or _U32.unpack_from(raw, end)[0] != crc32c(raw[:end]):
        raise ProtocolError("the checksum of a message is wrong")


def _query(raw: bytes, head: Head) -> Query:
    """flags, ``database.$cmd``, two numbers, the command; a list of fields may follow."""
    stop = raw.find(b"\0", HEADER + 4, HEADER + 4 + 256)
    at = stop + 9
    if stop < 0 or at >= len(raw):
        raise ProtocolError("a query has no command")
    size = documents.size_at(raw, at)
    if at + size != len(raw):
        raise ProtocolError("only hello may be asked with OP_QUERY")
    return Query(raw, head, raw[HEADER + 4 : stop].decode("utf-8", "replace"), raw[at : at + size])
