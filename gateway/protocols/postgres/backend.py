"""The server's direction: answers matched to what was asked, and handed on in the chunk they came in.

Rows are walked by their headers and never opened. What is not a row is looked at whole: it ends a request,
moves the session's state, is rewritten (a refusal's error) or swallowed (the answers to the gateway's own
questions).
"""

from collections.abc import Callable
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.postgres import errors, messages, repetition, results
from gateway.protocols.postgres.login import PINNED
from gateway.protocols.postgres.pipeline import Expected
from gateway.protocols.postgres.registry import MAX_PORTALS
from gateway.protocols.postgres.state import State
from gateway.sansio.exchange import Outcome, Relay

_HEADER: Final = 5
_MAX_KEPT: Final = 8 << 20  # of one message that is looked at whole
_MAX_ROW: Final = 1 << 30  # the server's own limit
_STATUSES: Final = b"ITE"

# Passed as they come, whole or in part: nothing in them moves the state.
_STREAMED: Final = frozenset({messages.NOTICE_RESPONSE, messages.NOTIFICATION_RESPONSE})

_RUNNING: Final = frozenset({messages.EXECUTE, messages.QUERY})

Handler = Callable[[bytes, int, int], bytes | None]


class Backend:
    """Reads what the server sends; holds at most one unfinished message, and never a row."""

    __slots__ = ("_handlers", "_held", "_mark", "_need", "_passing", "_rows", "_seen", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._held = bytearray()
        self._need = 0
        self._passing = 0  # bytes of a row that has begun and was passed on
        self._rows = 0  # since the last message that was none
        self._seen = 0  # bytes of all chunks before this one
        self._mark = 0  # where the result that is under way began
        self._handlers: dict[int, Handler] = {
            messages.BIND_COMPLETE: self._bind_complete,
            messages.CLOSE_COMPLETE: self._close_complete,
            messages.COMMAND_COMPLETE: self._command_complete,
            messages.COPY_IN_RESPONSE: self._copy_in,
            messages.COPY_OUT_RESPONSE: self._results,
            messages.BACKEND_KEY_DATA: self._dropped,
            messages.DATA_ROW: self._own_row,
            messages.EMPTY_QUERY_RESPONSE: self._command_complete,
            messages.ERROR_RESPONSE: self._error,
            messages.NO_DATA: self._described,
            messages.PARAMETER_DESCRIPTION: self._parameters,
            messages.PARAMETER_STATUS: self._parameter_status,
            messages.PARSE_COMPLETE: self._parse_complete,
            messages.PORTAL_SUSPENDED: self._command_complete,
            messages.READY_FOR_QUERY: self._ready,
            messages.ROW_DESCRIPTION: self._described,
            messages.COPY_DONE: self._results,
        }

    def read(self, data: bytes) -> Relay:
        """What *data* becomes for the client, and what ended with it."""
        queue = self._state.pipeline.queue
        if queue and queue[0].is_repeated and not self._held and not self._passing:
            outcome = self._repeated(data, queue[0])
            if outcome is not None:
                return Relay(data, (outcome, *self._state.pipeline.take()))
        return self._each(data)

    def _each(self, data: bytes) -> Relay:  # noqa: C901, PLR0912 - the hot loop; calls would cost more than rows
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return Relay(b"")
            data = bytes(self._held)
            self._held.clear()
        size = len(data)
        at = min(size, self._passing)
        self._passing -= at
        begin, parts = 0, []
        length_at = messages.length_at
        while size - at >= _HEADER:
            kind = data[at]
            if kind == messages.DATA_ROW or kind == messages.COPY_DATA:  # noqa: PLR1714 - this loop is hot
                if self._takes_rows(kind):
                    at = self._rows_from(data, at, size)
                    continue
            elif kind in _STREAMED:
                at += 1 + _at_least_itself(length_at(data, at + 1)[0])
                continue
            stop = at + 1 + length_at(data, at + 1)[0]
            if stop > size:
                if stop - at > _MAX_KEPT:
                    raise ProtocolError(f"the database sent a message {chr(kind)!r} of {stop - at} bytes")
                self._need = stop - at
                break
            handler = self._handlers.get(kind)
            if handler is None or stop < at + _HEADER:
                raise ProtocolError(f"the database sent {chr(kind)!r}, which nothing here may answer")
            instead = handler(data, at, stop)
            if instead is not None:
                parts.append(data[begin:at])
                if instead:
                    parts.append(instead)
                begin = stop
            self._rows = 0
            at = stop
        else:
            self._need = _HEADER
        if at > size:
            self._passing = at - size
            at = size
        self._seen += at
        if at < size:
            self._held += data[at:]
        if begin or parts or at < size:
            parts.append(data[begin:at])
            data = b"".join(parts)
        outcomes = self._state.pipeline.take() if self._state.pipeline.outcomes else ()
        return Relay(data, outcomes)

    def _repeated(self, data: bytes, head: Expected) -> Outcome | None:
        """The end of a repetition whose whole answer came at once; None where each message must be read."""
        request = head.request
        found = repetition.answered(self._state, data)
        if found is None or request is None:
            return None
        rows, end = found
        size = self._size(end)
        self._seen += len(data)
        self._mark = self._seen
        self._rows = 0
        return Outcome(request, rows, size)

    def _rows_from(self, data: bytes, at: int, size: int) -> int:
        """Walk rows by their headers from *at*; where the last of them ends, which may be behind *data*."""
        length_at = messages.length_at
        last, begin, rows = size - _HEADER, at, 0
        while at <= last and (data[at] == messages.DATA_ROW or data[at] == messages.COPY_DATA):
            length = length_at(data, at + 1)[0]
            if not 4 <= length <= _MAX_ROW:
                raise ProtocolError(f"the database sent a row of {length} bytes")
            at += length + 1
            rows += 1
        assert at > begin, "called on a row"
        self._rows += rows
        return at

    def _takes_rows(self, kind: int) -> bool:
        """True for rows that pass uncounted; those of a COPY are bounded by the statement itself."""
        queue = self._state.pipeline.queue
        if not queue:
            return False
        head = queue[0]
        if head.bound is not None and kind == messages.DATA_ROW:
            return False
        return head.kind in _RUNNING and not head.is_own and head.denial is None

    # -- matching

    def _next(self, kind: int, said: str) -> Expected:
        """The head of the pipeline, which must be of *kind*."""
        queue = self._state.pipeline.queue
        if not queue or queue[0].kind != kind or queue[0].denial is not None:
            raise ProtocolError(f"the database sent {said} where it was not asked for")
        return queue.popleft()

    def _head(self, said: str) -> Expected:
        """The statement that runs now."""
        queue = self._state.pipeline.queue
        if not queue or queue[0].kind not in _RUNNING or queue[0].denial is not None:
            raise ProtocolError(f"the database sent {said} where nothing runs")
        return queue[0]

    def _size(self, stop: int) -> int:
        end = self._seen + stop
        size = end - self._mark
        self._mark = end
        return size

    # -- extended query

    def _parse_complete(self, _data: bytes, _at: int, stop: int) -> bytes | None:
        expected = self._next(messages.PARSE, "ParseComplete")
        if expected.is_own:
            return b""
        assert expected.prepared is not None
        self._state.registry.parse_done(expected.prepared)
        self._state.pipeline.finish(expected, "", None, self._size(stop))
        return None

    def _bind_complete(self, _data: bytes, _at: int, _stop: int) -> bytes | None:
        expected = self._next(messages.BIND, "BindComplete")
        if expected.is_own:
            return b""
        portal, registry = expected.portal, self._state.registry
        assert portal is not None
        portal.is_confirmed = True
        portal.request.raw = b""  # its values: the portal stays, and may be one of many
        if len(registry.orphans) > MAX_PORTALS:
            self._state.pipeline.unused(registry.ended(transaction_over=False))
        if expected.steer is not None:
            self._state.pipeline.settle(expected)
        return None

    def _close_complete(self, _data: bytes, _at: int, _stop: int) -> bytes | None:
        expected = self._next(messages.CLOSE, "CloseComplete")
        if expected.prepared is not None:
            self._state.registry.parse_done(expected.prepared)
        return b"" if expected.is_own else None

    def _parameters(self, _data: bytes, _at: int, _stop: int) -> bytes | None:
        queue = self._state.pipeline.queue
        if not queue or queue[0].kind != messages.DESCRIBE:
            raise ProtocolError("the database sent ParameterDescription where it was not asked for")
        return None

    def _described(self, data: bytes, at: int, stop: int) -> bytes | None:
        queue = self._state.pipeline.queue
        described = queue.popleft() if queue and queue[0].kind == messages.DESCRIBE else None
        head = described or self._head("a description of rows")
        if head.masked and data[at] == messages.ROW_DESCRIPTION:
            results.check_origins(data[at + _HEADER : stop], head.masked)
        return None

    # -- results

    def _results(self, _data: bytes, _at: int, _stop: int) -> bytes | None:
        self._head("COPY data")
        return None

    def _command_complete(self, data: bytes, at: int, stop: int) -> bytes | None:
        head = self._head("the end of a command")
        kind = data[at]
        if head.is_own:
            self._state.pipeline.queue.popleft()
            return b""
        rows = (
            messages.rows_of(data[at + _HEADER : stop]) if kind == messages.COMMAND_COMPLETE else self._rows
        )
        instead = None
        if head.bound is not None:
            rows = head.counted if head.dropped or kind != messages.COMMAND_COMPLETE else rows
            instead = results.ended(head, data[at:stop])
        if head.kind == messages.QUERY:
            if rows is not None:
                head.rows = rows + (head.rows or 0)
            return instead
        self._state.pipeline.queue.popleft()
        self._state.pipeline.finish(head, "", rows, self._size(stop))
        return instead

    def _own_row(self, data: bytes, at: int, stop: int) -> bytes | None:
        head = self._head("a row")
        if head.bound is not None:
            return None if results.may_pass(head) else b""
        if not head.is_own:
            raise ProtocolError("the database sent a row where nothing runs")
        columns = messages.read_row(data[at + _HEADER : stop])
        self._state.path_shown(columns[0] if columns else None)
        return b""

    def _copy_in(self, _data: bytes, _at: int, _stop: int) -> bytes | None:
        head = self._head("CopyInResponse")
        if not head.takes_data:
            raise ProtocolError("the database asks for data where no COPY was admitted")
        self._state.is_copying = True
        self._state.pipeline.settle(head)
        return None

    def _error(self, data: bytes, at: int, stop: int) -> bytes | None:
        state = self._state
        body = data[at + _HEADER : stop]
        state.is_copying = False
        queue = state.pipeline.queue
        head = queue[0] if queue else None
        code = errors.code_of(body)
        if head is None:
            return None  # the server ends the connection, and says so
        instead: bytes | None = None
        if head.is_own:
            instead = b""
        elif head.kind == messages.FUNCTION_CALL:  # its substitute holds no marker: it has no text
            denial = head.denial
            instead = errors.unsupported_function_call() if denial is None else errors.refused(denial)
        elif head.denial is not None and head.marker in body:
            instead = errors.refused(head.denial)
        elif head.late is not None and code == errors.QUERY_CANCELED:
            instead = errors.refused(head.late)
        elif state.hides_details:
            instead = errors.without_details(body)
        state.pipeline.fail(code)
        return instead

    # -- between commands

    def _ready(self, data: bytes, at: int, stop: int) -> bytes | None:
        if stop != at + 6 or data[at + _HEADER] not in _STATUSES:
            raise ProtocolError("the database sent a ReadyForQuery that cannot be read")
        state = self._state
        queue = state.pipeline.queue
        if not queue or queue[0].kind not in {messages.SYNC, messages.QUERY, messages.FUNCTION_CALL}:
            raise ProtocolError("the database sent ReadyForQuery where it was not asked for")
        head = queue.popleft()
        state.is_copying = False
        status = data[at + _HEADER]
        if head.request is not None:
            state.pipeline.finish(head, head.error, head.rows, self._size(stop))
        else:
            self._mark = self._seen + stop
        state.ready(status)
        if head.is_own:
            state.path_answered()
            return b""
        return None

    def _parameter_status(self, data: bytes, at: int, stop: int) -> bytes | None:
        name, value = messages.read_pair(data[at + _HEADER : stop])
        if name == b"search_path":
            self._state.path_reported(messages.words(value, "search_path"))
        pinned = PINNED.get(name.decode("utf-8", "replace"))
        if pinned is not None and value != pinned.encode():
            raise ProtocolError(f"the database changed {name.decode()}: statements would be read differently")
        return None

    def _dropped(self, _data: bytes, _at: int, _stop: int) -> bytes | None:
        return b""  # a cancel key of the server's own is nobody's business


def _at_least_itself(length: int) -> int:
    if length < 4:
        raise ProtocolError("the database sent a message shorter than its own length")
    return length
