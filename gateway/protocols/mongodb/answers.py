"""The server's direction: whose answer comes next, and what becomes of it.

An answer passes in the chunks it came in, unless the decision asks for something in it, or nobody may see it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from gateway.errors import ProtocolError
from gateway.model.obligation import Mask
from gateway.protocols.mongodb import documents, messages, results
from gateway.protocols.mongodb.cursors import Cursor, Cursors, Owner
from gateway.protocols.mongodb.messages import Message
from gateway.protocols.mongodb.replies import Found, Scan, whole
from gateway.sansio.exchange import (
    Duty,
    Outcome,
    Relay,
    Request,
)
from gateway.sansio.outcomes import not_known

_FLAGS: Final = 4  # bytes of them, behind the header
_PREFIX: Final = Struct("<iiiiI")  # the header and the flags


@dataclass(slots=True)
class Asked:
    """A request while it is judged, and then while its answer is waited for."""

    message: Message
    name: str
    arguments: tuple[bytes, ...]
    cursor: Cursor | None = None
    duty: Duty | None = None
    masks: tuple[Mask, ...] = ()  # on what it reads


@dataclass(slots=True)
class Expected:
    """A message that was sent, and what its answer is to become."""

    request_id: int
    request: Request | None = None  # None: the gateway's own
    instead: bytes | None = None  # what the client reads in its place
    is_silent: bool = False
    asked: Asked | None = None
    shown: results.Shown | None = None  # what an answer must be opened for

    @property
    def passes(self) -> bool:
        """True when the answer goes to the client as it comes."""
        is_plain = self.instead is None and not self.is_silent and self.shown is None
        return is_plain and self.request is not None


@dataclass(slots=True)
class _Answer:
    """An answer while it arrives."""

    expected: Expected
    head: messages.Head
    left: int
    scan: Scan = field(default_factory=Scan)
    held: list[bytes] | None = None  # all of it, where it is not passed as it comes
    prefix: bytes = b""


class Answers:
    """What was sent and is not answered, and the answer that is on its way."""

    __slots__ = ("_answer", "_cursors", "_heard", "_orphans", "_owner", "_queue", "held")

    def __init__(self, owner: Owner, cursors: Cursors) -> None:
        self._owner = owner
        self._cursors = cursors
        self._queue: deque[Expected] = deque()
        self._answer: _Answer | None = None
        self._heard = b""  # of a header that is not whole
        self._orphans: list[tuple[int, str]] = []  # cursors that nobody will ask any more
        self.held = 0  # bytes of the messages that wait

    def __len__(self) -> int:
        return len(self._queue)

    def expect(self, expected: Expected) -> None:
        """The answer to one more message is to come."""
        self._queue.append(expected)
        self.held += 0 if expected.request is None else len(expected.request.raw)

    def oldest(self) -> int:
        """The number of the oldest question of the client's; 0 where there is none."""
        return next((each.request_id for each in self._queue if each.request is not None), 0)

    def orphans(self) -> Iterator[tuple[int, str]]:
        """The cursors that were cut off, with their namespaces, once."""
        orphans, self._orphans = self._orphans, []
        yield from orphans

    def abandon(self) -> tuple[Outcome, ...]:
        """Every command whose answer did not come."""
        left = [expected.request for expected in self._queue]
        self._queue.clear()
        return not_known(left)

    def feed(self, data: bytes) -> Relay:
        """What the server's next bytes become."""
        at_once = self._at_once(data)
        if at_once is not None:
            return at_once
        out: list[bytes] = []
        outcomes: list[Outcome] = []
        while data:
            if self._answer is None:
                data = self._begin(data)
                continue
            answer = self._answer
            taken, data = data[: answer.left], data[answer.left :]
            answer.left -= len(taken)
            answer.scan.feed(taken)
            if answer.held is not None:
                answer.held.append(taken)
            else:
                out.append(answer.prefix + taken)
                answer.prefix = b""
            if not answer.left:
                self._answer = None
                out.append(self._finish(answer, outcomes))
        return Relay(b"".join(out), tuple(outcomes))

    def _at_once(self, data: bytes) -> Relay | None:
        """The one answer that *data* is, if it is whole and passes as it came."""
        if self._answer is not None or self._heard or not self._queue or len(data) < _PREFIX.size:
            return None
        expected = self._queue[0]
        size, _, response_to, code, flags = _PREFIX.unpack_from(data)
        is_its = response_to == expected.request_id and code == messages.OP_MSG and not flags
        if size != len(data) or not is_its or not expected.passes:
            return None
        found = whole(data, _PREFIX.size)
        request = expected.request
        if found is None or request is None:
            return None
        self._queue.popleft()
        self.held -= len(request.raw)
        if found.cursor_id or (expected.asked is not None and expected.asked.cursor is not None):
            self._keep_cursor(expected, found, found.rows or 0)
        return Relay(data, (Outcome(request, found.rows, size, found.error),))

    def _begin(self, data: bytes) -> bytes:
        """Read the header and the flags of the next answer; what is left of *data*."""
        self._heard += data
        if len(self._heard) < messages.HEADER + _FLAGS:
            return b""
        heard, self._heard = self._heard, b""
        head = messages.head_at(heard)
        expected = self._queue[0] if self._queue else None
        if expected is None or head.response_to != expected.request_id or head.code != messages.OP_MSG:
            raise ProtocolError("the database server answered what nobody asked")
        prefix = heard[: messages.HEADER + _FLAGS]
        if any(prefix[messages.HEADER :]):
            raise ProtocolError("the database server answered with flags that nobody allowed it")
        held: list[bytes] | None = None if expected.passes else []
        self._answer = _Answer(expected, head, head.size - len(prefix), held=held, prefix=prefix)
        return heard[len(prefix) :]

    def _finish(self, answer: _Answer, outcomes: list[Outcome]) -> bytes:
        """The answer is whole: what the client still gets of it."""
        expected, scan = answer.expected, answer.scan
        if not scan.is_over:
            raise ProtocolError("the database server's answer ends early")
        self._queue.popleft()
        request = expected.request
        if request is None:
            return b""
        self.held -= len(request.raw)
        if expected.instead is not None:
            outcomes.append(Outcome(request, None, 0, "Unauthorized", executed=False))
            return expected.instead
        rows, out = scan.rows, b""
        if expected.shown is not None:
            body = b"".join(answer.held or ())[1:]
            changed = results.change(body, expected.shown)
            rows = changed.rows if changed.rows is not None else rows
            out = messages.with_body(answer.head, changed.body)
            if changed.is_cut and scan.cursor_id:
                self._orphans.append((scan.cursor_id, scan.namespace))
                scan.cursor_id = 0
        self._keep_cursor(expected, scan, rows or 0)
        outcomes.append(Outcome(request, rows, answer.head.size, scan.error))
        return b"" if expected.is_silent else out

    def _keep_cursor(self, expected: Expected, scan: Found, rows: int) -> None:
        """A cursor that stays open belongs to the command that opened it."""
        asked = expected.asked
        assert asked is not None
        if asked.cursor is not None:
            asked.cursor.passed += rows
            number = documents.read(asked.message.body)["getMore"]
            if not scan.cursor_id:
                self._cursors.closed(self._owner, number)
        elif scan.cursor_id:
            self._cursors.opened(self._owner, scan.cursor_id, Cursor(asked.arguments, asked.masks, rows))
