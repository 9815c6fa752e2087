"""Appending: durable before it is said, in order, in groups, one process at a time."""

import asyncio
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import uvloop

from gateway.audit import checkpoint, note
from gateway.audit.log import AuditLog
from gateway.audit.writer import Timing
from gateway.errors import AuditError
from gateway.model.event import Event, Kind
from gateway.observe.metrics import Metrics
from tests.audit.rig import (
    CLOCK,
    KEY,
    ORIGIN,
    FaultyDisk,
    audit,
    end,
    event,
    filled,
    kinds,
    opened,
    query,
    read,
    until,
)
from tests.steady import Steady


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def sizes(directory: Path) -> list[int]:
    """The sizes of all published checkpoints."""
    return [int(line) for line in (directory / "checkpoints").read_text().split("\n")[1::5]]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


async def test_an_event_is_durable_before_anybody_hears_of_it(directory: Path) -> None:
    disk = FaultyDisk()
    async with opened(directory, files=disk, deadline_seconds=10.0) as log:
        disk.go.clear()
        disk.calls.clear()
        future = log.append([event()])
        await until(lambda: "write" in disk.calls)
        await asyncio.sleep(0.05)
        assert not future.done()
        assert log.lag == 1
        disk.heal()
        await future
        assert disk.calls[:2] == ["write", "sync"]
        assert (log.size, log.lag) == (1, 0)


async def test_what_comes_in_one_turn_of_the_loop_is_one_write_and_one_sync(directory: Path) -> None:
    disk = FaultyDisk()
    async with opened(directory, files=disk, timing=Timing(checkpoint_seconds=60)) as log:
        disk.calls.clear()
        await asyncio.gather(*[log.append([event(), event()]) for _ in range(100)])
        assert disk.calls == ["write", "sync"]


async def test_order_is_kept_across_append_and_post(directory: Path) -> None:
    events = [event(n=number) for number in range(200)]
    async with opened(directory) as log:
        for number, item in enumerate(events):
            if number % 3 == 0:
                log.post(item)
            elif number % 3 == 1:
                _ = log.append([item])
            else:
                await log.append([item])
    assert [record.event for record in read(directory)] == events
    assert [record.index for record in read(directory)] == list(range(200))
    assert audit(directory).ok


async def test_an_outcome_needs_nobody_to_wait(directory: Path) -> None:
    async with opened(directory) as log:
        log.post(event())
        await until(lambda: log.size == 1)


async def test_closing_writes_what_waits_and_signs_it(directory: Path) -> None:
    async with opened(directory) as log:
        for _ in range(10):
            log.post(event())
    report = audit(directory)
    assert (report.ok, report.records, report.covered) == (True, 10, 10)


async def test_a_closed_log_takes_nothing(directory: Path) -> None:
    async with opened(directory) as log:
        pass
    assert not log.healthy
    with pytest.raises(AuditError, match="cannot be written: it is closed"):
        await log.append([event()])
    with pytest.raises(AuditError, match="it is closed"):
        log.post(event())
    await log.close()


async def test_a_checkpoint_comes_with_each_thousand_events(directory: Path) -> None:
    async with opened(directory, timing=Timing(checkpoint_seconds=3600)) as log:
        for _ in range(30):
            await asyncio.gather(*[log.append([event()]) for _ in range(100)])
        big = asyncio.gather(*[log.append([event()]) for _ in range(5000)])
        await big
    published = sizes(directory)
    assert published[-1] == 8000
    assert max(after - before for before, after in pairwise(published)) <= 1000


async def test_a_checkpoint_comes_within_a_second(directory: Path) -> None:
    disk = FaultyDisk()
    disk.is_quick = True
    async with opened(directory, files=disk) as log, Steady() as passed:
        await log.append([event()])
        trusted = note.verifier(ORIGIN, KEY.public_key())
        await until(lambda: checkpoint.verify(log.checkpoint().encode(), trusted).size == 1)
        assert passed.seconds < 1.0


async def test_an_event_that_cannot_be_recorded_spoils_only_itself(directory: Path) -> None:
    async with opened(directory) as log:
        good = log.append([event()])
        bad = log.append([event(ratio=0.5)])
        also_good = log.append([event()])
        with pytest.raises(AuditError, match=r"user\.login cannot be recorded"):
            await bad
        with pytest.raises(AuditError, match="cannot be recorded"):
            log.post(event(data=b"x"))
        await asyncio.gather(good, also_good)
        assert log.healthy
        assert log.size == 2


async def test_nothing_of_a_call_is_written_when_one_of_its_events_is_bad(directory: Path) -> None:
    async with opened(directory) as log:
        with pytest.raises(AuditError):
            await log.append([event(), event(ratio=0.5)])
    assert read(directory) == []


async def test_only_one_process_opens_a_log(directory: Path) -> None:
    async with opened(directory):
        with pytest.raises(AuditError, match="open in another process"):
            async with opened(directory):
                pass
    async with opened(directory) as log:
        assert log.healthy


async def test_nobody_else_can_read_the_log(directory: Path) -> None:
    await filled(directory, 3)
    assert mode(directory) == 0o700
    assert {mode(path) for path in everything(directory)} == {0o600}


async def test_a_directory_that_others_can_enter_is_refused(directory: Path) -> None:
    as_open_directory(directory)
    with pytest.raises(AuditError, match="has mode 0750"):
        async with opened(directory):
            pass


def as_open_directory(directory: Path) -> None:
    directory.mkdir(mode=0o750)


def as_link(directory: Path) -> None:
    target = directory.with_name("elsewhere")
    target.mkdir(mode=0o700)
    directory.symlink_to(target)


def as_file(directory: Path) -> None:
    directory.write_text("")


@pytest.mark.parametrize("make", [as_link, as_file])
async def test_what_is_not_a_directory_is_refused(directory: Path, make: Callable[[Path], None]) -> None:
    make(directory)
    with pytest.raises(AuditError, match="is not a directory"):
        async with opened(directory):
            pass


async def test_a_planted_link_is_not_followed(directory: Path, tmp_path: Path) -> None:
    await filled(directory, 3)
    log = directory / f"{0:020d}.log"
    log.rename(tmp_path / "moved.log")
    log.symlink_to(tmp_path / "moved.log")
    with pytest.raises(AuditError):
        async with opened(directory):
            pass


async def test_segments_follow_one_another(directory: Path) -> None:
    async with opened(directory, segment_bytes=10_000) as log:
        for number in range(300):
            await log.append([event(n=number)])
    segments = [path for path in everything(directory) if path.suffix == ".log"]
    assert len(segments) > 3
    assert all(path.stat().st_size < 11_000 for path in segments)
    assert [record.event.fields["n"] for record in read(directory)] == list(range(300))
    assert audit(directory).ok
    async with opened(directory, segment_bytes=10_000) as log:
        assert log.size == 300
        await log.append([event(n=300)])
    assert audit(directory).records == 301


async def test_a_statement_whose_caller_gave_up_is_marked_as_not_forwarded(directory: Path) -> None:
    statement = query()
    async with opened(directory) as log:
        future = log.append([statement])
        future.cancel()
        await until(lambda: log.size == 2)
    last = read(directory)[-1].event
    assert last.kind is Kind.SESSION_QUERY_END
    assert last.fields["query_id"] == statement.id
    assert last.fields["outcome"] == "not_forwarded"
    assert last.fields["user"] == "ada"


async def test_the_end_of_a_session_closes_what_it_left_open(directory: Path) -> None:
    left, done = query(), query()
    async with opened(directory) as log:
        await log.append([event(Kind.SESSION_START, session_id="s1", user="ada"), left, done])
        log.post(end(done))
        log.post(event(Kind.SESSION_END, session_id="s1"))
        await until(lambda: log.size == 6)
        assert log.lag == 0
    closed = read(directory)[-1].event
    assert (closed.kind, closed.fields["query_id"]) == (Kind.SESSION_QUERY_END, left.id)
    assert (closed.fields["outcome"], closed.fields["reason"]) == ("unknown", "session ended")
    async with opened(directory) as log:
        assert log.size == 6  # nothing was left to close at the start


async def test_metrics_are_told(directory: Path) -> None:
    metrics = Metrics()
    async with opened(directory, metrics=metrics) as log:
        await log.append([event(), event()])
        text = metrics.render().decode()
        assert "regate_audit_healthy 1.0" in text
        assert "regate_audit_records_total 2.0" in text
        assert "regate_audit_durable_seconds_count 1.0" in text
        assert "regate_audit_lag_records 0.0" in text
        await until(lambda: "regate_audit_disk_used_percent" in metrics.render().decode())
    assert "regate_audit_healthy 0.0" in metrics.render().decode()


def test_it_runs_on_uvloop(directory: Path) -> None:
    async def work() -> None:
        async with opened(directory) as log:

            async def writer() -> None:
                for _ in range(50):
                    statement = query()
                    await log.append([statement])
                    log.post(end(statement))

            async with asyncio.TaskGroup() as group:
                for _ in range(16):
                    group.create_task(writer())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    report = audit(directory)
    assert (report.ok, report.records) == (True, 1600)


async def test_a_key_of_another_log_is_refused(directory: Path) -> None:
    await filled(directory, 3)
    with pytest.raises(AuditError, match="not signed by"):
        await AuditLog.open(directory, key=KEY, origin="other.example/log", clock=CLOCK, reserve_bytes=0)


async def test_an_append_of_nothing_is_done(directory: Path) -> None:
    nothing: list[Event] = []
    async with opened(directory) as log:
        await log.append(nothing)
        assert log.size == 0
    assert kinds(directory) == []
