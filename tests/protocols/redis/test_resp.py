"""Commands and replies: the same in whatever pieces they come, and an error for what is none."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.protocols.redis import replies as answers
from gateway.protocols.redis import resp

arguments = st.lists(st.binary(max_size=40), min_size=1, max_size=6).map(tuple)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:stop] for start, stop in pairwise(places)]


@given(st.lists(arguments, max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_commands_are_the_same_in_whatever_pieces_they_come(
    commands: list[tuple[bytes, ...]], cuts: list[int]
) -> None:
    whole = b"".join(resp.encode(*command) for command in commands)
    reader = resp.CommandReader()
    found = [command for piece in pieces(whole, cuts) for command in reader.feed(piece)]
    assert [command.arguments for command in found] == commands
    assert b"".join(command.raw for command in found) == whole


@pytest.mark.parametrize(
    "data",
    [
        b"*1073741824\r\n", b"*1\r\n$536870913\r\n", b"*2\r\n$3\r\nGET\r\n:1\r\n", b"*1\r\n$4\r\nPINGxx",
        b"*1\r\n$-1\r\n", b"*-2\r\n", b"*1\r\n$04\r\nPING\r\n", b"*x\r\n", b"*" + b"1" * 30, b'GET "a b"\r\n',
        b"GET 'a'\r\n", b"GET a\\x41\r\n", b"POST / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"Host: x\r\n",
        b"PI\x00NG\r\n", b"x" * (resp.MAX_INLINE + 1),
    ],
)  # fmt: skip
def test_what_is_no_command_ends_the_session(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(resp.CommandReader().feed(data))


def test_plain_lines_are_commands_in_the_one_form_that_cannot_be_split_in_two_ways() -> None:
    found = list(resp.CommandReader().feed(b"PING\r\n  GET  app:x \n\r\n*1\r\n$4\r\nQUIT\r\n"))
    assert [command.arguments for command in found] == [(b"PING",), (b"GET", b"app:x"), (b"QUIT",)]
    assert found[1].raw == resp.encode(b"GET", b"app:x")


REPLIES = [
    (b"+OK\r\n", b"OK", None), (b"-ERR unknown command 'x'\r\n", b"ERR", None), (b":42\r\n", b"42", None),
    (b"$-1\r\n", b"", None), (b"$5\r\nhello\r\n", b"hello", None), (b"*-1\r\n", b"", 0), (b"*0\r\n", b"", 0),
    (b"*2\r\n$7\r\nmessage\r\n*1\r\n:1\r\n", b"message", 2), (b"_\r\n", b"", None), (b"#t\r\n", b"t", None),
    (b"%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n", b"a", 1), (b"~1\r\n,1.5\r\n", b"1.5", 1), (b"(123\r\n", b"123", None),
    (b">2\r\n+invalidate\r\n*0\r\n", b"invalidate", 2), (b"=7\r\ntxt:abc\r\n", b"txt:abc", None),
    (b"!5\r\nERR x\r\n", b"ERR x", None), (b"|1\r\n+ttl\r\n:1\r\n+OK\r\n", b"OK", None),
    (b"$100\r\n" + b"y" * 100 + b"\r\n", b"", None),
]  # fmt: skip


@given(st.lists(st.sampled_from(REPLIES), max_size=8), st.lists(st.integers(0, 100_000), max_size=12))
def test_replies_end_where_they_end_in_whatever_pieces_they_come(
    replies: list[tuple[bytes, bytes, int | None]], cuts: list[int]
) -> None:
    whole = b"".join(data for data, _, _ in replies)
    reader = answers.ReplyReader()
    parts = [part for piece in pieces(whole, cuts) for part in reader.feed(piece)]
    assert b"".join(part.data for part in parts) == whole
    ended = [part.reply for part in parts if part.reply is not None]
    assert [(reply.size, reply.word, reply.elements) for reply in ended] == [
        (len(data), word, elements) for data, word, elements in replies
    ]


@pytest.mark.parametrize("data", [b"?1\r\n", b"*1\r\n" * 40, b"$x\r\n", b"\x00\r\n", b"+" + b"a" * 70_000])
def test_what_is_no_reply_is_the_servers_fault(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        answers.ReplyReader().feed(data)


def one_by_one(found: list[tuple[resp.Command, int]]) -> list[tuple[bytes, ...]]:
    """The arguments of each command, as often as it is said to come."""
    return [command.arguments for command, times in found for _ in range(times)]


@given(
    st.binary(min_size=1, max_size=3),
    st.binary(max_size=3),
    st.integers(0, 3),
    st.integers(0, 9),
    st.sampled_from([4, 1 << 12]),
)
def test_what_repeats_is_counted_as_one_by_one(
    unit: bytes, rest: bytes, most: int, times: int, compared: int
) -> None:
    data, expected = b"x" + unit * times + rest, 0
    while expected < most and data.startswith(unit, 1 + expected * len(unit)):
        expected += 1
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(resp, "_COMPARED", compared)
        assert resp.repeats(data, 1, unit, most) == expected


@given(
    st.lists(st.sampled_from([resp.encode(b"GET", b"k"), resp.encode(b"PING"), b"PING\r\n", b"*0\r\n"])),
    st.integers(0, 40),
)
def test_what_lies_ahead_is_what_the_reader_would_find(commands: list[bytes], cut: int) -> None:
    whole = b"".join(commands)
    at = max(0, len(whole) - cut)
    first, second = whole[:at], whole[at:]
    plain, looking = resp.CommandReader(), resp.CommandReader()
    expected = [*plain.feed(first)]
    found = looking.ahead(first)
    assert found is not None
    assert one_by_one(found[0]) == [command.arguments for command in expected]
    looking.skip(found[1])
    behind = looking.ahead(second)
    assert behind is not None
    assert one_by_one(behind[0]) == [each.arguments for each in plain.feed(second)]
    assert behind[1] == b""


def test_a_long_command_that_is_not_whole_is_not_looked_at_again() -> None:
    reader = resp.CommandReader()
    assert list(reader.feed(b"*1000\r\n" + b"$1\r\na\r\n" * 500)) == []
    assert reader.ahead(b"$1\r\na\r\n") is None
    assert len(next(reader.feed(b"$1\r\na\r\n" * 500)).arguments) == 1_000


def test_what_is_no_command_is_left_to_the_reader() -> None:
    reader = resp.CommandReader()
    assert reader.ahead(resp.encode(b"PING") + b"*1\r\n!1\r\n") is None
    feeding = reader.feed(resp.encode(b"PING") + b"*1\r\n!1\r\n")
    assert next(feeding).arguments == (b"PING",)
    with pytest.raises(ProtocolError):
        next(feeding)
