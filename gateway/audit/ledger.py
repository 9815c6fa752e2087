"""The log on disk as one thread sees it: append durably, publish a checkpoint, repair after a fault.

Every method may raise OSError, after which nothing is assumed: ``repair`` opens the file again, cuts it
back to the last record that was confirmed and reads it once more. AuditError means that the disk no
longer holds what it had confirmed; there is no way on from that but an auditor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.checkpoint import Checkpoint, publish
from gateway.audit.encode import Body
from gateway.audit.files import Files
from gateway.audit.intents import Intents
from gateway.audit.layout import CHECKPOINTS, Segment, state_text
from gateway.audit.lines import Lines
from gateway.audit.tree import HASH_SIZE, Frontier, leaf_hashes
from gateway.errors import AuditError
from gateway.model.event import Event


@dataclass(frozen=True, slots=True)
class Place:
    """Where a log lives, and who it is."""

    directory: Path
    files: Files
    key: Ed25519PrivateKey
    origin: str
    segment_bytes: int


@dataclass(slots=True)
class Position:
    """How far a log has come: what recovery found, or what a new log starts with.

    ``frontier`` is the tree at the last checkpoint, ``leaves`` are the leaf hashes behind it. ``length``
    is the segment's confirmed length, ``mark`` what of it the last checkpoint covers, ``notes_length``
    the length of the file of checkpoints. ``note`` is the last checkpoint's text, signed.
    """

    segment: Segment
    frontier: Frontier
    intents: Intents
    leaves: list[bytes]
    length: int
    mark: int
    notes_length: int
    note: str


class Ledger:
    """The files of a log, open for appending; used by one thread."""

    def __init__(self, place: Place, position: Position) -> None:
        self._place = place
        self._files = place.files
        self._at = position
        self._log = self._files.open(position.segment.log)
        self._leaves = self._files.open(position.segment.leaves)
        self._notes = self._files.open(place.directory / CHECKPOINTS)
        self._damaged = False
        self._size = position.frontier.size + len(position.leaves)
        # What was written since the last checkpoint; None where an earlier process wrote some of it.
        self._tail: list[bytes] | None = None if position.leaves else []
        if position.leaves:  # written by a process that died: the machine may not have stored them yet
            self._files.sync(self._log)

    @property
    def size(self) -> int:
        """How many records are durable; may be read from any thread."""
        return self._size

    @property
    def uncovered(self) -> int:
        """How many records no checkpoint covers yet."""
        return len(self._at.leaves)

    @property
    def uncovered_bytes(self) -> int:
        """How long they are."""
        return self._at.length - self._at.mark

    @property
    def note(self) -> str:
        """The last checkpoint, signed."""
        return self._at.note

    def open_intents(self) -> list[Event]:
        """The records that wait for their outcome."""
        return self._at.intents.open()

    def append(self, groups: Sequence[Sequence[tuple[Event, Body]]]) -> list[Event]:
        """Make all records of *groups* durable; returns statements that a session's end left open."""
        if self._damaged:
            self.repair()
        at = self._at
        if at.length >= self._place.segment_bytes:
            self._rotate()
            at = self._at
        lines: list[bytes] = []
        for group in groups:
            lines += _lines(group, self._size + len(lines))
        leaves = leaf_hashes(lines)
        lines.append(b"")
        data = b"\n".join(lines)
        self._damaged = True
        self._files.write(self._log, data, at.length)
        self._files.sync(self._log)
        self._damaged = False
        at.length += len(data)
        at.leaves += leaves
        self._size += len(leaves)
        if self._tail is not None:
            self._tail.append(data)
        return [left for group in groups for left in self._observe(group)]

    def publish(self) -> None:
        """Sign a checkpoint over all durable records, once the file was seen to hold them.

        The signed tree extends the one before it by exactly the leaves that stand in the file: this is the
        consistency check.
        """
        at = self._at
        if not at.leaves:
            return
        if self._damaged:
            self.repair()
        self._check_tail()
        grown = at.frontier.copy()
        grown.extend(at.leaves)
        note = publish(Checkpoint(self._place.origin, grown.size, grown.root()), self._place.key)
        data = note.encode()
        self._damaged = True
        # Leaf hashes follow from the records: they are rewritten after a crash, so nobody waits for them
        # here.
        self._files.write(
            self._leaves, b"".join(at.leaves), (at.frontier.size - at.segment.first) * HASH_SIZE
        )
        self._files.write(self._notes, data, at.notes_length)
        self._files.sync(self._notes)
        self._damaged = False
        at.notes_length += len(data)
        at.frontier, at.leaves, at.mark, at.note = grown, [], at.length, note
        self._tail = []

    def repair(self) -> None:
        """After a fault: cut the files back to what was confirmed, and read it again."""
        at, files = self._at, self._files
        files.close(self._log)
        self._log = files.open(at.segment.log)
        found = files.size(self._log)
        if found < at.length:
            raise AuditError(f"{at.segment.log.name} has {found} bytes, and {at.length} had been confirmed")
        files.truncate(self._log, at.length)
        files.truncate(self._notes, at.notes_length)
        files.sync(self._log)
        files.sync(self._notes)
        self._check_tail()
        self._damaged = False

    def close(self) -> None:
        """Close the files; what was to be durable is."""
        for fd in (self._log, self._leaves, self._notes):
            self._files.close(fd)

    def _check_tail(self) -> None:
        """The file must hold, behind the last checkpoint, the very records that were confirmed."""
        at = self._at
        data = self._files.read(self._log, at.length - at.mark, at.mark)
        if not self._is_tail(data):
            raise AuditError(f"{at.segment.log.name} does not hold the records that were written to it")

    def _is_tail(self, data: bytes) -> bool:
        """True when *data* is what was written; of another process's lines only the hashes are known."""
        if self._tail is None:
            return leaf_hashes(data.split(b"\n")[:-1]) == self._at.leaves
        at = 0
        for piece in self._tail:
            if not data.startswith(piece, at):
                return False
            at += len(piece)
        return at == len(data)

    def _observe(self, group: Sequence[tuple[Event, Body]]) -> list[Event]:
        intents = self._at.intents
        if isinstance(group, Lines):
            return intents.observe_all(group.briefs)
        return [left for event, _ in group for left in intents.observe(event)]

    def _rotate(self) -> None:
        """Go on in a new segment; the old one is covered by a checkpoint to its end."""
        self.publish()
        at, files = self._at, self._files
        segment = Segment(self._place.directory, at.frontier.size)
        if segment.first == at.segment.first:
            return
        files.sync(self._leaves)
        create_segment(files, segment, state_text(at.frontier, at.intents))
        log, leaves = files.open(segment.log), files.open(segment.leaves)
        files.close(self._log)
        files.close(self._leaves)
        self._log, self._leaves = log, leaves
        at.segment, at.length, at.mark = segment, 0, 0


def _lines(group: Sequence[tuple[Event, Body]], first: int) -> list[bytes]:
    if isinstance(group, Lines):
        return group.lines(first)
    return [body.line(index) for index, (_, body) in enumerate(group, first)]


def create_segment(files: Files, segment: Segment, state: bytes) -> None:
    """Make an empty segment; may be repeated after it failed half-way."""
    draft = segment.state.with_suffix(".draft")
    files.remove(draft)
    write_new(files, draft, state)
    files.rename(draft, segment.state)
    files.remove(segment.leaves)  # it holds nothing that the records do not
    files.close(files.open(segment.leaves, create=True))
    try:  # the log comes last: it is what makes a segment
        fd = files.open(segment.log, create=True)
    except FileExistsError:
        fd = files.open(segment.log)
        if files.size(fd):
            files.close(fd)
            raise AuditError(f"{segment.log.name} is not empty") from None
    files.close(fd)
    files.sync_directory(segment.directory)


def write_new(files: Files, path: Path, data: bytes) -> None:
    """Make a file with *data* in it, durable but for its name."""
    fd = files.open(path, create=True)
    try:
        files.write(fd, data, 0)
        files.sync(fd)
    finally:
        files.close(fd)
