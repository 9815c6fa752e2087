"""What the audit tests share: a key, events, and a disk that fails when it is told to."""

import asyncio
import errno
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.encode import Record
from gateway.audit.files import Files, SystemFiles
from gateway.audit.log import AuditLog
from gateway.audit.read import Query, records
from gateway.audit.verify import Report, verify
from gateway.audit.writer import Timing
from gateway.clock import SystemClock, new_id
from gateway.model.event import Event, Kind

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "example.org/audit"
CLOCK = SystemClock()


def event(kind: Kind = Kind.USER_LOGIN, **fields: Any) -> Event:
    """An event of now, with an id of its own."""
    now = CLOCK.now_ns()
    return Event(kind, new_id(now), now, fields)


def query(session: str = "s1", **fields: Any) -> Event:
    """A statement that was let through."""
    return event(
        Kind.SESSION_QUERY, session_id=session, user="ada", database="sales", statement="select 1", **fields
    )


def end(of: Event, **fields: Any) -> Event:
    """The outcome of a statement."""
    return event(
        Kind.SESSION_QUERY_END,
        session_id=of.fields["session_id"],
        query_id=of.id,
        user="ada",
        rows=1,
        **fields,
    )


@asynccontextmanager
async def opened(directory: Path, **options: Any) -> AsyncIterator[AuditLog]:
    """A log with small settings; closed at the end."""
    settings: dict[str, Any] = {
        "key": KEY,
        "origin": ORIGIN,
        "clock": CLOCK,
        "reserve_bytes": 64 * 1024,
        "timing": Timing(retry_seconds=0.02),
    }
    log = await AuditLog.open(directory, **{**settings, **options})
    try:
        yield log
    finally:
        await log.close()


async def filled(directory: Path, count: int, **options: Any) -> list[Event]:
    """Write a log of *count* events and close it."""
    written = [event(n=number) for number in range(count)]
    async with opened(directory, **options) as log:
        await log.append(written)
    return written


def read(directory: Path, **filters: Any) -> list[Record]:
    """All records, the oldest first."""
    return list(records(directory, Query(oldest_first=True, **filters)))


def kinds(directory: Path) -> list[str]:
    """The kinds of all records, the oldest first."""
    return [record.event.kind.value for record in read(directory)]


def audit(directory: Path, **options: Any) -> Report:
    """Verify a log of ours."""
    return verify(directory, KEY.public_key(), origin=ORIGIN, **options)


def hang(disk: "FaultyDisk", log: AuditLog, *, notice_after: float) -> float:
    """From now on no sync ends, and the log notices so soon; returns after how long it did before.

    Not from the start: a disk that others use may need as long for what must succeed.
    """
    disk.go.clear()
    usual = log.outstanding.deadline_seconds
    log.outstanding.deadline_seconds = notice_after
    return usual


async def until(condition: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.005)


class FaultyDisk:
    """The machine's disk until a fault is set; then the calls in ``failing`` fail, or wait for ``go``."""

    def __init__(self) -> None:
        self._real: Files = SystemFiles()
        self.failing: frozenset[str] = frozenset()
        self.error = errno.EIO
        self.partly = False  # a write that fails leaves half of its bytes behind
        self.go = threading.Event()
        self.go.set()
        self.is_quick = False  # a sync waits for no device
        self.calls: list[str] = []

    def fail(self, *calls: str, error: int = errno.EIO, partly: bool = False) -> None:
        """From now on *calls* fail."""
        self.error, self.partly = error, partly
        self.failing = frozenset(calls)

    def heal(self) -> None:
        """From now on all is well."""
        self.failing = frozenset()
        self.go.set()

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        if call in self.failing:
            raise OSError(self.error, "injected")

    def open(self, path: Path, *, create: bool = False) -> int:
        self._enter("open")
        return self._real.open(path, create=create)

    def write(self, fd: int, data: bytes, offset: int) -> None:
        if "write" in self.failing and self.partly:
            self._real.write(fd, data[: len(data) // 2], offset)
        self._enter("write")
        self._real.write(fd, data, offset)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        self._enter("read")
        return self._real.read(fd, size, offset)

    def size(self, fd: int) -> int:
        return self._real.size(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._enter("truncate")
        self._real.truncate(fd, size)

    def sync(self, fd: int) -> None:
        self.go.wait()
        self._enter("sync")
        if not self.is_quick:
            self._real.sync(fd)

    def allocate(self, fd: int, size: int) -> None:
        self._enter("allocate")
        self._real.allocate(fd, size)

    def remove(self, path: Path) -> None:
        self._enter("remove")
        self._real.remove(path)

    def rename(self, path: Path, target: Path) -> None:
        self._enter("rename")
        self._real.rename(path, target)

    def sync_directory(self, path: Path) -> None:
        self._enter("sync_directory")
        self._real.sync_directory(path)

    def used(self, path: Path) -> int:
        return self._real.used(path)

    def close(self, fd: int) -> None:
        self._real.close(fd)
