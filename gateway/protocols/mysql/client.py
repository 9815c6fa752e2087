"""The client's commands: which are judged, as which statement, and what is forwarded if they are allowed."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from gateway.model.statement import Phase, Statement
from gateway.protocols.mysql import attributes, bulk, capabilities, charsets, commands, errors
from gateway.protocols.mysql.commands import Fate, Kind
from gateway.protocols.mysql.packets import HEADER, Command, Fields, packet
from gateway.protocols.mysql.prepared import Prepared, Types
from gateway.protocols.mysql.replies import Shape
from gateway.protocols.mysql.state import Asked, Running, State
from gateway.protocols.mysql.steering import defines, steers
from gateway.sansio.exchange import (
    Answered,
    Facts,
    Housekeeping,
    Request,
    Settle,
)

_UNKNOWN_COMMAND: Final = packet(0, b"\x00")
_NO_BULK: Final = Kind("COM_STMT_BULK_EXECUTE", Fate.NEVER)  # where it was not agreed on
_NO_STATEMENT: Final = packet(0, bytes((commands.EXECUTE,)) + bytes(9))
_NUMBER: Final = slice(HEADER + 1, HEADER + 5)  # of a prepared statement, in the bytes of its command


def read(state: State, data: bytes) -> Iterator[Request | Housekeeping | Settle | Answered]:
    """What the client's next bytes hold, lazily."""
    for command in state.commands.feed(data):
        if not state.is_settled:
            yield Settle()
        yield _read(state, command)


def admit(state: State, request: Request, facts: Facts) -> bytes:
    """The bytes to forward; a command that is never forwarded has its place taken."""
    asked, state.asked = state.asked, None
    assert asked is not None, "one request is judged at a time"
    if asked.prepared is not None and asked.types is not None:  # only now does the server get them, too
        asked.prepared.bind_types, asked.prepared.kinds = asked.types.names, asked.types.kinds
        asked.prepared.lacks_types = False
    running = Running(asked.code, asked.kind.shape or Shape.SIMPLE, asked.sequence, request)
    raw = asked.raw
    if asked.kind.fate is Fate.NEVER:
        raw, running.shape = _UNKNOWN_COMMAND, Shape.SIMPLE
    elif request.phase is Phase.PREPARE:
        running.statement = request.statements[0]
    elif asked.code != commands.FETCH and raw is not _NO_STATEMENT:
        running.steers = not state.is_known or steers(request.statements[0].text, facts)
        running.defines = defines(facts)
        if asked.is_obliged:
            state.forget(asked, facts)
        elif not running.steers and not running.defines:
            state.remember(asked, facts)
    state.begin(running)
    return raw


def _read(state: State, command: Command) -> Request | Housekeeping | Answered:
    code = command.payload[0]
    kind = commands.kind_of(code)
    if code == commands.PREPARE and state.statements.is_full:
        return _too_many(state, command)
    if code == commands.BULK and not state.flags & capabilities.BULK_OPERATIONS:
        kind = _NO_BULK
    if kind.fate is Fate.PASSED:
        return _pass(state, command.raw, kind, code, command.sequence)
    if kind.fate is Fate.KEPT:
        return _about_prepared(state, command, kind, code)
    if kind.fate is Fate.NEVER or code in {commands.REFRESH, commands.SET_OPTION}:
        return _ask(state, command, kind, Phase.QUERY, state.unreadable(kind.name.lower()))
    phase = Phase.PREPARE if code == commands.PREPARE else Phase.QUERY
    return _ask(state, command, kind, phase, _statement(state, kind, command.payload))


def _too_many(state: State, command: Command) -> Answered:
    """What a server says that keeps no more statements; nobody has to be asked for that."""
    state.statements.failed()
    words = "this session has too many prepared statements, or too long ones: close some"
    return Answered(command.raw, errors.error(command.sequence + 1, errors.TOO_MANY_PREPARED, words))


def _pass(state: State, raw: bytes, kind: Kind, code: int, sequence: int) -> Housekeeping:
    if kind.shape is not None:
        state.begin(Running(code, kind.shape, sequence, steers=code == commands.RESET_CONNECTION))
    return Housekeeping(raw, ends=code == commands.QUIT)


def _ask(
    state: State,
    command: Command,
    kind: Kind,
    phase: Phase,
    statement: Statement,
    *,
    raw: bytes = b"",
    prepared: Prepared | None = None,
    types: Types | None = None,
) -> Request:
    raw = raw or command.raw
    name = raw[_NUMBER].hex() if phase is Phase.EXECUTE else ""
    bound: tuple[str, ...] = () if types is None else types.names
    if prepared is not None and types is None:
        bound = prepared.bind_types
    elif prepared is not None:
        prepared.lacks_types = True
    request = Request(
        command.raw, phase, (statement,), name=name, bind_types=bound, sets=1 if types is None else types.sets
    )
    state.asked = Asked(request, kind, command.payload[0], command.sequence, raw, prepared, types)
    return request


def _statement(state: State, kind: Kind, payload: bytes) -> Statement:
    text = text_of(state, kind, payload)
    return state.unreadable(charsets.UNREADABLE) if text is None else state.statement(text)


def text_of(state: State, kind: Kind, payload: bytes) -> str | None:
    """The command in SQL's words; None where it cannot be read."""
    if kind.words is not None and payload[0] == commands.PROCESS_KILL:
        return kind.words(payload[1:5].decode("latin-1"))
    data = payload[1:]
    if state.has_attributes and payload[0] == commands.QUERY:
        data = attributes.behind(payload)
    text = charsets.read(data, state.charset) if state.is_known else None
    if text is not None and kind.words is not None:
        text = kind.words(text.removesuffix("\0"))
    return text


def _about_prepared(state: State, command: Command, kind: Kind, code: int) -> Request | Housekeeping:
    fields = Fields(command.payload)
    fields.raw(1)
    found = state.statements.find(fields.number(4))
    if found is None:
        return _about_nothing(state, command, kind)
    found.statement = _as_of_now(state, found.statement)
    reason = state.unread(found)
    statement = state.unreadable(reason) if reason else found.statement
    number = found.number.to_bytes(4, "little")
    raw = command.raw[: HEADER + 1] + number + command.raw[HEADER + 5 :]
    if code == commands.EXECUTE:
        named = commands.bind_types(command.payload, found.parameters, attributes=state.has_attributes)
        if named is None and found.lacks_types:
            return _about_nothing(state, command, kind)
        types = Types(named) if named else None
        return _ask(state, command, kind, Phase.EXECUTE, statement, raw=raw, prepared=found, types=types)
    if code == commands.BULK:
        return _bulk(state, command, kind, found, statement, raw)
    if code == commands.FETCH:
        return _ask(state, command, kind, Phase.EXECUTE, statement, raw=raw)
    if code == commands.CLOSE:
        state.statements.close(found)
    return _pass(state, raw, kind, code, command.sequence)


def _bulk(
    state: State, command: Command, kind: Kind, found: Prepared, statement: Statement, raw: bytes
) -> Request | Housekeeping:
    brings_types = bulk.brings_types(command.payload)
    if found.lacks_types and not brings_types:
        return _about_nothing(state, command, kind)
    brought = bulk.read(command.payload, found.parameters, found.kinds)
    if brought is None:
        found.lacks_types = found.lacks_types or brings_types
        return _ask(state, command, kind, Phase.EXECUTE, state.unreadable("bulk_values"), raw=raw)
    types = Types(brought.types, brought.kinds, brought.rows)
    return _ask(state, command, kind, Phase.EXECUTE, statement, raw=raw, prepared=found, types=types)


def _as_of_now(state: State, statement: Statement) -> Statement:
    """A prepared statement keeps its database; what the database holds is that of now."""
    names = statement.names
    if names.catalog is state.names.catalog:
        return statement
    is_here = names.search_path == state.names.search_path
    fresh = state.names if is_here else replace(names, catalog=state.names.catalog)
    return replace(statement, names=fresh)


def _about_nothing(state: State, command: Command, kind: Kind) -> Request | Housekeeping:
    """What stands for no statement, or for values whose types the server has not got: nothing is run."""
    if kind.shape is None:
        return Housekeeping(b"")
    statement = state.unreadable("unknown_statement")
    return _ask(state, command, kind, Phase.EXECUTE, statement, raw=_NO_STATEMENT)
