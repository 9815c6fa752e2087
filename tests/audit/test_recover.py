"""Taking up a log: what a crash leaves is closed and told of, what does not fit stops the start."""

import asyncio
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.audit.encode import canonical
from gateway.audit.writer import Timing
from gateway.errors import AuditError
from gateway.model.event import Kind
from tests.audit.rig import FaultyDisk, audit, end, event, filled, kinds, opened, query, read

QUIET = Timing(checkpoint_seconds=3600)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def first(directory: Path) -> Path:
    return directory / f"{0:020d}.log"


async def crashed(directory: Path, to: Path, count: int = 3, covered: int = 2) -> Path:
    """A copy of a log as a crash leaves it: *covered* of its records are behind the last checkpoint."""
    await filled(directory, covered)
    async with opened(directory, timing=QUIET) as log:
        await log.append([event(n=number) for number in range(covered, count)])
        shutil.copytree(directory, to)
    return to


TAILS = [
    b"{",
    b'{"fields":{},"id":"x","index":3,"kind":"user.login","time":"2023-11-14T22:13:20.123456789Z"}',
    b'{"fields":{},"id":"x","index":4,"kind":"user.login","time":"2023-11-14T22:13:20.123456789Z"}\n',
    b"\0" * 4096,
    b"\n",
    b"\xff\xfe\n\n\n",
    b"x" * 3_000_000,
]


@pytest.mark.parametrize("tail", TAILS, ids=lambda tail: str(tail[:12] + tail[-12:]))
async def test_a_torn_tail_is_kept_aside_and_told_of(directory: Path, tmp_path: Path, tail: bytes) -> None:
    log_copy = await crashed(directory, tmp_path / "copy")
    append(first(log_copy), tail)
    async with opened(log_copy) as log:
        assert log.size == 4
        await log.append([event(n=4)])
    [kept] = (log_copy / "quarantine").iterdir()
    assert kept.read_bytes() == tail
    assert kept.name.startswith(f"{3:020d}-")
    resumed = read(log_copy)[3].event
    assert resumed.kind is Kind.AUDIT_RESUMED
    assert resumed.fields["quarantined_bytes"] == len(tail)
    assert resumed.fields["quarantined_sha256"] == sha256(tail).hexdigest()
    assert audit(log_copy).ok


def append(path: Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


async def test_whole_records_that_nobody_was_told_of_stay(directory: Path, tmp_path: Path) -> None:
    log_copy = await crashed(directory, tmp_path / "copy")
    append(first(log_copy), canonical(event(n=3), 3) + b"\n")
    async with opened(log_copy) as log:
        assert log.size == 4
    assert [record.event.fields["n"] for record in read(log_copy)] == [0, 1, 2, 3]
    assert audit(log_copy).ok


async def test_what_a_dead_process_wrote_is_synced_before_it_is_signed(
    directory: Path, tmp_path: Path
) -> None:
    log_copy = await crashed(directory, tmp_path / "copy", count=5, covered=2)
    disk = FaultyDisk()
    disk.fail("sync")
    with pytest.raises(AuditError, match="cannot be opened: input/output error"):
        async with opened(log_copy, files=disk, reserve_bytes=0):
            pass
    disk.heal()
    disk.calls.clear()
    async with opened(log_copy, files=disk, reserve_bytes=0) as log:
        assert log.size == 5
        assert "write" not in disk.calls[: disk.calls.index("sync")]
    assert audit(log_copy).covered == 5


async def test_open_intents_are_closed_before_anything_else(directory: Path, tmp_path: Path) -> None:
    started = event(Kind.SESSION_START, session_id="s1", user="ada", database="sales")
    left, done, other = query("s1", decision_id="d1"), query("s1"), query("s2")
    async with opened(directory) as log:
        await log.append([started, left, done, other])
        await log.append([end(done)])
        shutil.copytree(directory, tmp_path / "copy")
    async with opened(tmp_path / "copy") as log:
        assert log.size == 9
    events = [record.event for record in read(tmp_path / "copy")][5:]
    assert events[0].fields == {"reason": "start", "closed_intents": 3}
    assert [item.fields.get("query_id") for item in events[1:]] == [left.id, other.id, None]
    assert [item.kind for item in events[1:]] == [Kind.SESSION_QUERY_END] * 2 + [Kind.SESSION_END]
    assert all(item.fields["outcome"] == "unknown" for item in events[1:])
    assert events[1].fields["user"] == "ada"
    assert events[1].fields["decision_id"] == "d1"
    assert "statement" not in events[1].fields
    async with opened(tmp_path / "copy") as log:
        assert log.size == 9
    assert audit(tmp_path / "copy").ok


async def test_an_intent_from_an_earlier_segment_is_closed_too(directory: Path, tmp_path: Path) -> None:
    left = query()
    async with opened(directory, segment_bytes=1000) as log:
        await log.append([left])
        for number in range(50):
            await log.append([event(n=number)])
        shutil.copytree(directory, tmp_path / "copy")
    async with opened(tmp_path / "copy", segment_bytes=1000):
        pass
    assert read(tmp_path / "copy")[-1].event.fields["query_id"] == left.id
    assert audit(tmp_path / "copy").ok


async def test_a_crash_between_any_two_files_of_a_new_segment_is_got_over(
    directory: Path, tmp_path: Path
) -> None:
    async with opened(directory, segment_bytes=1000) as log:
        for number in range(50):
            await log.append([event(n=number)])
    last = newest(directory, ".log")
    for number, gone in enumerate([(".log",), (".log", ".leaves"), (".log", ".leaves", ".state")]):
        log_copy = shutil.copytree(directory, tmp_path / str(number))
        strip(log_copy, int(last.stem))
        for suffix in gone:
            (log_copy / last.name).with_suffix(suffix).unlink()
        (log_copy / f"{last.stem}.draft").write_bytes(b"half a st")
        async with opened(log_copy, segment_bytes=1000) as log:
            assert log.size == int(last.stem)
            await log.append([event(n=99)])
            await log.append([event(n=100)])
        assert audit(log_copy).ok


def newest(directory: Path, suffix: str) -> Path:
    return max(directory.glob(f"*{suffix}"))


def strip(directory: Path, size: int) -> None:
    """Make a log that ends with *size*, where its newest segment begins."""
    notes = (directory / "checkpoints").read_text().split("\n")
    kept = [notes[at : at + 5] for at in range(0, len(notes) - 1, 5) if int(notes[at + 1]) <= size]
    (directory / "checkpoints").write_text("".join(line + "\n" for note in kept for line in note))


async def test_leaf_files_are_mended(directory: Path) -> None:
    await filled(directory, 5)
    leaves = first(directory).with_suffix(".leaves")
    right = leaves.read_bytes()
    for wrong in (b"", right[:33], bytes(len(right)), right + b"more"):
        leaves.write_bytes(wrong)
        async with opened(directory):
            pass
        assert leaves.read_bytes() == right
    leaves.unlink()
    async with opened(directory):
        pass
    assert leaves.read_bytes() == right


@pytest.mark.parametrize("size", [1, 20, 60, 120])
async def test_a_torn_checkpoint_is_signed_again(directory: Path, size: int) -> None:
    await filled(directory, 5)
    notes = directory / "checkpoints"
    whole = notes.read_bytes()
    append(notes, whole[-150:][:size])
    async with opened(directory) as log:
        assert log.size == 5
        await log.append([event(n=5)])
    assert audit(directory).ok
    assert notes.read_bytes().startswith(whole)


def lose_a_covered_record(directory: Path) -> None:
    path = first(directory)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def lose_all_records(directory: Path) -> None:
    first(directory).unlink()


def lose_the_checkpoints(directory: Path) -> None:
    (directory / "checkpoints").unlink()


def empty_the_checkpoints(directory: Path) -> None:
    (directory / "checkpoints").write_bytes(b"")


def change_a_record(directory: Path) -> None:
    path = first(directory)
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n":7'))


def break_a_record(directory: Path) -> None:
    path = first(directory)
    path.write_bytes(path.read_bytes().replace(b'"n":1', b'"n";1'))


def change_the_checkpoint(directory: Path) -> None:
    path = directory / "checkpoints"
    path.write_bytes(path.read_bytes().replace(b"\n5\n", b"\n4\n"))


@pytest.mark.parametrize(
    "spoil",
    [
        lose_a_covered_record,
        lose_all_records,
        lose_the_checkpoints,
        empty_the_checkpoints,
        change_a_record,
        break_a_record,
        change_the_checkpoint,
    ],
)
async def test_a_log_that_does_not_fit_is_not_written_to(
    directory: Path, spoil: Callable[[Path], None]
) -> None:
    await filled(directory, 5)
    spoil(directory)
    before = contents(directory)
    with pytest.raises(AuditError) as caught:
        async with opened(directory):
            pass
    assert "audit log cannot be taken up" in str(caught.value) or "does not fit" in str(caught.value)
    assert contents(directory) == before
    assert not audit(directory).ok


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"}


async def test_a_spoiled_state_stops_the_start(directory: Path) -> None:
    async with opened(directory, segment_bytes=1000) as log:
        for number in range(50):
            await log.append([event(n=number)])
    damage(newest(directory, ".state"))
    with pytest.raises(AuditError):
        async with opened(directory):
            pass


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


async def test_a_start_that_was_interrupted_is_repeated(directory: Path) -> None:
    """An empty segment without a checkpoint: nothing was recorded yet."""
    await filled(directory, 0)
    (directory / "checkpoints").unlink()
    async with opened(directory) as log:
        await log.append([event(n=1)])
    assert audit(directory).ok


async def test_opening_and_closing_writes_nothing(directory: Path) -> None:
    await filled(directory, 5)
    before = contents(directory)
    for _ in range(3):
        async with opened(directory):
            await asyncio.sleep(0)
    assert contents(directory) == before
    assert kinds(directory) == ["user.login"] * 5
