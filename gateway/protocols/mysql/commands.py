"""Every command byte of the protocol, and what becomes of it.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html and MariaDB's own pages.
*Judged*: it asks for something, and is put in SQL's words for the policy. *Passed*: it asks for nothing that
anybody could be refused, or goes on with what was judged; the reason stands beside it. *Never*: whoever asks,
the server does not get it; in its place goes a byte that every server answers with ``Unknown command``
(1047).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.mysql.packets import Fields
from gateway.protocols.mysql.replies import Shape


class Fate(Enum):
    """What the gateway does with a command."""

    JUDGED = auto()
    PASSED = auto()
    KEPT = auto()  # about a prepared statement: its number decides
    NEVER = auto()


@dataclass(frozen=True, slots=True)
class Kind:
    """One command: ``shape`` of its answer, None where it has none; ``words`` make SQL of its payload."""

    name: str
    fate: Fate
    shape: Shape | None = Shape.SIMPLE
    words: Callable[[str], str] | None = None
    why: str = ""


QUIT: Final = 0x01
INIT_DB: Final = 0x02
QUERY: Final = 0x03
FIELD_LIST: Final = 0x04
REFRESH: Final = 0x07
SHUTDOWN: Final = 0x08
PROCESS_INFO: Final = 0x0A
PROCESS_KILL: Final = 0x0C
PING: Final = 0x0E
PREPARE: Final = 0x16
EXECUTE: Final = 0x17
LONG_DATA: Final = 0x18
CLOSE: Final = 0x19
RESET: Final = 0x1A
SET_OPTION: Final = 0x1B
FETCH: Final = 0x1C
RESET_CONNECTION: Final = 0x1F
BULK: Final = 0xFA  # MariaDB's


def quoted(name: str) -> str:
    """A name as an identifier."""
    return "`" + name.replace("`", "``") + "`"


def _use(text: str) -> str:
    return "USE " + quoted(text)


def _columns_of(text: str) -> str:
    table, _, pattern = text.partition("\0")
    return f"SHOW COLUMNS FROM {quoted(table)}" + (f" LIKE {_literal(pattern)}" if pattern else "")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _kill(text: str) -> str:
    return f"KILL {int.from_bytes(text.encode('latin-1')[:4], 'little')}"


COMMANDS: Final[dict[int, Kind]] = {
    0x00: Kind("COM_SLEEP", Fate.NEVER),
    QUIT: Kind("COM_QUIT", Fate.PASSED, None, why="the end of the session"),
    INIT_DB: Kind("COM_INIT_DB", Fate.JUDGED, words=_use),
    QUERY: Kind("COM_QUERY", Fate.JUDGED, Shape.RESULT),
    FIELD_LIST: Kind("COM_FIELD_LIST", Fate.JUDGED, Shape.ROWS, words=_columns_of),
    0x05: Kind("COM_CREATE_DB", Fate.NEVER),
    0x06: Kind("COM_DROP_DB", Fate.NEVER),
    REFRESH: Kind("COM_REFRESH", Fate.JUDGED),
    SHUTDOWN: Kind("COM_SHUTDOWN", Fate.JUDGED, words=lambda _: "SHUTDOWN"),
    0x09: Kind("COM_STATISTICS", Fate.PASSED, Shape.TEXT, why="a line of counters: uptime, threads, queries"),
    PROCESS_INFO: Kind("COM_PROCESS_INFO", Fate.JUDGED, Shape.RESULT, words=lambda _: "SHOW PROCESSLIST"),
    0x0B: Kind("COM_CONNECT", Fate.NEVER),
    PROCESS_KILL: Kind("COM_PROCESS_KILL", Fate.JUDGED, words=_kill),
    0x0D: Kind("COM_DEBUG", Fate.NEVER),
    PING: Kind("COM_PING", Fate.PASSED, why="asks for nothing"),
    0x0F: Kind("COM_TIME", Fate.NEVER),
    0x10: Kind("COM_DELAYED_INSERT", Fate.NEVER),
    0x11: Kind("COM_CHANGE_USER", Fate.NEVER),
    0x12: Kind("COM_BINLOG_DUMP", Fate.NEVER),
    0x13: Kind("COM_TABLE_DUMP", Fate.NEVER),
    0x14: Kind("COM_CONNECT_OUT", Fate.NEVER),
    0x15: Kind("COM_REGISTER_SLAVE", Fate.NEVER),
    PREPARE: Kind("COM_STMT_PREPARE", Fate.JUDGED, Shape.PREPARED),
    EXECUTE: Kind("COM_STMT_EXECUTE", Fate.KEPT, Shape.RESULT),
    LONG_DATA: Kind("COM_STMT_SEND_LONG_DATA", Fate.KEPT, None, why="a value; its EXECUTE is judged"),
    CLOSE: Kind("COM_STMT_CLOSE", Fate.KEPT, None, why="gives up a statement"),
    RESET: Kind("COM_STMT_RESET", Fate.KEPT, why="gives up values and a cursor"),
    SET_OPTION: Kind("COM_SET_OPTION", Fate.JUDGED),
    FETCH: Kind("COM_STMT_FETCH", Fate.KEPT, Shape.ROWS),
    0x1D: Kind("COM_DAEMON", Fate.NEVER),
    0x1E: Kind("COM_BINLOG_DUMP_GTID", Fate.NEVER),
    RESET_CONNECTION: Kind(
        "COM_RESET_CONNECTION", Fate.PASSED, why="the session begins anew, with nothing that it had not"
    ),
    0x20: Kind("COM_CLONE", Fate.NEVER),
    0x21: Kind("COM_SUBSCRIBE_GROUP_REPLICATION_STREAM", Fate.NEVER),
    BULK: Kind("COM_STMT_BULK_EXECUTE", Fate.KEPT, Shape.RESULT),
    0xFD: Kind("COM_SLAVE_WORKER", Fate.NEVER),
    0xFE: Kind("COM_MULTI", Fate.NEVER),
}
"""Byte to command; a byte that is not here is treated as one that is never forwarded."""


def kind_of(code: int) -> Kind:
    """The command with this byte."""
    return COMMANDS.get(code) or Kind(f"COM_{code:#04x}", Fate.NEVER)


_MOST_VALUES: Final = 65_535
TYPES: Final = {
    0x00: "decimal", 0x01: "tinyint", 0x02: "smallint", 0x03: "int", 0x04: "float", 0x05: "double",
    0x06: "null", 0x07: "timestamp", 0x08: "bigint", 0x09: "mediumint", 0x0A: "date", 0x0B: "time",
    0x0C: "datetime", 0x0D: "year", 0x0F: "varchar", 0x10: "bit", 0xF5: "json", 0xF6: "decimal",
    0xF7: "enum", 0xF8: "set", 0xF9: "tinyblob", 0xFA: "mediumblob", 0xFB: "longblob", 0xFC: "blob",
    0xFD: "varchar", 0xFE: "char", 0xFF: "geometry",
}  # fmt: skip


_HAS_COUNT: Final = 0x08  # a flag of EXECUTE: how many values there are, attributes among them, stands in it


def bind_types(payload: bytes, parameters: int, *, attributes: bool = False) -> tuple[str, ...] | None:
    """The types of an EXECUTE's values; None where they are those of the last time, () where it has none."""
    fields = Fields(payload)
    fields.raw(1 + 4)
    flags = fields.number(1)
    fields.raw(4)
    if not parameters and not (attributes and flags & _HAS_COUNT):
        return ()
    count = fields.lenenc() if attributes else parameters
    if count > _MOST_VALUES:
        raise ProtocolError(f"a statement with {count} values")
    fields.raw((count + 7) // 8)
    if not count or not fields.number(1):
        return None if count else ()
    kinds = []
    for _ in range(count):
        kinds.append(fields.number(2) & 0xFF)
        if attributes:
            fields.counted()  # its name
    return tuple(TYPES.get(kind, f"type {kind}") for kind in kinds)
