"""Packets and fields: both ways, cut anywhere, and nothing but a ProtocolError for junk."""

import itertools
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.protocols.mysql import context, packets
from gateway.protocols.mysql.packets import CommandReader, Fields, lenenc, packet
from gateway.protocols.mysql.replies import Replies, Shape
from tests.protocols.mysql import wire


@given(st.integers(0, (1 << 64) - 1))
def test_lengths_read_back(value: int) -> None:
    fields = Fields(lenenc(value) + b"behind")
    assert fields.lenenc() == value
    assert fields.rest() == b"behind"


@pytest.mark.parametrize("mark", [0xFB, 0xFF])
def test_marks_that_are_no_length_are_refused(mark: int) -> None:
    with pytest.raises(ProtocolError):
        Fields(bytes((mark,)) + bytes(9)).lenenc()


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_commands_come_out_whole_however_they_are_cut(payloads: list[bytes], places: list[int]) -> None:
    data = b"".join(packet(0, payload) for payload in payloads)
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    reader, found = CommandReader(), list[bytes]()
    for start, stop in itertools.pairwise(edges):
        found += [command.payload for command in reader.feed(data[start:stop])]
    assert found == payloads


@pytest.mark.parametrize("size", [packets.FULL - 1, packets.FULL, packets.FULL + 1, 2 * packets.FULL])
def test_a_long_payload_takes_several_packets(size: int) -> None:
    payload = b"x" * size
    (command,) = CommandReader().feed(packet(0, payload))
    assert command.payload == payload
    assert command.sequence == size // packets.FULL


def test_a_command_that_does_not_end_is_refused() -> None:
    reader = CommandReader()
    parts = [b"\xff\xff\xff" + bytes((number,)) + b"x" * packets.FULL for number in range(5)]
    for part in parts[:-1]:
        assert list(reader.feed(part)) == []
    with pytest.raises(ProtocolError, match="64 MiB"):
        list(reader.feed(parts[-1]))


REPLIES = [
    (Shape.RESULT, wire.rows(b"one", b"two")),
    (Shape.RESULT, wire.rows(b"one", status=8) + wire.ok(7)),
    (Shape.RESULT, wire.ok()),
    (Shape.RESULT, wire.error()),
    (Shape.PREPARED, wire.prepared(3, parameters=2, columns=1)),
    (Shape.ROWS, wire.column(1) + wire.end(2)),
    (Shape.TEXT, wire.packet(b"Uptime: 3", 1)),
    (Shape.SIMPLE, wire.end(1, new=False)),
]


@pytest.mark.parametrize(("shape", "reply"), REPLIES)
def test_a_reply_ends_where_it_ends_however_it_is_cut(shape: Shape, reply: bytes) -> None:
    behind = wire.ok()
    for step in range(1, len(reply) + len(behind) + 1):
        replies, held, passed = Replies(deprecate_eof=True), b"", 0
        replies.begin(shape)
        for at in range(0, len(reply + behind), step):
            if replies.is_over:
                break
            held += (reply + behind)[at : at + step]
            taken = replies.feed(held)
            held, passed = held[taken:], passed + taken
        assert replies.is_over
        assert passed == len(reply)


@given(st.sampled_from(REPLIES), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=5))
@settings(max_examples=300, deadline=None)
def test_no_reply_raises_anything_but_a_protocol_error(
    reply: tuple[Shape, bytes], flips: list[tuple[int, int]]
) -> None:
    shape, data = reply[0], bytearray(reply[1])
    for place, value in flips:
        data[place % len(data)] = value
    replies = Replies(deprecate_eof=True)
    replies.begin(shape)
    with suppress(ProtocolError):
        replies.feed(bytes(data))


@given(st.binary(max_size=120))
def test_the_answer_to_the_gateways_question_is_read_or_refused(junk: bytes) -> None:
    with suppress(ProtocolError):
        context.parse(
            wire.packet(b"\5", 1) + b"".join(wire.column(at) for at in range(2, 7)) + wire.packet(junk, 7)
        )
