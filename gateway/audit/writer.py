"""The one thread that writes: everything that waits becomes one group, one write, one sync.

It knows two states. *Writing*: groups are committed, checkpoints published. *Stopped*: after a fault,
appends are rejected, outcome records are kept, and it tries again until the disk takes them; then it says
so in the log and goes on. No event loop here: results leave through the two callbacks.
"""

import errno
import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.audit.encode import Body, body
from gateway.audit.files import words
from gateway.audit.intents import UNKNOWN, closing
from gateway.audit.layout import RESERVE
from gateway.audit.ledger import Ledger, Place
from gateway.clock import Clock, new_id
from gateway.errors import AuditError
from gateway.model.event import Event, Kind

CHECKPOINT_EVENTS = 1000
CHECKPOINT_SECONDS = 0.8  # with a group and a sync on top it stays below one second
CHECKPOINT_BYTES = 8 * 1024 * 1024  # what is read again before it is signed
_RETRY_FIRST, _RETRY_MOST = 0.25, 2.0
_DISK_SECONDS = 10.0
_ALARMS = (90, 80)
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_say = structlog.get_logger("regate.audit")


@dataclass(slots=True, eq=False)
class Entry:
    """What one call handed in. ``future`` belongs to the event loop; None where nobody waits."""

    records: Sequence[tuple[Event, Body]]
    future: Any
    born: float
    written: bool = False  # set by the writer, before the loop hears of it
    refused: bool = False  # set by the loop, when the deadline had passed
    own: bool = False  # made by the writer itself: the loop has never heard of it


@dataclass(slots=True)
class Timing:
    """What tests shorten."""

    checkpoint_seconds: float = CHECKPOINT_SECONDS
    checkpoint_events: int = CHECKPOINT_EVENTS
    retry_seconds: float = _RETRY_FIRST


@dataclass(slots=True)
class Writer:
    """Runs in a thread of its own, from ``run`` to the None in its queue."""

    place: Place
    ledger: Ledger
    clock: Clock
    reserve_bytes: int
    settled: Callable[[Sequence[Entry], str], None]  # these entries are durable, or rejected with a reason
    changed: Callable[[str], None]  # the reason why nothing can be written; empty: writing
    disk: Callable[[int], None]  # the disk is that full, in percent
    timing: Timing = field(default_factory=Timing)
    inbox: "queue.SimpleQueue[list[Entry] | None]" = field(default_factory=queue.SimpleQueue)
    _backlog: list[Entry] = field(default_factory=list)
    _reason: str = ""
    _since: str = ""  # why it stopped at first
    _fatal: bool = False
    _unsaid: bool = False  # the log does not yet say that it stopped
    _reserved: bool = False
    _uncovered_since: float = 0.0
    _retry_at: float = 0.0
    _retry_delay: float = 0.0
    _disk_at: float = 0.0
    _alarm: int = 0

    def run(self) -> None:
        """Serve until told to end; then write what is left, sign it, and close."""
        ending = False
        while not ending:
            entries, ending = self._take()
            if self._reason:
                self._refuse(entries, self._reason)
                if self.clock.monotonic() >= self._retry_at or ending:
                    self._resume()
            else:
                self._serve(entries)
        self._finish()

    def take_reserve(self) -> None:
        """Take the room for the last words on a full disk; OSError when there is not that much."""
        if self._reserved or not self.reserve_bytes:
            return
        files, path = self.place.files, self.place.directory / RESERVE
        files.remove(path)
        fd = files.open(path, create=True)
        try:
            files.allocate(fd, self.reserve_bytes)
        except OSError:
            files.remove(path)
            raise
        finally:
            files.close(fd)
        self._reserved = True

    def _take(self) -> tuple[list[Entry], bool]:
        """All that waits; blocks until there is something to do."""
        entries: list[Entry] = []
        try:
            item = self.inbox.get(timeout=self._patience())
            while item is not None:
                entries += item
                item = self.inbox.get_nowait()
        except queue.Empty:
            return entries, False
        return entries, True

    def _patience(self) -> float | None:
        now = self.clock.monotonic()
        if self._reason:
            return max(0.0, self._retry_at - now)
        if self.ledger.uncovered:
            return max(0.0, self._uncovered_since + self.timing.checkpoint_seconds - now)
        return _DISK_SECONDS

    def _serve(self, entries: list[Entry]) -> None:
        todo = self._backlog + entries
        self._backlog = []
        try:
            while todo:
                group, todo = self._cut(todo)
                try:
                    self._commit(group)
                except (OSError, AuditError):
                    todo = group + todo
                    raise
                self._cover()
            self._cover()
            self._watch_disk()
        except (OSError, AuditError) as error:
            self._stop(error, todo)

    def _cut(self, todo: list[Entry]) -> tuple[list[Entry], list[Entry]]:
        """As many entries as fit before the next checkpoint is due, and the rest."""
        room = self.timing.checkpoint_events - self.ledger.uncovered
        for at, entry in enumerate(todo):
            room -= len(entry.records)
            if room <= 0:
                return todo[: at + 1], todo[at + 1 :]
        return todo, []

    def _commit(self, group: list[Entry]) -> None:
        fresh = not self.ledger.uncovered
        left = self.ledger.append([entry.records for entry in group])
        if fresh:
            self._uncovered_since = self.clock.monotonic()
        for entry in group:
            entry.written = True
        self.settled([entry for entry in group if not entry.own], "")
        for intent in left:
            self._note(closing(intent, outcome=UNKNOWN, reason="session ended", **self._stamp()))

    def _cover(self) -> None:
        """Publish a checkpoint when one is due."""
        ledger = self.ledger
        if ledger.uncovered and (
            ledger.uncovered >= self.timing.checkpoint_events
            or ledger.uncovered_bytes >= CHECKPOINT_BYTES
            or self.clock.monotonic() - self._uncovered_since >= self.timing.checkpoint_seconds
        ):
            ledger.publish()

    def _refuse(self, entries: Sequence[Entry], reason: str) -> None:
        """Reject what somebody waits for; keep the rest."""
        self._backlog += [entry for entry in entries if entry.future is None]
        self.settled([entry for entry in entries if entry.future is not None], reason)

    def _stop(self, error: OSError | AuditError, entries: list[Entry]) -> None:
        self._reason = self._since = words(error)
        self._fatal = isinstance(error, AuditError)
        self._unsaid = True
        self._retry_delay = self.timing.retry_seconds
        self._retry_at = self.clock.monotonic() + self._retry_delay
        self.changed(self._reason)
        self._refuse(entries, self._reason)
        _say.error("audit log stopped", reason=self._reason)
        if isinstance(error, OSError) and error.errno in _FULL:
            self._release()
        self._lastwords()

    def _lastwords(self) -> None:
        """Write that the log stopped, and the outcomes that wait, if the disk takes them."""
        if self._fatal:
            return
        try:
            if self._unsaid:
                self.ledger.append([[self._record(Kind.AUDIT_STOPPED, {"reason": self._since})]])
                self._unsaid = False
            self._drain()
            self.ledger.publish()
        except OSError as error:
            _say.warning("audit log cannot say that it stopped", reason=words(error))
        except AuditError as error:
            self._reason, self._fatal = words(error), True
            self.changed(self._reason)

    def _drain(self) -> None:
        if self._backlog:
            group = self._backlog
            self._backlog = []
            try:
                self._commit(group)
            except (OSError, AuditError):
                self._backlog = group + self._backlog
                raise

    def _resume(self) -> None:
        """Try whether the disk takes records again; a log that lost confirmed ones stays stopped."""
        self._lastwords()
        if self._fatal:
            self._retry_at = self.clock.monotonic() + 60.0
            return
        try:
            self.take_reserve()
            self._drain()
            fields = {"reason": self._since, "stopped_recorded": not self._unsaid}
            self.ledger.append([[self._record(Kind.AUDIT_RESUMED, fields)]])
            self.ledger.publish()
        except (OSError, AuditError) as error:
            self._reason, self._fatal = words(error), isinstance(error, AuditError)
            self._release()
            self.changed(self._reason)
            self._retry_delay = min(2 * self._retry_delay, _RETRY_MOST)
            self._retry_at = self.clock.monotonic() + self._retry_delay
            return
        self._reason = self._since = ""
        self._unsaid = False
        self.changed("")
        _say.info("audit log resumed")

    def _release(self) -> None:
        """Give the reserve back to the disk."""
        if self._reserved:
            self._reserved = False
            try:
                self.place.files.remove(self.place.directory / RESERVE)
            except OSError as error:
                _say.warning("audit reserve cannot be released", reason=words(error))

    def _watch_disk(self) -> None:
        now = self.clock.monotonic()
        if now < self._disk_at:
            return
        self._disk_at = now + _DISK_SECONDS
        used = self.place.files.used(self.place.directory)
        self.disk(used)
        alarm = next((level for level in _ALARMS if used >= level), 0)
        if alarm > self._alarm:
            _say.warning("the disk of the audit log fills up", used_percent=used)
        self._alarm = alarm

    def _finish(self) -> None:
        """Close; a log that is not written to the end says how much it keeps to itself."""
        try:
            if not self._reason:
                while self._backlog:  # the end of a session may leave statements to close
                    self._drain()
                self.ledger.publish()
        except (OSError, AuditError) as error:
            self._reason = words(error)
        if self._backlog:
            lost = sum(len(entry.records) for entry in self._backlog)
            _say.error("audit log closed without records that wait", records=lost, reason=self._reason)
        self.ledger.close()

    def _note(self, event: Event) -> None:
        self._backlog.append(Entry([(event, body(event))], None, self.clock.monotonic(), own=True))

    def _record(self, kind: Kind, fields: dict[str, Any]) -> tuple[Event, Body]:
        now = self.clock.now_ns()
        event = Event(kind, new_id(now), now, fields)
        return event, body(event)

    def _stamp(self) -> dict[str, Any]:
        now = self.clock.now_ns()
        return {"id_": new_id(now), "time_ns": now}
