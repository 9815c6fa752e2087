"""Taking up a log where an earlier process left it.

1. One process holds the directory; nobody else can enter it.
2. The last checkpoint must carry our signature, and the records up to it must lead to its root.
3. Records behind it are read one by one. What is not a whole record can only be the tail of a group that
   nobody was told of; it moves to ``quarantine/``, is told of in the log, and then the file is cut.
4. Anything else that does not fit stops the start: the log must be looked at before it is written to.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.audit import checkpoint
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.encode import MAX_RECORD_BYTES, decode
from gateway.audit.files import Files, private_directory
from gateway.audit.intents import Intents
from gateway.audit.layout import CHECKPOINTS, QUARANTINE, Segment, read_state, segments, state_text
from gateway.audit.ledger import Place, Position, create_segment, write_new
from gateway.audit.note import verifier
from gateway.audit.tree import EMPTY_ROOT, HASH_SIZE, Frontier, leaf_hash
from gateway.errors import AuditError

_BLOCK = 1024 * 1024
_NOTE_BYTES = 4096  # the last checkpoints of any log stand in so many bytes


@dataclass(frozen=True, slots=True)
class Found:
    """Where to go on, and what had to be put aside; ``torn`` is None when every byte was a record."""

    position: Position
    torn: "Torn | None"


@dataclass(frozen=True, slots=True)
class Torn:
    """Bytes behind the last whole record."""

    index: int
    size: int
    digest: str


def take_up(place: Place) -> Found:
    """Read what is there, or begin a new log; AuditError when the log cannot be trusted."""
    found = segments(place.directory)
    notes = place.directory / CHECKPOINTS
    if not notes.exists() and all(item.first == 0 and not item.log.stat().st_size for item in found):
        _begin(place)  # new, or a first start that was interrupted
        found = segments(place.directory)
    if not found:
        raise broken(f"{notes} tells of records, and there are none")
    note, notes_length = last_note(place.files, notes)
    head = checkpoint.verify(note.encode(), verifier(place.origin, place.key.public_key()))
    walk = replay(found, head)
    torn = _set_aside(place, walk) if walk.length < walk.segment.log.stat().st_size else None
    mend_leaves(place.files, walk)
    leaves = walk.leaves[head.size - walk.base :]
    position = Position(
        segment=walk.segment,
        frontier=walk.covered,
        intents=walk.intents,
        leaves=leaves,
        length=walk.length,
        mark=walk.mark,
        notes_length=notes_length,
        note=note,
    )
    return Found(position, torn)


@dataclass(slots=True)
class Walk:
    """A replay on its way; ``base`` is the index of the first of ``leaves``, ``segment`` the last segment."""

    segment: Segment
    frontier: Frontier
    covered: Frontier
    intents: Intents
    base: int
    leaves: list[bytes]
    length: int = 0
    mark: int = 0


def _begin(place: Place) -> None:
    """An empty log has a checkpoint too: a missing one is then a finding, never a new log."""
    create_segment(place.files, Segment(place.directory, 0), state_text(Frontier(), Intents()))
    note = checkpoint.publish(Checkpoint(place.origin, 0, EMPTY_ROOT), place.key)
    draft = place.directory / f"{CHECKPOINTS}.draft"
    place.files.remove(draft)
    write_new(place.files, draft, note.encode())
    place.files.rename(draft, place.directory / CHECKPOINTS)
    with contextlib.suppress(PermissionError):  # a parent that cannot be read was there before us
        place.files.sync_directory(place.directory.parent)


def last_note(files: Files, path: Path) -> tuple[str, int]:
    """The last whole checkpoint; a torn one behind it is dropped, since it will be signed again."""
    try:
        fd = files.open(path)
    except FileNotFoundError:
        raise broken(f"{path} is missing") from None
    try:
        size = files.size(fd)
        start = max(0, size - _NOTE_BYTES)
        data = files.read(fd, size - start, start)
        # A note of ours is five lines, and only its fourth is empty.
        lines = data.split(b"\n")
        ends = [at + 2 for at in range(3, len(lines) - 2) if not lines[at]]
        if not ends:
            raise broken(f"{path} holds no checkpoint")
        note = b"\n".join(lines[ends[-1] - 5 : ends[-1]]) + b"\n"
        length = start + len(b"\n".join(lines[: ends[-1]])) + 1
        if length < size:
            files.truncate(fd, length)
            files.sync(fd)
    finally:
        files.close(fd)
    return note.decode("utf-8", "replace"), length


def replay(found: list[Segment], head: Checkpoint) -> Walk:
    """Read from the segment that the checkpoint ends in, through the last."""
    at = max((at for at, segment in enumerate(found) if segment.first <= head.size), default=-1)
    if at < 0:
        raise broken(f"records before {found[0].first} are missing")
    frontier, intents = read_state(found[at])
    walk = Walk(found[at], frontier, frontier.copy(), intents, frontier.size, [])
    for segment in found[at:]:
        if walk.frontier.size != segment.first:
            raise broken(f"record {walk.frontier.size} is missing")
        walk.segment, walk.base, walk.length, walk.mark = segment, segment.first, 0, 0
        walk.leaves = []
        _compare(walk, head)
        for line in _whole_lines(segment.log):
            try:
                record = decode(line)
            except AuditError:
                break
            if record.index != walk.frontier.size:
                break
            leaf = leaf_hash(line)
            walk.frontier.append(leaf)
            walk.leaves.append(leaf)
            walk.intents.observe(record.event)
            walk.length += len(line) + 1
            _compare(walk, head)
    if walk.frontier.size < head.size:
        raise broken(
            f"record {walk.frontier.size} is missing or damaged, and the checkpoint covers {head.size}"
        )
    if head.size < walk.base:
        raise broken(f"the checkpoint covers {head.size} records, and a segment begins at {walk.base}")
    return walk


def _compare(walk: Walk, head: Checkpoint) -> None:
    """Where the checkpoint ends, the tree must be the one it signed."""
    if walk.frontier.size == head.size:
        if walk.frontier.root() != head.root:
            raise broken(f"the first {head.size} records are not those that the checkpoint signs")
        walk.covered, walk.mark = walk.frontier.copy(), walk.length


def _whole_lines(path: Path) -> Iterator[bytes]:
    """Each line that ends in a newline, without it."""
    with path.open("rb") as stream:
        while (line := stream.readline(MAX_RECORD_BYTES + 1)).endswith(b"\n"):
            yield line[:-1]


def _set_aside(place: Place, walk: Walk) -> Torn:
    """Copy what is not a record to the quarantine, durably, then cut it off."""
    files, directory = place.files, place.directory / QUARANTINE
    private_directory(directory)
    fd = files.open(walk.segment.log)
    try:
        size = files.size(fd) - walk.length
        digest = sha256()
        for start in range(0, size, _BLOCK):
            digest.update(files.read(fd, min(_BLOCK, size - start), walk.length + start))
        target = directory / f"{walk.frontier.size:020d}-{digest.hexdigest()[:16]}"
        files.remove(target)
        copy = files.open(target, create=True)
        try:
            for start in range(0, size, _BLOCK):
                files.write(copy, files.read(fd, min(_BLOCK, size - start), walk.length + start), start)
            files.sync(copy)
        finally:
            files.close(copy)
        files.sync_directory(directory)
        files.sync_directory(place.directory)
        files.truncate(fd, walk.length)
        files.sync(fd)
    finally:
        files.close(fd)
    return Torn(walk.frontier.size, size, digest.hexdigest())


def mend_leaves(files: Files, walk: Walk) -> None:
    """Make the leaf file say what the records say; it is written without waiting for the disk."""
    right = b"".join(walk.leaves[: walk.covered.size - walk.base])
    try:
        fd = files.open(walk.segment.leaves)
    except FileNotFoundError:
        fd = files.open(walk.segment.leaves, create=True)
    try:
        size = files.size(fd)
        if size > len(right):
            files.truncate(fd, len(right))
        if files.read(fd, min(size, len(right)), 0) != right:
            files.write(fd, right, 0)
            files.sync(fd)
    finally:
        files.close(fd)
    assert len(right) % HASH_SIZE == 0


def broken(why: str) -> AuditError:
    """The error of a log that must be looked at before anybody writes to it."""
    return AuditError(
        f"audit log cannot be taken up: {why}",
        hint="run `regate audit verify`, and keep the directory as evidence",
    )
