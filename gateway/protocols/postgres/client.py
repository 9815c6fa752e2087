"""The client's direction: frames into requests, housekeeping and waits.

``allowed`` has the table of what a client may send.
"""

from collections.abc import Iterator
from typing import Final

from gateway.errors import ProtocolError
from gateway.model.statement import Phase
from gateway.protocols.postgres import allowed, messages, pipeline
from gateway.protocols.postgres.allowed import JUDGED, LIMITS, Named
from gateway.protocols.postgres.pipeline import Expected
from gateway.protocols.postgres.registry import UNKNOWN_PORTAL, Portal, Prepared
from gateway.protocols.postgres.state import State
from gateway.protocols.postgres.types import type_names
from gateway.sansio.exchange import Housekeeping, Request, Settle

MAX_OUTSTANDING: Final = 1_000  # messages without their answer
MAX_OUTSTANDING_BYTES: Final = 1 << 20
_HEADER: Final = 5
_WAITS: Final = 8  # more rounds of waiting for one message than there are reasons to wait


class Client:
    """Reads what a client sends; holds no more than one unfinished message."""

    __slots__ = ("_bound", "_copy_goes_on", "_copy_left", "_inbox", "_is_over", "_need", "_sent", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._inbox = bytearray()
        self._need = 0
        self._copy_left = 0  # bytes of a CopyData that has begun
        self._copy_goes_on = False
        self._bound: tuple[Portal, bool] | None = None  # the Bind right before, and whether it may steer
        self._sent = 0
        self._is_over = False

    @property
    def is_busy(self) -> bool:
        """True when a message has begun and not ended, or nothing more may come."""
        return bool(self._inbox) or self._copy_left > 0 or self._is_over

    def read(  # noqa: C901, PLR0912 - one hot loop over frames: what each kind needs is in methods
        self, data: bytes
    ) -> Iterator[Request | Housekeeping | Settle]:
        """The items in *data*, lazily: what an item needs to know is looked up when it is asked for."""
        if self._is_over and data:
            raise ProtocolError("bytes behind Terminate")
        if self._inbox and not (data := self._completed(data)):
            return
        at, size = 0, len(data)
        if self._copy_left:
            at = min(size, self._copy_left)
            self._copy_left -= at
            if self._copy_goes_on and at:
                yield Housekeeping(data[:at])
        while size - at >= _HEADER:
            kind = data[at]
            if kind == messages.COPY_DATA:
                if self._must_wait(kind):
                    yield Settle(messages.FLUSH_FRAME)
                stop = self._copy_data(data, at)
                if self._copy_goes_on:
                    yield Housekeeping(data[at:stop])
                at = stop
                continue
            length: int = messages.length_at(data, at + 1)[0]
            if not 4 <= length <= LIMITS.get(kind, 0):
                raise allowed.unwelcome(kind, length)
            stop = at + 1 + length
            if stop > size:
                self._need = stop - at
                break
            if kind in JUDGED:
                named = allowed.named(kind, data, at + _HEADER, stop)
                wait = self._wait(kind, named)
                for _ in range(_WAITS):
                    if wait is None:
                        break
                    yield wait
                    self._bound = None  # flushed: it is among the unsettled now
                    wait = self._wait(kind, named)
                if wait is not None:
                    raise ProtocolError("a message cannot be judged before the database has answered")
                yield self._request(kind, data[at:stop], named)
            else:
                if self._must_wait(kind):
                    yield Settle(messages.FLUSH_FRAME)
                raw = self._housekeeping(kind, data, at, stop)
                if raw:
                    yield Housekeeping(raw)
                if self._is_over and stop < size:
                    raise ProtocolError("bytes behind Terminate")
            at = stop
        else:
            self._need = _HEADER
        if at < size:
            self._inbox += data[at:]

    def _completed(self, data: bytes) -> bytes:
        """What was kept and *data*, once they hold a whole message; until then nothing."""
        self._inbox += data
        if len(self._inbox) < self._need:
            return b""
        whole = bytes(self._inbox)
        self._inbox.clear()
        return whole

    # -- waiting

    def _must_wait(self, kind: int) -> bool:
        """True for a message that nobody judges but that means something else when COPY data is awaited."""
        state = self._state
        if len(state.pipeline.queue) >= MAX_OUTSTANDING and kind in allowed.ANSWERED:
            state.awaits_all = True
            return True
        return bool(state.unsettled) and state.copy_may_follow and kind in allowed.MEANT_FOR_COPY

    def _wait(self, kind: int, named: Named) -> Settle | None:
        """Whatever must be answered before this message can be judged."""
        state = self._state
        if state.is_copying:
            raise ProtocolError(f"message {chr(kind)!r} while the server waits for COPY data")
        queue = state.pipeline.queue
        if not queue:
            self._sent = 0
        elif len(queue) >= MAX_OUTSTANDING or self._sent > MAX_OUTSTANDING_BYTES:
            state.awaits_all = True
            return Settle(messages.FLUSH_FRAME)
        if state.unsettled:
            return Settle(messages.FLUSH_FRAME)
        registry = state.registry
        entry: Prepared | Portal | None = None
        if kind == messages.BIND:
            entry = registry.prepared.get(named[1])
        elif kind == messages.EXECUTE:
            entry = registry.portals.get(named[0])
        bound = self._bound
        if bound is not None and bound[1] and entry is not bound[0]:
            return Settle(messages.FLUSH_FRAME)  # planning it may steer, and this is not its own Execute
        if entry is not None and not entry.is_confirmed and entry.segment != state.segment:
            # Its Parse or Bind stands in front of a Sync: whether it failed is not known yet.
            state.awaits_all = True
            return Settle(messages.FLUSH_FRAME)
        if registry.names.search_path is None and state.may_read_path():
            return Settle(state.read_path())
        return None

    # -- judged

    def note_bind(self, *, steers: bool) -> None:
        """The engine has the facts of the Bind that was read last."""
        if self._bound is not None and steers:
            self._bound = self._bound[0], True

    def _request(self, kind: int, raw: bytes, named: Named) -> Request:
        state = self._state
        self._sent += len(raw)
        state.copy_may_follow = False
        if kind == messages.BIND:
            state.is_mid_pipeline = True
            return self._bind(raw, named)
        self._bound = None
        if kind == messages.EXECUTE:
            state.is_mid_pipeline = True
            return self._execute(raw, named[0])
        if kind == messages.PARSE:
            state.is_mid_pipeline = True
            return self._parse(raw)
        registry = state.registry
        if kind == messages.QUERY:
            statement = registry.statement(messages.read_query(raw[_HEADER:]))
            registry.drop_portal(b"")
            registry.prepared.pop(b"", None)
        else:
            statement = registry.unreadable("function_call")
        request = Request(raw, Phase.QUERY, (statement,))
        state.pipeline.expect(Expected(kind, request))
        return request

    def _parse(self, raw: bytes) -> Request:
        state = self._state
        message = messages.read_parse(raw[_HEADER:])
        prepared = state.registry.parse(message.name, message.text, message.types, state.segment)
        statement = state.registry.statement_of(prepared)
        request = Request(raw, Phase.PREPARE, (statement,), _shown(message.name))
        state.pipeline.expect(Expected(messages.PARSE, request, prepared))
        return request

    def _bind(self, raw: bytes, named: Named) -> Request:
        state = self._state
        registry = state.registry
        portal_name, name, values = named
        prepared = registry.prepared.get(name)
        statement = registry.statement_of(prepared)
        if prepared is None:
            prepared = Prepared(name, None, (), state.segment)
        types = prepared.bind_types
        if len(types) != values:
            types = prepared.bind_types = type_names(prepared.types, values)
        request = Request(raw, Phase.BIND, (statement,), _shown(name), types)
        portal = Portal(portal_name, prepared, request, state.segment)
        registry.bind(portal)
        state.pipeline.expect(Expected(messages.BIND, request, None, portal))
        self._bound = portal, False
        return request

    def _execute(self, raw: bytes, name: bytes) -> Request:
        state = self._state
        registry = state.registry
        portal = registry.portals.get(name)
        if portal is None:
            request = Request(raw, Phase.EXECUTE, (registry.unreadable(UNKNOWN_PORTAL),), _shown(name))
        else:
            statement = registry.statement_of(portal.prepared)
            first = None if portal.is_started else portal.request
            portal.is_started = True
            request = Request(raw, Phase.EXECUTE, (statement,), _shown(name), (), first)
        state.pipeline.expect(Expected(messages.EXECUTE, request, None, portal))
        return request

    # -- passed

    def _housekeeping(self, kind: int, data: bytes, at: int, stop: int) -> bytes:
        """What goes on of a message that nobody judges."""
        if kind == messages.SYNC:
            return self._sync()
        state = self._state
        if kind in {messages.DESCRIBE, messages.CLOSE}:
            if state.is_copying:
                raise ProtocolError(f"message {chr(kind)!r} while the server waits for COPY data")
            is_statement, name = messages.read_target(data, at + _HEADER, stop)
            state.is_mid_pipeline = True
            if kind == messages.DESCRIBE:
                state.pipeline.expect(self._described(name, is_statement=is_statement))
            else:
                self._close(name, is_statement=is_statement)
            return data[at:stop]
        if kind in {messages.COPY_DONE, messages.COPY_FAIL}:
            if not self._copy_goes():
                return b""
            state.data_ended()
            return data[at:stop]
        if kind == messages.TERMINATE:
            self._is_over = True
            return data[at:stop]
        return b"" if state.is_copying else data[at:stop]  # Flush, which the server ignores in a COPY

    def _described(self, name: bytes, *, is_statement: bool) -> Expected:
        """What is awaited of a Describe: where something is masked, its answer is looked at."""
        key, registry = name[: messages.MAX_NAME], self._state.registry
        if is_statement:
            prepared = registry.prepared.get(key)
        else:
            portal = registry.portals.get(key)
            prepared = None if portal is None else portal.prepared
        if prepared is None or not prepared.masked:
            return pipeline.DESCRIBE
        return Expected(messages.DESCRIBE, masked=prepared.masked)

    def _sync(self) -> bytes:
        state = self._state
        if state.is_copying:
            return b""  # the server ignores it while it reads COPY data
        state.segment += 1
        state.is_mid_pipeline = False
        state.pipeline.expect(pipeline.SYNC)
        if state.wants_path:
            return messages.SYNC_FRAME + state.read_path()
        return messages.SYNC_FRAME

    def _close(self, name: bytes, *, is_statement: bool) -> None:
        state = self._state
        closed: Prepared | None = None
        if is_statement:
            closed = state.registry.parse(name, None, (), state.segment)
        else:
            state.registry.drop_portal(name)
        state.pipeline.expect(Expected(messages.CLOSE, None, closed))

    def _copy_data(self, data: bytes, at: int) -> int:
        """Walk CopyData frames by their headers; where they end, or the chunk does."""
        self._copy_goes_on = self._copy_goes()
        size = len(data)
        while at + _HEADER <= size and data[at] == messages.COPY_DATA:
            length = messages.length_at(data, at + 1)[0]
            if not 4 <= length <= allowed.MAX_COPY_DATA:
                raise ProtocolError(f"CopyData of {length} bytes")
            at += 1 + length
        self._copy_left = max(0, at - size)
        return min(at, size)

    def _copy_goes(self) -> bool:
        """True inside a COPY; False, to swallow, where a COPY has failed before the client knew."""
        state = self._state
        if state.is_copying:
            return True
        if not state.copy_may_follow:
            raise ProtocolError("COPY data outside of a COPY")
        return False


def _shown(name: bytes) -> str:
    return name[: messages.MAX_NAME].decode("utf-8", "backslashreplace") if name else ""
