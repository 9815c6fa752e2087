"""Every kind of statement and who reads it."""

from collections.abc import Callable
from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece
from gateway.classify.mysql import (
    administration,
    definitions,
    programs,
    removals,
    settings,
    shows,
    transactions,
)
from gateway.classify.mysql.changes import Changes
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.mysql.lexer import Token
from gateway.classify.operations import CLASS_OF
from gateway.classify.pieces import effect, piece
from gateway.classify.tokens import MARK, WORD

READ_WORDS: Final = frozenset(("select", "with", "values", "table", "insert", "replace", "update", "delete"))


def read(tokens: list[Token]) -> Piece:
    """The facts of one statement; raises DoubtError."""
    first = tokens[0]
    if first.kind is WORD:
        if first.value in READ_WORDS:
            return plain(tokens)
        handler = _HANDLERS.get(first.value)
        if handler is not None:
            return handler(Cursor(tokens, 1))
    elif first.kind is MARK and first.value == "(":
        return plain(tokens)
    raise DoubtError(Doubt.STATEMENT)


def plain(tokens: list[Token]) -> Piece:
    """A query or a change of rows."""
    reader = Changes(Cursor(tokens))
    return reader.piece(reader.read())


def operation_of(tokens: list[Token]) -> str:
    """A word for a statement that was not understood: what it starts with, if that is a word of ours."""
    first = tokens[0]
    word = first.value if first.kind is WORD else ""
    word = _SYNONYMS.get(word, word)
    return word if word in CLASS_OF else "unknown"


_SYNONYMS: Final = {
    "replace": "insert",
    "start": "begin",
    "with": "unknown",
    "desc": "show",
    "describe": "show",
}


def _explain(cursor: Cursor) -> Piece:
    """EXPLAIN, DESCRIBE and MariaDB's ANALYZE: of a table, or of a statement."""
    word = cursor.tokens[0].value
    if word == "analyze" and cursor.word() in {"table", "tables", "no_write_to_binlog", "local"}:
        return administration.read_maintenance(cursor)
    if word != "analyze" and cursor.is_name() and not _says_how(cursor):
        use = shows.table(cursor)
        if not cursor.is_end():
            cursor.next()
        cursor.end()
        return piece("show", uses=(use,))
    while cursor.take_any(("extended", "partitions", "analyze")):
        pass
    if cursor.take("format"):
        cursor.expect_mark("=")
        cursor.next()
    if cursor.take("for", "connection"):
        cursor.rest()
        return piece("explain", effect("show", "server", "connection"))
    if cursor.take("into") or (cursor.word() not in READ_WORDS and not cursor.is_mark("(")):
        raise DoubtError(Doubt.SYNTAX)
    return programs.explained(plain(cursor.rest()))


def _says_how(cursor: Cursor) -> bool:
    """``EXPLAIN EXTENDED SELECT``, ``EXPLAIN FORMAT=JSON SELECT``: no tables of such names."""
    follows = cursor.word(1) in READ_WORDS or cursor.is_mark("(", 1)
    return (cursor.word() in {"extended", "partitions"} and follows) or (
        cursor.word() == "format" and cursor.is_mark("=", 1)
    )


_HANDLERS: Final[dict[str, Callable[[Cursor], Piece]]] = {
    "alter": definitions.read_alter,
    "analyze": _explain,
    "backup": administration.read_administer,
    "begin": transactions.read_begin,
    "binlog": administration.read_binlog,
    "cache": administration.read_administer,
    "call": programs.read_call,
    "change": transactions.read_server,
    "check": administration.read_maintenance,
    "checksum": administration.read_maintenance,
    "clone": administration.read_administer,
    "commit": transactions.read_commit,
    "create": definitions.read_create,
    "deallocate": programs.read_deallocate,
    "desc": _explain,
    "describe": _explain,
    "do": programs.read_do,
    "drop": removals.read_drop,
    "execute": programs.read_execute,
    "explain": _explain,
    "flush": administration.read_flush,
    "grant": administration.read_grant,
    "handler": programs.read_handler,
    "help": shows.read_help,
    "import": administration.read_administer,
    "install": administration.read_install,
    "kill": administration.read_kill,
    "load": programs.read_load,
    "lock": programs.read_lock,
    "optimize": administration.read_maintenance,
    "prepare": programs.read_prepare,
    "purge": transactions.read_server,
    "release": transactions.read_release,
    "rename": removals.read_rename,
    "repair": administration.read_maintenance,
    "reset": transactions.read_server,
    "restart": administration.read_shutdown,
    "revoke": administration.read_grant,
    "rollback": transactions.read_rollback,
    "savepoint": transactions.read_savepoint,
    "set": settings.read_set,
    "show": shows.read_show,
    "shutdown": administration.read_shutdown,
    "start": transactions.read_start,
    "stop": transactions.read_server,
    "truncate": removals.read_truncate,
    "uninstall": administration.read_install,
    "unlock": programs.read_unlock,
    "use": shows.read_use,
    "xa": transactions.read_xa,
}
