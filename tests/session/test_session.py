"""Decide, record, forward: the order, and what happens when any of the three fails.

The protocol here is a toy: a line is a request, a line that begins with ``#`` is housekeeping, ``wait`` must
settle before the next is judged, and the backend answers each line with a line.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.clock import SystemClock
from gateway.errors import AuditError, ProtocolError
from gateway.model.classification import Class, Classification
from gateway.model.decision import Allowed, Decision, Denied, Reason, Revisions
from gateway.model.event import Event, Kind
from gateway.model.identity import Identity, Route, Use
from gateway.model.obligation import Obligations
from gateway.model.resource import Database
from gateway.model.statement import Catalog, NameContext, Phase, Statement
from gateway.sansio.exchange import (
    Duty,
    Facts,
    Housekeeping,
    Obliged,
    Outcome,
    Refusal,
    Relay,
    Repetition,
    Request,
    Settle,
    Unable,
)
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.judge import Judged
from gateway.session.session import Session, SessionOver
from gateway.transport.stream import Stream
from tests.session.surroundings import environment, settled

NAMES = NameContext(db_name="db", db_user="u")


class Lines:
    """The toy conversation."""

    def __init__(self) -> None:
        self._partial = b""
        self._waiting: list[Request] = []
        self._kept: dict[bytes, Request] = {}
        self.late: list[str] = []

    def from_client(self, data: bytes) -> Iterator[Request | Housekeeping | Settle]:
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            if line == b"bad":
                raise ProtocolError("a bad line")
            if any(item.raw == b"wait\n" for item in self._waiting):
                yield Settle()
            if line.startswith(b"#"):
                yield Housekeeping(line + b"\n")
                continue
            statement = Statement(line.decode(), "toy", NAMES)
            yield Request(line + b"\n", Phase.QUERY, (statement,))

    def must_settle(self, request: Request, _facts: Facts) -> bool:
        return request.raw == b"wait\n"

    def is_settled(self) -> bool:
        return not any(item.raw == b"wait\n" for item in self._waiting)

    def admit(self, request: Request, _facts: Facts) -> bytes:
        self._waiting.append(request)
        return request.raw

    def refuse(self, request: Request, _facts: Facts, denial: Denied) -> Refusal:
        return Refusal(to_backend=b"#refused\n", to_client=f"-{denial.code}\n".encode())

    def oblige(self, request: Request, _facts: Facts, duty: Duty) -> Obliged | Unable:
        if request.raw == b"unable\n":
            return Unable("toy_unable", "a toy cannot")
        masks = bool(duty.obligations.masks)
        return Obliged(
            tuple(replace(each, text=f"masked {each.text}") for each in request.statements * masks)
        )

    def overdue(self, request: Request, denial: Denied) -> bool:
        self.late = [*self.late, denial.code]
        return bool(self._waiting) and self._waiting[0] is request

    def from_backend(self, data: bytes) -> Relay:
        done = [self._waiting.pop(0) for _ in range(min(data.count(b"\n"), len(self._waiting)))]
        return Relay(data, tuple(Outcome(request, rows=1, bytes=len(data)) for request in done))

    def names(self) -> NameContext:
        return NAMES

    def set_catalog(self, catalog: Catalog | None) -> None:
        raise AssertionError("an unrestricted session reads no catalogue")

    def wants_catalog(self) -> bool:
        return True

    def abandon(self) -> tuple[Outcome, ...]:
        left, self._waiting = self._waiting, []
        return tuple(Outcome(request, executed=False) for request in left)

    def farewell(self, denial: Denied) -> bytes:
        return f"!{denial.code}\n".encode()


class KnownLines(Lines):
    """The same, and every plain line that comes alone is one that came before."""

    def repeat(self, data: bytes) -> Repetition | None:
        line = data.removesuffix(b"\n")
        if self._partial or self._waiting or b"\n" in line or line in {b"bad", b"wait"} or line[:1] == b"#":
            return None
        request = Request(data, Phase.QUERY, (Statement(line.decode(), "toy", NAMES),))
        return Repetition(request, _TOY.now(None, request), None)

    def is_still(self, _repetition: Repetition) -> bool:
        return not self._waiting

    def admit_again(self, repetition: Repetition) -> bytes:
        return self.admit(repetition.request, repetition.facts)


@dataclass
class World:
    """Both ends of a session, and everything that happened in one order."""

    happened: list[str] = field(default_factory=list)
    answer: Callable[[str], Decision] = lambda _: allowed()
    durable: Callable[[], None] = lambda: None
    posted: list[Event] = field(default_factory=list)
    gate: asyncio.Event | None = None
    asked: asyncio.Task[None] | None = None
    waiting: int = 0

    async def append(self, events: list[Event]) -> None:
        await asyncio.sleep(0)
        self.durable()
        self.happened += [f"record {event.kind.value} {event.fields['statement']}" for event in events]

    def post(self, event: Event) -> None:
        self.posted.append(event)

    def ask(self, session: object, facts: Facts, tell: Callable[[Decision], None]) -> None:
        async def ask() -> None:
            tell(await self.query(session, facts))

        self.asked = asyncio.create_task(ask())

    async def query(self, _session: object, facts: Facts) -> Decision:
        self.waiting += 1
        if self.gate is not None:
            await self.gate.wait()
        self.waiting -= 1
        self.happened.append("decide " + " and ".join(fact.text for fact in facts))
        answers = [self.answer(fact.text) for fact in facts]
        return next((answer for answer in answers if isinstance(answer, Denied)), answers[0])


def allowed() -> Allowed:
    return Allowed("id", Revisions("p", 1), "digest", roles=("r",), restricted=False)


def denied(code: str) -> Denied:
    return Denied("id", (Reason(code),), Revisions("p", 1))


class Toy:
    """Classifies a line as itself, always as the same object."""

    def __init__(self) -> None:
        self._known: dict[str, Facts] = {}

    def now(self, _protocol: object, request: Request) -> Facts:
        text = request.statements[0].text
        made = (Classification(text, Class.READ, (), text=text, redacted=text),)
        return self._known.setdefault(text, made)


_TOY = Toy()


@dataclass
class Ends:
    world: World
    session: Session
    client: socket.socket
    backend: socket.socket
    task: "asyncio.Task[SessionOver]"

    async def at(self, sock: socket.socket) -> bytes:
        return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), 5)


@pytest.fixture(params=[Lines, KnownLines], ids=["ordinary", "fast"])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    world = World()
    client, near_client = socket.socketpair()
    backend, near_backend = socket.socketpair()
    streams = []
    for sock in (client, backend, near_client, near_backend):
        sock.setblocking(False)
    for sock in (near_client, near_backend):
        _, stream = await asyncio.get_running_loop().connect_accepted_socket(Stream, sock)
        streams.append(stream)
    env = environment(SystemClock(), world, _TOY)
    grant = _grant(env)
    session = Session(grant, streams[0], streams[1], request.param(), env)
    task = asyncio.create_task(session.run())
    yield Ends(world, session, client, backend, task)
    session.stop("test_over", None)
    await task
    for stream in streams:
        stream.abort()
        await stream.closed()
    client.close()
    backend.close()


def _grant(env: Environment) -> Grant:
    now = datetime.now(UTC)
    route = Route("db", "toy", "u", "db")
    identity = Identity("alice", ("r",), {}, "c", Use.DATABASE, now, now, "1", route)
    protocol = cast("Any", SimpleNamespace(obligations=frozenset({"timeout_ms"}), has_catalog=False))
    grant = Grant("s", protocol, identity, route, Database("db", "toy", "h:1"), "127.0.0.1:1", env)
    grant.renew(allowed())
    return grant


async def test_a_statement_is_decided_then_recorded_then_forwarded(ends: Ends) -> None:
    ends.client.send(b"one\n")
    assert await ends.at(ends.backend) == b"one\n"
    assert ends.world.happened == ["decide one", "record db.session.query one"]


async def test_the_answer_goes_back_and_its_outcome_is_posted(ends: Ends) -> None:
    ends.client.send(b"one\n")
    await ends.at(ends.backend)
    ends.backend.send(b"row\n")
    assert await ends.at(ends.client) == b"row\n"
    assert [(event.kind, event.fields["rows"]) for event in ends.world.posted] == [
        (Kind.SESSION_QUERY_END, 1)
    ]


async def test_nothing_reaches_the_backend_that_was_not_recorded(ends: Ends) -> None:
    def full() -> None:
        raise AuditError("no space left")

    ends.world.durable = full
    ends.client.send(b"one\n")
    assert await ends.at(ends.client) == b"-audit_unavailable\n"
    assert await ends.at(ends.backend) == b"#refused\n"
    ends.world.durable = lambda: None
    ends.client.send(b"two\n")
    assert await ends.at(ends.backend) == b"two\n"


async def test_a_refused_statement_is_recorded_and_replaced(ends: Ends) -> None:
    ends.world.answer = lambda text: denied("no_role") if text == "drop" else allowed()
    ends.client.send(b"one\ndrop\n#sync\ntwo\n")
    data = b""
    while not data.endswith(b"two\n"):
        data += await ends.at(ends.backend)
    assert data == b"one\n#refused\n#sync\ntwo\n"
    assert await ends.at(ends.client) == b"-no_role\n"
    assert "record db.session.denied drop" in ends.world.happened
    assert [line for line in ends.world.happened if line.startswith("decide")] == [
        "decide one",
        "decide drop",
        "decide two",
    ]


async def test_what_was_prepared_is_recorded_each_time_that_it_is_refused(ends: Ends) -> None:
    ends.world.answer = lambda _: denied("no_role")
    statement = Statement("one", "toy", NAMES)
    facts = _TOY.now(None, Request(b"", Phase.PREPARE, (statement,)))

    async def sent(*phases: Phase) -> int:
        """What arrives together leaves one record: refused once, nothing of it runs."""
        before = len(ends.world.happened)
        await ends.session.judge.decide([Judged(Request(b"", each, (statement,)), facts) for each in phases])
        return sum(line.startswith("record db.session.denied") for line in ends.world.happened[before:])

    assert await sent(Phase.PREPARE, Phase.BIND, Phase.EXECUTE) == 1
    assert await sent(Phase.BIND, Phase.EXECUTE) == 1
    assert [await sent(Phase.EXECUTE) for _ in range(3)] == [1, 1, 1]


async def test_a_long_pipeline_asks_a_few_questions_at_a_time(ends: Ends) -> None:
    ends.world.gate = asyncio.Event()
    ends.client.send(b"".join(b"%d\n" % number for number in range(100)))
    await settled()
    assert ends.world.waiting == 8
    ends.world.gate.set()
    data = b""
    while data.count(b"\n") < 100:
        data += await ends.at(ends.backend)
    assert data.split() == [b"%d" % number for number in range(100)]
    assert len([line for line in ends.world.happened if line.startswith("record")]) == 100


async def test_what_arrives_together_is_decided_before_any_of_it_is_forwarded(ends: Ends) -> None:
    ends.client.send(b"one\ntwo\none\n")
    assert await ends.at(ends.backend) == b"one\ntwo\none\n"
    decided = [line for line in ends.world.happened if line.startswith("decide")]
    assert sorted(decided) == ["decide one", "decide two"]
    assert len([line for line in ends.world.happened if line.startswith("record")]) == 3


async def test_what_follows_a_change_of_names_waits_for_its_answer(ends: Ends) -> None:
    ends.client.send(b"wait\nafter\n")
    assert await ends.at(ends.backend) == b"wait\n"
    await settled()
    assert "decide after" not in ends.world.happened
    ends.backend.send(b"ok\n")
    assert await ends.at(ends.backend) == b"after\n"


async def test_a_cancel_withdraws_what_is_being_judged_and_not_the_next(ends: Ends) -> None:
    ends.world.gate = asyncio.Event()
    ends.client.send(b"slow\n")
    await settled()
    assert ends.session.judge.cancel()
    ends.world.gate.set()
    assert await ends.at(ends.client) == b"-query_canceled\n"
    assert await ends.at(ends.backend) == b"#refused\n"
    assert [event.fields["executed"] for event in ends.world.posted] == [False]
    ends.client.send(b"next\n")
    assert await ends.at(ends.backend) == b"next\n"
    assert not ends.session.judge.cancel()


async def test_nothing_starts_while_a_cancel_is_on_its_way(ends: Ends) -> None:
    ends.session.judge.hold()
    ends.client.send(b"one\n")
    await settled()
    with pytest.raises(BlockingIOError):
        ends.backend.recv(10)
    ends.session.judge.release()
    assert await ends.at(ends.backend) == b"one\n"


async def test_an_end_from_outside_carries_its_reason(ends: Ends) -> None:
    ends.session.stop("locked", denied("locked"))
    over = await ends.task
    assert over.code == "locked"
    assert isinstance(over.denial, Denied)


async def test_what_becomes_durable_in_the_turn_of_the_end_is_not_forwarded(ends: Ends) -> None:
    ends.world.durable = lambda: ends.session.stop("locked", denied("locked"))
    ends.client.send(b"one\ntwo\n")
    assert (await ends.task).code == "locked"
    with pytest.raises(BlockingIOError):
        ends.backend.recv(10)
    assert ends.world.happened.count("record db.session.query one") == 1
    assert {event.fields["executed"] for event in ends.world.posted} == {False}


@pytest.mark.parametrize("ends", [KnownLines], indirect=True, ids=["fast"])
async def test_a_repetition_that_becomes_durable_in_the_turn_of_the_end_is_not_forwarded(ends: Ends) -> None:
    ends.world.durable = lambda: ends.session.stop("locked", denied("locked"))
    ends.client.send(b"one\n")
    assert (await ends.task).code == "locked"
    with pytest.raises(BlockingIOError):
        ends.backend.recv(10)
    assert ends.world.happened == ["decide one", "record db.session.query one"]
    assert [event.fields["executed"] for event in ends.world.posted] == [False]


async def test_the_clients_leaving_ends_the_session_and_closes_what_was_open(ends: Ends) -> None:
    ends.client.send(b"one\n")
    await ends.at(ends.backend)
    ends.client.close()
    assert (await ends.task).code == "client_closed"
    assert [event.fields["executed"] for event in ends.world.posted] == [False]


async def test_a_backend_that_disappears_is_said(ends: Ends) -> None:
    ends.backend.close()
    assert (await ends.task).code == "backend_closed"


async def test_a_protocol_fault_ends_the_session(ends: Ends) -> None:
    ends.client.send(b"bad\n")
    over = await ends.task
    assert over.code == "protocol_error"
    assert isinstance(over.denial, Denied)
    assert over.denial.sentence == "a bad line"


# -- the short way


@pytest.mark.parametrize("ends", [KnownLines], indirect=True, ids=["fast"])
async def test_what_arrives_behind_a_repetition_waits_until_it_is_forwarded(ends: Ends) -> None:
    ends.world.gate = asyncio.Event()
    ends.client.send(b"one\n")
    await settled()
    ends.client.send(b"two\nthree\n")
    await settled()
    ends.world.gate.set()
    data = b""
    while not data.endswith(b"three\n"):
        data += await ends.at(ends.backend)
    assert data == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("ends", [KnownLines], indirect=True, ids=["fast"])
async def test_what_was_given_back_stays_in_front_of_what_came_behind_it(ends: Ends) -> None:
    ends.world.answer = lambda text: denied("no_role") if text == "one" else allowed()
    ends.world.gate = asyncio.Event()
    ends.client.send(b"one\n")
    await settled()
    ends.client.send(b"two\n")
    await settled()
    ends.world.gate.set()
    assert await ends.at(ends.backend) == b"#refused\ntwo\n"
    assert await ends.at(ends.client) == b"-no_role\n"
    assert ends.world.happened.count("decide one") == 2, "asked, given back, and asked by who can refuse"
    assert ends.world.happened.count("record db.session.denied one") == 1


@pytest.mark.parametrize("ends", [KnownLines], indirect=True, ids=["fast"])
async def test_a_session_that_ends_meanwhile_forwards_nothing(ends: Ends) -> None:
    ends.world.gate = asyncio.Event()
    ends.client.send(b"one\n")
    await settled()
    ends.session.stop("locked", denied("locked"))
    assert (await ends.task).code == "locked"
    ends.world.gate.set()
    await settled()
    with pytest.raises(BlockingIOError):
        ends.backend.recv(10)
    assert "record db.session.query one" not in ends.world.happened


@pytest.mark.parametrize("ends", [KnownLines], indirect=True, ids=["fast"])
async def test_a_cancel_that_comes_while_it_is_recorded_withdraws_it(ends: Ends) -> None:
    ends.world.durable = lambda: setattr(ends.world, "answer_to_cancel", ends.session.judge.cancel())
    ends.client.send(b"one\n")
    assert await ends.at(ends.client) == b"-query_canceled\n"
    assert await ends.at(ends.backend) == b"#refused\n"
    assert {event.fields["executed"] for event in ends.world.posted} == {False}


@pytest.mark.parametrize("ends", [KnownLines], indirect=True, ids=["fast"])
async def test_a_repetition_with_an_obligation_takes_the_ordinary_way(ends: Ends) -> None:
    limited = replace(allowed(), obligations=Obligations(timeout_ms=60_000))
    ends.world.answer = lambda _text: limited
    ends.client.send(b"one\n")
    assert await ends.at(ends.backend) == b"one\n"
    assert ends.world.happened.count("decide one") == 2
    assert ends.world.happened.count("record db.session.query one") == 1


@pytest.mark.parametrize("ends", [KnownLines], indirect=True, ids=["fast"])
async def test_the_clients_end_behind_a_repetition_lets_it_run(ends: Ends) -> None:
    ends.world.gate = asyncio.Event()
    ends.client.send(b"one\n")
    await settled()
    ends.client.shutdown(socket.SHUT_WR)
    await settled()
    ends.world.gate.set()
    assert await ends.at(ends.backend) == b"one\n"
    assert (await ends.task).code == "client_closed"


async def test_what_was_recorded_and_never_sent_because_the_session_ended_has_an_end(ends: Ends) -> None:
    ends.session.judge.hold()
    ends.client.send(b"one\n")
    await settled()
    assert "record db.session.query one" in ends.world.happened
    ends.session.stop("locked", denied("locked"))
    await ends.task
    with pytest.raises(BlockingIOError):
        ends.backend.recv(10)
    assert [event.fields["executed"] for event in ends.world.posted] == [False]


@pytest.mark.parametrize("ends", [KnownLines], indirect=True, ids=["fast"])
async def test_a_repetition_that_became_durable_as_the_session_ended_has_an_end(ends: Ends) -> None:
    written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ends.world.append = lambda _events: written  # type: ignore[method-assign, assignment, return-value]
    ends.client.send(b"one\n")
    await settled()
    written.set_result(None)
    assert ends.session._fast is not None
    ends.session._fast.close()
    await settled()
    with pytest.raises(BlockingIOError):
        ends.backend.recv(10)
    assert [event.fields["executed"] for event in ends.world.posted] == [False]
