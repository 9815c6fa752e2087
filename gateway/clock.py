"""Where time and identifiers come from, so that tests need no patching."""

import os
import time
from datetime import UTC, datetime
from typing import Protocol

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(first + second for first in _CROCKFORD for second in _CROCKFORD)
_COUNTED = 1 << 20
_MOMENTS = 64


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


class _Ids:
    """ULIDs whose random half is drawn once for 2**20 of them and counted up from there.

    Unique as drawn ones are, at a tenth of the cost: several are made for each statement.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Draw anew; a forked child must, or it would count on where its parent does."""
        self._times: dict[int, str] = {}  # the digits of the last moments
        self._drawn, self._count = "", _COUNTED

    def make(self, now_ns: int) -> str:
        """The next one, of the millisecond of *now_ns*."""
        moment = now_ns // 1_000_000
        digits = self._times.get(moment)
        if digits is None:
            if len(self._times) >= _MOMENTS:
                self._times.clear()
            digits = self._times[moment] = _digits(moment, 10)
        if self._count >= _COUNTED:
            drawn = int.from_bytes(os.urandom(10), "big")
            self._drawn, self._count = _digits(drawn >> 20, 12), drawn & (_COUNTED // 2 - 1)
        count = self._count
        self._count = count + 1
        return f"{digits}{self._drawn}{_PAIRS[count >> 10]}{_PAIRS[count & 1023]}"

    def several(self, now_ns: int, count: int) -> list[str]:
        """The next *count*."""
        if not count:
            return []
        ids = [self.make(now_ns)]
        stem = ids[0][:-4]
        while len(ids) < count and self._count < _COUNTED:
            high, low = self._count >> 10, self._count & 1023
            few = _PAIRS[low : low + count - len(ids)]
            head = stem + _PAIRS[high]
            ids += [head + pair for pair in few]
            self._count += len(few)
        return ids if len(ids) == count else ids + self.several(now_ns, count - len(ids))


def _digits(value: int, size: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(5 * size - 10, -1, -10)])


_ids = _Ids()
os.register_at_fork(after_in_child=_ids.forget)


def new_id(now_ns: int) -> str:
    """A ULID: 48 bits of milliseconds and 80 more, 26 characters that sort by time."""
    return _ids.make(now_ns)


def new_ids(now_ns: int, count: int) -> list[str]:
    """*count* ULIDs of one moment, in order."""
    return _ids.several(now_ns, count)


def moment_of(identifier: str) -> int:
    """The time in a ULID, in nanoseconds of a whole millisecond; ValueError when it is none."""
    if len(identifier) != 26 or not set(identifier) <= set(_CROCKFORD):
        raise ValueError(f"not an id: {identifier[:40]!r}")
    moment = 0
    for digit in identifier[:10]:
        moment = moment << 5 | _CROCKFORD.index(digit)
    return moment * 1_000_000
