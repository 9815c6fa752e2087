"""A copy of another service's log, on this host's disk and in the same files: ``verify`` works on it.

It grows by batches. A batch is a run of whole records from where the copy ends up to a checkpoint that the
other service signed. Before a byte of it is stored: 1. the checkpoint carries the trusted signature; 2. each
line is a canonical record with the next index; 3. the tree over what the copy holds and the batch has the
root that was signed. The third is the proof of consistency: the signed tree begins with what is here.

The checkpoint is written last. What an interrupted batch left behind the last checkpoint is cut off when
the copy is opened again; nobody was told that it was stored, so it comes again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.audit import checkpoint, notes
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.encode import MAX_RECORD_BYTES, decode
from gateway.audit.files import Files, private_directory
from gateway.audit.intents import Intents
from gateway.audit.layout import CHECKPOINTS, Segment, segments, state_text
from gateway.audit.ledger import create_segment
from gateway.audit.note import Verifier
from gateway.audit.recover import Walk, broken, last_note, mend_leaves, replay
from gateway.audit.tree import HASH_SIZE, Frontier, leaf_hash
from gateway.errors import AuditError
from gateway.model.event import Event

SEGMENT_BYTES = 64 * 1024 * 1024
_BLOCK = 1024 * 1024


class MisplacedError(AuditError):
    """The batch does not begin where the copy ends: it was stored already, or one before it is missing."""


class InconsistentError(AuditError):
    """A genuine checkpoint signs another past than the copy holds, or other records than came with it."""


@dataclass(slots=True)
class _State:
    """How far the copy has come; ``length`` bytes of ``segment`` and ``notes_length`` of the checkpoints."""

    segment: Segment
    frontier: Frontier
    intents: Intents
    length: int
    notes_length: int


class Replica:
    """One copy, open for appending; used by one thread at a time. After an OSError it must be opened anew."""

    def __init__(
        self, directory: Path, trusted: Verifier, files: Files, *, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """Take up the copy in *directory*, or begin one; AuditError when it cannot be trusted."""
        self._directory = directory
        self.trusted = trusted
        """Who signs the log."""
        self._files = files
        self._segment_bytes = segment_bytes
        private_directory(directory)
        self._state = self._take_up()

    @property
    def head(self) -> Checkpoint:
        """How many records the copy holds, and their root."""
        frontier = self._state.frontier
        return Checkpoint(self.trusted.name, frontier.size, frontier.root())

    def verify(self, note: bytes) -> Checkpoint:
        """The checkpoint in *note* once its signature and its form were checked."""
        head = notes.head_of(note)
        checkpoint.verify(note, self.trusted)
        return head

    def append(self, first: int, note: bytes, lines: IO[bytes]) -> Checkpoint:
        """Store the records in *lines*, which begin at *first* and end where *note* was signed.

        Raises:
            MisplacedError: *first* is not where the copy ends.
            InconsistentError: the checkpoint is genuine and does not fit.
            AuditError: the checkpoint or a record is not what it must be.
            OSError: the disk did not take it; nothing can be said about the files before they are read again.
        """
        state = self._state
        head = self.verify(note)
        if first != state.frontier.size:
            raise MisplacedError(f"the copy ends at record {state.frontier.size}, the batch is from {first}")
        frontier, leaves, events = state.frontier.copy(), [], []
        start, length = lines.tell(), 0
        for line, event in _records(lines, first):
            leaves.append(leaf_hash(line))
            events.append(event)
            length += len(line) + 1
        frontier.extend(leaves)
        if (frontier.size, frontier.root()) != (head.size, head.root):
            raise InconsistentError(
                f"the checkpoint for {head.size} records does not sign the {frontier.size} that are here"
            )
        if not leaves:
            return head
        if state.length >= self._segment_bytes:
            self._rotate()
        lines.seek(start)
        self._store(lines, b"".join(leaves), note)
        state.frontier = frontier
        state.length += length
        state.notes_length += len(note)
        for event in events:
            state.intents.observe(event)
        return head

    def _store(self, lines: IO[bytes], leaves: bytes, note: bytes) -> None:
        state, files = self._state, self._files
        fd = files.open(state.segment.log)
        try:
            at = state.length
            while block := lines.read(_BLOCK):
                files.write(fd, block, at)
                at += len(block)
            files.sync(fd)
        finally:
            files.close(fd)
        self._write(state.segment.leaves, leaves, (state.frontier.size - state.segment.first) * HASH_SIZE)
        self._write(self._directory / CHECKPOINTS, note, state.notes_length, sync=True)

    def _write(self, path: Path, data: bytes, offset: int, *, sync: bool = False) -> None:
        fd = self._files.open(path)
        try:
            self._files.write(fd, data, offset)
            if sync:
                self._files.sync(fd)
        finally:
            self._files.close(fd)

    def _rotate(self) -> None:
        state = self._state
        segment = Segment(self._directory, state.frontier.size)
        create_segment(self._files, segment, state_text(state.frontier, state.intents))
        state.segment, state.length = segment, 0

    def _take_up(self) -> _State:
        path = self._directory / CHECKPOINTS
        found = segments(self._directory)
        if not path.exists():
            if any(item.first or item.log.stat().st_size for item in found):
                raise broken(f"{path} is missing")
            create_segment(self._files, Segment(self._directory, 0), state_text(Frontier(), Intents()))
            self._files.close(self._files.open(path, create=True))
            self._files.sync_directory(self._directory)
            found = segments(self._directory)
        if not path.stat().st_size:
            return self._empty(found)
        text, notes_length = last_note(self._files, path)
        head = checkpoint.verify(text.encode(), self.trusted)
        walk = replay(found, head)
        if walk.segment.log.stat().st_size > walk.mark:  # an interrupted batch
            self._cut(walk)
            walk = replay(found, head)
        mend_leaves(self._files, walk)
        return _State(walk.segment, walk.covered, walk.intents, walk.length, notes_length)

    def _empty(self, found: list[Segment]) -> _State:
        """No batch was finished yet; what an interrupted first one left is cut off."""
        if len(found) != 1 or found[0].first:
            raise broken(f"{self._directory / CHECKPOINTS} is empty, and there are records")
        self._cut(Walk(found[0], Frontier(), Frontier(), Intents(), 0, []))
        return _State(found[0], Frontier(), Intents(), 0, 0)

    def _cut(self, walk: Walk) -> None:
        fd = self._files.open(walk.segment.log)
        try:
            self._files.truncate(fd, walk.mark)
            self._files.sync(fd)
        finally:
            self._files.close(fd)


def _records(lines: IO[bytes], first: int) -> Iterator[tuple[bytes, Event]]:
    """Each line with the event in it; AuditError for anything that is not the next record."""
    index = first
    while data := lines.readline(MAX_RECORD_BYTES + 1):
        if not data.endswith(b"\n"):
            raise AuditError(f"record {index} has no end")
        record = decode(data[:-1])
        if record.index != index:
            raise AuditError(f"where record {index} belongs stands record {record.index}")
        yield data[:-1], record.event
        index += 1
