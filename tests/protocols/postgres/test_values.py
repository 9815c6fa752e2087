"""The values of a Bind: nobody opens them, and their sizes end where the message ends."""

import struct

import pytest

from gateway.errors import ProtocolError
from gateway.protocols.postgres.messages import read_bind

NAMES = b"portal\0name\0"
NONE = struct.pack(">H", 0)


def value(held: bytes | None) -> bytes:
    return struct.pack(">i", -1) if held is None else struct.pack(">i", len(held)) + held


def bind(formats: tuple[int, ...], values: bytes, count: int, result: bytes = NONE) -> bytes:
    return NAMES + struct.pack(f">H{len(formats)}HH", len(formats), *formats, count) + values + result


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (bind((), b"", 0), 0),
        (bind((1,), b"", 0), 0),
        (bind((), value(b"x") + value(None) + value(b""), 3), 3),
        (bind((1,), value(b"x") + value(b"y"), 2, struct.pack(">HH", 1, 1)), 2),
        (bind((0, 1), value(b"x") + value(b"y"), 2, struct.pack(">HHH", 2, 0, 1)), 2),
    ],
)
def test_a_whole_one_is_read_wherever_it_stands(body: bytes, count: int) -> None:
    assert read_bind(body, 0, len(body)) == (b"portal", b"name", count)
    assert read_bind(b"ahead" + body + b"behind", 5, 5 + len(body)) == (b"portal", b"name", count)


@pytest.mark.parametrize(
    "body",
    [
        bind((), b"", 0) + b"x",
        bind((), b"", 0, b""),
        bind((), value(b"x"), 2),
        bind((), value(b"x") * 2, 1),
        bind((), struct.pack(">i", -2), 1),
        bind((), struct.pack(">i", 0x7FFFFFFF), 1),
        bind((), struct.pack(">i", 3), 1),
        bind((), b"\0\0", 1, b""),
        bind((0, 0), value(b"x"), 1),
        bind((), b"", 0, struct.pack(">H", 1)),
    ],
)
def test_one_that_can_be_read_in_two_ways_is_none(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="bind"):
        read_bind(body, 0, len(body))


def test_one_that_is_cut_anywhere_is_none() -> None:
    body = bind((1,), value(b"abc") + value(None), 2, struct.pack(">HH", 1, 0))
    for end in range(len(body)):
        with pytest.raises(ProtocolError, match="bind"):
            read_bind(body, 0, end)
