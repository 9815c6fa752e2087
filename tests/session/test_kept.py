"""What a session keeps to be quick has a size: whoever sends much leaves little behind."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from gateway.classify.sql import _cache
from gateway.clock import SystemClock
from gateway.model.decision import Allowed, Revisions
from gateway.model.identity import Identity, Route, Use
from gateway.model.obligation import Conceal, Mask, Obligations
from gateway.model.resource import Database
from gateway.model.statement import Catalog, NameContext, Phase, Relation, Statement
from gateway.protocols import REGISTRY
from gateway.protocols.postgres.duties import Duties
from gateway.protocols.postgres.state import State
from gateway.protocols.postgres.steering import Steering
from gateway.protocols.redis import resp
from gateway.sansio.exchange import Duty, Request, Unable
from gateway.sansio.protocol import Ready
from gateway.session.record import KEPT, Recorder, Who

MEBIBYTE = 1 << 20
MOST = 8 * MEBIBYTE  # of one session
NAMES = NameContext("app", "u", search_path=("public",))


@contextmanager
def keeps_little() -> Iterator[None]:
    """What is done in here leaves less than ``MOST`` behind."""
    gc.collect()
    tracemalloc.start()
    try:
        yield
        _cache.entries.clear()
        _cache.characters = 0  # of all sessions together, and bounded by its size
        gc.collect()
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert left < MOST, f"{left >> 20} MiB are kept"


def _recorder() -> Recorder:
    now = datetime.now(UTC)
    identity = Identity("alice", ("r",), {}, "c", Use.DATABASE, now, now, "1", Route("d", "redis", "u", "0"))
    return Recorder(
        Who("s", identity, Database("d", "redis", "h:1"), ("u", "0"), "127.0.0.1:1"), SystemClock()
    )


def _recorded(protocol: str, request_of: Callable[[int], Request]) -> None:
    recorder, classify = _recorder(), REGISTRY[protocol].classify
    allowed = Allowed("id", Revisions("p", 1), "digest", roles=("r",))
    with keeps_little():
        for number in range(12):
            request = request_of(number)
            facts = classify(request.statements[0])
            assert recorder.requested(request, facts, allowed)
            del request, facts
    small = Request(b"", Phase.QUERY, (Statement("SELECT 1", "postgres", NAMES),))
    facts = REGISTRY["postgres"].classify(small.statements[0])
    assert recorder.known(facts[0], small, allowed) is recorder.known(facts[0], small, allowed)
    assert KEPT > 12


def test_records_of_large_values_are_not_kept_ready() -> None:
    def store(number: int) -> Request:
        arguments = (b"SET", b"key%d" % number, bytes(MEBIBYTE))
        return Request(
            resp.encode(*arguments), Phase.QUERY, (Statement("", "redis", NAMES, arguments=arguments),)
        )

    _recorded("redis", store)


def test_records_of_long_texts_are_not_kept_ready() -> None:
    def ask(number: int) -> Request:
        text = f"SELECT {number}, '{'x' * (MEBIBYTE // 2)}'"
        return Request(text.encode(), Phase.QUERY, (Statement(text, "postgres", NAMES),))

    _recorded("postgres", ask)


def test_what_long_texts_steer_is_not_kept() -> None:
    steering, classify = Steering(), REGISTRY["postgres"].classify
    with keeps_little():
        for number in range(12):
            text = f"SELECT {number}, '{'x' * (MEBIBYTE // 2)}'"
            statement = Statement(text, "postgres", NAMES)
            steering.of(Request(b"", Phase.QUERY, (statement,)), classify(statement))
            del text, statement


def test_a_large_command_is_not_kept_by_its_reader() -> None:
    reader = resp.CommandReader()
    with keeps_little():
        for command in reader.feed(resp.encode(b"SET", b"key", bytes(16 * MEBIBYTE))):
            assert len(command.arguments) == 3
            del command
    small = resp.encode(b"GET", b"key")
    first, second = reader.feed(small + small)
    assert first is second


def test_texts_too_long_to_be_rewritten_are_not_kept() -> None:
    relation = Relation("table", ("id", "ssn"), oid=20_000, numbers=(1, 2), types=("integer", "text"))
    catalog = Catalog(relations={("public", "people"): relation})
    names = NameContext("app", "u", search_path=("public",), catalog=catalog)
    duties = Duties(State(Ready("16", {}, b"", ("public",)), Route("d", "postgres", "u", "app")))
    duty = Duty(Obligations(masks=(Mask("public", "people", "ssn", Conceal.FULL),)), (), "salt")
    classify = REGISTRY["postgres"].classify
    with keeps_little():
        for number in range(12):
            text = f"SELECT ssn, '{number}{'x' * (MEBIBYTE // 2)}' FROM people"
            statement = Statement(text, "postgres", names)
            assert isinstance(duties._rewritten(statement, classify(statement), duty), Unable)
            del text, statement
    short = Statement("SELECT ssn FROM people", "postgres", names)
    facts = classify(short)
    assert duties._rewritten(short, facts, duty) is duties._rewritten(short, facts, duty)
