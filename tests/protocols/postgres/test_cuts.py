"""However the bytes are cut, the same things come out; and nothing but a ProtocolError ever escapes."""

import itertools
import time
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.model.decision import Denied, Reason
from gateway.model.identity import Route
from gateway.model.statement import Statement
from gateway.protocols.postgres import POSTGRES
from gateway.sansio.conversation import Conversation
from gateway.sansio.exchange import (
    Answered,
    Housekeeping,
    Outcome,
    Request,
    Settle,
)
from gateway.sansio.protocol import Ready, Startup
from tests.protocols.postgres import wire
from tests.protocols.postgres.facts import facts
from tests.protocols.postgres.wire import bind, close, describe, execute, message, parse, query

READY = Ready("15.1", {}, b"", ("app",))
DENIAL = Denied("01CUT", (Reason("no"),))


def conversation() -> Conversation:
    return POSTGRES.converse(Startup(), READY, Route("d", "postgres", "alice", "mydb"))


Seen = tuple[str, tuple[Statement, ...], bytes]


def client_side(talk: Conversation, chunks: Iterable[bytes]) -> tuple[list[Seen], bytes]:
    """The requests in *chunks* and all bytes for the server; texts with ``denied`` are refused."""
    seen: list[Seen] = []
    out = b""
    for chunk in chunks:
        queue: list[Request | Housekeeping] = []
        for item in talk.from_client(chunk):
            if isinstance(item, Settle | Answered):
                raise ProtocolError("nobody answers here")
            queue.append(item)
            if isinstance(item, Request):
                seen.append((item.phase.value, item.statements, item.raw))
                talk.must_settle(item, facts(item.statements[0]))
        for item in queue:
            if isinstance(item, Housekeeping):
                out += item.raw
            elif "denied" in item.statements[0].text:
                out += talk.refuse(item, facts(item.statements[0]), DENIAL).to_backend
            else:
                out += talk.admit(item, facts(item.statements[0]))
    return seen, out


CLIENT = [
    parse("select $1", "s1", (23,)) + bind("s1", "p", (b"x", None)) + describe("P", "p") + execute("p"),
    wire.SYNC,
    query("select 1"),
    query("select 'denied'"),
    parse("select 'denied'") + bind() + execute() + wire.SYNC,
    close("S", "s1") + close("P", "p") + wire.FLUSH + wire.SYNC,
    query("select '" + "é" * 300 + "'"),
    wire.TERMINATE,
]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a != b]


WHOLE = b"".join(CLIENT)


def test_a_client_s_bytes_may_come_one_by_one() -> None:
    expected = client_side(conversation(), [WHOLE])
    assert len(expected[0]) == 9
    assert client_side(conversation(), [WHOLE[i : i + 1] for i in range(len(WHOLE))]) == expected


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
@settings(max_examples=150, deadline=None)
def test_a_client_s_bytes_may_be_cut_anywhere(places: list[int]) -> None:
    assert client_side(conversation(), cut(WHOLE, places)) == client_side(conversation(), [WHOLE])


ROW = message("D", b"\0\1\0\0\0\2hi")
ERROR = message("E", b'SERROR\0VERROR\0C42601\0Msyntax error at or near "gateway_denied_01CUT_1"\0P1\0\0')
BACKEND = b"".join(
    [
        message("1") + message("2") + message("T", b"\0\0") + ROW * 5 + message("C", b"SELECT 5\0"),
        message("S", b"TimeZone\0UTC\0") + message("N", b"SNOTICE\0\0") + message("A", b"\0\0\0\1a\0b\0"),
        message("Z", b"I"),
        message("T", b"\0\0") + ROW * 3 + message("C", b"SELECT 3\0") + message("Z", b"I"),
        message("K", b"\0\0\0\1\0\0\0\2"),
        ERROR + message("Z", b"I"),
    ]
)


def answered(chunks: Sequence[bytes]) -> tuple[bytes, list[tuple[int | None, str, bool]], int]:
    talk = conversation()
    client_side(talk, [b"".join(CLIENT[:4])])
    to_client, outcomes = b"", list[Outcome]()
    for chunk in chunks:
        relay = talk.from_backend(chunk)
        to_client += relay.to_client
        outcomes += relay.outcomes
    told = [(outcome.rows, outcome.error_code, outcome.executed) for outcome in outcomes]
    return to_client, told, sum(outcome.bytes for outcome in outcomes)


def test_a_server_s_bytes_may_come_one_by_one() -> None:
    expected = answered([BACKEND])
    assert expected[1] == [(None, "", True), (5, "", True), (3, "", True)]
    assert b"gateway_denied" not in expected[0]
    assert b"42501" in expected[0]
    assert b"K\0\0\0\x0c" not in expected[0]
    assert answered([BACKEND[i : i + 1] for i in range(len(BACKEND))]) == expected


@given(st.lists(st.integers(0, len(BACKEND)), max_size=12))
@settings(max_examples=150, deadline=None)
def test_a_server_s_bytes_may_be_cut_anywhere(places: list[int]) -> None:
    assert answered(cut(BACKEND, places)) == answered([BACKEND])


def test_rows_are_passed_on_in_the_chunk_they_came_in() -> None:
    talk = conversation()
    client_side(talk, [query("select 1")])
    talk.from_backend(message("T", b"\0\0"))
    big = message("D", b"\0\1" + b"x" * 100_000)
    first, second = big[:70_000], big[70_000:] + ROW * 10
    assert talk.from_backend(first).to_client is first
    assert talk.from_backend(second).to_client is second


def test_copy_data_is_passed_on_in_the_chunk_it_came_in() -> None:
    talk = conversation()
    client_side(talk, [query("copy app.loaded from stdin")])
    assert talk.from_backend(message("G", b"\0\0\0")).to_client
    frame = wire.copy_data(b"x" * 50_000)
    for chunk in (frame * 3 + frame[:20_000], frame[20_000:30_000], frame[30_000:] + frame):
        items = list(talk.from_client(chunk))
        assert b"".join(item.raw for item in items if isinstance(item, Housekeeping)) == chunk
        assert len(items) <= 2


FRAMES = st.one_of(
    st.sampled_from(CLIENT[:7]),
    st.builds(lambda kind, body: bytes([kind]) + (len(body) + 4).to_bytes(4, "big") + body,
              st.integers(0, 255), st.binary(max_size=60)),
    st.binary(max_size=30),
)  # fmt: skip
ANSWERS = st.one_of(
    st.sampled_from([ROW, ERROR, BACKEND, message("Z", b"I"), message("Z", b"E"), message("2")]),
    st.builds(lambda kind, body: bytes([kind]) + (len(body) + 4).to_bytes(4, "big") + body,
              st.sampled_from(list(b"RKSZ123CDdGHTtnsIENAVvWc")), st.binary(max_size=60)),
    st.binary(max_size=30),
)  # fmt: skip


@given(st.lists(st.tuples(st.booleans(), FRAMES, ANSWERS), max_size=12))
@settings(max_examples=400, deadline=None)
def test_nothing_but_a_protocol_error_escapes(steps: list[tuple[bool, bytes, bytes]]) -> None:
    talk = conversation()
    started = time.process_time()
    try:
        for from_client, sent, said in steps:
            if from_client:
                client_side(talk, [sent])
            else:
                talk.from_backend(said)
    except ProtocolError:
        pass
    outcomes = talk.abandon()
    assert len({id(outcome.request) for outcome in outcomes}) == len(outcomes)
    assert time.process_time() - started < 0.1 * max(1, len(steps))


def test_a_long_message_that_trickles_in_costs_no_more_than_its_bytes() -> None:
    data = query("select '" + "x" * 900_000 + "'")
    talk = conversation()
    started = time.process_time()
    for at in range(0, len(data), 200):
        list(talk.from_client(data[at : at + 200]))
    assert time.process_time() - started < 2


HOSTILE = {
    "ready twice": [message("Z", b"I"), message("Z", b"I")],
    "ready without a question": [message("Z", b"I")] * 3,
    "rows without a question": [message("Z", b"I"), ROW],
    "a bind completed that was not asked for": [message("2")],
    "authentication after the login": [message("R", b"\0\0\0\3")],
    "both ways copy": [message("W", b"\0\0\0")],
    "copy in without a copy": [message("G", b"\0\0\0")],
    "the result of a function call": [message("V", b"\xff\xff\xff\xff")],
    "a shorter length than its own": [b"C\0\0\0\1"],
    "a row with a negative length": [b"D\xff\xff\xff\xff"],
    "a notice shorter than its length": [b"N\0\0\0\0"],
    "an error of a gibibyte": [b"E\x40\0\0\0"],
    "an unknown status": [message("Z", b"X")],
    "another encoding": [message("S", b"client_encoding\0SJIS\0")],
    "other literals": [message("S", b"standard_conforming_strings\0off\0")],
    "an unreadable status": [message("S", b"client_encoding\0")],
}


@pytest.mark.parametrize("frames", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_server_out_of_step_ends_the_session(frames: list[bytes]) -> None:
    talk = conversation()
    client_side(talk, [query("select 1")])
    with pytest.raises(ProtocolError):
        talk.from_backend(b"".join(frames))


def test_a_refused_statement_that_is_answered_ends_the_session() -> None:
    for answer in (message("T", b"\0\0"), ROW, message("C", b"SELECT 1\0"), message("I")):
        talk = conversation()
        client_side(talk, [query("select 'denied'")])
        with pytest.raises(ProtocolError):
            talk.from_backend(answer)
    talk = conversation()
    client_side(talk, [parse("select 'denied'")])
    with pytest.raises(ProtocolError):
        talk.from_backend(message("1"))


def test_bytes_behind_terminate_end_the_session() -> None:
    with pytest.raises(ProtocolError, match="Terminate"):
        client_side(conversation(), [wire.TERMINATE + query("select 1")])
    talk = conversation()
    client_side(talk, [wire.TERMINATE])
    with pytest.raises(ProtocolError, match="Terminate"):
        client_side(talk, [query("select 1")])


def test_a_path_that_the_server_reports_by_itself_counts() -> None:
    talk = conversation()
    talk.from_backend(message("S", b'search_path\0"$user", secret\0'))
    assert talk.names().search_path == ("alice", "secret")


def test_an_error_without_a_code_is_passed_on_and_recorded() -> None:
    talk = conversation()
    client_side(talk, [query("select 1")])
    bare = message("E", b"SERROR\0Mno code\0\0")
    assert talk.from_backend(bare).to_client == bare
    (outcome,) = talk.from_backend(message("Z", b"I")).outcomes
    assert outcome.error_code == "XX000"


def test_a_connection_that_breaks_in_a_row_leaves_an_outcome_not_known() -> None:
    talk = conversation()
    client_side(talk, [query("select 1")])
    talk.from_backend(message("T", b"\0\0") + ROW[:7])
    (outcome,) = talk.abandon()
    assert outcome.error_code == "unknown"


def test_a_forged_marker_is_not_taken_for_a_refusal() -> None:
    talk = conversation()
    client_side(talk, [query("select 1") + query("select 'denied'")])
    assert talk.from_backend(ERROR).to_client == ERROR
    assert talk.from_backend(message("Z", b"I") + ERROR).to_client != message("Z", b"I") + ERROR
