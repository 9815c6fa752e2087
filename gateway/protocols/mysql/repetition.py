"""A command that can be asked about at once: its bytes came whole and alone, and its facts are known.

A prepared statement that runs again stands for what it stood for. A text is read here; it goes this way where
one of its shape was allowed in this session before, so that a refusal is rarely asked about twice. Nothing
goes this way that changes how later commands are read.
"""

from typing import Final

from gateway.classify import sql
from gateway.errors import ProtocolError
from gateway.model.statement import Phase
from gateway.protocols.mysql import client, commands
from gateway.protocols.mysql.packets import FULL, HEADER
from gateway.protocols.mysql.prepared import Prepared
from gateway.protocols.mysql.replies import Shape
from gateway.protocols.mysql.state import Running, State
from gateway.protocols.mysql.steering import defines, steers
from gateway.sansio.exchange import Facts, Repetition, Request

_NUMBER: Final = slice(HEADER + 1, HEADER + 5)
_VALUES: Final = HEADER + 10  # where an EXECUTE's values begin, with a bit for each that is NULL
_QUERY: Final = commands.kind_of(commands.QUERY)


def read(state: State, data: bytes) -> Repetition | None:
    """The repetition that *data* is; None when it is anything else, or something is under way."""
    size = int.from_bytes(data[:4], "little")  # and the number of the packet, which must be 0
    if not 0 < size < FULL or len(data) != size + HEADER or not _is_quiet(state):
        return None
    code = data[HEADER]
    try:
        if code == commands.EXECUTE:
            return _execute(state, data)
        return _query(state, data) if code == commands.QUERY else None
    except ProtocolError:
        return None


def is_still(state: State, repetition: Repetition) -> bool:
    """True while the command may be forwarded as it was judged."""
    prepared = repetition.subject
    if not _is_quiet(state):
        return False
    statement = repetition.request.statements[0]
    if isinstance(prepared, Prepared):
        return state.statements.find(prepared.number) is prepared and _stands(state, prepared)
    return statement.names is state.names and statement.modes is state.modes


def admit(state: State, repetition: Repetition) -> bytes:
    """What the server answers from here on, and what is sent to it: the very bytes."""
    request, prepared = repetition.request, repetition.subject
    if isinstance(prepared, Prepared) and request.bind_types is not prepared.bind_types:
        prepared.bind_types, prepared.kinds = request.bind_types, ()
        prepared.lacks_types = False
    state.begin(Running(request.raw[HEADER], Shape.RESULT, 0, request))
    return request.raw


def _execute(state: State, data: bytes) -> Repetition | None:
    number = data[_NUMBER]
    if len(data) < _VALUES:
        return None
    prepared = state.statements.numbered(int.from_bytes(number, "little"))
    if prepared is None or prepared.repeated is None or not _stands(state, prepared):
        return None
    statement, facts = prepared.repeated
    if not _brings_types(state, data, prepared.parameters):
        if prepared.lacks_types:
            return None
        bound = prepared.bind_types
    else:
        types = commands.bind_types(data[HEADER:], prepared.parameters, attributes=state.has_attributes)
        if types is None and prepared.lacks_types:
            return None
        bound = prepared.bind_types if types is None else types
    return Repetition(Request(data, Phase.EXECUTE, (statement,), number.hex(), bound), facts, prepared)


def _brings_types(state: State, data: bytes, parameters: int) -> bool:
    """False for what drivers mostly send: as many values as ever, of the types of the last time."""
    place = _VALUES + (parameters + 7) // 8
    return state.has_attributes or not parameters or place >= len(data) or data[place] != 0


def _stands(state: State, prepared: Prepared) -> bool:
    """True when it still means what it meant when it ran last."""
    return (
        prepared.repeated is not None
        and prepared.repeated[0] is prepared.statement
        and prepared.statement.names.catalog is state.names.catalog
        and not state.unread(prepared)
    )


def _query(state: State, data: bytes) -> Repetition | None:
    text = client.text_of(state, _QUERY, data[HEADER:])
    if text is None or sql.needs_pool(text):
        return None
    statement = state.statement(text)
    facts = sql.classify(statement)
    if not _is_plain(state, text, facts):
        return None
    return Repetition(Request(data, Phase.QUERY, (statement,)), facts, None)


def _is_plain(state: State, text: str, facts: Facts) -> bool:
    return (
        bool(facts)
        and all(item.fingerprint in state.shapes for item in facts)
        and not steers(text, facts)
        and not defines(facts)
    )


def _is_quiet(state: State) -> bool:
    return state.is_settled and state.is_known and state.commands.is_empty
