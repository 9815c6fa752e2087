"""Query attributes: the text of a statement begins behind them, whatever stands in them."""

import struct

import pytest

from gateway.errors import ProtocolError
from gateway.protocols.mysql import attributes, commands


def named(kind: int, name: bytes = b"n") -> bytes:
    return struct.pack("<H", kind) + bytes((len(name),)) + name


CASES = [
    (b"\0\1select 1", b"select 1"),
    (b"\1\1\0\1" + named(0xFD) + b"\6delete" + b"select 1", b"select 1"),
    (b"\1\1\0\1" + named(0x8003) + b"\1\0\0\0" + b"select 1", b"select 1"),
    (b"\1\1\0\1" + named(0x0A) + b"\xfc\1\0x" + b"select 1", b"select 1"),
    (b"\2\1\2\1" + named(0x08) + named(0x06) + b"\1\0\0\0\0\0\0\0" + b"select 1", b"select 1"),
    (b"\1\1\0\1" + named(0x0C) + b"\4abcd" + b"select 1", b"select 1"),
]


@pytest.mark.parametrize(("behind", "text"), CASES)
def test_the_text_begins_where_the_values_end(behind: bytes, text: bytes) -> None:
    assert attributes.behind(b"\3" + behind) == text


@pytest.mark.parametrize(
    "behind",
    [b"\0\2select", b"\1\1\0\0", b"\1\1\0\1" + named(0x42) + b"x", b"\1\1\0\1" + named(0xFD) + b"\x20x", b""],
)
def test_attributes_that_do_not_end_end_the_session(behind: bytes) -> None:
    with pytest.raises(ProtocolError):
        attributes.behind(b"\3" + behind)


# The server takes each of these for a value behind its length, so that its text begins elsewhere.
@pytest.mark.parametrize("kind", [0x06, 0x09, 0x0D, 0x0103, 0x0101, 0x4003])
def test_a_type_whose_size_is_not_certain_ends_the_session(kind: int) -> None:
    value = b"\x0c\0select 1 /*drop table t -- */"
    with pytest.raises(ProtocolError):
        attributes.behind(b"\3\1\1\0\1" + named(kind) + value)


def test_types_are_read_beside_the_names_of_values() -> None:
    head = b"\x17" + struct.pack("<IBI", 1, 8, 1)
    payload = head + b"\2\0\1" + named(0x08, b"") + named(0xFD, b"trace") + b"rest"
    assert commands.bind_types(payload, 1, attributes=True) == ("bigint", "varchar")
    assert commands.bind_types(head + b"\0", 0, attributes=True) == ()
