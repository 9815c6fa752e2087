"""A log and its copy elsewhere: what was signed arrives once and in order, and nothing else does."""

import errno
import random
import shutil
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import checkpoint, note, notes
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.files import Files, SystemFiles
from gateway.audit.layout import CHECKPOINTS
from gateway.audit.replica import InconsistentError, MisplacedError, Replica
from gateway.audit.source import Batch, LogSource
from gateway.audit.tree import EMPTY_ROOT, leaf_hash, root
from gateway.audit.writer import Timing
from gateway.errors import AuditError
from tests.audit.rig import KEY, ORIGIN, FaultyDisk, audit, end, event, opened, query

TRUSTED = note.verifier(ORIGIN, KEY.public_key())
EVERY = Timing(checkpoint_seconds=3600, checkpoint_events=10)


async def write(directory: Path, statements: int, *, segment_bytes: int = 4000) -> None:
    """Statements and their ends, a checkpoint each ten records, several segments; one stays open."""
    async with opened(directory, segment_bytes=segment_bytes, timing=EVERY) as log:
        await log.append([event(n=0)])
        for number in range(statements):
            statement = query(f"s{number % 3}", n=number)
            await log.append([statement])
            if number % 4:
                await log.append([end(statement)])


def copy_of(directory: Path, files: Files | None = None, *, segment_bytes: int = 3000) -> Replica:
    return Replica(directory, TRUSTED, files or SystemFiles(), segment_bytes=segment_bytes)


def source_of(directory: Path, most: int = 1) -> LogSource:
    return LogSource(directory, batch_bytes=most)


def give(replica: Replica, batch: Batch) -> Checkpoint:
    return replica.append(batch.first, batch.note, BytesIO(batch.lines))


def ship(source: LogSource, replica: Replica) -> int:
    """Everything that is signed; returns how many batches it took."""
    count = 0
    while (batch := source.batch(replica.head.size)) is not None:
        give(replica, batch)
        count += 1
    return count


def text(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(directory.glob("*.log")))


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    await write(tmp_path / "log", 60)
    return tmp_path / "log"


@pytest.mark.parametrize("most", [1, 5000, 10_000_000])
async def test_a_copy_is_the_log_whatever_the_size_of_a_batch(log: Path, tmp_path: Path, most: int) -> None:
    replica = copy_of(tmp_path / "copy")
    source = source_of(log, most)
    batches = ship(source, replica)
    assert (batches == 1) is (most == 10_000_000)
    assert text(tmp_path / "copy") == text(log)
    report = audit(tmp_path / "copy", trusted=source.newest()[0])
    assert (report.ok, report.findings) == (True, ())
    assert report.records == report.covered == source.newest()[0].size == replica.head.size
    assert source.batch(replica.head.size) is None


async def test_both_go_on_after_a_start(log: Path, tmp_path: Path) -> None:
    ship(source_of(log), copy_of(tmp_path / "copy"))
    source = source_of(log)
    for _ in range(3):
        await write(log, 7)
        ship(source, copy_of(tmp_path / "copy"))
        assert text(tmp_path / "copy") == text(log)
        assert audit(tmp_path / "copy").findings == ()


async def test_what_is_not_signed_yet_stays_here(tmp_path: Path) -> None:
    async with opened(tmp_path / "log", timing=Timing(checkpoint_seconds=3600)) as log:
        source = LogSource(tmp_path / "log")
        await log.append([event(n=1)])
        assert source.newest()[0] == Checkpoint(ORIGIN, 0, EMPTY_ROOT)
        assert source.batch(0) is None
    found = source.batch(0)
    assert found is not None
    assert (found.first, found.size) == (0, 1)


def test_the_root_of_each_size_is_that_of_its_records(log: Path) -> None:
    source = source_of(log)
    leaves = [leaf_hash(line) for line in text(log).splitlines()]
    for size in range(len(leaves) + 1):
        assert source.root_at(size) == root(leaves[:size])
    with pytest.raises(AuditError, match="ends before"):
        source.root_at(len(leaves) + 1)


def test_a_batch_is_stored_once(log: Path, tmp_path: Path) -> None:
    replica, source = copy_of(tmp_path / "copy"), source_of(log)
    first, second = source.batch(0), source.batch(10)
    assert first is not None
    assert second is not None
    with pytest.raises(MisplacedError, match="ends at record 0, the batch is from"):
        give(replica, second)
    give(replica, first)
    with pytest.raises(MisplacedError):
        give(replica, first)
    assert text(tmp_path / "copy") == first.lines


def signed(origin: str, size: int, head: bytes) -> bytes:
    return checkpoint.publish(Checkpoint(origin, size, head), KEY).encode()


def changed(batch: Batch, log: Path) -> dict[str, tuple[bytes, bytes]]:
    """A batch, its note and lines spoilt in every way that comes to mind."""
    lines = batch.lines.splitlines(keepends=True)
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    head = notes.head_of(batch.note)
    extended = batch.note.replace(b"\n\n", b"\nextension\n\n", 1)
    twice = batch.note + batch.note.splitlines(keepends=True)[-1]
    later = next(iter(notes.notes(log / CHECKPOINTS, 1 << 30, notes.after(log / CHECKPOINTS, batch.size))))
    return {
        "a record is missing": (batch.note, b"".join(lines[1:])),
        "the last record is missing": (batch.note, b"".join(lines[:-1])),
        "a record too many": (batch.note, b"".join([*lines, lines[-1]])),
        "swapped": (batch.note, b"".join([lines[1], lines[0], *lines[2:]])),
        "changed": (batch.note, batch.lines.replace(b'"n":1', b'"n":7')),
        "cut": (batch.note, batch.lines[:-1]),
        "not canonical": (batch.note, batch.lines.replace(b",", b", ", 1)),
        "empty": (batch.note, b""),
        "signed by another": (checkpoint.publish(head, other).encode(), batch.lines),
        "another origin": (signed("x/audit", head.size, head.root), batch.lines),
        "another size": (signed(ORIGIN, head.size + 1, head.root), batch.lines),
        "another root": (signed(ORIGIN, head.size, bytes(32)), batch.lines),
        "a later checkpoint": (later, batch.lines),
        "with an extension": (extended, batch.lines),
        "signed twice": (twice, batch.lines),
        "no checkpoint": (b"", batch.lines),
    }


def test_nothing_but_what_was_signed_is_stored(log: Path, tmp_path: Path) -> None:
    replica, source = copy_of(tmp_path / "copy"), source_of(log)
    first, second = source.batch(0), source.batch(10)
    assert first is not None
    assert second is not None
    give(replica, first)
    files = {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()}
    for what, (head, lines) in changed(second, log).items():
        with pytest.raises(AuditError):
            give(replica, Batch(second.first, second.size, head, lines))
        assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == files, what
    give(replica, second)
    assert audit(tmp_path / "copy").ok


async def test_another_past_of_the_same_origin_does_not_fit(log: Path, tmp_path: Path) -> None:
    replica = copy_of(tmp_path / "copy")
    ship(source_of(log), replica)
    size = replica.head.size
    await write(tmp_path / "fork", 80)
    batch = LogSource(tmp_path / "fork").batch(size)
    assert batch is not None
    with pytest.raises(InconsistentError):
        give(replica, batch)
    assert replica.head.size == size
    assert audit(tmp_path / "copy").ok


@pytest.mark.parametrize("call", ["open", "write", "sync"])
@pytest.mark.parametrize("partly", [False, True])
async def test_a_disk_that_fails_leaves_a_copy_that_goes_on(
    log: Path, tmp_path: Path, call: str, *, partly: bool
) -> None:
    disk, source = FaultyDisk(), source_of(log)
    replica = copy_of(tmp_path / "copy", disk)
    first = source.batch(0)
    assert first is not None
    give(replica, first)
    while (batch := source.batch(replica.head.size)) is not None:
        disk.fail(call, error=errno.ENOSPC, partly=partly)
        with pytest.raises(OSError, match="injected"):
            give(replica, batch)
        disk.heal()
        replica = copy_of(tmp_path / "copy", disk)
        give(replica, batch)
    assert text(tmp_path / "copy") == text(log)
    assert audit(tmp_path / "copy").findings == ()


async def test_whatever_an_interrupted_batch_left_is_cut_off(log: Path, tmp_path: Path) -> None:
    source, rng = source_of(log), random.Random(4)
    ship(source, copy_of(tmp_path / "whole"))
    for size in (0, 10, 50):
        copy = tmp_path / f"copy{size}"
        replica = copy_of(copy, segment_bytes=1 << 30)
        while replica.head.size < size:
            batch = source.batch(replica.head.size)
            assert batch is not None
            give(replica, batch)
        batch = source.batch(size)
        assert batch is not None
        path = max(copy.glob("*.log"))
        before = path.read_bytes()
        for _ in range(5):
            path.write_bytes(before + batch.lines[: rng.randrange(len(batch.lines))])
            again = copy_of(copy, segment_bytes=1 << 30)
            assert (again.head.size, path.read_bytes()) == (size, before)
        give(again, batch)
        assert audit(copy).findings == ()


def test_a_copy_that_was_touched_is_not_taken_up(log: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    ship(source_of(log), copy_of(copy))
    kept = shutil.copytree(copy, tmp_path / "kept")
    path = max(copy.glob("*.log"))
    path.write_bytes(path.read_bytes().replace(b"ada", b"eve"))
    with pytest.raises(AuditError, match="cannot be taken up"):
        copy_of(copy)
    shutil.rmtree(copy)
    shutil.copytree(kept, copy)
    (copy / CHECKPOINTS).unlink()
    with pytest.raises(AuditError, match="is missing"):
        copy_of(copy)
    (copy / CHECKPOINTS).touch()
    with pytest.raises(AuditError, match="is empty"):
        copy_of(copy)


@pytest.mark.parametrize("count", [0, 1, 2, 40, 400])
def test_a_checkpoint_is_found_by_the_size_it_covers(tmp_path: Path, count: int) -> None:
    path = tmp_path / "checkpoints"
    texts = [
        checkpoint.publish(Checkpoint(ORIGIN, 3 * number, bytes(32)), KEY).encode() for number in range(count)
    ]
    path.write_bytes(b"".join(texts))
    for size in range(0, 3 * count + 2, 7):
        at = notes.after(path, size)
        assert list(notes.notes(path, path.stat().st_size, at)) == texts[size // 3 + 1 :]
    if count:
        path.write_bytes(path.read_bytes() + b"example")
        assert notes.newest(path) == texts[-1]
