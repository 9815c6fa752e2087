"""A few threads for slow arithmetic, so that neither the event loop nor the memory drowns in it."""

import asyncio  # noqa: TID251
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Workers:
    """Runs functions in at most *size* threads; whatever comes on top waits its turn."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="regate-slow")

    async def run(self, work: Callable[[], T]) -> T:
        """The result of *work*, computed in one of the threads."""
        return await asyncio.wrap_future(self._pool.submit(work))

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
