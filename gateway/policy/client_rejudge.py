"""The connects of live sessions, judged again many at a time."""

import asyncio  # noqa: TID251
from collections.abc import Mapping
from dataclasses import replace

from gateway.errors import PolicyError
from gateway.policy import answer, document
from gateway.policy.answer import Verdict
from gateway.policy.client_batches import BatchIds
from gateway.policy.client_exchange import Exchange
from gateway.policy.document import ConnectQuestion

CONNECT = "/v1/data/gateway/connect/decision?strict-builtin-errors=true"
_BATCH = "/v1/data/gateway/connect_batch/answers?strict-builtin-errors=true"
_ITEMS = 64
_AT_ONCE = 2  # one alone would leave OPA idle while it is written down and the next is put together


class Rejudging:
    """Asks in batches, and alone about each of a batch that brought no answer."""

    def __init__(self, exchange: Exchange, ids: BatchIds, deadline_seconds: float) -> None:
        self._exchange = exchange
        self._ids = ids
        self._deadline = deadline_seconds

    async def verdicts(
        self, asked: Mapping[bytes, ConnectQuestion], known: dict[bytes, Verdict]
    ) -> dict[bytes, Verdict]:
        """*known* with the verdict on each that was not in it; the keys are the questions as items."""
        items = [item for item in asked if item not in known]
        parts = iter([items[start : start + _ITEMS] for start in range(0, len(items), _ITEMS)])

        async def carry() -> None:
            for part in parts:
                known.update(await self._batch({item: asked[item] for item in part}))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(carry())
        return known

    async def _batch(self, asked: Mapping[bytes, ConnectQuestion]) -> dict[bytes, Verdict]:
        items = {self._ids.new(): item for item in asked}
        body = document.batch(items, next(iter(asked.values())).time_ns)
        try:
            found = answer.answered(await self._exchange.result(_BATCH, body, self._deadline * 4), items)
        except PolicyError:
            # One of them may have spoiled it for all; each gets its own answer or its own refusal.
            return {item: await self._alone(question) for item, question in asked.items()}
        return {item: answer.connect(found[key]) for key, item in items.items()}

    async def _alone(self, question: ConnectQuestion) -> Verdict:
        content = document.encode(replace(question, session_id="").to_json())
        return await self._exchange.verdict(CONNECT, content, answer.connect, self._deadline)
