"""Asks OPA about recorded decisions: connects one by one, statements in batches, equal ones once."""

import asyncio  # noqa: TID251
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from gateway.analysis.judgements import Judgement
from gateway.analysis.replaying import (
    Asked,
    Gathered,
    Kept,
    Key,
    Past,
    Questions,
    at_ns,
    connect_of,
    minute_of,
)
from gateway.errors import PolicyError
from gateway.policy import answer, document
from gateway.policy.answer import Verdict
from gateway.policy.client import PolicyClient

# None where nothing could be asked.
Outcome: TypeAlias = Judgement | None

_BATCH = 128  # nobody waits for one of them, and a large batch costs OPA less
_AT_ONCE = 4
_SECONDS = 30.0
_REVISION = 1
_NOT_KEPT = "the input was not kept (a crash loses the last ones), or has not come from its service yet"


class Again:
    """One replay. *timeless* policies are asked about all statements as of the last of them."""

    def __init__(
        self,
        client: PolicyClient,
        found: Gathered,
        kept: Kept,
        advance: Callable[[int, int], object],
        *,
        timeless: bool = False,
    ) -> None:
        self._client = client
        self._found = found
        self._kept = kept
        self._advance = advance
        self._timeless = timeless
        self._done = self._of = 0
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def judge(self, decisions: Sequence[Past]) -> list[Outcome]:
        """The outcomes now, in the order of *decisions*."""
        connects = await self._connects(decisions)
        asked: dict[Key, Asked] = {}
        verdicts = await self._statements(decisions, connects, asked)
        return [self._outcome(past, connects, asked.get(past.key), verdicts) for past in decisions]

    def _outcome(
        self,
        past: Past,
        connects: Mapping[Key, Verdict],
        asked: Asked | None,
        verdicts: Mapping[Asked, Verdict],
    ) -> Outcome:
        opened = connects.get(past.session_key)
        if opened is None or past.input_key not in self._kept:
            self._found.leave_out(_NOT_KEPT)
            return None
        decided = opened if asked is None else verdicts[asked]
        codes = tuple(reason.code for reason in decided.reasons)
        return Judgement(decided.allow, codes, decided.obligations)

    async def _connects(self, decisions: Sequence[Past]) -> dict[Key, Verdict]:
        """The verdict about each session's connect, by session; equal questions are asked once."""
        questions: dict[Key, bytes] = {}
        for past in decisions:
            key = past.session_key
            if key not in questions and (made := connect_of(past, self._kept)) is not None:
                questions[key] = document.encode({**made, "session_id": ""})
        distinct = list(dict.fromkeys(questions.values()))
        async with asyncio.TaskGroup() as tasks:
            asked = {body: tasks.create_task(self._connect(body)) for body in distinct}
        return {key: asked[body].result() for key, body in questions.items()}

    async def _connect(self, body: bytes) -> Verdict:
        async with self._turns:
            try:
                value = await self._client.ask_raw("connect/decision", b'{"input":%b}' % body, _SECONDS)
            except PolicyError:
                return answer.refused(answer.UNAVAILABLE)
            return answer.connect(value)

    async def _statements(
        self, decisions: Sequence[Past], connects: Mapping[Key, Verdict], asked: dict[Key, Asked]
    ) -> dict[Asked, Verdict]:
        """The verdicts about distinct questions, those of a minute together: the time stands in the batch.

        OPA judges the first while the last are still encoded. *asked* gets each decision's question.
        """
        last = max(map(minute_of, decisions), default=0)
        questions = Questions(_REVISION, last if self._timeless else None)
        seen: set[Asked] = set()
        found: dict[Asked, Verdict] = {}
        waiting: list[Asked] = []
        async with asyncio.TaskGroup() as tasks:
            for past in sorted(decisions, key=minute_of):
                opened = connects.get(past.session_key)
                given = self._kept.get(past.input_key)
                if past.is_connect or given is None or opened is None or not opened.allow:
                    continue
                item = asked[past.key] = questions.about(past, given, opened.roles)
                if item in seen:
                    continue
                seen.add(item)
                self._of = len(seen)
                if waiting and (len(waiting) == _BATCH or waiting[0].minute != item.minute):
                    tasks.create_task(self._batch(waiting, found))
                    waiting = []
                    await asyncio.sleep(0)  # it goes out now
                waiting.append(item)
            if waiting:
                tasks.create_task(self._batch(waiting, found))
        return found

    async def _batch(self, asked: list[Asked], found: dict[Asked, Verdict]) -> None:
        items = {f"{number:x}": item.item for number, item in enumerate(asked)}
        time_ns = at_ns(asked[0])
        async with self._turns:
            try:
                body = document.batch(items, time_ns)
                value = await self._client.ask_raw("query_batch/answers", body, _SECONDS)
                answers = answer.answered(value, items)
            except PolicyError:
                answers = None
        if answers is None and len(asked) > 1:
            # One of them may have spoiled it for all.
            for item in asked:
                await self._batch([item], found)
            return
        for (key, _), item in zip(items.items(), asked, strict=True):
            verdict = (
                answer.refused(answer.INVALID) if answers is None else answer.query(answers[key], time_ns)
            )
            found[item] = verdict
        self._done += len(asked)
        self._advance(self._done, self._of)
