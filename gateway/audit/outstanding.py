"""Who waits for records to become durable, in order, and for how long: a disk that hangs is noticed here."""

import asyncio  # noqa: TID251
from collections import deque
from collections.abc import Callable

from gateway.audit.writer import Entry
from gateway.clock import Clock
from gateway.errors import AuditError

_SOONEST = 0.01  # seconds, to the next look


class Outstanding:
    """The entries that somebody waits for, the oldest first; used from one event loop."""

    def __init__(self, clock: Clock, deadline_seconds: float, late: Callable[[], None]) -> None:
        """*late* is called once the oldest has waited for longer than the deadline and is not written."""
        self.refused = 0
        """How many calls were told no since somebody last asked; whoever asks sets it back."""
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._deadline = deadline_seconds
        self._late = late
        self._entries: deque[Entry] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def deadline_seconds(self) -> float:
        """How long one may wait."""
        return self._deadline

    @deadline_seconds.setter
    def deadline_seconds(self, seconds: float) -> None:
        """From the next entry on."""
        self._deadline = seconds
        self.stop()

    def add(self, entry: Entry) -> None:
        """Somebody waits for *entry*."""
        self._entries.append(entry)

    def watch(self) -> None:
        """Look after the deadline, unless that is going to happen already."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._deadline, self._look)

    def stop(self) -> None:
        """Look no more, until told to."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def drop_done(self) -> None:
        """Forget who was told already."""
        while self._entries and self._entries[0].future.done():
            self._entries.popleft()

    def tell_no(self, future: "asyncio.Future[None]", reason: str) -> None:
        """What was handed in cannot be written."""
        self.refused += 1
        future.set_exception(AuditError(f"audit log cannot be written: {reason}"))

    def reject(self, reason: str) -> None:
        """Tell everybody no."""
        while self._entries:
            entry = self._entries.popleft()
            if not entry.future.done():
                entry.refused = True
                self.tell_no(entry.future, reason)

    def _look(self) -> None:
        self._timer = None
        self.drop_done()
        if not self._entries:
            return
        head = self._entries[0]
        left = head.born + self._deadline - self._clock.monotonic()
        if left <= 0 and not head.written:  # written: the good news is on its way
            self._late()
        else:
            self._timer = self._loop.call_later(max(left, _SOONEST), self._look)
