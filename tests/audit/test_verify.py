"""Tampering: whatever is done to the files, the auditor notices and names the first bad record."""

import asyncio
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import checkpoint, note
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.encode import canonical, decode
from gateway.audit.tree import leaf_hash
from gateway.audit.verify import verify
from gateway.audit.writer import Timing
from gateway.model.event import Event
from tests.audit.rig import KEY, ORIGIN, audit, end, event, opened, query

COUNT = 120
EVERY = 25  # records between checkpoints


async def write(directory: Path) -> None:
    timing = Timing(checkpoint_seconds=3600, checkpoint_events=EVERY)
    async with opened(directory, segment_bytes=6000, timing=timing) as log:
        for number in range(COUNT // 2):
            statement = query(f"s{number % 7}", n=number)
            await log.append([statement])
            await log.append([event(n=number) if number % 5 == 0 else end(statement)])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of several segments with a checkpoint each 25 records."""
    directory = tmp_path_factory.mktemp("original") / "audit"
    asyncio.run(write(directory))
    return directory


@pytest.fixture
def log(original: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(original, tmp_path / "audit")


def logs(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.log"))


def lines(directory: Path) -> list[bytes]:
    return [line for path in logs(directory) for line in path.read_bytes().splitlines(keepends=True)]


def rewrite(directory: Path, change: Callable[[list[bytes]], None], *, at: int) -> None:
    """Apply *change* to the lines of the segment that holds record *at*; its own index is passed along."""
    path = [path for path in logs(directory) if int(path.stem) <= at][-1]
    found = path.read_bytes().splitlines(keepends=True)
    change(found)
    path.write_bytes(b"".join(found))


def place(directory: Path, at: int) -> int:
    """Where record *at* stands in its segment."""
    return at - [int(path.stem) for path in logs(directory) if int(path.stem) <= at][-1]


def head(directory: Path) -> Checkpoint:
    text = "\n".join((directory / "checkpoints").read_text().split("\n")[-6:])
    return checkpoint.verify(text.encode(), note.verifier(ORIGIN, KEY.public_key()))


def test_an_untouched_log_is_good(log: Path) -> None:
    assert len(logs(log)) > 3
    report = audit(log, trusted=head(log))
    assert (report.ok, report.findings, report.first_bad) == (True, (), None)
    assert (report.records, report.covered) == (COUNT, COUNT)
    assert report.checkpoint == head(log)
    assert verify(log, KEY.public_key()) == report


def flip_every(directory: Path, offsets: list[int], path: Path) -> None:
    """Flip one bit at each offset in turn, and look."""
    data = path.read_bytes()
    starts, at = [], 0
    for line in data.splitlines(keepends=True):
        starts.append(at)
        at += len(line)
    first = int(path.stem)
    for offset in offsets:
        changed = bytearray(data)
        changed[offset >> 3] ^= 1 << (offset & 7)
        path.write_bytes(changed)
        report = audit(directory)
        bad = first + max(number for number, start in enumerate(starts) if start <= offset >> 3)
        assert not report.ok
        assert report.first_bad == bad, (offset, report.findings)
    path.write_bytes(data)
    assert audit(directory).ok


@pytest.mark.parametrize("segment", [0, 2, -1])
def test_a_flipped_bit_names_its_record(log: Path, segment: int) -> None:
    path = logs(log)[segment]
    rng = random.Random(segment)
    flip_every(log, rng.sample(range(path.stat().st_size * 8), 120), path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_each_flipped_bit_names_its_record(log: Path) -> None:
    for path in logs(log):
        flip_every(log, list(range(path.stat().st_size * 8)), path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
async def test_flipped_bits_in_a_log_of_ten_thousand_events(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    async with opened(directory) as log:
        for _ in range(10):
            await log.append([event(n=number) for number in range(1000)])
    path = logs(directory)[0]
    flip_every(directory, random.Random(0).sample(range(path.stat().st_size * 8), 300), path)


@pytest.mark.parametrize("at", [0, 1, 24, 25, 26, 60, COUNT - 2, COUNT - 1])
def test_a_deleted_record_is_named(log: Path, at: int) -> None:
    rewrite(log, lambda found: found.__delitem__(place(log, at)), at=at)
    report = audit(log)
    assert (report.ok, report.first_bad) == (False, at)


@pytest.mark.parametrize("at", [0, 1, 25, 60, COUNT - 1])
def test_an_inserted_record_is_named(log: Path, at: int) -> None:
    rewrite(log, lambda found: found.insert(place(log, at), found[place(log, at)]), at=at)
    report = audit(log)
    assert (report.ok, report.first_bad) == (False, at + 1)


def test_a_record_invented_at_the_end_is_not_covered(log: Path) -> None:
    rewrite(log, lambda found: found.append(canonical(event(n=1), COUNT) + b"\n"), at=COUNT - 1)
    report = audit(log)
    assert (report.records, report.covered) == (COUNT + 1, COUNT)


@pytest.mark.parametrize("at", [0, 25, 60, COUNT - 2])
def test_swapped_records_are_named(log: Path, at: int) -> None:
    def swap(found: list[bytes]) -> None:
        here = place(log, at)
        if here + 1 < len(found):
            found[here], found[here + 1] = found[here + 1], found[here]
        else:
            found[here - 1], found[here] = found[here], found[here - 1]

    rewrite(log, swap, at=at)
    report = audit(log)
    assert not report.ok
    assert report.first_bad in {at, at - 1}


@pytest.mark.parametrize("at", [3, 25, 70, COUNT - 1])
def test_a_record_rewritten_with_its_stored_leaf_is_narrowed_down(log: Path, at: int) -> None:
    """Who can write one file can write the other: then the checkpoints around it are what is left."""

    def forge(found: list[bytes]) -> None:
        record = decode(found[place(log, at)][:-1])
        changed = Event(record.event.kind, record.event.id, record.event.time_ns, {"user": "nobody"})
        found[place(log, at)] = canonical(changed, at) + b"\n"

    rewrite(log, forge, at=at)
    path = [path for path in logs(log) if int(path.stem) <= at][-1].with_suffix(".leaves")
    leaves = bytearray(path.read_bytes())
    leaves[place(log, at) * 32 : (place(log, at) + 1) * 32] = leaf_hash(lines(log)[at][:-1])
    path.write_bytes(leaves)
    report = audit(log)
    assert not report.ok
    assert report.first_bad is not None
    assert report.first_bad <= at < report.first_bad + EVERY
    assert "are not those that were signed" in report.findings[-1].message


@pytest.mark.parametrize("keep", [0, 1, 24, 25, 60, COUNT - 1])
def test_a_truncated_log_is_noticed_by_its_own_checkpoint(log: Path, keep: int) -> None:
    for path in logs(log):
        first = int(path.stem)
        found = path.read_bytes().splitlines(keepends=True)
        if first > keep:
            path.unlink()
        else:
            path.write_bytes(b"".join(found[: keep - first]))
    report = audit(log)
    assert (report.ok, report.first_bad) == (False, keep)
    assert "is missing" in report.findings[-1].message


def test_a_log_cut_inside_of_a_record_is_noticed(log: Path) -> None:
    path = logs(log)[-1]
    path.write_bytes(path.read_bytes()[:-1])
    assert audit(log).first_bad == COUNT - 1


def test_a_missing_segment_is_noticed(log: Path) -> None:
    path = logs(log)[2]
    path.unlink()
    report = audit(log)
    assert (report.ok, report.first_bad) == (False, int(path.stem))


async def test_an_older_copy_of_everything_is_noticed_by_a_checkpoint_kept_elsewhere(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    async with opened(directory) as log:
        await log.append([event(n=number) for number in range(10)])
    older = shutil.copytree(directory, tmp_path / "older")
    async with opened(directory) as log:
        await log.append([event(n=10)])
    kept = head(directory)
    assert audit(older).ok  # the copy is a good log: nothing in it can tell
    report = audit(older, trusted=kept)
    assert (report.ok, report.first_bad) == (False, 10)
    assert "the trusted checkpoint covers 11 records" in report.findings[-1].message


async def test_another_past_is_noticed_by_a_checkpoint_kept_elsewhere(tmp_path: Path) -> None:
    kept = []
    for name in ("one", "two"):
        async with opened(tmp_path / name) as log:
            await log.append([event(n=number) for number in range(10)])
        kept.append(head(tmp_path / name))
    report = audit(tmp_path / "two", trusted=kept[0])
    assert (report.ok, report.first_bad) == (False, None)
    assert "signed another past" in report.findings[0].message
    assert audit(tmp_path / "two", trusted=kept[1]).ok
    assert not audit(tmp_path / "two", trusted=Checkpoint("other", 10, kept[1].root)).ok


def test_another_key_is_noticed(log: Path) -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    report = verify(log, other.public_key(), origin=ORIGIN)
    assert (report.ok, report.covered) == (False, 0)
    assert "is not signed by" in report.findings[0].message
    assert not verify(log, KEY.public_key(), origin="other.example/log").ok


def test_a_flipped_bit_in_a_checkpoint_is_noticed(log: Path) -> None:
    path = log / "checkpoints"
    data = path.read_bytes()
    for offset in random.Random(1).sample(range(len(data) * 8), 150):
        changed = bytearray(data)
        changed[offset >> 3] ^= 1 << (offset & 7)
        path.write_bytes(changed)
        report = audit(log)
        quiet = head_only(changed) == head_only(data)
        assert not report.ok or quiet, offset
    path.write_bytes(data)
    assert audit(log).ok


def head_only(data: bytes | bytearray) -> list[bytes]:
    """Everything in a file of checkpoints but the signatures of older ones, which its last one implies."""
    return [line for number, line in enumerate(bytes(data).split(b"\n")[:-6]) if number % 5 != 4] + bytes(
        data
    ).split(b"\n")[-6:]


@pytest.mark.parametrize("name", ["checkpoints", "log"])
def test_missing_files_are_findings(log: Path, name: str) -> None:
    if name == "checkpoints":
        (log / name).unlink()
    else:
        shutil.rmtree(log)
    assert not audit(log).ok


def test_a_wrong_stored_leaf_is_no_bad_record(log: Path) -> None:
    path = log / f"{0:020d}.leaves"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    report = audit(log)
    assert report.ok
    assert [item.warning for item in report.findings] == [True]
    path.unlink()
    assert audit(log).findings == ()


@pytest.mark.parametrize(("old", "new"), [(b'"open":[', b'"open":[{},'), (b'"size":', b'"size":1')])
def test_a_wrong_state_is_noticed(log: Path, old: bytes, new: bytes) -> None:
    path = sorted(log.glob("*.state"))[2]
    path.write_bytes(path.read_bytes().replace(old, new))
    assert not audit(log).ok


def test_an_intent_removed_from_a_state_is_noticed(log: Path) -> None:
    path = next(path for path in sorted(log.glob("*.state")) if b'"id"' in path.read_bytes())
    text = path.read_bytes()
    path.write_bytes(text[: text.index(b'"open":[') + 8] + text[text.rindex(b'],"size"') :])
    report = audit(log)
    assert "does not follow from the records" in report.findings[0].message


async def test_a_log_that_is_being_written_is_good(tmp_path: Path) -> None:
    directory = tmp_path / "audit"
    async with opened(directory, timing=Timing(checkpoint_seconds=3600)) as log:
        await log.append([event(n=1), event(n=2)])
        report = audit(directory)
        assert (report.ok, report.records, report.covered) == (True, 2, 0)
        append(logs(directory)[0], b'{"fields":{"half')
        report = audit(directory)
        assert (report.ok, report.records) == (True, 2)
        assert [(item.index, item.warning) for item in report.findings] == [(2, True)]
        cut(logs(directory)[0], len(b'{"fields":{"half'))


def append(path: Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:-size])
