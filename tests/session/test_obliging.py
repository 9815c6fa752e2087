"""A yes with obligations: done before the record, refused where it cannot be, held for somebody else."""

import asyncio

import pytest

from gateway.model.hold import Answer, Held
from gateway.model.statement import Phase
from gateway.sansio.exchange import Request
from gateway.session.hold import Holds
from gateway.session.timeouts import Timeouts


def held(name: str) -> Held:
    return Held(name, "s", "alice", "db", "u", "n", ("delete",), "", 0, 1)


async def test_a_hold_ends_with_its_answer_and_leaves_nothing() -> None:
    holds = Holds()
    waiting = asyncio.create_task(holds.wait(held("a"), 5))
    await asyncio.sleep(0)
    assert [each.id for each in holds.all()] == ["a"]
    assert holds.answer("a", Answer.APPROVED, "bob")
    assert not holds.answer("a", Answer.DENIED, "carol")
    assert await waiting == (Answer.APPROVED, "bob")
    assert holds.get("a") is None
    assert not holds.answer("a", Answer.APPROVED, "bob")


async def test_a_hold_that_nobody_answers_expires() -> None:
    holds = Holds()
    assert await holds.wait(held("a"), 0.01) == (Answer.EXPIRED, "")
    assert holds.all() == []


async def test_a_session_that_ends_takes_its_hold_along() -> None:
    holds = Holds()
    waiting = asyncio.create_task(holds.wait(held("a"), 5))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert holds.all() == []


def request() -> Request:
    return Request(b"", Phase.QUERY, ())


async def test_time_begins_when_a_statement_has_its_turn() -> None:
    late: list[Request] = []

    def overdue(item: Request, _limit: int) -> bool:
        late.append(item)
        return True

    timeouts, first, second = Timeouts(overdue), request(), request()
    timeouts.started(first, 10_000)
    timeouts.started(second, 20)
    await asyncio.sleep(0.1)
    assert late == []
    timeouts.ended(first)
    async with asyncio.timeout(30):
        while len(late) < 2:  # noqa: ASYNC110 # a cancel that came too early is sent again
            await asyncio.sleep(0.01)
    assert set(late) == {second}
    timeouts.ended(second)
    late.clear()
    await asyncio.sleep(0.05)
    assert late == []
    timeouts.close()
