"""Pipelines on the short way: the order, what is recorded, and when it must be the ordinary way after all."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from random import Random
from typing import Any, cast

import pytest

from gateway.audit.encode import Body, body, decode
from gateway.clock import SystemClock, new_id
from gateway.errors import AuditError
from gateway.model.decision import Allowed, Decision, Denied, Reason, Revisions
from gateway.model.event import Event, Kind
from gateway.model.identity import Identity, Route, Use
from gateway.model.obligation import Obligations
from gateway.model.resource import Database
from gateway.model.statement import NameContext
from gateway.protocols.redis import REDIS
from gateway.protocols.redis.conversation import RedisConversation
from gateway.protocols.redis.errors import SUBSTITUTE
from gateway.protocols.redis.resp import CommandReader, encode
from gateway.sansio.exchange import Facts, Pipeline
from gateway.session.facts import Classifier
from gateway.session.grant import Grant
from gateway.session.session import Session, SessionOver
from gateway.transport.stream import Stream
from tests.session.surroundings import environment

FIRST = encode(b"PING")
GET, SET = encode(b"GET", b"app:a"), encode(b"SET", b"app:a", b"1")
REVISIONS = Revisions("p", 1)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.changed = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))
        self.changed.set()

    def take(self) -> bytes:
        data, self.written = b"".join(self.written), []
        return data

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, _name: str) -> None:
        return None

    def _nothing(self, **_: object) -> None:
        """Flow control that these tests have no need of."""

    set_write_buffer_limits = pause_reading = resume_reading = close = abort = _nothing


@dataclass
class World:
    """A policy and a log that tell in which order they were needed."""

    happened: list[str] = field(default_factory=list)
    records: list[tuple[Event, Body]] = field(default_factory=list)
    answer: Callable[[str], Decision] = lambda _: allowed()
    gate: asyncio.Event | None = None
    failing: bool = False

    def ask(self, _session: object, facts: Facts, tell: Callable[[Decision], None]) -> None:
        async def later() -> None:
            if self.gate is not None:
                await self.gate.wait()
            self.happened.append(f"decide {facts[0].redacted}")
            tell(self.answer(facts[0].redacted))

        self.tasks = [*getattr(self, "tasks", []), asyncio.ensure_future(later())]

    async def query(self, session: object, facts: Facts) -> Decision:
        told: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self.ask(session, facts, told.set_result)
        return await told

    def append(self, events: Sequence[Event]) -> "asyncio.Future[None]":
        return self.append_lines([(event, body(event)) for event in events])

    def append_lines(self, records: Sequence[tuple[Event, Body]]) -> "asyncio.Future[None]":
        async def later() -> None:
            await asyncio.sleep(0)
            if self.failing:
                raise AuditError("no space left")
            self.records += records
            self.happened.append(f"record {len(records)}")

        return asyncio.ensure_future(later())

    def post(self, event: Event) -> None:
        self.post_lines([(event, body(event))])

    def post_lines(self, records: Sequence[tuple[Event, Body]]) -> None:
        self.records += records

    def written(self, kind: Kind) -> list[dict[str, Any]]:
        """The fields of all records of a kind, as the log would have them; each line is canonical."""
        found = [decode(line.line(index)).event for index, (_, line) in enumerate(self.records)]
        assert [event.id for event in found] == [event.id for event, _ in self.records]
        return [{**event.fields, "id": event.id} for event in found if event.kind is kind]


def allowed() -> Allowed:
    return Allowed(new_id(SystemClock().now_ns()), REVISIONS, "digest", roles=("r",), restricted=False)


def refusing(word: str) -> Callable[[str], Decision]:
    """A policy that refuses what has *word* in it."""

    def answer(text: str) -> Decision:
        return Denied("no", (Reason("no_role"),), REVISIONS) if word in text else allowed()

    return answer


@dataclass
class Ends:
    world: World
    session: Session
    client: Stream
    backend: Stream
    to_client: Wire
    to_backend: Wire
    task: "asyncio.Task[SessionOver]"

    async def sends(self, *commands: bytes, cut: int = 0) -> bytes:
        """What the backend gets for a chunk; *cut* bytes at its end are missing."""
        data = b"".join(commands)
        self.to_backend.changed.clear()
        self.client.data_received(data[: len(data) - cut])
        await asyncio.wait_for(self.to_backend.changed.wait(), 5)
        return self.to_backend.take()

    def answers(self, data: bytes) -> bytes:
        """What the client gets for an answer."""
        self.backend.data_received(data)
        return self.to_client.take()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    world = World()
    env = environment(SystemClock(), world, Classifier())
    now = datetime.now(UTC)
    route = Route("cache", "redis", "default", "0")
    identity = Identity("alice", ("r",), {}, "c", Use.DATABASE, now, now, "1", route)
    grant = Grant("s", REDIS, identity, route, Database("cache", "redis", "h:1"), "127.0.0.1:1", env)
    grant.renew(allowed())
    client, backend, to_client, to_backend = Stream(), Stream(), Wire(), Wire()
    client.connection_made(cast("Any", to_client))
    backend.connection_made(cast("Any", to_backend))
    session = Session(grant, client, backend, RedisConversation(NameContext("0", "default")), env)
    made = Ends(world, session, client, backend, to_client, to_backend, asyncio.create_task(session.run()))
    await asyncio.sleep(0)
    await made.sends(FIRST)  # the first command goes the long way: it may be an address
    made.answers(b"+PONG\r\n")
    world.happened.clear()
    world.records.clear()
    yield made
    session.stop("test_over", None)
    await made.task


async def test_a_pipeline_is_decided_once_for_equal_facts_then_recorded_then_forwarded(ends: Ends) -> None:
    assert await ends.sends(GET, SET, GET) == GET + SET + GET
    assert sorted(ends.world.happened[:-1]) == ["decide GET app:a", "decide SET app:a 1"]
    assert ends.world.happened[-1] == "record 3"
    records = ends.world.written(Kind.SESSION_QUERY)
    assert [each["statement"] for each in records] == ["GET app:a", "SET app:a 1", "GET app:a"]
    assert len({each["id"] for each in records}) == 3
    assert {each["verdict"] for each in records} == {"allowed"}


async def test_each_command_has_an_outcome_of_its_own(ends: Ends) -> None:
    await ends.sends(GET, SET, GET, encode(b"KEYS", b"*"), GET)
    begun = [each["id"] for each in ends.world.written(Kind.SESSION_QUERY)]
    replies = b"$1\r\nx\r\n-WRONGTYPE no\r\n$-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"
    assert ends.answers(replies + b"$200\r\n" + b"y" * 100) == replies + b"$200\r\n" + b"y" * 100
    assert ends.answers(b"y" * 100 + b"\r\n") == b"y" * 100 + b"\r\n"
    ended = ends.world.written(Kind.SESSION_QUERY_END)
    assert [each["query_id"] for each in ended] == begun
    assert [(each["bytes"], each["error_code"], each["rows"]) for each in ended] == [
        (7, "", None), (15, "WRONGTYPE", None), (5, "", None), (18, "", 2), (208, "", None),
    ]  # fmt: skip
    assert {each["executed"] for each in ended} == {True}


@pytest.mark.parametrize("cut", range(1, len(GET)))
async def test_what_is_not_whole_waits_for_the_rest(ends: Ends, cut: int) -> None:
    assert await ends.sends(SET, GET, cut=cut) == SET
    assert await ends.sends(GET[len(GET) - cut :], SET) == GET + SET
    assert ends.answers(b"+OK\r\n$1\r\nx\r\n+OK\r\n") == b"+OK\r\n$1\r\nx\r\n+OK\r\n"
    ended = ends.world.written(Kind.SESSION_QUERY_END)
    assert [each["bytes"] for each in ended] == [5, 7, 5]


async def test_a_refused_command_is_refused_at_its_place_and_recorded_once(ends: Ends) -> None:
    ends.world.answer = refusing("SET")
    assert await ends.sends(GET, SET, GET) == GET + SUBSTITUTE + GET
    said = ends.answers(b"$1\r\nx\r\n-ERR unknown\r\n$1\r\nx\r\n")
    assert said == b"$1\r\nx\r\n-NOPERM no_role (decision no)\r\n$1\r\nx\r\n"
    assert [each["statement"] for each in ends.world.written(Kind.SESSION_DENIED)] == ["SET app:a 1"]
    assert len(ends.world.written(Kind.SESSION_QUERY)) == 2


async def test_an_obligation_that_redis_cannot_carry_out_is_a_refusal(ends: Ends) -> None:
    ends.world.answer = lambda _: replace(allowed(), obligations=Obligations(timeout_ms=5))
    assert await ends.sends(GET, SET) == SUBSTITUTE * 2
    assert ends.answers(b"-ERR unknown\r\n" * 2).count(b"timeout_ms cannot be carried out here") == 2
    codes = {each["reasons"][0]["code"] for each in ends.world.written(Kind.SESSION_DENIED)}
    assert codes == {"obligation_unsupported"}


async def test_what_cannot_be_recorded_is_not_forwarded(ends: Ends) -> None:
    ends.world.failing = True
    assert await ends.sends(GET, SET) == SUBSTITUTE * 2
    assert ends.world.written(Kind.SESSION_QUERY) == []
    ends.world.failing = False


async def test_what_comes_behind_a_pipeline_waits_for_its_verdict(ends: Ends) -> None:
    ends.world.gate = asyncio.Event()
    ends.client.data_received(GET)
    ends.client.data_received(SET)
    for _ in range(20):
        await asyncio.sleep(0)
    assert ends.to_backend.take() == b""
    ends.to_backend.changed.clear()
    ends.world.gate.set()
    sent = b""
    while len(sent) < len(GET + SET):
        await asyncio.wait_for(ends.to_backend.changed.wait(), 5)
        ends.to_backend.changed.clear()
        sent += ends.to_backend.take()
    assert sent == GET + SET


async def test_many_questions_are_asked_a_few_at_a_time(ends: Ends) -> None:
    ends.world.gate = asyncio.Event()
    commands = [encode(b"GET", b"app:%d" % number) for number in range(40)]
    ends.client.data_received(b"".join(commands))
    await asyncio.sleep(0)
    assert len([task for task in ends.world.tasks if not task.done()]) == 8
    ends.to_backend.changed.clear()
    ends.world.gate.set()
    await asyncio.wait_for(ends.to_backend.changed.wait(), 5)
    assert ends.to_backend.take() == b"".join(commands)
    assert len(ends.world.happened) == 41


async def test_a_transaction_in_a_pipeline_is_one_list_at_its_end(ends: Ends) -> None:
    multi, run = encode(b"MULTI"), encode(b"EXEC")
    assert await ends.sends(multi, SET, run, GET) == multi + SET + run + GET
    ends.answers(b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n$1\r\n1\r\n")
    assert [each["rows"] for each in ends.world.written(Kind.SESSION_QUERY_END)] == [None, None, 1, None]


async def test_a_subscription_inside_of_a_piped_transaction_is_not_offered(ends: Ends) -> None:
    assert await ends.sends(encode(b"MULTI"), SET) == encode(b"MULTI") + SET
    assert await ends.sends(encode(b"SUBSCRIBE", b"news")) == SUBSTITUTE


async def test_messages_of_a_resp3_connection_are_no_answers(ends: Ends) -> None:
    await ends.sends(encode(b"HELLO", b"3"))
    ends.answers(b"%1\r\n+proto\r\n:3\r\n")
    await ends.sends(GET, GET)
    said = b"$1\r\nx\r\n>2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n$1\r\ny\r\n"
    assert ends.answers(said) == said
    assert [each["bytes"] for each in ends.world.written(Kind.SESSION_QUERY_END)][1:] == [7, 7]


async def test_an_answer_that_nobody_asked_for_ends_the_session(ends: Ends) -> None:
    await ends.sends(GET)
    ends.answers(b"$1\r\nx\r\n$1\r\nx\r\n")
    assert "nobody asked" in str(ends.backend.failure)


async def test_what_is_unanswered_at_the_end_is_not_known(ends: Ends) -> None:
    await ends.sends(GET, SET, GET)
    ends.answers(b"$1\r\nx\r\n")
    ends.session.stop("over", None)
    await ends.task
    assert ends.session.left_running
    ended = ends.world.written(Kind.SESSION_QUERY_END)
    assert [each["error_code"] for each in ended] == ["", "unknown", "unknown"]


async def test_what_is_being_judged_at_the_end_is_never_sent(ends: Ends) -> None:
    ends.world.gate = asyncio.Event()
    ends.client.data_received(GET)
    await asyncio.sleep(0)
    ends.session.stop("over", None)
    await ends.task
    ends.world.gate.set()
    await asyncio.gather(*ends.world.tasks)
    assert ends.to_backend.take() == b""
    assert ends.world.records == []


async def test_a_record_says_what_it_says_on_the_ordinary_way(ends: Ends) -> None:
    await ends.sends(GET)
    ends.answers(b"-LOADING \xff\r\n")
    ends.session._fast = None
    ends.client.offer_to(lambda _data: False)
    ends.session._pipelines = None
    await ends.sends(GET)
    ends.answers(b"-LOADING \xff\r\n")
    new = {"id", "decision_id", "query_id", "duration_ns"}
    for kind in (Kind.SESSION_QUERY, Kind.SESSION_QUERY_END):
        first, second = [
            json.dumps({key: value for key, value in each.items() if key not in new}, sort_keys=True)
            for each in ends.world.written(kind)
        ]
        assert first == second


async def test_large_commands_without_an_answer_are_bounded(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.protocols.redis.conversation.MAX_OUTSTANDING_BYTES", 1_000)
    ends.client.offer_to(lambda _data: False)  # by themselves, as large ones come
    large = encode(b"SET", b"app:a", b"x" * 600)
    assert await ends.sends(large, large) == large + large
    ends.to_backend.changed.clear()
    ends.client.data_received(large)
    for _ in range(20):
        await asyncio.sleep(0)
    assert ends.to_backend.take() == b""
    ends.answers(b"+OK\r\n")
    assert ends.to_backend.take() == b""
    ends.answers(b"+OK\r\n")
    await asyncio.wait_for(ends.to_backend.changed.wait(), 5)
    assert ends.to_backend.take() == large


async def test_what_a_server_calls_an_error_is_recorded_as_canonical_json(ends: Ends) -> None:
    await ends.sends(GET, SET)
    ends.answers(b'-\x7f\xe2"\0\\% no\r\n-%s no\r\n')
    outcomes = ends.world.written(Kind.SESSION_QUERY_END)  # which proves each line canonical
    assert [each["error_code"] for each in outcomes] == ['\x7f\xe2"\0\\%', "%s"]
    await ends.sends(encode(b"SUBSCRIBE"))  # which goes the ordinary way
    ends.answers(b"-\x7f no\r\n")
    assert ends.world.written(Kind.SESSION_QUERY_END)[-1]["error_code"] == "\x7f"


@pytest.mark.parametrize("seed", range(25))
async def test_nothing_is_sent_that_is_not_decided_and_recorded(ends: Ends, seed: int) -> None:
    chance = Random(seed)
    kinds = [GET, SET, encode(b"GET", b"secret"), encode(b"INCR", b"app:n"), encode(b"SET", b"app:b", b"2")]
    commands = [chance.choice(kinds[: chance.randint(1, 5)]) for _ in range(chance.randint(1, 40))]
    ends.world.answer = refusing("secret")
    reader, sent = CommandReader(), list[str]()
    left, data = len(commands), b"".join(commands)

    def check() -> None:
        """What is on its way now stands among the records, in that order, and was asked about."""
        nonlocal left
        got = [each.arguments for each in reader.feed(ends.to_backend.take())]
        sent.extend(b" ".join(each).decode() for each in got if encode(*each) != SUBSTITUTE)
        left -= len(got)
        recorded = [each["statement"] for each in ends.world.written(Kind.SESSION_QUERY)]
        assert sent == recorded[: len(sent)]
        assert {f"decide {text}" for text in sent} <= set(ends.world.happened)

    while data or left:
        ends.to_backend.changed.clear()
        cut = chance.randint(1, 200)
        if data:
            ends.client.data_received(data[:cut])
            data = data[cut:]
            await asyncio.sleep(0)
        else:
            await asyncio.wait_for(ends.to_backend.changed.wait(), 5)
        check()
    assert sent == [text for text in (_text(command) for command in commands) if "secret" not in text]


def _text(command: bytes) -> str:
    (read,) = CommandReader().feed(command)
    return b" ".join(read.arguments).decode()


@pytest.mark.parametrize("seed", range(12))
async def test_both_ways_send_and_record_the_same(
    ends: Ends, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stretches of the same and single commands, cut anywhere; answers likewise."""
    chance, admitted = Random(seed), list[int]()
    admit = RedisConversation.admit_pipeline

    def counted(conversation: RedisConversation, pipeline: Pipeline) -> bytes:
        admitted.append(pipeline.count)
        return admit(conversation, pipeline)

    monkeypatch.setattr(RedisConversation, "admit_pipeline", counted)
    kinds = [GET, SET, encode(b"INCR", b"app:n"), encode(b"KEYS", b"*"), encode(b"SET", b"a", b"x" * 3_000)]
    replies = [b"$1\r\nx\r\n", b"+OK\r\n", b":1\r\n", b"-ERR no\r\n", b"*1\r\n$1\r\na\r\n", b"$-1\r\n"]
    drawn = [(chance.choice(kinds), chance.choice(replies)) for _ in range(chance.randint(1, 8))]
    several = [each for each in drawn for _ in range(chance.choice([1, 1, 2, 16, 70]))]
    commands, answers = (b"".join(each) for each in zip(*several, strict=True))

    async def run() -> tuple[bytes, bytes, list[dict[str, Any]]]:
        """What reached the backend, what the client, and what of the records is not new each time."""
        ends.world.records.clear()
        sent = said = b""
        for piece in _pieces(commands, Random(seed)):
            ends.client.data_received(piece)
            await asyncio.sleep(0)
        while len(sent) < len(commands):
            ends.to_backend.changed.clear()
            sent += ends.to_backend.take()
            if len(sent) < len(commands):
                await asyncio.wait_for(ends.to_backend.changed.wait(), 5)
        for piece in _pieces(answers, Random(seed)):
            said += ends.answers(piece)
        begun, ended = (ends.world.written(kind) for kind in (Kind.SESSION_QUERY, Kind.SESSION_QUERY_END))
        by_query = {each["query_id"]: each for each in ended}
        assert len(by_query) == len(ended)
        ended = [by_query[each["id"]] for each in begun]
        new = {"id", "decision_id", "query_id", "duration_ns"}
        plain = [{key: value for key, value in each.items() if key not in new} for each in begun + ended]
        return sent, said, plain

    short = await run()
    went_short = sum(admitted)
    assert went_short > 0
    ends.client.offer_to(lambda _data: False)
    ordinary = await run()
    assert sum(admitted) == went_short
    assert short == ordinary
    assert short[:2] == (commands, answers)
    assert len(short[2]) == 2 * len(several)


def _pieces(data: bytes, chance: Random) -> list[bytes]:
    cuts = sorted({0, len(data), *(chance.randrange(len(data)) for _ in range(chance.randint(0, 4)))})
    return [data[start:stop] for start, stop in pairwise(cuts)]
