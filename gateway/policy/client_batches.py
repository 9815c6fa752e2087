"""Carries the questions about statements: one task for each slot, a batch at a time.

As many batches are in flight as OPA has cores; what waits meanwhile goes out together in the next. A batch
costs OPA more than what is in it, so it is held back while the loop still brings questions.
"""

import asyncio  # noqa: TID251
import os
import typing
from collections.abc import Callable, Sequence

from gateway.clock import Clock
from gateway.errors import PolicyError
from gateway.policy import answer, document
from gateway.policy.answer import Verdict
from gateway.policy.batches import MAX_ITEMS, Item, Queue
from gateway.policy.client_exchange import Exchange, NobodyAnswersError

_PATH = "/v1/data/gateway/query_batch/answers?strict-builtin-errors=true"
_QUIET_TURNS = 3  # of the loop, a few microseconds each where nothing else is to be done
_GATHER_SECONDS = 0.02  # of a deadline of a quarter of a second: on a busy machine a turn is long

Waiter: typing.TypeAlias = Callable[[Verdict], None]


class BatchIds:
    """Ids of items, never used twice, so that an answer to an old batch fits no new one."""

    def __init__(self) -> None:
        self._last = int.from_bytes(os.urandom(4), "big")

    def new(self) -> str:
        """The next."""
        self._last += 1
        return f"{self._last:x}"


class Carrier:
    """Between ``start`` and ``close`` every waiter is told a verdict, once."""

    def __init__(
        self, exchange: Exchange, clock: Clock, ids: BatchIds, tell_size: Callable[[int], None]
    ) -> None:
        """*tell_size* hears of each batch how many distinct questions it holds."""
        self._exchange = exchange
        self._clock = clock
        self._ids = ids
        self._tell_size = tell_size
        self._queue: Queue[Waiter] = Queue(clock.monotonic)
        self._asked = 0
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, tasks: asyncio.TaskGroup, slots: int) -> None:
        """Carry up to *slots* batches at once."""
        self._tasks = [tasks.create_task(self._carry()) for _ in range(slots)]

    def close(self) -> None:
        """Carry no more; who waits is refused."""
        for task in self._tasks:
            task.cancel()
        _give(self._queue.drain(), answer.refused(answer.UNAVAILABLE))

    def add(self, session: bytes, facts: bytes, deadline: float, waiter: Waiter) -> None:
        """Have a question asked; *waiter* hears the verdict, a refusal when *deadline* passes first."""
        self._queue.add(session, facts, deadline, waiter)
        self._asked += 1
        self._wake.set()

    async def _carry(self) -> None:
        while True:
            async with self._turn:
                await self._wake.wait()
                await self._gather()
                batch = self._queue.take()
            if not batch:
                self._wake.clear()
                continue
            try:
                await self._carry_batch(batch)
            finally:
                # Reached with waiters left only when the client is closed under them.
                _give(batch, answer.refused(answer.UNAVAILABLE))

    async def _gather(self) -> None:
        """Let the loop turn until that brings no more questions: it only does what had to be done anyway."""
        quiet, until = 0, self._clock.monotonic() + _GATHER_SECONDS
        while quiet < _QUIET_TURNS and 0 < len(self._queue) < MAX_ITEMS and self._clock.monotonic() < until:
            asked = self._asked
            await asyncio.sleep(0)
            quiet = quiet + 1 if asked == self._asked else 0

    async def _carry_batch(self, batch: list[Item[Waiter]]) -> None:
        try:
            verdicts = await self._judge(batch)
        except NobodyAnswersError as error:
            _give(batch, answer.refused(error.reason))
            if error.reason is answer.TIMEOUT and len(batch) > 1:
                # Which of them was slow is not known: each is asked alone until it was answered once.
                for item in batch:
                    self._queue.isolate(item.session)
            return
        except PolicyError:
            if len(batch) == 1:
                self._queue.isolate(batch[0].session)
                _give(batch, answer.refused(answer.INVALID))
                return
            for item in batch:
                await self._carry_batch([item])
            return
        if len(batch) == 1:
            self._queue.forgive(batch[0].session)
        for item, verdict in zip(batch, verdicts, strict=True):
            _give([item], verdict)

    async def _judge(self, batch: list[Item[Waiter]]) -> list[Verdict]:
        self._tell_size(len(batch))
        items = {self._ids.new(): document.query_item(item.session, item.facts) for item in batch}
        # Whole milliseconds: they stand in the id of each decision, so that it can be asked again as of then.
        now = self._clock.now_ns() // 1_000_000 * 1_000_000
        body = document.batch(items, now)
        left = min(item.deadline for item in batch) - self._clock.monotonic()
        response = await self._exchange.ask(_PATH, body, left)
        found = answer.results(response.status, response.body, items)
        return [answer.query(found[key], now) for key in items]


def _give(batch: Sequence[Item[Waiter]], verdict: Verdict) -> None:
    """Answer everybody who has no answer yet."""
    for item in batch:
        waiters, item.waiters = item.waiters, []
        for waiter in waiters:
            waiter(verdict)


def default_slots() -> int:
    """One for each core that OPA can have beside the gateway."""
    return max(1, len(os.sched_getaffinity(0)) // 2)
