"""A prepared statement that runs again takes the short way, and nothing else does; both ways do the same."""

import pytest

from tests.protocols.postgres import wire
from tests.protocols.postgres.conftest import Open
from tests.protocols.postgres.engine import Engine
from tests.protocols.postgres.wire import bind, close, copy_data, describe, execute, parse, query

pytestmark = pytest.mark.db

PREPARE = parse("select note from app.orders where id = $1", "s1", (23,)) + wire.SYNC
RUN = bind("s1", values=(b"7",)) + describe("P") + execute() + wire.SYNC
PLAIN = bind("s1", values=(b"8",)) + execute() + wire.SYNC


@pytest.fixture
def session(opened: Open) -> Engine:
    session = opened(search_path="app")
    session.ask(PREPARE)
    session.ask(RUN)
    return session


def test_the_first_run_is_read_and_all_others_are_known_again(session: Engine) -> None:
    assert not session.repetitions
    for _ in range(3):
        frames = session.ask(RUN)
        assert [kind for kind, _ in frames] == ["2", "T", "D", "C", "Z"]
    assert [kind for kind, _ in session.ask(PLAIN)] == ["2", "D", "C", "Z"]
    assert len(session.repetitions) == 4
    outcomes = session.outcomes[-4:]
    assert [outcome.request for outcome in outcomes] == [each.request for each in session.repetitions]
    assert [(outcome.rows, outcome.error_code, outcome.executed) for outcome in outcomes] == [
        (1, "", True)
    ] * 4


def test_the_very_bytes_of_the_client_are_forwarded(session: Engine) -> None:
    session.to_backend.clear()
    session.ask(RUN)
    assert session.repetitions
    assert bytes(session.to_backend) == RUN


OTHERWISE = {
    "a named portal": bind("s1", "p", (b"7",)) + execute("p") + wire.SYNC,
    "some of the rows": bind("s1", values=(b"7",)) + execute(rows=1) + wire.SYNC,
    "another statement": parse("select 1", "s2") + bind("s2") + execute() + wire.SYNC,
    "an unknown statement": bind("s9", values=(b"7",)) + execute() + wire.SYNC,
    "another number of values": bind("s1", values=(b"7", b"8")) + execute() + wire.SYNC,
    "no Execute": bind("s1", values=(b"7",)) + describe("P") + wire.SYNC,
    "no Sync": bind("s1", values=(b"7",)) + execute() + wire.FLUSH + wire.SYNC,
    "twice": PLAIN + PLAIN,
    "with a Query behind it": PLAIN + query("select 1"),
    "behind a Describe": describe("S", "s1") + PLAIN,
    "a Query": query("select note from app.orders where id = 7"),
}


@pytest.mark.parametrize("data", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_anything_else_is_read_message_by_message(session: Engine, data: bytes) -> None:
    session.client_sends(data)
    session.quiet()
    assert not session.repetitions
    session.ask(RUN)
    session.ask(RUN)
    assert session.repetitions, "and the short way is open again"


def test_a_chunk_that_is_cut_anywhere_is_read_message_by_message(session: Engine) -> None:
    for at in range(1, len(RUN)):
        session.client_sends(RUN[:at])
        assert [kind for kind, _ in session.ask(RUN[at:])] == ["2", "T", "D", "C", "Z"]
    assert not session.repetitions


CHANGED = {
    "closed": close("S", "s1") + wire.SYNC,
    "deallocated": query("deallocate s1"),
    "all deallocated": query("deallocate all"),
    "discarded": query("discard all"),
    "another path": query("set search_path = secret"),
    "another path by a function": query("select app.f_path()"),
    "a block of code": query("do $$ begin execute 'deallocate s1'; end $$"),
}


@pytest.mark.parametrize("data", CHANGED.values(), ids=CHANGED.keys())
def test_what_changes_the_meaning_of_a_name_closes_the_short_way(session: Engine, data: bytes) -> None:
    session.ask(data)
    session.ask(RUN)
    assert not session.repetitions


def test_a_statement_of_the_same_name_is_judged_as_the_new_one(session: Engine) -> None:
    session.ask(close("S", "s1") + parse("select 'denied', $1::int", "s1", (23,)) + wire.SYNC)
    frames = session.ask(RUN)
    assert not session.repetitions
    assert "D" not in dict(frames)


def test_a_function_that_may_change_names_never_takes_it(opened: Open) -> None:
    session = opened(search_path="app")
    session.ask(parse("select app.f_swap() where $1::int > 0", "s1", (23,)) + wire.SYNC)
    for _ in range(3):
        session.ask(bind("s1", values=(b"7",)) + execute() + wire.SYNC)
    assert not session.repetitions


def test_a_copy_never_takes_it(opened: Open) -> None:
    session = opened(search_path="app")
    for _ in range(3):
        session.ask(parse("copy loaded from stdin", "s1") + wire.SYNC)
        session.client_sends(bind("s1") + execute() + wire.SYNC)
        session.ask(copy_data(b"a\tb\n") + wire.COPY_DONE + wire.SYNC)
    assert not session.repetitions


@pytest.mark.parametrize(
    ("text", "kinds"),
    [("select 1 / $1", ["E", "Z"]), ("select id / $1 from app.orders where id = 1", ["2", "E", "Z"])],
    ids=["when it is planned", "when it runs"],
)
def test_a_failed_run_ends_as_ever(session: Engine, text: str, kinds: list[str]) -> None:
    session.ask(parse(text, "s2", (23,)) + wire.SYNC)
    run = [bind("s2", values=(value,)) + execute() + wire.SYNC for value in (b"1", b"0")]
    session.ask(run[0])
    frames = session.ask(run[1])
    assert len(session.repetitions) == 1
    assert [kind for kind, _ in frames] == kinds
    assert session.outcomes[-1].error_code == "22012"
    assert session.outcomes[-1].request is session.repetitions[0].request
    session.ask(run[0])
    assert len(session.repetitions) == 2


def test_it_is_taken_inside_a_transaction_too_and_not_in_a_failed_one(session: Engine) -> None:
    session.ask(query("begin"))
    assert session.ask(RUN)[-1][1] == b"T"
    assert len(session.repetitions) == 1
    session.ask(query("select 1 / 0"))
    assert "E" in dict(session.ask(RUN))
    assert len(session.repetitions) == 1
    session.ask(query("rollback"))
    session.ask(RUN)
    assert len(session.repetitions) == 2


def test_many_rows_in_many_chunks_are_counted(opened: Open) -> None:
    session = opened()
    session.ask(parse("select repeat('x', 100) from generate_series(1, $1::int)", "s1", (23,)) + wire.SYNC)
    session.ask(bind("s1", values=(b"1",)) + execute() + wire.SYNC)
    run = bind("s1", values=(b"5000",)) + execute() + wire.SYNC
    frames = session.ask(run)
    assert len(session.repetitions) == 1
    assert sum(kind == "D" for kind, _ in frames) == 5000
    assert session.outcomes[-1].rows == 5000
    both = [session.ask(run), session.outcomes[-1]]
    session.repeats = False
    assert [session.ask(run), session.outcomes[-1]] != both  # another request
    assert (session.outcomes[-1].rows, session.outcomes[-1].bytes) == (
        session.outcomes[-2].rows,
        session.outcomes[-2].bytes,
    )


def test_the_end_of_the_session_ends_it_as_not_known(session: Engine) -> None:
    session.client_sends(RUN)
    ended = session.conversation.abandon()
    assert [(outcome.request, outcome.error_code) for outcome in ended] == [
        (session.repetitions[0].request, "unknown")
    ]


@pytest.mark.parametrize("data", [RUN, PLAIN], ids=["described", "plain"])
def test_both_ways_leave_the_same_behind(opened: Open, data: bytes) -> None:
    seen = []
    for repeats in (True, False):
        session = opened(search_path="app")
        session.repeats = repeats
        session.ask(PREPARE)
        frames = [session.ask(data) for _ in range(3)]
        frames.append(session.ask(query("select 1")))
        sent = bytes(session.to_backend)
        frames.append(session.ask(execute() + wire.SYNC))  # the portal is gone with its transaction
        assert bool(session.repetitions) is repeats
        outcomes = [
            (each.request.phase, each.rows, each.bytes, each.error_code, each.executed)
            for each in session.outcomes
        ]
        seen.append((frames, outcomes, sent))
    assert seen[0][1:] == seen[1][1:]
    assert [[kind for kind, _ in each] for each in seen[0][0]] == [
        [kind for kind, _ in each] for each in seen[1][0]
    ]
