"""A prepared statement that runs again: Bind, perhaps Describe, Execute and Sync in one chunk.

What drivers send each time they run a statement that they prepared before. It is known again when nothing
else is under way, the statement stands for what it stood for, and neither its Bind nor its Execute changes
anything that later messages depend on. All else is read message by message (``client``).
"""

from typing import Final

from gateway.errors import ProtocolError
from gateway.model.statement import Phase
from gateway.protocols.postgres import messages, pipeline
from gateway.protocols.postgres.allowed import LIMITS
from gateway.protocols.postgres.cursors import may_lose
from gateway.protocols.postgres.pipeline import Expected
from gateway.protocols.postgres.registry import Portal, Prepared
from gateway.protocols.postgres.state import FAILED, State
from gateway.sansio.exchange import Repetition, Request

_HEADER: Final = 5
_BIND_LIMIT: Final = LIMITS[messages.BIND]
_DESCRIBE: Final = b"D\0\0\0\x06P\0"  # of the unnamed portal
_EXECUTE: Final = b"E\0\0\0\x09\0\0\0\0\0"  # of the unnamed portal, all rows
_TAILS: Final = {
    _DESCRIBE + _EXECUTE + messages.SYNC_FRAME: True,
    _EXECUTE + messages.SYNC_FRAME: False,
}
_BOUND: Final = messages.frame(messages.BIND_COMPLETE)
_DESCRIBED: Final = frozenset({messages.ROW_DESCRIPTION, messages.NO_DATA})
_READIES: Final = frozenset(messages.frame(messages.READY_FOR_QUERY, status) for status in (b"I", b"T"))
_READY: Final = 6  # bytes of one
_SHORTEST: Final = len(_EXECUTE) + len(messages.SYNC_FRAME)


def read(state: State, data: bytes) -> Repetition | None:
    """The repetition that *data* is; None when it is anything else, or something is under way."""
    if data[0] != messages.BIND or len(data) < _HEADER + _SHORTEST or not _is_quiet(state):
        return None
    length = messages.length_at(data, 1)[0]
    stop = 1 + length
    if length > _BIND_LIMIT or data[stop:] not in _TAILS:
        return None
    try:
        portal, name, values = messages.read_bind(data, _HEADER, stop)
    except ProtocolError:
        return None
    prepared = state.registry.prepared.get(name)
    if portal or prepared is None or len(prepared.bind_types) != values:
        return None
    statement, known = prepared.statement, prepared.repeated
    if (
        known is None
        or statement is None
        or known[0] is not statement
        or statement.names is not state.registry.names
        or not prepared.is_confirmed
    ):
        return None
    request = Request(data, Phase.BIND, (statement,), prepared.shown, prepared.bind_types)
    return Repetition(request, known[1], prepared)


def is_still(state: State, repetition: Repetition) -> bool:
    """True while the chunk may be forwarded as it was judged."""
    prepared = repetition.subject
    assert isinstance(prepared, Prepared)
    statement = repetition.request.statements[0]
    return (
        _is_quiet(state)
        and state.registry.prepared.get(prepared.name) is prepared
        and prepared.statement is statement
        and statement.names is state.registry.names
    )


def admit(state: State, repetition: Repetition) -> bytes:
    """What the server answers from here on, and what is sent to it: the very chunk."""
    request, prepared = repetition.request, repetition.subject
    assert isinstance(prepared, Prepared)
    portal = Portal(b"", prepared, request, state.segment, is_admitted=True, is_started=True)
    state.registry.bind(portal)
    queue = state.pipeline.queue
    queue.append(Expected(messages.BIND, request, None, portal, is_admitted=True, is_repeated=True))
    raw = request.raw
    if _TAILS[raw[1 + messages.length_at(raw, 1)[0] :]]:
        queue.append(pipeline.DESCRIBE)
    queue.append(Expected(messages.EXECUTE, request, None, portal, is_admitted=True))
    queue.append(pipeline.SYNC)
    state.segment += 1
    state.copy_may_follow = False
    return raw


def answered(state: State, data: bytes) -> tuple[int | None, int] | None:
    """The rows and the length of the result, where *data* is the whole good answer to a repetition.

    Then nothing of it is awaited any more. None for any other answer, of which nothing was taken.
    """
    end = len(data) - _READY
    if not data.startswith(_BOUND) or data[end:] not in _READIES:
        return None
    queue = state.pipeline.queue
    length_at = messages.length_at
    at, steps = len(_BOUND), 3
    if queue[1] is pipeline.DESCRIBE:
        if data[at] not in _DESCRIBED:
            return None
        at += 1 + length_at(data, at + 1)[0]
        steps = 4
    while at < end - _HEADER and data[at] == messages.DATA_ROW:
        length = length_at(data, at + 1)[0]
        if length < 4:
            return None
        at += 1 + length
    if (
        at >= end - _HEADER
        or data[at] != messages.COMMAND_COMPLETE
        or at + 1 + length_at(data, at + 1)[0] != end
    ):
        return None
    portal = queue[0].portal
    assert portal is not None
    portal.is_confirmed = portal.is_reported = True
    for _ in range(steps):
        queue.popleft()
    state.ready(data[-1])
    return messages.rows_of(data[at + _HEADER : end]), end


def _is_quiet(state: State) -> bool:
    """True when nothing is under way and nothing has to be found out first."""
    return not (
        state.pipeline.queue
        or state.pipeline.unjudged
        or state.pipeline.is_skipping
        or state.is_mid_pipeline
        or state.is_copying
        or state.unsettled
        or state.awaits_all
        or state.wants_path
        or state.hides_details
        or (state.registry.cursors and may_lose(state.registry.names))
        or state.status == FAILED
        or state.registry.names.search_path is None
    )
