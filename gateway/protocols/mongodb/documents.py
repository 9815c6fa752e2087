"""BSON as it is read here: https://bsonspec.org/spec.html, through pymongo's ``bson``.

A document is understood only if writing what was read gives the very bytes that came. So a key that stands
twice, a deprecated type and every other thing that two readers could see differently is not understood,
whichever of the two the server happens to be.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

from gateway.errors import ProtocolError

LEAST: Final = 5  # bytes of a document with nothing in it
MAX_READ: Final = 1 << 20  # bytes of one document that is read in full
MAX_LIST: Final = 4 << 20  # bytes of a list of them beside a command
MOST: Final = 100_000  # documents of one list: no server takes more at once
# Every element that is read costs some microseconds in which nobody else is served.
MAX_DEPTH: Final = 200  # as servers have it
MAX_FIELDS: Final = 2_000  # of one document
MAX_ELEMENTS: Final = 30_000  # in all: fields, and elements of lists that are no plain values
OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    document_class=dict,
    uuid_representation=UuidRepresentation.UNSPECIFIED,
    datetime_conversion=DatetimeConversion.DATETIME_MS,
)
_I32: Final = struct.Struct("<i")

DOUBLE, TEXT, DOCUMENT, ARRAY, BINARY = 0x01, 0x02, 0x03, 0x04, 0x05
BOOLEAN, NULL, INT32, INT64 = 0x08, 0x0A, 0x10, 0x12
_FIXED: Final[Mapping[int, int]] = {
    DOUBLE: 8, 0x06: 0, 0x07: 12, BOOLEAN: 1, 0x09: 8, NULL: 0, INT32: 4, 0x11: 8, INT64: 8, 0x13: 16,
    0x7F: 0, 0xFF: 0,
}  # fmt: skip
# Behind a length: what it counts beside the bytes that follow it.
_COUNTED: Final[Mapping[int, int]] = {
    TEXT: 0, DOCUMENT: -4, ARRAY: -4, BINARY: 1, 0x0C: 12, 0x0D: 0, 0x0E: 0, 0x0F: -4,
}  # fmt: skip
_LEAST_COUNT: Final[Mapping[int, int]] = {
    TEXT: 1, DOCUMENT: 5, ARRAY: 5, BINARY: 0, 0x0C: 1, 0x0D: 1, 0x0E: 1, 0x0F: 14,
}  # fmt: skip


class UnreadableError(Exception):
    """A document is not understood; the message is a stable code."""


def encode(document: Mapping[str, Any]) -> bytes:
    """The bytes of *document*."""
    return bson.encode(document, codec_options=OPTIONS)


def read(raw: bytes) -> dict[str, Any]:
    """What *raw* holds, if there is one way to read it.

    Raises:
        UnreadableError: it is too long or too deep, no BSON, or could be read in more than one way.
    """
    if len(raw) > MAX_READ:
        raise UnreadableError("too_long")
    try:
        found = bson.decode(raw, OPTIONS)
        again = encode(found)
    except (BSONError, ValueError, TypeError, OverflowError, RecursionError):
        raise UnreadableError("not_bson") from None
    if again != raw:
        raise UnreadableError("ambiguous_document")
    elements_in(found)
    return found


def elements_in(document: Mapping[str, Any]) -> int:
    """How many elements *document* has; UnreadableError for more than are read, or deeper ones."""
    count = 0
    left: list[tuple[Any, int]] = [(document, 1)]
    while left:
        value, depth = left.pop()
        inner = list(value.values()) if isinstance(value, dict) else value
        parts = [each for each in inner if isinstance(each, dict | list)]
        is_list = inner is value
        count += len(parts) if is_list else len(inner)
        if count > MAX_ELEMENTS or (not is_list and len(inner) > MAX_FIELDS):
            raise UnreadableError("too_long")
        if parts and depth >= MAX_DEPTH:
            raise UnreadableError("too_deep")
        left += [(each, depth + 1) for each in parts]
    return count


def size_at(data: bytes, at: int) -> int:
    """The length that a document at *at* says it has; ProtocolError when it cannot be that."""
    if at + 4 > len(data):
        raise ProtocolError("a document ends before its length")
    size: int = _I32.unpack_from(data, at)[0]
    if size < LEAST or at + size > len(data) or data[at + size - 1]:
        raise ProtocolError(f"a document of {size} bytes does not fit where it stands")
    return size


def elements(raw: bytes) -> Iterator[tuple[str, int, int, int, int]]:
    """Name, type, and where each element of a document begins, where its value does, and where it ends."""
    size = size_at(raw, 0)
    at, end = 4, size - 1
    while at < end:
        kind = raw[at]
        stop = raw.find(b"\0", at + 1, end)
        if stop < 0:
            raise ProtocolError("the name of an element does not end")
        value = stop + 1
        after = value + length(raw, kind, value)
        if after > end:
            raise ProtocolError("an element ends behind its document")
        yield raw[at + 1 : stop].decode("utf-8", "replace"), kind, at, value, after
        at = after


def spans(raw: bytes) -> list[tuple[bytes, int, int, int]]:
    """As ``elements``, all at once: name, and where each begins, where its value does, and where it ends."""
    end = size_at(raw, 0) - 1
    at, found = 4, []
    while at < end:
        kind, stop = raw[at], raw.find(b"\0", at + 1, end)
        if stop < 0:
            raise ProtocolError("the name of an element does not end")
        fixed = _FIXED.get(kind)
        after = stop + 1 + (length(raw, kind, stop + 1) if fixed is None else fixed)
        if after > end:
            raise ProtocolError("an element ends behind its document")
        found.append((raw[at + 1 : stop], at, stop + 1, after))
        if len(found) > MAX_FIELDS:
            break
        at = after
    return found


def is_fixed(kind: int) -> bool:
    """True when every value of *kind* has as many bytes."""
    return kind in _FIXED


def length(raw: bytes, kind: int, at: int) -> int:
    """The bytes of a value of *kind* at *at*."""
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed
    if kind == 0x0B:  # two texts, pattern and options
        first = raw.find(b"\0", at)
        second = raw.find(b"\0", first + 1)
        if first < 0 or second < 0:
            raise ProtocolError("a regular expression does not end")
        return second + 1 - at
    if kind not in _COUNTED or at + 4 > len(raw):
        raise ProtocolError(f"an element of type {kind:#x} has no length")
    count: int = _I32.unpack_from(raw, at)[0]
    if count < _LEAST_COUNT[kind]:
        raise ProtocolError(f"a value says that it has {count} bytes")
    return 4 + count + _COUNTED[kind]


def first_name(raw: bytes) -> str:
    """The name of the first element, which is a command's; empty where there is none."""
    stop = raw.find(b"\0", 5)
    return raw[5:stop].decode("utf-8", "replace") if raw[4] and stop > 0 else ""


def count(sequence: bytes) -> int:
    """How many documents stand one behind the other; ProtocolError unless they fill it."""
    at = found = 0
    while at < len(sequence):
        at += size_at(sequence, at)
        found += 1
        if found > MOST:
            raise ProtocolError(f"a list has more than {MOST} documents")
    return found


def split(sequence: bytes) -> Iterator[bytes]:
    """The documents that stand one behind the other."""
    at = 0
    while at < len(sequence):
        size = size_at(sequence, at)
        yield sequence[at : at + size]
        at += size


def joined(parts: list[bytes]) -> bytes:
    """A document of elements that are bytes already."""
    held = b"".join(parts)
    return _I32.pack(len(held) + LEAST) + held + b"\0"
