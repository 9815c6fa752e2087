"""MariaDB's COM_STMT_BULK_EXECUTE: one prepared statement, run with many rows of values at once.

https://mariadb.com/kb/en/com_stmt_bulk_execute/. A number of the statement, two bytes of flags, the types
where the flags say so, and the rows; in front of each value stands whether it is one. The rows are walked to
count them, for the record: what the statement does is judged, whatever its values are.
"""

from dataclasses import dataclass
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.mysql.commands import TYPES
from gateway.protocols.mysql.packets import Fields

_SENDS_TYPES: Final = 0x80
_ASKS_FOR_IDS: Final = 0x40
MOST_WALKED: Final = 20_000  # values of one command: a few milliseconds
_NO_VALUE: Final = range(1, 4)  # NULL, DEFAULT, IGNORE
_SIZES: Final = {0x01: 1, 0x02: 2, 0x03: 4, 0x04: 4, 0x05: 8, 0x08: 8}
_UNSURE: Final = frozenset({0x06, 0x09, 0x0D})  # nobody sends them here, and servers may take them otherwise


@dataclass(frozen=True, slots=True)
class Bulk:
    """The types of one row by number, and how many rows there are: None for more than are counted."""

    kinds: tuple[int, ...]
    rows: int | None

    @property
    def types(self) -> tuple[str, ...]:
        """The types by name."""
        return tuple(TYPES.get(kind, f"type {kind}") for kind in self.kinds)


def brings_types(payload: bytes) -> bool:
    """True where the types of the values stand in it."""
    fields = Fields(payload)
    fields.raw(1 + 4)
    return bool(fields.number(2) & _SENDS_TYPES)


def read(payload: bytes, parameters: int, known: tuple[int, ...]) -> Bulk | None:
    """What *payload* brings for a statement of so many *parameters*; None where it cannot be read.

    *known* are the types of the last time.
    """
    fields = Fields(payload)
    fields.raw(1 + 4)
    flags = fields.number(2)
    if flags & ~(_SENDS_TYPES | _ASKS_FOR_IDS) or not parameters:
        return None
    kinds = known
    if flags & _SENDS_TYPES:
        kinds = tuple(fields.number(2) & 0xFF for _ in range(parameters))
    if len(kinds) != parameters or not _UNSURE.isdisjoint(kinds):
        return None
    return Bulk(kinds, _count(fields, kinds))


def _count(fields: Fields, kinds: tuple[int, ...]) -> int | None:
    rows = 0
    while fields.left():
        if (rows + 1) * len(kinds) > MOST_WALKED:
            return None
        for kind in kinds:
            _skip(fields, kind)
        rows += 1
    return rows


def _skip(fields: Fields, kind: int) -> None:
    indicator = fields.number(1)
    if indicator in _NO_VALUE:
        return
    if indicator:
        raise ProtocolError(f"a value with the indicator {indicator}")
    size = _SIZES.get(kind)
    if size is None:
        fields.counted()
    else:
        fields.raw(size)
