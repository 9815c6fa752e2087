"""Reads what a database user can see, over a connection of its own: tables, views, their columns, functions.

A view runs with its definer's rights, so it must be told from a table; what ``*`` stands for is in the
columns.
"""

from collections import defaultdict
from typing import Final

from gateway.model.statement import Catalog, Relation
from gateway.protocols.mysql import errors
from gateway.protocols.mysql.errors import LoginError
from gateway.protocols.mysql.packets import EOF, ERR, HEADER, Fields, packet
from gateway.sansio.flow import Flow, Read, Write

_FROM: Final = "FROM information_schema."
TABLES: Final = f"SELECT /* regate */ TABLE_SCHEMA,TABLE_NAME,TABLE_TYPE {_FROM}TABLES"
COLUMNS: Final = (
    f"SELECT /* regate */ TABLE_SCHEMA,TABLE_NAME,ORDINAL_POSITION,COLUMN_NAME,COLUMN_TYPE {_FROM}COLUMNS"
)
FUNCTIONS: Final = (
    f"SELECT /* regate */ ROUTINE_SCHEMA,ROUTINE_NAME {_FROM}ROUTINES WHERE ROUTINE_TYPE='FUNCTION'"
)
_KINDS: Final = {"VIEW": "view", "SYSTEM VIEW": "view", "SEQUENCE": "sequence"}  # all others are tables
_MAX_ROW: Final = 1 << 20
_MOST_ROWS: Final = 2_000_000
_SHORT_EOF: Final = 5


def read_catalog() -> Flow[Catalog]:
    """Three questions; LoginError when one is not answered."""
    tables = yield from _rows(TABLES)
    columns = yield from _rows(COLUMNS)
    functions = yield from _rows(FUNCTIONS)
    described: defaultdict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
    for schema, name, place, column, kind in columns:
        described[schema, name].append((int(place or "0"), column, kind))
    relations = {}
    for schema, name, kind in tables:
        known = sorted(described[schema, name])
        relations[schema, name] = Relation(
            _KINDS.get(kind, "table"),
            tuple(column for _, column, _ in known),
            tuple(kind for _, _, kind in known),
            tuple(place for place, _, _ in known),
        )
    return Catalog(relations, frozenset((schema, name) for schema, name in functions))


def _rows(question: str) -> Flow[list[tuple[str, ...]]]:
    """The rows of one result, NULL as an empty text."""
    yield Write(packet(0, b"\x03" + question.encode()))
    first = yield from _payload()
    width = Fields(first).lenenc()
    for _ in range(width):
        yield from _payload()
    found: list[tuple[str, ...]] = []
    while len(found) < _MOST_ROWS:
        payload = yield from _payload()
        if payload[0] == EOF and len(payload) == _SHORT_EOF and not found:
            payload = yield from _payload()  # the old form has one more, between columns and rows
        if payload[0] == EOF:  # no row of this size begins so
            return found
        fields = Fields(payload)
        found.append(tuple((fields.value() or b"").decode("utf-8", "replace") for _ in range(width)))
    raise LoginError("the database server has more tables and columns than are read here")


def _payload() -> Flow[bytes]:
    head = yield Read(HEADER)
    size = int.from_bytes(head[:3], "little")
    if not 0 < size <= _MAX_ROW:
        raise LoginError(f"the database server sent a packet of {size} bytes for its catalogue")
    payload = yield Read(size)
    if payload[0] == ERR:
        raise LoginError(f"the database server does not tell what it holds: {errors.read(payload).words}")
    return payload
