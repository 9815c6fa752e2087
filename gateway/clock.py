"""Where time and identifiers come from, so that tests need no patching."""

import os
import time
from datetime import UTC, datetime
from typing import Protocol

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _CROCKFORD for second in _CROCKFORD)
_SHIFTS = tuple(range(120, -1, -10))


class Clock(Protocol):
    """The two clocks the program reads."""

    def now_ns(self) -> int:
        """UTC nanoseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from a point that never jumps."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """UTC nanoseconds since the epoch."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Seconds from a point that never jumps."""
        return time.monotonic()


def utc(clock: Clock) -> datetime:
    """The wall clock as an aware datetime in UTC."""
    return datetime.fromtimestamp(clock.now_ns() / 1e9, UTC)


class _Random:
    """Random bytes from the system, fetched a page at a time: a call for each identifier would cost more."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start a new page; a forked child must, or it would hand out its parent's bytes."""
        self._page = b""
        self._at = 0

    def ten(self) -> bytes:
        """Ten bytes that were never handed out before."""
        if self._at + 10 > len(self._page):
            self._page, self._at = os.urandom(4000), 0
        self._at += 10
        return self._page[self._at - 10 : self._at]


_random = _Random()
os.register_at_fork(after_in_child=_random.forget)


def new_id(now_ns: int) -> str:
    """A ULID: 48 bits of milliseconds and 80 random bits, 26 characters that sort by time."""
    value = ((now_ns // 1_000_000) << 80) | int.from_bytes(_random.ten(), "big")
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in _SHIFTS])
