"""Statements that wait for a second person: who asked, what for, and the one answer that lets them go or not.

A hold lives as long as the statement waits: its session's end, a cancel and the time limit take it back.
"""

import asyncio  # noqa: TID251
from dataclasses import dataclass

from gateway.model.hold import Answer, Held

MAX_HELD = 1_000  # beyond this a statement is refused rather than held


@dataclass(slots=True)
class _Waiting:
    held: Held
    answer: asyncio.Future[tuple[Answer, str]]


class Holds:
    """The statements that wait in this process."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    @property
    def is_full(self) -> bool:
        """True when no more may wait."""
        return len(self._waiting) >= MAX_HELD

    def all(self) -> list[Held]:
        """What waits now, the oldest first."""
        return [waiting.held for waiting in self._waiting.values()]

    def get(self, hold_id: str) -> Held | None:
        """One that waits, by its id."""
        waiting = self._waiting.get(hold_id)
        return None if waiting is None else waiting.held

    async def wait(self, held: Held, seconds: float) -> tuple[Answer, str]:
        """The answer, and who gave it; whatever happens, nothing is left behind."""
        answer: asyncio.Future[tuple[Answer, str]] = asyncio.get_running_loop().create_future()
        self._waiting[held.id] = _Waiting(held, answer)
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            return Answer.EXPIRED, ""
        finally:
            del self._waiting[held.id]

    def answer(self, hold_id: str, answer: Answer, who: str = "") -> bool:
        """Answer it; False when it waits no more."""
        waiting = self._waiting.get(hold_id)
        if waiting is None or waiting.answer.done():
            return False
        waiting.answer.set_result((answer, who))
        return True
