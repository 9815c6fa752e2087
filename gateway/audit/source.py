"""A log of this host, read for shipping: what it signed last, and its records up to a signed checkpoint.

Reads beside the running writer. Only records that a checkpoint covers are handed out: those are durable,
and whoever gets them can check them against the signature.
"""

from dataclasses import dataclass
from pathlib import Path

from gateway.audit import notes
from gateway.audit.checkpoint import Checkpoint
from gateway.audit.encode import MAX_RECORD_BYTES
from gateway.audit.layout import CHECKPOINTS, Segment, read_state, segments
from gateway.audit.tree import EMPTY_ROOT, leaf_hash
from gateway.errors import AuditError

BATCH_BYTES = 4 * 1024 * 1024
"""A batch ends at the first checkpoint at which it is at least so long."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The *lines* of the records from *first* on, up to where *note* was signed."""

    first: int
    size: int
    note: bytes
    lines: bytes


@dataclass(frozen=True, slots=True)
class _Place:
    """Record *index* begins *offset* bytes into *segment*."""

    index: int
    segment: Segment
    offset: int


class LogSource:
    """One log's files; used by one thread at a time. Any OSError on the way is an AuditError."""

    def __init__(self, directory: Path, *, batch_bytes: int = BATCH_BYTES) -> None:
        self._directory = directory
        self._most = batch_bytes
        self._place: _Place | None = None

    def newest(self) -> tuple[Checkpoint, bytes]:
        """The newest signed checkpoint, parsed and as it stands in the file."""
        text = notes.newest(self._directory / CHECKPOINTS)
        return notes.head_of(text), text

    def root_at(self, size: int) -> bytes:
        """The root over the first *size* records, computed from the records themselves."""
        if size == 0:
            return EMPTY_ROOT
        try:
            segment = self._segment_of(size - 1)
            frontier, _ = read_state(segment)
            with segment.log.open("rb") as stream:
                while frontier.size < size:
                    frontier.append(leaf_hash(_whole(stream.readline(MAX_RECORD_BYTES + 1))[:-1]))
        except OSError as error:
            raise _unreadable(self._directory, error) from error
        return frontier.root()

    def batch(self, first: int) -> Batch | None:
        """The records from *first* up to a checkpoint; None when no checkpoint covers more than those."""
        try:
            return self._batch(first)
        except OSError as error:
            raise _unreadable(self._directory, error) from error

    def _batch(self, first: int) -> Batch | None:
        path = self._directory / CHECKPOINTS
        found = b""
        parts: list[bytes] = []
        length, size = 0, first
        place = self._find(first)
        for text in notes.notes(path, path.stat().st_size, notes.after(path, first)):
            head = notes.head_of(text)
            data, place = self._read(place, head.size)
            parts.append(data)
            length, size, found = length + len(data), head.size, text
            if length >= self._most:
                break
        self._place = place
        return Batch(first, size, found, b"".join(parts)) if found else None

    def _read(self, place: _Place, stop: int) -> tuple[bytes, _Place]:
        """The lines from *place* up to record *stop*, and where that one begins."""
        parts: list[bytes] = []
        while place.index < stop:
            end = self._end_of(place.segment)
            until = stop if end is None else min(stop, end)
            with place.segment.log.open("rb") as stream:
                stream.seek(place.offset)
                lines = [_whole(stream.readline(MAX_RECORD_BYTES + 1)) for _ in range(until - place.index)]
                place = _Place(until, place.segment, stream.tell())
            parts += lines
            if until == end:
                place = _Place(until, Segment(self._directory, until), 0)
        return b"".join(parts), place

    def _find(self, index: int) -> _Place:
        if self._place is not None and self._place.index == index:
            return self._place
        segment = self._segment_of(index)
        with segment.log.open("rb") as stream:
            for _ in range(index - segment.first):
                _whole(stream.readline(MAX_RECORD_BYTES + 1))
            return _Place(index, segment, stream.tell())

    def _segment_of(self, index: int) -> Segment:
        """The segment that record *index* stands in, or will."""
        found = [segment for segment in segments(self._directory) if segment.first <= index]
        if not found:
            raise AuditError(f"audit log {self._directory} does not hold record {index}")
        return found[-1]

    def _end_of(self, segment: Segment) -> int | None:
        """Where the next segment begins; None for the last."""
        return next((item.first for item in segments(self._directory) if item.first > segment.first), None)


def _whole(line: bytes) -> bytes:
    if not line.endswith(b"\n"):
        raise AuditError("the audit log ends before its checkpoint does")
    return line


def _unreadable(directory: Path, error: OSError) -> AuditError:
    return AuditError(f"audit log {directory} cannot be read: {(error.strerror or str(error)).lower()}")
