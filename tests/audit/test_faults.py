"""A disk that fails, fills up, forgets or hangs: nothing is acknowledged that is not there."""

import asyncio
import errno
import os
import resource
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.audit.log import AuditLog
from gateway.errors import AuditError
from gateway.model.event import Event, Kind
from tests.audit.rig import FaultyDisk, audit, end, event, hang, kinds, opened, query, read, until
from tests.steady import Steady

FAULTS = [
    (errno.ENOSPC, "no space left on device"),
    (errno.EDQUOT, "disk quota exceeded"),
    (errno.EIO, "input/output error"),
    (errno.EROFS, "read-only file system"),
    (errno.EFBIG, "file too large"),
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


async def refused(log: AuditLog, item: Event) -> str:
    """Append an event that must be refused; the reason."""
    with pytest.raises(AuditError) as caught:
        await log.append([item])
    return str(caught.value)


@pytest.mark.parametrize("partly", [False, True], ids=["nothing-written", "half-written"])
@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize(("error", "words"), FAULTS, ids=str)
async def test_a_fault_refuses_and_is_got_over(
    directory: Path, error: int, words: str, call: str, *, partly: bool
) -> None:
    disk = FaultyDisk()
    before, lost, after, outcome = query(), query(), query(), event(n=1)
    async with opened(directory, files=disk) as log:
        await log.append([before])
        disk.fail(call, error=error, partly=partly)
        assert await refused(log, lost) == f"audit log cannot be written: {words}"
        assert (log.healthy, log.reason) == (False, words)
        log.post(outcome)
        async with Steady() as passed:
            assert words in await refused(log, lost)
            assert passed.seconds < 0.1  # while it is known to be down, nobody waits
        disk.heal()
        await until(lambda: log.healthy)
        await log.append([after])
    ids = [record.event.id for record in read(directory)]
    assert {before.id, after.id, outcome.id} <= set(ids)
    assert len(ids) == len(set(ids))
    assert lost.id not in ids
    assert "audit.resumed" in kinds(directory)
    assert audit(directory).ok


@pytest.mark.parametrize("call", ["open", "read", "truncate", "write", "sync", "allocate", "remove"])
async def test_a_repair_that_fails_is_tried_again(directory: Path, call: str) -> None:
    disk = FaultyDisk()
    async with opened(directory, files=disk) as log:
        await log.append([event(n=1)])
        disk.fail("write", "sync", call, error=errno.ENOSPC, partly=True)
        await refused(log, event(n=2))
        disk.fail(call, error=errno.ENOSPC, partly=True)
        await asyncio.sleep(0.1)
        disk.heal()
        await until(lambda: log.healthy)
        await log.append([event(n=3)])
    assert [record.event.fields["n"] for record in read(directory) if "n" in record.event.fields] == [1, 3]
    assert audit(directory).ok


@pytest.mark.parametrize("call", ["write", "sync"])
async def test_outcomes_are_kept_in_order_while_it_is_down(directory: Path, call: str) -> None:
    disk = FaultyDisk()
    statements = [query() for _ in range(50)]
    async with opened(directory, files=disk) as log:
        await log.append(statements)
        disk.fail(call, error=errno.EIO)
        await refused(log, event())
        ends = [end(statement) for statement in statements]
        for item in ends:
            log.post(item)
        assert log.lag == 50
        await asyncio.sleep(0.1)
        disk.heal()
        await until(lambda: log.healthy)
        assert log.lag == 0
    found = [record.event for record in read(directory, kinds=(Kind.SESSION_QUERY_END,))]
    assert found == ends
    assert audit(directory).ok


async def test_what_is_in_the_same_group_shares_its_fate_in_order(directory: Path) -> None:
    disk = FaultyDisk()
    async with opened(directory, files=disk) as log:
        disk.fail("sync", error=errno.EIO)
        first, outcome, second = event(n=1), event(n=2), event(n=3)
        one = log.append([first])
        log.post(outcome)
        two = log.append([second])
        for future in (one, two):
            with pytest.raises(AuditError):
                await future
        disk.heal()
        await until(lambda: log.healthy)
    ids = [record.event.id for record in read(directory)]
    assert outcome.id in ids
    assert first.id not in ids
    assert second.id not in ids


async def test_a_full_disk_gets_last_words_from_the_reserve(directory: Path) -> None:
    class Full(FaultyDisk):
        """There is room only while the reserve is given back."""

        def _enter(self, call: str) -> None:
            if call == "write" and "write" in self.failing and not (directory / "reserve").exists():
                self.calls.append(call)
                return
            super()._enter(call)

    disk = Full()
    async with opened(directory, files=disk, reserve_bytes=100_000) as log:
        assert (directory / "reserve").stat().st_size == 100_000
        disk.fail("write", "allocate", error=errno.ENOSPC)
        statement = query()
        assert "no space left on device" in await refused(log, statement)
        log.post(event(n=1))
        await until(lambda: len(kinds(directory)) == 2)
        assert kinds(directory) == ["audit.stopped", "user.login"]
        assert not log.healthy
        assert not (directory / "reserve").exists()
        await asyncio.sleep(0.1)
        assert not log.healthy  # the room it has given itself is not room to go on
        disk.heal()
        await until(lambda: log.healthy)
        assert (directory / "reserve").stat().st_size == 100_000
    assert kinds(directory) == ["audit.stopped", "user.login", "audit.resumed"]
    stopped = read(directory)[0].event
    assert stopped.fields == {"reason": "no space left on device"}
    assert audit(directory).ok


async def test_no_room_for_the_reserve_is_no_start(directory: Path) -> None:
    disk = FaultyDisk()
    disk.fail("allocate", error=errno.ENOSPC)
    with pytest.raises(AuditError, match="cannot be opened: no space left on device"):
        async with opened(directory, files=disk):
            pass
    async with opened(directory) as log:
        assert log.healthy


class Forgetful(FaultyDisk):
    """After a failed sync the kernel has dropped the pages, and shows what is on the disk: zeros."""

    def __init__(self, path: Path, *, also_before: int = 0) -> None:
        super().__init__()
        self._path, self._also = path, also_before
        self._durable = 0

    def sync(self, fd: int) -> None:
        try:
            super().sync(fd)
        except OSError:
            self._forget(fd)
            raise
        if Path(f"/proc/self/fd/{fd}").readlink() == self._path:
            self._durable = os.fstat(fd).st_size

    def _forget(self, fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink() == self._path:
            start = max(0, self._durable - self._also)
            os.pwrite(fd, bytes(os.fstat(fd).st_size - start), start)


async def test_a_failed_sync_is_never_taken_for_a_good_one(directory: Path) -> None:
    disk = Forgetful(directory / f"{0:020d}.log")
    async with opened(directory, files=disk) as log:
        await log.append([event(n=1)])
        disk.fail("sync", error=errno.EIO)
        await refused(log, event(n=2))
        disk.heal()
        await until(lambda: log.healthy)
        await log.append([event(n=3)])
    assert [record.event.fields["n"] for record in read(directory) if "n" in record.event.fields] == [1, 3]
    assert audit(directory).ok


async def test_a_disk_that_lost_confirmed_records_stops_the_log_for_good(directory: Path) -> None:
    disk = Forgetful(directory / f"{0:020d}.log", also_before=10)
    async with opened(directory, files=disk) as log:
        await log.append([event(n=1)])
        disk.fail("sync", error=errno.EIO)
        await refused(log, event(n=2))
        disk.heal()
        await until(lambda: "does not hold the records" in log.reason)
        assert "does not hold the records" in await refused(log, event(n=3))


async def test_records_changed_behind_its_back_are_not_signed(directory: Path) -> None:
    async with opened(directory) as log:
        await log.append([event(n=1)])
        change(directory / f"{0:020d}.log")
        await until(lambda: "does not hold the records" in log.reason)
        await refused(log, event(n=2))


def change(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":9'))


@pytest.mark.parametrize("call", ["write", "sync", "rename", "open", "sync_directory"])
async def test_a_new_segment_that_cannot_be_made_is_a_fault_like_any(directory: Path, call: str) -> None:
    disk = FaultyDisk()
    async with opened(directory, files=disk, segment_bytes=500) as log:
        while (directory / f"{0:020d}.log").stat().st_size < 500:
            await log.append([event(n=1)])
        disk.fail(call, error=errno.ENOSPC)
        await refused(log, event(n=2))
        await asyncio.sleep(0.05)
        disk.heal()
        await until(lambda: log.healthy)
        await log.append([event(n=3)])
    report = audit(directory)
    assert report.ok, report.findings
    assert len(list_logs(directory)) >= 2


def list_logs(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.log"))


async def test_a_checkpoint_that_cannot_be_published_stops_the_log(directory: Path) -> None:
    disk = FaultyDisk()
    async with opened(directory, files=disk) as log:
        await log.append([event(n=1)])
        disk.fail("write", "sync", error=errno.ENOSPC, partly=True)
        await until(lambda: not log.healthy)
        disk.heal()
        await until(lambda: log.healthy)
    assert audit(directory).ok
    assert kinds(directory)[0] == "user.login"


async def test_a_hanging_disk_refuses_within_the_deadline(directory: Path) -> None:
    disk = FaultyDisk()
    first, second = query(), event(n=1)
    async with opened(directory, files=disk) as log:
        await log.append([event(n=0)])
        usual = hang(disk, log, notice_after=0.2)
        async with Steady() as passed:
            started = time.monotonic()
            message = await refused(log, first)
            assert message == "audit log cannot be written: the disk has not answered for 0.2 s"
            assert time.monotonic() - started > 0.15
            assert passed.seconds < 1.0
        assert not log.healthy
        assert "has not answered" in await refused(log, query())
        log.post(second)
        log.outstanding.deadline_seconds = usual
        disk.heal()
        await until(lambda: log.healthy and log.lag == 0)
        await log.append([event(n=2)])
    events = [record.event for record in read(directory)]
    assert second.id in [item.id for item in events]
    late = [item for item in events if item.fields.get("query_id") == first.id]
    assert [item.fields["outcome"] for item in late] == ["not_forwarded"]
    resumed = [item for item in events if item.kind is Kind.AUDIT_RESUMED]
    assert [item.fields["refused"] for item in resumed] == [2]
    assert audit(directory).ok


async def test_closing_does_not_wait_for_a_hanging_disk(directory: Path) -> None:
    disk = FaultyDisk()
    async with opened(directory, files=disk) as log:
        hang(disk, log, notice_after=0.2)
        future = log.append([event()])
        async with Steady() as passed:
            await log.close()
            assert passed.seconds < 2.0
        with pytest.raises(AuditError):
            await future
    disk.heal()


async def test_ten_thousand_statements_on_a_failing_disk_are_forwarded_only_with_a_record(
    directory: Path,
) -> None:
    """The order of the whole program in small: record, then forward; the disk fails again and again."""
    disk = FaultyDisk()
    forwarded: list[str] = []

    async with opened(directory, files=disk) as log:

        async def session(number: int) -> None:
            for _ in range(400):
                statement = query(f"s{number}")
                try:
                    await log.append([statement])
                except AuditError:
                    await asyncio.sleep(0.001)
                    continue
                forwarded.append(statement.id)
                log.post(end(statement))

        async def trouble() -> None:
            errors = [errno.EIO, errno.ENOSPC, errno.EROFS]
            while True:
                await asyncio.sleep(0.05)
                disk.fail(
                    "write" if len(forwarded) % 2 else "sync", error=errors[len(forwarded) % 3], partly=True
                )
                await asyncio.sleep(0.02)
                disk.heal()

        async with asyncio.TaskGroup() as group:
            faults = group.create_task(trouble())
            sessions = [group.create_task(session(number)) for number in range(25)]
            await asyncio.wait(sessions)
            faults.cancel()
        disk.heal()
        await until(lambda: log.healthy)
    events = [record.event for record in read(directory)]
    recorded = {item.id for item in events if item.kind is Kind.SESSION_QUERY}
    ended = [item.fields["query_id"] for item in events if item.kind is Kind.SESSION_QUERY_END]
    assert set(forwarded) <= recorded
    assert sorted(ended) == sorted(set(ended))
    assert set(ended) == recorded
    assert 0 < len(forwarded) < 10_000  # some were refused, or nothing was tested
    assert audit(directory).ok


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte, where the tests may mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    target = tmp_path / "tiny"
    target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "tmpfs", str(target)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine does not let the tests mount a file system")
    yield target
    subprocess.run(["umount", "-l", str(target)], check=True)


async def test_a_disk_that_is_really_full(tiny: Path) -> None:
    directory = tiny / "audit"
    filler = tiny / "filler"
    acknowledged: list[str] = []
    async with opened(directory, reserve_bytes=64 * 1024) as log:

        async def until_full() -> str:
            while True:
                item = event(text="x" * 2000)
                try:
                    await log.append([item])
                except AuditError as error:
                    return str(error)
                acknowledged.append(item.id)

        fill(filler, 200_000)
        assert await until_full() == "audit log cannot be written: no space left on device"
        await until(lambda: "audit.stopped" in kinds(directory))
        assert not log.healthy
        await refused(log, event())
        fill(filler, 0)
        await until(lambda: log.healthy)
        await log.append([event(n=1)])
    ids = [record.event.id for record in read(directory)]
    assert len(acknowledged) > 50
    assert set(acknowledged) <= set(ids)
    assert audit(directory).ok


def fill(path: Path, size: int) -> None:
    path.write_bytes(bytes(size))


LIMITED = """
    import asyncio, resource, signal, sys
    from pathlib import Path
    from gateway.errors import AuditError
    from tests.audit.rig import event, opened, until, kinds, audit

    async def main(directory):
        async with opened(directory, reserve_bytes=0) as log:
            count = 0
            while True:
                try:
                    await log.append([event(text="x" * 1000)])
                except AuditError as error:
                    print(count, error, file=sys.stderr)
                    break
                count += 1
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            await until(lambda: log.healthy)
            await log.append([event(n=1)])
            print(kinds(directory).count("user.login"), audit(directory).ok, file=sys.stderr)

    asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_file_that_may_not_grow(directory: Path) -> None:
    """The kernel itself refuses, in the middle of a record, without any privilege."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), str(directory)],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stderr.splitlines()
    count, _, words = first.partition(" ")
    assert words == "audit log cannot be written: file too large"
    assert 30 < int(count) < 50
    assert second == f"{int(count) + 1} True"


def empty(directory: Path, left: str) -> None:
    """Remove every file but those whose names end so."""
    for path in directory.iterdir():
        if not (left and path.name.endswith(left)):
            path.unlink()


@pytest.mark.parametrize("left", ["", "checkpoints", ".log"], ids=["nothing", "checkpoints", "the log"])
async def test_what_is_written_to_a_file_that_was_removed_is_not_confirmed(
    directory: Path, left: str
) -> None:
    async with opened(directory) as log:
        await log.append([query()])
        empty(directory, left)
        if left == ".log":  # the records are there, and nobody can sign for them any more
            await log.append([query()])
            await until(lambda: not log.healthy)
        assert "no such file or directory" in await refused(log, query())
        assert not log.healthy
