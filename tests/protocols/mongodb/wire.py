"""Messages as a driver or a server writes them, independently of the code under test."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import bson

MSG = 2013


def raw(request_id: int, code: int, rest: bytes, response_to: int = 0) -> bytes:
    """A header, and whatever follows it."""
    return struct.pack("<iiii", 16 + len(rest), request_id, response_to, code) + rest


def message(
    request_id: int,
    body: Mapping[str, Any],
    *,
    response_to: int = 0,
    flags: int = 0,
    **lists: Sequence[Mapping[str, Any]],
) -> bytes:
    """An OP_MSG with a body, and a section of kind 1 for each list."""
    sections = b"\0" + bson.encode(body)
    for name, documents in lists.items():
        held = name.encode() + b"\0" + b"".join(bson.encode(each) for each in documents)
        sections += b"\1" + struct.pack("<i", len(held) + 4) + held
    return raw(request_id, MSG, struct.pack("<I", flags) + sections, response_to)


def body_of(data: bytes) -> dict[str, Any]:
    """The body of an OP_MSG that has no list."""
    found: dict[str, Any] = bson.decode(data[21:])
    return found
