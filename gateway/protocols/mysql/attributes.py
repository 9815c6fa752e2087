"""Query attributes: values that a client sends along with a statement, in front of its text.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query.html, where both sides agreed on
CLIENT_QUERY_ATTRIBUTES. The server hands them to functions that ask for them; the text begins behind them,
so they are walked value by value, as the server walks them: only the types below have a size of their own,
and all others, dates among them, stand behind a length. A type that servers and drivers may take differently
is not taken at all.
"""

from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.mysql.packets import Fields

MOST: Final = 65_535
_SIZES: Final = {0x01: 1, 0x02: 2, 0x03: 4, 0x04: 4, 0x05: 8, 0x08: 8}
_COUNTED: Final = frozenset(
    {0x00, 0x07, 0x0A, 0x0B, 0x0C, 0x0F, 0x10, 0xF5, 0xF6, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF}
)
_UNSIGNED: Final = 0x8000


def behind(payload: bytes) -> bytes:
    """The text of a COM_QUERY that carries attributes; ProtocolError where they do not end before it."""
    fields = Fields(payload)
    fields.raw(1)
    count, sets = fields.lenenc(), fields.lenenc()
    if sets != 1 or count > MOST:
        raise ProtocolError(f"a query with {sets} sets of {count} attributes")
    if count:
        _skip(fields, count)
    return fields.rest()


def _skip(fields: Fields, count: int) -> None:
    nulls = fields.raw((count + 7) // 8)
    if fields.number(1) != 1:
        raise ProtocolError("query attributes without their types")
    kinds = []
    for _ in range(count):
        kinds.append(fields.number(2) & ~_UNSIGNED)
        fields.counted()  # its name
    for index, kind in enumerate(kinds):
        if not nulls[index // 8] >> index % 8 & 1:
            _skip_value(fields, kind)


def _skip_value(fields: Fields, kind: int) -> None:
    if kind in _SIZES:
        fields.raw(_SIZES[kind])
    elif kind in _COUNTED:
        fields.counted()
    else:
        raise ProtocolError(f"a query attribute of type {kind}")
