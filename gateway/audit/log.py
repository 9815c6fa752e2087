"""The audit log as the event loop sees it: hand events in, be told when they are durable.

What is handed in during one turn of the loop goes to the writer together. Lines are made here, in the
caller's turn (the writer only adds their index), so that the writer's thread seldom holds the
interpreter's lock. Where a disk hangs, who waited for longer than the deadline is told no, and the log is
not healthy until the writer answers again.
"""

import asyncio  # noqa: TID251
import contextlib
import threading
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import recover
from gateway.audit.encode import Body, body
from gateway.audit.files import Files, SystemFiles, lock, private_directory, words
from gateway.audit.intents import NOT_FORWARDED, UNKNOWN, closing, opens
from gateway.audit.layout import LOCK
from gateway.audit.ledger import Ledger, Place
from gateway.audit.outstanding import Outstanding
from gateway.audit.writer import Entry, Timing, Writer
from gateway.clock import Clock, new_id
from gateway.errors import AuditError
from gateway.model.event import Event, Kind

SEGMENT_BYTES = 64 * 1024 * 1024
RESERVE_BYTES = 64 * 1024 * 1024
DEADLINE_SECONDS = 2.0
LINGER_SECONDS = 0.01  # an outcome waits so long for a statement to share its sync with
MOST_WAITING = 50_000  # records; statements are refused beyond, so that what is open can still be settled

_say = structlog.get_logger("regate.audit")


class Metrics(typing.Protocol):
    """What the log tells of itself; ``gateway.observe.metrics`` has these."""

    def audit_lag(self, records: int) -> None:
        """So many records wait for the disk."""
        ...

    def audit_durable(self, seconds: float, records: int) -> None:
        """A call's records became durable after that time."""
        ...

    def audit_healthy(self, *, healthy: bool) -> None:
        """Whether events can be recorded."""
        ...

    def audit_disk(self, used_percent: int) -> None:
        """How full the log's disk is."""
        ...


class AuditLog:
    """A log that is open for writing; made by ``open``, used from one event loop."""

    def __init__(self, clock: Clock, *, deadline_seconds: float, metrics: Metrics | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._metrics = metrics
        self._pending: list[Entry] = []
        self.outstanding = Outstanding(clock, deadline_seconds, self._late)
        """Who waits, and for how long at most."""
        self._waiting = 0
        self._stopped = ""  # what the writer says
        self._hung = ""  # what the deadline says
        self._closed = False
        self._soon = self._lingers = False  # a flush is scheduled
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._writer: Writer
        self._lock = -1

    @classmethod
    async def open(  # noqa: PLR0913 -- each is a plain setting with a default
        cls,
        directory: Path,
        *,
        key: Ed25519PrivateKey,
        origin: str,
        clock: Clock,
        segment_bytes: int = SEGMENT_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
        deadline_seconds: float = DEADLINE_SECONDS,
        metrics: Metrics | None = None,
        files: Files | None = None,
        timing: Timing | None = None,
    ) -> Self:
        """Take up the log in *directory*, or begin one; ready when it returns.

        A torn tail is quarantined, intents that an earlier process left open are closed with the outcome
        ``unknown``, both durably. Raises AuditError when the log cannot be trusted or written.
        """
        log = cls(clock, deadline_seconds=deadline_seconds, metrics=metrics)
        place = Place(directory, files or SystemFiles(), key, origin, segment_bytes)
        found = await asyncio.to_thread(log._start, place, reserve_bytes, timing or Timing())
        threading.Thread(target=log._run, name="audit writer", daemon=True).start()
        try:
            await log._settle_the_past(found)
        except AuditError:
            await log.close()
            raise
        log._tell()
        return log

    @property
    def healthy(self) -> bool:
        """True when what is appended now will be written."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Why nothing can be appended; empty when all is well."""
        if self._closed:
            return "it is closed"
        if self._waiting > MOST_WAITING:
            return f"{self._waiting} records wait for the disk"
        return self._stopped or self._hung

    @property
    def size(self) -> int:
        """How many records are durable."""
        return self._writer.ledger.size

    @property
    def lag(self) -> int:
        """How many records were handed in and are not durable yet."""
        return self._waiting

    def checkpoint(self) -> str:
        """The last signed checkpoint."""
        return self._writer.ledger.note

    def append(self, events: Sequence[Event]) -> asyncio.Future[None]:
        """Record *events*, in order; the future ends when all of them are durable.

        It ends with AuditError when they cannot be written, or not within the deadline. Who gets the
        error, or cancels the future, must not do what the events say, and records no outcome for them:
        should they be in the log after all, the log itself adds ``not_forwarded``.
        """
        try:
            records = [(event, body(event)) for event in events]
        except AuditError as error:
            refused: asyncio.Future[None] = self._loop.create_future()
            refused.set_exception(error)
            return refused
        return self.append_lines(records)

    def append_lines(self, records: Sequence[tuple[Event, Body]]) -> asyncio.Future[None]:
        """As ``append``, for lines that another process has made."""
        future: asyncio.Future[None] = self._loop.create_future()
        reason = self.reason
        if reason:
            self.outstanding.tell_no(future, reason)
            return future
        entry = Entry(records, future, self._clock.monotonic())
        self.outstanding.add(entry)
        self._hand_in(entry)
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._flush)
        return future

    def post(self, event: Event) -> None:
        """Record *event* with the next group; nobody waits, and it is kept through faults until ``close``.

        Raises AuditError only when *event* cannot be recorded by anybody, or the log is closed.
        """
        self.post_lines([(event, body(event))])

    def post_lines(self, records: Sequence[tuple[Event, Body]]) -> None:
        """As ``post``, for lines that another process has made."""
        if self._closed:
            raise AuditError("audit log cannot be written: it is closed")
        self._hand_in(Entry(records, None, self._clock.monotonic()))
        if not self._soon and not self._lingers:
            self._lingers = True
            self._loop.call_later(LINGER_SECONDS, self._linger)

    async def close(self) -> None:
        """Write what waits, sign it, and let go of the directory; gives a hanging disk one deadline."""
        if self._closed:
            return
        self._flush()
        self._closed = True
        self._writer.inbox.put(None)
        try:
            async with asyncio.timeout(self.outstanding.deadline_seconds):
                await asyncio.shield(self._ended)
        except TimeoutError:
            _say.error("audit log closed while its disk hangs", waiting=self._waiting)
        self.outstanding.reject("it is closed")
        self.outstanding.stop()
        self._tell()

    def _start(self, place: Place, reserve_bytes: int, timing: Timing) -> recover.Found:
        """Everything before the first record that touches the disk; runs in a thread."""
        ledger: Ledger | None = None
        try:
            private_directory(place.directory)
            self._lock = lock(place.directory / LOCK)
            found = recover.take_up(place)
            ledger = Ledger(place, found.position)
            self._writer = Writer(
                place=place,
                ledger=ledger,
                clock=self._clock,
                reserve_bytes=reserve_bytes,
                settled=lambda entries, reason: self._call(self._settle, entries, reason),
                changed=lambda reason: self._call(self._change, reason),
                disk=lambda used: self._call(self._disk, used),
                timing=timing,
            )
            self._writer.take_reserve()
        except (AuditError, OSError) as error:
            if ledger is not None:
                ledger.close()
            if self._lock >= 0:
                place.files.close(self._lock)
            if isinstance(error, OSError):
                raise AuditError(f"audit log {place.directory} cannot be opened: {words(error)}") from error
            raise
        return found

    async def _settle_the_past(self, found: recover.Found) -> None:
        """Close what an earlier process left open, and say so, before anybody else may write."""
        intents = self._writer.ledger.open_intents()
        if not intents and found.torn is None:
            return
        fields: dict[str, typing.Any] = {"reason": "start", "closed_intents": len(intents)}
        if found.torn is not None:
            fields["quarantined_bytes"] = found.torn.size
            fields["quarantined_sha256"] = found.torn.digest
        events = [self._event(Kind.AUDIT_RESUMED, fields)]
        events += [self._end(intent, UNKNOWN, "the service stopped") for intent in intents]
        await self.append(events)

    def _run(self) -> None:
        try:
            self._writer.run()
        except Exception:  # noqa: BLE001 -- the outermost loop of a thread: a bug in it must refuse
            _say.exception("audit writer failed")
            self._call(self._change, "its writer failed")
        finally:
            self._writer.place.files.close(self._lock)
            self._call(self._end_of_writer)

    def _call(self, function: typing.Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed; nobody is left to be told
            self._loop.call_soon_threadsafe(function, *arguments)

    def _hand_in(self, entry: Entry) -> None:
        self._pending.append(entry)
        self._waiting += len(entry.records)

    def _linger(self) -> None:
        self._lingers = False
        self._flush()

    def _flush(self) -> None:
        self._soon = False
        if not self._pending:
            return
        self._writer.inbox.put(self._pending)
        self._pending = []
        self.outstanding.watch()

    def _settle(self, entries: Sequence[Entry], reason: str) -> None:
        """The writer is done with *entries*."""
        now = self._clock.monotonic()
        for entry in entries:
            self._waiting -= len(entry.records)
            future = entry.future
            if future is None:
                continue
            if reason:
                if not future.done():
                    self.outstanding.tell_no(future, reason)
            elif future.done():  # it came too late, or nobody wants it any more
                self._disown(entry)
            else:
                future.set_result(None)
            if self._metrics is not None and not reason:
                self._metrics.audit_durable(now - entry.born, len(entry.records))
        self.outstanding.drop_done()
        if self._metrics is not None:
            self._metrics.audit_lag(self._waiting)
        if self._hung and not reason:
            self._recover()

    def _disown(self, entry: Entry) -> None:
        """Say in the log that what it says was let through was not."""
        why = "recorded too late" if entry.refused else "withdrawn"
        for event, _ in reversed(entry.records):  # a session ends after its statements
            if opens(event) and not self._closed:
                self.post(self._end(event, NOT_FORWARDED, why))

    def _late(self) -> None:
        """Who waited for too long is told no."""
        self._hung = f"the disk has not answered for {self.outstanding.deadline_seconds:g} s"
        _say.error("audit log hangs", reason=self._hung)
        self.outstanding.reject(self._hung)
        self._tell()

    def _recover(self) -> None:
        self._hung, reason = "", self._hung
        self._tell()
        if not self._closed:
            refused, self.outstanding.refused = self.outstanding.refused, 0
            self.post(self._event(Kind.AUDIT_RESUMED, {"reason": reason, "refused": refused}))

    def _change(self, reason: str) -> None:
        self._stopped = reason
        if not reason:
            self.outstanding.refused = 0
        self._tell()

    def _disk(self, used_percent: int) -> None:
        if self._metrics is not None:
            self._metrics.audit_disk(used_percent)

    def _tell(self) -> None:
        if self._metrics is not None:
            self._metrics.audit_healthy(healthy=self.healthy)

    def _end_of_writer(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)
        if not self._closed and not self._stopped:
            self._change("its writer ended")
        self.outstanding.reject("its writer ended")

    def _event(self, kind: Kind, fields: dict[str, typing.Any]) -> Event:
        now = self._clock.now_ns()
        return Event(kind, new_id(now), now, fields)

    def _end(self, intent: Event, outcome: str, reason: str) -> Event:
        now = self._clock.now_ns()
        return closing(intent, outcome=outcome, id_=new_id(now), time_ns=now, reason=reason)
