"""How long statements may run: one timer for a session, for the statement whose turn it is.

What was sent later waits its turn at the database, and its time begins when the one before it has ended.
"""

import asyncio  # noqa: TID251
from collections.abc import Callable

from gateway.sansio.exchange import Request

AGAIN_SECONDS = 1.0  # a cancel that came a moment too early is sent once more


class Timeouts:
    """Calls *overdue* with the request whose time is up; it says whether that one runs."""

    def __init__(self, overdue: Callable[[Request, int], bool]) -> None:
        self._overdue = overdue
        self._limits: dict[Request, int] = {}  # in milliseconds, in the order in which they were sent
        self._timer: asyncio.TimerHandle | None = None
        self._timed: Request | None = None

    def started(self, request: Request, limit_ms: int) -> None:
        """*request* goes to the database, or goes on there."""
        self._limits[request] = limit_ms
        if self._timed is None or self._timed is request:
            self._next()

    def ended(self, request: Request) -> None:
        """*request* has its answer."""
        if self._limits.pop(request, None) is not None and self._timed is request:
            self._next()

    def close(self) -> None:
        """The session is over."""
        self._limits.clear()
        self._next()

    def _next(self) -> None:
        self._timed = next(iter(self._limits), None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._timed is not None:
            self._arm(self._limits[self._timed] / 1000)

    def _arm(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._fire)

    def _fire(self) -> None:
        request = self._timed
        assert request is not None, "a timer is stopped with its request"
        limit = self._limits[request]
        runs = self._overdue(request, limit)
        self._arm(min(limit / 1000, AGAIN_SECONDS) if runs else limit / 1000)
