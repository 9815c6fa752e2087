"""Reading a log from its files: lines in either direction, and records that pass a filter.

Nothing is loaded whole. Lines are canonical, so most of those that cannot match are dropped by their
bytes, before any JSON is parsed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gateway.audit.encode import MAX_RECORD_BYTES, Record, read_fields, rfc3339
from gateway.audit.layout import Segment, segments
from gateway.errors import AuditError
from gateway.model.event import Kind

OWN = "."
"""In the place of a log's name: the auth service's own. No service can be called so."""

_BLOCK = 256 * 1024
_TIME_AT = slice(-32, -2)  # the time is the last thing in a line, and always of one length


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it stands in a file; ``whole`` is False when its newline is missing."""

    segment: Segment
    data: bytes
    whole: bool


@dataclass(frozen=True, slots=True)
class Query:
    """Which records to show; what is empty or None does not matter.

    ``text`` is looked for in the values of all fields, without regard to case. ``since_ns`` is the first
    moment that counts, ``until_ns`` the first that does not.
    """

    user: str = ""
    database: str = ""
    kinds: tuple[Kind, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    session_id: str = ""
    decision_id: str = ""
    text: str = ""
    limit: int | None = None
    oldest_first: bool = False


def records(directory: Path, query: Query) -> Iterator[Record]:
    """The records of the log in *directory* that pass *query*, the newest first unless it says otherwise.

    Safe beside a running writer: a line that is still being written is left out. A line that cannot be
    read is left out too; ``verify`` is what tells of it.
    """
    if not directory.is_dir():
        raise AuditError(f"there is no audit log in {directory}")
    wanted = _Filter(query)
    left = query.limit
    for line in lines(directory) if query.oldest_first else lines_backward(directory):
        if left is not None and left <= 0:
            return
        if not line.whole or not wanted.may_pass(line.data):
            continue
        try:
            record = read_fields(line.data)
        except AuditError:
            continue
        if wanted.passes(record):
            yield record
            left = None if left is None else left - 1


def lines(directory: Path) -> Iterator[Line]:
    """Every line, the oldest first."""
    for segment in segments(directory):
        with segment.log.open("rb") as stream:
            while data := stream.readline(MAX_RECORD_BYTES + 1):
                whole = data.endswith(b"\n")
                yield Line(segment, data[:-1] if whole else data, whole)


def lines_backward(directory: Path) -> Iterator[Line]:
    """Every line, the newest first."""
    for segment in reversed(segments(directory)):
        with segment.log.open("rb") as stream:
            for data, whole in _backward(stream):
                yield Line(segment, data, whole)


def _backward(stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file from its end; only the last one can lack its newline."""
    at = stream.seek(0, 2)
    rest: list[bytes] = []  # the pieces of a line whose start has not been seen, the last piece first
    whole = False
    while at > 0:
        start = max(0, at - _BLOCK)
        stream.seek(start)
        pieces = stream.read(at - start).split(b"\n")
        at = start
        while len(pieces) > 1:
            rest.append(pieces.pop())
            data = b"".join(reversed(rest))
            if data or whole:
                yield data, whole
            rest, whole = [], True
        rest.append(pieces[0])
    data = b"".join(reversed(rest))
    if data or whole:
        yield data, whole


class _Filter:
    """A query, with the byte strings that a line must hold to pass it."""

    def __init__(self, query: Query) -> None:
        self._query = query
        pairs = {
            "user": query.user,
            "database": query.database,
            "session_id": query.session_id,
            "decision_id": query.decision_id,
        }
        self._fields = {name: value for name, value in pairs.items() if value}
        self._needles = [f'"{name}":{json.dumps(value)}'.encode() for name, value in self._fields.items()]
        self._kinds = [f'"kind":"{kind.value}"'.encode() for kind in query.kinds]
        self._since = None if query.since_ns is None else rfc3339(max(0, query.since_ns)).encode()
        self._until = None if query.until_ns is None else rfc3339(max(0, query.until_ns)).encode()
        self._text = query.text.casefold()

    def may_pass(self, line: bytes) -> bool:
        """False when the bytes alone rule the line out."""
        time = line[_TIME_AT]
        if (self._since is not None and time < self._since) or (
            self._until is not None and time >= self._until
        ):
            return False
        if self._kinds and not any(kind in line[-128:] for kind in self._kinds):
            return False
        return all(needle in line for needle in self._needles)

    def passes(self, record: Record) -> bool:
        """True when the record is one that was asked for."""
        query, event = self._query, record.event
        if query.kinds and event.kind not in query.kinds:
            return False
        if any(event.fields.get(name) != value for name, value in self._fields.items()):
            return False
        return not self._text or self._text in _values(event.fields).casefold()


def _values(value: object) -> str:
    """All text in *value*, one piece a line; however deep a service elsewhere has nested it."""
    todo, pieces = [value], list[str]()
    for item in todo:
        if isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, list):
            todo += item
        else:
            pieces.append(str(item))
    return "\n".join(pieces)
