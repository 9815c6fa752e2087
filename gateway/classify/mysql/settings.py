"""SET in all its spellings.

https://dev.mysql.com/doc/refman/8.0/en/set-variable.html, https://mariadb.com/kb/en/set/. Every spelling
comes out as the one setting that it changes; a value that is computed is not known.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece
from gateway.classify.mysql.changes import Changes
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.mysql.lexer import Token, fold
from gateway.classify.mysql.scope import Scope
from gateway.classify.mysql.words import ENGINES
from gateway.classify.pieces import effect, piece
from gateway.classify.tokens import NAME, NUMBER, STRING, SYSTEM, VARIABLE, WORD
from gateway.model.classification import Class, Setting

_SCOPES: Final = {
    "global": "global",
    "session": "session",
    "local": "session",
    "persist": "persist",
    "persist_only": "persist",
}
_BARE: Final = frozenset(("default", "on", "all", "binary", "row", "system"))
_LEVELS: Final = frozenset(("serializable", "repeatable read", "read committed", "read uncommitted"))
_SAME: Final = {"tx_isolation": "transaction_isolation", "tx_read_only": "transaction_read_only"}
_ENGINE_SETTINGS: Final = frozenset(
    ("default_storage_engine", "storage_engine", "default_tmp_storage_engine", "enforce_storage_engine")
)
_LASTING: Final = frozenset(("global", "persist"))


def setting(name: str, scope: str, value: str | None) -> Setting:
    """A setting under its one name; a value with control characters is not taken (it forges log lines)."""
    if value is not None and any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise DoubtError(Doubt.SETTING)
    name = fold(name)
    if name in _ENGINE_SETTINGS and value is not None and fold(value) not in ENGINES:
        raise DoubtError(Doubt.BODY)  # tables made behind it would keep their rows elsewhere
    return Setting(_SAME.get(name, name), scope, value)


def read_set(cursor: Cursor) -> Piece:
    """``SET …``, the word itself taken already."""
    if cursor.word() == "statement" and cursor.peek(1).value not in {"=", ":="}:
        raise DoubtError(Doubt.STATEMENT)
    if cursor.word() == "password" and cursor.peek(1).value != ".":
        cursor.rest()
        return piece("alter", effect("alter", "user", "", cls=Class.DCL))
    if cursor.take("role"):
        return _made([setting("role", "session", cursor.account())], cursor)
    if cursor.take("default", "role"):
        cursor.rest()
        return piece("alter", effect("alter", "user", "", cls=Class.DCL))
    if cursor.take("resource", "group"):
        cursor.rest()
        return piece("administer", effect("administer", "resource_group"))
    transaction = _transaction(cursor)
    if transaction:
        return _made(transaction, cursor)
    return _list(cursor)


def _made(found: list[Setting], cursor: Cursor) -> Piece:
    cursor.end()
    return _piece(tuple(found))


def _piece(found: tuple[Setting, ...]) -> Piece:
    """What lasts beyond the session is the server's; which settings change, the settings say."""
    effects = [effect("administer", "setting", item.name) for item in found if item.scope in _LASTING]
    return piece("set", effect("set"), *effects, settings=found)


def _list(cursor: Cursor) -> Piece:
    """``a = 1, @b = 2, NAMES utf8mb4``: expressions may stand there, and queries in them."""
    reader = Changes(cursor)
    found: list[Setting] = []
    scope = "session"
    while True:
        charset = _charset(cursor)
        if charset:
            found += charset
        else:
            scope, item = _assignment(reader, cursor, scope)
            found.append(item)
        if not cursor.mark(","):
            break
    read = reader.piece("set")
    made = _piece(tuple(found))
    return replace(read, effects=(*made.effects, *read.effects), settings=(*made.settings, *read.settings))


def _charset(cursor: Cursor) -> list[Setting]:
    """``NAMES x [COLLATE y]``, ``CHARACTER SET x``: they choose how the text that follows is read."""
    if cursor.peek(1).value in {"=", ":=", "."}:
        return []
    if not (
        cursor.take("names")
        or cursor.take("character", "set")
        or cursor.take("char", "set")
        or cursor.take("charset")
    ):
        return []
    found = [setting("character_set_client", "session", _name(cursor))]
    if cursor.take("collate"):
        found.append(setting("collation_connection", "session", _name(cursor)))
    return found


def _name(cursor: Cursor) -> str | None:
    if cursor.take("default"):
        return None
    token = cursor.next()
    if token.kind not in {STRING, WORD, NAME}:
        raise DoubtError(Doubt.SETTING)
    return fold(token.value)


def _assignment(reader: Changes, cursor: Cursor, scope: str) -> tuple[str, Setting]:
    """One ``[scope] name = value``; a scope holds for those behind it too."""
    token = cursor.next()
    if token.kind is VARIABLE:
        _sign(cursor)
        reader.expression(Scope({}))
        return scope, Setting(f"@{token.value}", "user", None)
    if token.kind is SYSTEM:
        head, dot, rest = token.value.partition(".")
        here, name = (_SCOPES[head], rest) if dot and head in _SCOPES else ("session", token.value)
    else:
        here, name = scope, token.raw
        if token.kind is WORD and token.value in _SCOPES and cursor.peek().kind in {WORD, NAME}:
            here = scope = _SCOPES[token.value]
            name = cursor.next().raw
        elif token.kind not in {WORD, NAME}:
            raise DoubtError(Doubt.SYNTAX)
        while cursor.mark("."):
            name += "." + cursor.label()
    _sign(cursor)
    return scope, setting(name, here, _value(reader, cursor, fold(name)))


def _sign(cursor: Cursor) -> None:
    if not cursor.mark("="):
        cursor.expect_mark(":=")


def _value(reader: Changes, cursor: Cursor, name: str) -> str | None:
    """The value where it stands in the text; None for the default and for what is computed."""
    if cursor.word() in _BARE:
        word = cursor.next().value
        return None if word == "default" else word
    if name in _ENGINE_SETTINGS and cursor.take("null"):
        return None
    start = cursor.at
    reader.expression(Scope({}))
    tokens = cursor.tokens[start : cursor.at]
    if len(tokens) == 1 and tokens[0].kind in {STRING, NUMBER, WORD, NAME}:
        return tokens[0].value
    if len(tokens) == 2 and tokens[0].value in "+-" and tokens[1].kind is NUMBER:
        return tokens[0].value.replace("+", "") + tokens[1].value
    if name in _ENGINE_SETTINGS:
        raise DoubtError(Doubt.BODY)  # computed: it may be any
    return _added(tokens) if name == "sql_mode" else None


def _added(tokens: list[Token]) -> str | None:
    """``CONCAT(@@sql_mode, ',A,B')``, which drivers send: what there was, and more."""
    values = [token for token in tokens if token.kind in {SYSTEM, STRING}]
    shape = [token.value if token.kind not in {SYSTEM, STRING} else "x" for token in tokens]
    if (
        shape != ["concat", "(", "x", ",", "x", ")"]
        or values[0].kind is not SYSTEM
        or values[1].kind is not STRING
    ):
        return None
    if values[0].value.rpartition(".")[2] != "sql_mode":
        return None
    return "@@sql_mode" + values[1].value


def _transaction(cursor: Cursor) -> list[Setting]:
    """``SET [SESSION | GLOBAL] TRANSACTION …``."""
    ahead = 1 if cursor.word() in _SCOPES else 0
    if cursor.word(ahead) != "transaction" or cursor.peek(ahead + 1).kind is not WORD:
        return []
    scope = _SCOPES[cursor.word()] if ahead else "local"
    cursor.at += ahead + 1
    found: list[Setting] = []
    while True:
        if cursor.take("isolation", "level"):
            level = cursor.next().value
            if level in {"read", "repeatable"}:
                level += " " + cursor.next().value
            if level not in _LEVELS:
                raise DoubtError(Doubt.SYNTAX)
            found.append(Setting("transaction_isolation", scope, level))
        else:
            found.append(access_mode(cursor, scope))
        if not cursor.mark(","):
            return found


def access_mode(cursor: Cursor, scope: str) -> Setting:
    """``READ ONLY`` or ``READ WRITE``."""
    cursor.expect("read")
    if cursor.take("only"):
        return Setting("transaction_read_only", scope, "on")
    cursor.expect("write")
    return Setting("transaction_read_only", scope, "off")


def startup(given: Mapping[str, str]) -> Piece:
    """Settings that came with the connection, judged as SET would be."""
    try:
        found = tuple(setting(name, "startup", value) for name, value in given.items())
    except DoubtError as error:
        return replace(_piece(()), reason=error.reason.value)
    return _piece(found)
