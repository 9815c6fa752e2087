"""Time as it passes for a process that nobody holds up: machines that run tests stand still now and then."""

import asyncio
import time
from types import TracebackType
from typing import Self

_BEAT_SECONDS = 0.005


class Steady:
    """Measures from ``async with`` on; what a beat of the loop comes too late by is not counted.

    So a bar on it still finds whoever waits for too long, and does not find who was merely not given the
    processor. What keeps the loop itself busy is not counted either.
    """

    def __init__(self) -> None:
        self._began = self._beat = 0.0
        self._late = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._began = self._beat = time.monotonic()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    @property
    def seconds(self) -> float:
        """How long it has been."""
        now = time.monotonic()
        return now - self._began - self._late - max(0.0, now - self._beat - _BEAT_SECONDS)

    async def _listen(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            now = time.monotonic()
            self._late += max(0.0, now - self._beat - _BEAT_SECONDS)
            self._beat = now
