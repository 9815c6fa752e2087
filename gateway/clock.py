"""Where time and identifiers come from, so that tests need no patching."""

import os
import time
from datetime import UTC, datetime
from typing import Protocol

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


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


def new_id(now_ns: int) -> str:
    """A ULID: 48 bits of milliseconds and 80 random bits, 26 characters that sort by time."""
    value = ((now_ns // 1_000_000) << 80) | int.from_bytes(os.urandom(10), "big")
    digits = [_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5)]
    return "".join(digits)
