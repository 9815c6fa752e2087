"""What one session may ask the gateway to keep, and that nobody makes it keep more."""

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from gateway.errors import ProtocolError
from gateway.model.statement import NameContext, Statement
from gateway.protocols import REGISTRY
from gateway.protocols.postgres import handshake, messages
from gateway.protocols.postgres.allowed import JUDGED, LIMITS
from gateway.protocols.postgres.client import MAX_OUTSTANDING, MAX_OUTSTANDING_BYTES
from gateway.protocols.postgres.registry import MAX_PORTALS, MAX_STATEMENT_BYTES, MAX_STATEMENTS
from gateway.sansio.conversation import Conversation
from gateway.sansio.exchange import (
    Item,
    Outcome,
    Request,
    Settle,
)
from gateway.sansio.flow import Read
from gateway.sansio.protocol import Hello
from tests.protocols.contract.samples import SAMPLES
from tests.protocols.postgres import wire
from tests.protocols.postgres.facts import facts

MEBIBYTE = 1 << 20
FACTS = facts(Statement("select 1", "postgres", NameContext("mydb", "alice")))
PARSED, BOUND = wire.message("1"), wire.message("2")


def conversation() -> Conversation:
    sample = SAMPLES["postgres"]
    return REGISTRY["postgres"].converse(sample.startup, sample.ready, sample.route)


def send(made: Conversation, data: bytes) -> list[Item]:
    """All items in *data*, every request admitted."""
    found = []
    for item in made.from_client(data):
        if isinstance(item, Request):
            made.admit(item, FACTS)
        found.append(item)
    return found


def ask(made: Conversation, data: bytes, answer: bytes) -> tuple[Outcome, ...]:
    send(made, data + wire.FLUSH)
    return made.from_backend(answer).outcomes


def grown(work: Callable[[], object]) -> int:
    """Bytes that *work* leaves behind."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", LIMITS)
def test_a_length_beyond_a_kinds_limit_ends_the_session_before_its_first_byte(kind: int) -> None:
    """Nothing is waited for, and no room made, for what is only announced."""
    most = LIMITS[kind]
    with pytest.raises(ProtocolError, match="where at most"):
        list(conversation().from_client(bytes((kind,)) + (most + 1).to_bytes(4, "big")))
    made = conversation()
    if most > 4:
        assert grown(lambda: send(made, bytes((kind,)) + most.to_bytes(4, "big"))) < MEBIBYTE


def test_a_start_of_more_than_ten_thousand_bytes_is_not_read() -> None:
    for length, is_read in ((10_000, True), (10_001, False), (2**32 - 1, False)):
        flow = handshake.accept(Hello(encrypted=True))
        assert next(flow) == Read(4)
        if is_read:
            assert flow.send(length.to_bytes(4, "big")) == Read(4)
        else:
            with pytest.raises(ProtocolError, match="a start-up packet of"):
                flow.send(length.to_bytes(4, "big"))


def bound(made: Conversation, name: str) -> str:
    """What is judged when *name* is bound: its text, or why there is none."""
    (request,) = (item for item in send(made, wire.bind(name)) if isinstance(item, Request))
    (statement,) = request.statements
    made.from_backend(BOUND)
    return statement.text or statement.unreadable


def test_of_too_many_prepared_statements_the_oldest_is_not_known_any_more() -> None:
    made = conversation()
    for number in range(MAX_STATEMENTS + 1):
        ask(made, wire.parse(f"select {number}", f"s{number}"), PARSED)
    assert bound(made, "s0") == bound(made, "never there")
    assert (bound(made, "s1"), bound(made, f"s{MAX_STATEMENTS}")) == ("select 1", f"select {MAX_STATEMENTS}")


def test_long_texts_are_kept_up_to_a_size() -> None:
    made, text = conversation(), "select '" + "x" * (MEBIBYTE - 100) + "'"

    def prepare() -> None:
        for number in range(3 * MAX_STATEMENT_BYTES // MEBIBYTE):
            ask(made, wire.parse(f"{text} + {number}", f"s{number}"), PARSED)

    assert grown(prepare) < 2 * MAX_STATEMENT_BYTES + 2 * MEBIBYTE  # as bytes and as text
    assert bound(made, "s0") == bound(made, "never there")
    assert bound(made, "s11").endswith("+ 11")


def test_values_are_not_kept_once_they_are_with_the_server() -> None:
    made = conversation()
    ask(made, wire.parse("select $1", "s"), PARSED)

    def bind() -> None:
        for number in range(20):
            ask(made, wire.bind("s", f"p{number}", (b"x" * MEBIBYTE,)), BOUND)

    assert grown(bind) < 3 * MEBIBYTE


@pytest.mark.parametrize("portal", ["", "p{}"], ids=["unnamed", "named"])
def test_portals_that_are_bound_without_end_and_never_run_end_one_by_one(portal: str) -> None:
    made = conversation()
    ask(made, wire.parse("select $1", "s"), PARSED)

    def bind(times: int) -> int:
        return sum(
            len(ask(made, wire.bind("s", portal.format(number), (b"x",)), BOUND)) for number in range(times)
        )

    assert bind(1_000) >= 1_000 - 3 * MAX_PORTALS
    assert grown(lambda: bind(1_000)) < MEBIBYTE
    left = made.from_backend(b"").outcomes + made.abandon()
    assert all(not outcome.executed for outcome in left)
    assert len(left) <= 3 * MAX_PORTALS


@pytest.mark.parametrize(
    ("message", "most"),
    [
        (wire.bind("s"), MAX_OUTSTANDING),
        (wire.describe("S", "s"), MAX_OUTSTANDING),
        (wire.bind("s", "", (b"x" * (MAX_OUTSTANDING_BYTES // 4),)), 5),
    ],
    ids=["judged", "passed", "large"],
)
def test_no_more_is_outstanding_than_a_bound(message: bytes, most: int) -> None:
    made = conversation()
    ask(made, wire.parse("select $1", "s"), PARSED)
    for number in range(most + 2):
        for item in made.from_client(message):
            if isinstance(item, Settle):
                assert number >= most - 1
                return
            if isinstance(item, Request):
                made.admit(item, FACTS)
    raise AssertionError("nothing was waited for")


def test_the_table_of_messages_has_a_limit_for_all_that_is_judged() -> None:
    assert LIMITS.keys() >= JUDGED
    assert messages.COPY_DATA not in LIMITS, "which is walked and not kept"
