"""What the client makes of an OPA that misbehaves: one row for each fault, and each row ends in a refusal."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.errors import PolicyError
from gateway.model.decision import Denied
from gateway.policy import document
from gateway.policy.client import PolicyClient
from tests.policy import documents
from tests.policy.documents import code_of
from tests.steady import Steady

# Far from the 250 ms' double; what the machine takes away does not count.
DEADLINE = 0.25
SLACK = 0.2
PATIENT = 5.0  # for answers that come, on a machine that may stand still before they do

YES = {
    "contract": 1,
    "allow": True,
    "reasons": [{"code": "role_permits", "role": "db-access"}],
    "obligations": {},
    "policy_revision": "1-abc",
    "data_revision": documents.REVISION,
}

INVALID = "policy_unavailable"
TIMEOUT = "policy_unavailable"

Answer = Callable[[dict[str, Any]], bytes | Awaitable[bytes | None] | None]


def ok(body: Any) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)


def say(verdict: Any) -> Answer:
    """Answer each item of a batch with the same."""
    return lambda question: ok({"result": dict.fromkeys(question["items"], verdict)})


class FakeOpa:
    """Speaks just enough HTTP on a unix socket; ``answer`` makes the bytes from the question."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answer: Answer = say(YES)
        self.questions: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                question = json.loads(await reader.readexactly(length))["input"]
                self.questions.append(question)
                wire = self.answer(question)
                if isinstance(wire, Awaitable):
                    wire = await wire
                if wire is None:
                    return
                writer.write(wire)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def fake_opa(folder: Path) -> AsyncIterator[FakeOpa]:
    fake = FakeOpa(folder / "opa.sock")
    server = await asyncio.start_unix_server(fake.serve, fake.path)
    try:
        yield fake
    finally:
        server.close()


@asynccontextmanager
async def asking(folder: Path, **settings: Any) -> AsyncIterator[tuple[FakeOpa, PolicyClient]]:
    async with (
        fake_opa(folder) as fake,
        PolicyClient(
            fake.path,
            "",
            **{"clock": SystemClock(), "slots": 1, "deadline_seconds": DEADLINE, **settings},
        ) as client,
    ):
        yield fake, client


async def never(_question: dict[str, Any]) -> bytes | None:
    await asyncio.sleep(5)
    return None


async def trickle(question: dict[str, Any]) -> bytes | None:
    """A good answer, but the last byte comes too late."""
    await asyncio.sleep(DEADLINE * 2)
    wire = say(YES)(question)
    assert isinstance(wire, bytes)
    return wire


def _first(change: Callable[[dict[str, Any]], Any]) -> Answer:
    """Change the results object as a whole."""
    return lambda question: ok({"result": change(dict.fromkeys(question["items"], YES))})


FAULTS: dict[str, tuple[Answer, str]] = {
    "undefined": (lambda _: ok({}), INVALID),
    "empty body": (lambda _: ok(b""), INVALID),
    "empty results": (lambda _: ok({"result": {}}), INVALID),
    "not json": (lambda _: ok(b"<html>"), INVALID),
    "true alone": (say(True), INVALID),
    "empty verdict": (say({}), INVALID),
    "allow is text": (say({**YES, "allow": "true"}), INVALID),
    "allow is one": (say({**YES, "allow": 1}), INVALID),
    "no allow": (say({key: YES[key] for key in YES if key != "allow"}), INVALID),
    "extra field": (say({**YES, "also": 1}), INVALID),
    "other contract": (say({**YES, "contract": 2}), INVALID),
    "no reasons": (say({**YES, "reasons": []}), INVALID),
    "an obligation": (say({**YES, "obligations": {"mask": ["x"]}}), INVALID),
    "other data": (say({**YES, "data_revision": documents.REVISION + 1}), INVALID),
    "other id": (_first(lambda found: {key + "0": verdict for key, verdict in found.items()}), INVALID),
    "one id more": (_first(lambda found: {**found, "more": YES}), INVALID),
    "a list": (_first(lambda found: list(found.values())), INVALID),
    "a warning beside": (lambda _: ok({"result": {}, "warning": {}}), INVALID),
    "500": (lambda _: b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n{}", INVALID),
    "401": (lambda _: b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", INVALID),
    "not http": (lambda _: b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n", INVALID),
    "half a head, then nothing": (lambda _: b"HTTP/1.1 200 OK\r\nContent-Le", TIMEOUT),
    "half a body, then nothing": (lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", TIMEOUT),
    "slow": (trickle, TIMEOUT),
    "silent": (never, TIMEOUT),
    "closed": (lambda _: None, "policy_unavailable"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_a_refusal_within_the_deadline(fault: str, tmp_path: Path) -> None:
    async with asking(tmp_path) as (fake, client):
        fake.answer, code = FAULTS[fault]
        async with Steady() as passed:
            decisions = await asyncio.gather(
                *[
                    client.query(documents.session("alice", "db-access"), documents.reads(f"t{number}"))
                    for number in range(3)
                ]
            )
            assert passed.seconds < DEADLINE + SLACK
        assert [code_of(decision) for decision in decisions] == [code] * 3


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_client_recovers_from_every_fault(fault: str, tmp_path: Path) -> None:
    async with asking(tmp_path) as (fake, client):
        session = documents.session("alice", "db-access")
        fake.answer, _ = FAULTS[fault]
        await client.query(session, documents.reads("t"))
        fake.answer = say(YES)
        client.deadline_seconds = PATIENT
        assert code_of(await client.query(session, documents.reads("t"))) == "allowed"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_connect_is_refused_under_every_fault(fault: str, tmp_path: Path) -> None:
    async with asking(tmp_path) as (fake, client):
        answer, _ = FAULTS[fault]

        # A connect has no items: what a fault does to one verdict, it does to the answer itself.
        def single(question: dict[str, Any]) -> bytes | Awaitable[bytes | None] | None:
            wire = answer({**question, "items": {"only": {}}})
            if isinstance(wire, bytes) and wire.startswith(b"HTTP/1.1 200 OK\r\n") and b"only" in wire:
                return ok({"result": json.loads(wire.partition(b"\r\n\r\n")[2])["result"]})
            return wire

        fake.answer = single
        decision = await client.connect(documents.connect("alice", "db-access"))
        assert isinstance(decision, Denied)


async def test_nobody_listening_is_a_refusal_at_once(tmp_path: Path) -> None:
    nobody = PolicyClient(tmp_path / "none.sock", "", clock=SystemClock())
    async with nobody as client, Steady() as passed:
        assert (
            code_of(await client.query(documents.session("a", "r"), documents.reads("t")))
            == "policy_unavailable"
        )
        assert code_of(await client.connect(documents.connect("a", "r"))) == "policy_unavailable"
        with pytest.raises(PolicyError):
            await client.visible(documents.identity("a"), [], 0)
        assert passed.seconds < SLACK


async def test_a_client_that_is_told_opa_is_down_asks_nobody(tmp_path: Path) -> None:
    async with asking(tmp_path) as (fake, client):
        client.available = False
        decision = await client.query(documents.session("a", "r"), documents.reads("t"))
        assert code_of(decision) == "policy_unavailable"
        assert code_of(await client.connect(documents.connect("a", "r"))) == "policy_unavailable"
        assert fake.questions == []


async def test_a_question_that_is_too_large_is_not_asked(tmp_path: Path) -> None:
    async with asking(tmp_path) as (fake, client):
        facts = documents.reads("t" * document.MAX_ITEM)
        assert code_of(await client.query(documents.session("a", "r"), facts)) == "input_too_large"
        assert fake.questions == []


async def test_what_waits_goes_out_together_and_equal_questions_once(tmp_path: Path) -> None:
    async with asking(tmp_path, deadline_seconds=PATIENT) as (fake, client):
        same = documents.reads("orders")
        decisions = await asyncio.gather(
            *[client.query(documents.session("alice", "db-access", number=n), same) for n in range(40)],
            *[
                client.query(documents.session("alice", "db-access"), documents.reads(f"t{n}"))
                for n in range(9)
            ],
        )
        assert [len(question["items"]) for question in fake.questions] == [10]
        assert {code_of(decision) for decision in decisions} == {"allowed"}
        assert len({decision.decision_id for decision in decisions}) == 49


async def test_equal_questions_have_one_digest_and_others_another(tmp_path: Path) -> None:
    async with asking(tmp_path, deadline_seconds=PATIENT) as (_, client):
        first = await client.query(documents.session("alice", "r", number=1), documents.reads("a"))
        again = await client.query(documents.session("alice", "r", number=2), documents.reads("a"))
        other = await client.query(documents.session("alice", "r", number=1), documents.reads("b"))
        assert first.input_digest == again.input_digest != other.input_digest


async def test_one_poisonous_question_costs_only_itself(tmp_path: Path) -> None:
    """A batch that fails as a whole is asked again one by one, and the culprit alone from then on."""

    def poisoned(question: dict[str, Any]) -> bytes:
        if "poison" in json.dumps(question):
            return b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
        wire = say(YES)(question)
        assert isinstance(wire, bytes)
        return wire

    async with asking(tmp_path, deadline_seconds=PATIENT) as (fake, client):
        fake.answer = poisoned
        good = documents.session("alice", "r")
        bad = documents.session("mallory", "r")

        async def ask() -> list[str]:
            decisions = await asyncio.gather(
                client.query(good, documents.reads("a")),
                client.query(bad, documents.reads("poison")),
                client.query(good, documents.reads("b")),
            )
            return [code_of(decision) for decision in decisions]

        assert await ask() == ["allowed", "policy_unavailable", "allowed"]
        assert [len(question["items"]) for question in fake.questions] == [3, 1, 1, 1]
        fake.questions.clear()
        assert await ask() == ["allowed", "policy_unavailable", "allowed"]
        assert sorted(len(question["items"]) for question in fake.questions) == [1, 2]


class _StandsStill(SystemClock):
    def monotonic(self) -> float:
        return 1000.0


async def test_a_batch_waits_for_the_questions_that_the_loop_is_about_to_bring(tmp_path: Path) -> None:
    async with asking(tmp_path, deadline_seconds=PATIENT, clock=_StandsStill()) as (fake, client):

        async def ask(number: int) -> str:
            for _ in range(2 * number):
                await asyncio.sleep(0)
            return code_of(await client.query(documents.session("a", "r"), documents.reads(f"t{number}")))

        asked = await asyncio.gather(*(ask(number) for number in range(5)))
        assert asked == ["allowed"] * 5
        assert [len(question["items"]) for question in fake.questions] == [5]


async def test_a_question_that_nobody_joins_goes_out_by_itself(tmp_path: Path) -> None:
    async with asking(tmp_path, deadline_seconds=PATIENT, slots=3) as (fake, client):
        for number in range(3):
            decision = await client.query(documents.session("a", "r"), documents.reads(f"t{number}"))
            assert code_of(decision) == "allowed"
        assert [len(question["items"]) for question in fake.questions] == [1, 1, 1]


async def test_after_a_late_batch_each_is_asked_alone_until_it_was_answered(tmp_path: Path) -> None:
    async with asking(tmp_path) as (fake, client):
        sessions = [documents.session(name, "r") for name in ("alice", "bob")]

        async def ask() -> set[str]:
            asked = [client.query(session, documents.reads("t")) for session in sessions]
            return {code_of(decision) for decision in await asyncio.gather(*asked)}

        fake.answer = never
        assert await ask() == {"policy_unavailable"}
        fake.answer = say(YES)
        client.deadline_seconds = PATIENT
        fake.questions.clear()
        assert await ask() == {"allowed"}
        assert await ask() == {"allowed"}
        assert [len(question["items"]) for question in fake.questions] == [1, 1, 2]


async def test_an_idle_connection_that_was_closed_is_replaced(tmp_path: Path) -> None:
    async with asking(tmp_path, deadline_seconds=PATIENT) as (fake, client):
        fake.answer = lambda question: (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
            + ok({"result": dict.fromkeys(question["items"], YES)}).partition(b"\r\n")[2]
        )
        for number in range(3):
            decision = await client.query(documents.session("a", "r"), documents.reads(f"t{number}"))
            assert code_of(decision) == "allowed"


async def test_a_question_that_was_given_up_disturbs_nobody(tmp_path: Path) -> None:
    async with asking(tmp_path, deadline_seconds=PATIENT) as (fake, client):
        gate = asyncio.Event()

        async def gated(question: dict[str, Any]) -> bytes | None:
            await gate.wait()
            wire = say(YES)(question)
            assert isinstance(wire, bytes)
            return wire

        fake.answer = gated
        async with asyncio.TaskGroup() as tasks:
            given_up = tasks.create_task(client.query(documents.session("a", "r"), documents.reads("t")))
            waiting = tasks.create_task(client.query(documents.session("b", "r"), documents.reads("t")))
            await asyncio.sleep(0.02)
            given_up.cancel()
            gate.set()
        assert given_up.cancelled()
        assert code_of(waiting.result()) == "allowed"


async def test_closing_the_client_refuses_what_waits(tmp_path: Path) -> None:
    async with fake_opa(tmp_path) as fake:
        fake.answer = never
        client = PolicyClient(fake.path, "", clock=SystemClock(), slots=1, deadline_seconds=PATIENT)
        async with asyncio.TaskGroup() as tasks, client:
            under_way = tasks.create_task(client.query(documents.session("a", "r"), documents.reads("t")))
            await asyncio.sleep(0.02)
            waiting = tasks.create_task(client.query(documents.session("b", "r"), documents.reads("u")))
            await asyncio.sleep(0.02)
        assert code_of(under_way.result()) == "policy_unavailable"
        assert code_of(waiting.result()) == "policy_unavailable"
        late = await client.query(documents.session("c", "r"), documents.reads("t"))
        assert code_of(late) == "policy_unavailable"


async def test_decisions_are_counted(tmp_path: Path) -> None:
    class Counts:
        def __init__(self) -> None:
            self.decisions: list[tuple[str, str]] = []
            self.batches: list[int] = []

        def decision(self, verdict: str, code: str, seconds: float) -> None:
            assert seconds >= 0
            self.decisions.append((verdict, code))

        def decision_batch(self, size: int) -> None:
            self.batches.append(size)

    counts = Counts()
    async with asking(tmp_path, metrics=counts) as (fake, client):
        await client.query(documents.session("a", "r"), documents.reads("t"))
        fake.answer = say({})
        await client.query(documents.session("a", "r"), documents.reads("u"))
    assert counts.decisions == [("allow", ""), ("deny", INVALID)]
    assert counts.batches == [1, 1]
