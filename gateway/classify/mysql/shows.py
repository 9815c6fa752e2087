"""SHOW in all its forms, DESCRIBE and EXPLAIN of a table, USE, HELP.

https://dev.mysql.com/doc/refman/8.0/en/show.html, https://mariadb.com/kb/en/show/. What tells of one table is
a read of that table that looks at no column; what tells of more is ``show`` of a database or of the server.
"""

from dataclasses import replace
from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Piece, Use
from gateway.classify.mysql.changes import Changes
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.mysql.scope import Scope
from gateway.classify.mysql.words import STORED
from gateway.classify.pieces import effect, piece
from gateway.classify.tokens import NUMBER, STRING, WORD
from gateway.model.classification import Class, Effect

_OF_TABLE: Final = frozenset(("columns", "fields", "index", "indexes", "keys"))
_OF_DATABASE: Final = frozenset(("tables", "triggers", "events"))
_CREATED: Final = frozenset(("table", "view", "sequence"))
_HARMLESS: Final = frozenset(("warnings", "errors", "charset", "collation", "engines"))


def read_show(cursor: Cursor) -> Piece:
    """``SHOW …``, the word itself taken already."""
    while cursor.take_any(("full", "extended", "global", "session", "local", "all")):
        pass
    word = cursor.word()
    if word in _OF_TABLE:
        cursor.next()
        return _of_table(cursor)
    if word in _OF_DATABASE or (word in {"table", "open"} and cursor.word(1) in {"status", "tables"}):
        cursor.at += 1 if word in _OF_DATABASE else 2
        return _of_database(cursor, is_everywhere=word == "open")
    if cursor.take("create"):
        return _create(cursor)
    if word in {"variables", "status"}:
        cursor.next()
        return _settings(cursor, word)
    if (
        word == "count"
        or word in _HARMLESS
        or (word in {"character", "storage"} and cursor.word(1) in {"set", "engines"})
    ):
        cursor.at += 4 if word == "count" else 1 + (word in {"character", "storage"})
        if word == "count" and cursor.word() not in {"warnings", "errors"}:
            raise DoubtError(Doubt.SYNTAX)
        if word == "count":
            cursor.next()
        return _tail(cursor, effect("select"))
    if word in {"databases", "schemas"}:
        cursor.next()
        return _tail(cursor, effect("show", "server", "databases"))
    return _of_server(cursor)


def _tail(cursor: Cursor, *effects: Effect, uses: tuple[Use, ...] = ()) -> Piece:
    """``LIKE 'x'``, or a condition in which queries may stand, or LIMIT."""
    reader = Changes(cursor)
    if cursor.take("like"):
        cursor.string()
    elif cursor.take("where"):
        reader.expression(Scope({}))
    if cursor.take("limit"):
        while cursor.peek().kind is NUMBER or cursor.is_mark(",") or cursor.word() == "offset":
            cursor.next()
    read = reader.piece("show")
    return replace(read, effects=(*effects, *read.effects), uses=(*uses, *read.uses))


def table(cursor: Cursor, *, schema: str = "") -> Use:
    """A table that is told about."""
    found, name = cursor.path()
    return Use("", found or schema, name, (Action("select", Class.READ),))


def _of_table(cursor: Cursor) -> Piece:
    if not cursor.take("from"):
        cursor.expect("in")
    found = table(cursor)
    if cursor.take("from") or cursor.take("in"):
        found = replace(found, schema=cursor.name())
    return _tail(cursor, uses=(found,))


def _of_database(cursor: Cursor, *, is_everywhere: bool) -> Piece:
    name = cursor.name() if cursor.take("from") or cursor.take("in") else ""
    if is_everywhere and not name:
        return _tail(cursor, effect("show", "server", "open tables"))
    return _tail(cursor, effect("show", "database", name))


def _create(cursor: Cursor) -> Piece:
    word = cursor.next().value
    if word in _CREATED:
        found = table(cursor)
        cursor.end()
        return piece("show", uses=(found,))
    if word in STORED:
        cursor.take("body")
        schema, name = cursor.path()
        cursor.end()
        return piece("show", effect("show", word, name, schema))
    if word in {"database", "schema"}:
        cursor.take("if", "not", "exists")
        name = cursor.name()
        cursor.end()
        return piece("show", effect("show", "database", name))
    cursor.rest()
    return piece("show", effect("show", "server", f"create {word}"))


def _settings(cursor: Cursor, word: str) -> Piece:
    """The settings of one name, or of all."""
    name = "*"
    if cursor.word() == "like" and cursor.peek(1).kind is STRING and "%" not in cursor.peek(1).value:
        name = cursor.peek(1).value.lower()
    return _tail(cursor, effect("show", "setting" if word == "variables" else "status", name))


def _of_server(cursor: Cursor) -> Piece:
    """All else: what names it are words, and behind them stand a condition, names and numbers."""
    words: list[str] = []
    while cursor.peek().kind is WORD and cursor.word() not in {"like", "where", "from", "in", "for", "limit"}:
        words.append(cursor.next().value)
    while not cursor.is_end() and cursor.word() not in {"like", "where", "limit"}:
        cursor.next()
    if not words:
        raise DoubtError(Doubt.SYNTAX)
    return _tail(cursor, effect("show", "server", " ".join(words[:4])))


def read_use(cursor: Cursor) -> Piece:
    """``USE name``: what bare names mean from here on."""
    name = cursor.name()
    cursor.end()
    return piece("use", effect("use", "database", name))


def read_help(cursor: Cursor) -> Piece:
    """``HELP 'topic'``: the server's own manual."""
    cursor.next()
    cursor.end()
    return piece("help", effect("help", "server", "help"))
