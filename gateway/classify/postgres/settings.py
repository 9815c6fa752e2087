"""SET, RESET and SHOW in all their spellings, and the settings that a transaction's modes are.

https://www.postgresql.org/docs/15/sql-set.html. Names of settings are compared without case, quoted or not,
and every spelling comes out as the one setting it changes.
"""

from collections.abc import Mapping
from dataclasses import replace

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece
from gateway.classify.postgres import types
from gateway.classify.postgres.cursor import Cursor
from gateway.classify.postgres.words import RESERVED
from gateway.classify.tokens import Kind
from gateway.model.classification import Class, Effect, ObjectRef, Setting

EVERYTHING = "all"
"""What RESET ALL and DISCARD ALL change, as a setting's name; no setting has it."""

_OLD_NAMES = {"sort_mem": "work_mem", "vacuum_mem": "maintenance_work_mem"}
_LISTS_OF_NAMES = frozenset(
    (
        "search_path",
        "temp_tablespaces",
        "session_preload_libraries",
        "shared_preload_libraries",
        "local_preload_libraries",
    )
)
_LEVELS = frozenset(("serializable", "repeatable read", "read committed", "read uncommitted"))


def setting(name: str, scope: str, value: str | None) -> Setting:
    """A setting under its one name; a value with control characters is not taken (it forges log lines)."""
    if value is not None and any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise DoubtError(Doubt.SETTING)
    name = "".join(letter.lower() if letter.isascii() else letter for letter in name)
    return Setting(_OLD_NAMES.get(name, name), scope, value)


def _piece(operation: str, settings: tuple[Setting, ...]) -> Piece:
    """The effect has no object: which settings change, the settings say."""
    return Piece("", operation, (Effect(operation, Class.SESSION),), settings=settings)


def read_set(cursor: Cursor) -> Piece:
    """``SET …``, the word itself taken already."""
    scope = "session"
    if cursor.take("session", "characteristics", "as", "transaction"):
        return _piece("set", modes(cursor, "session", "default_transaction_"))
    if (
        cursor.word() in {"session", "local"}
        and cursor.word(1) not in {"authorization", "to"}
        and not cursor.is_mark("=", 1)
    ):
        scope = "local" if cursor.next().value == "local" else "session"
    if cursor.take("transaction"):
        if cursor.take("snapshot"):
            return _piece("set", (setting("transaction_snapshot", "local", cursor.string()),))
        return _piece("set", modes(cursor, "local", "transaction_"))
    if cursor.take("constraints"):
        names = " ".join(token.value for token in cursor.rest())
        return _piece("set", (setting("constraints", "local", names),))
    return _piece("set", (assignment(cursor, scope),))


def assignment(cursor: Cursor, scope: str) -> Setting:
    """``name = value`` and its special spellings; takes all that is left."""
    name = _special_name(cursor)
    if not name:
        name = ".".join(cursor.names())
        if not cursor.mark("="):
            cursor.expect("to")
    elif not cursor.mark("="):
        cursor.take("to")
    return setting(name, scope, values(cursor, name.lower()))


def _special_name(cursor: Cursor) -> str:
    if cursor.is_mark("=", 1) or cursor.word(1) == "to" or cursor.is_mark(".", 1):
        return ""
    if cursor.take("time", "zone"):
        return "timezone"
    if cursor.take("session", "authorization"):
        return "session_authorization"
    if cursor.take("xml", "option"):
        return "xmloption"
    for word, name in (
        ("role", "role"),
        ("names", "client_encoding"),
        ("schema", "search_path"),
        ("seed", "seed"),
    ):
        if cursor.take(word):
            return name
    return ""


def values(cursor: Cursor, name: str) -> str | None:
    """The value as the server keeps it, or None for the default; takes all that is left."""
    if cursor.at >= len(cursor.tokens):
        if name == "client_encoding":  # SET NAMES alone means the default
            return None
        raise DoubtError(Doubt.SYNTAX)
    if cursor.word() == "default" or (name == "timezone" and cursor.word() == "local"):
        cursor.next()
        cursor.end()
        return None
    if cursor.take("interval"):
        value = cursor.string()
        cursor.at = types.fields(cursor.tokens, cursor.at)
        cursor.end()
        return value
    found = [_value(cursor, name)]
    while cursor.mark(","):
        found.append(_value(cursor, name))
    cursor.end()
    return ", ".join(found)


def _value(cursor: Cursor, name: str) -> str:
    sign = ""
    if cursor.peek().kind is Kind.OPERATOR and cursor.peek().value in {"+", "-"}:
        sign = cursor.next().value
    token = cursor.next()
    if sign and token.kind is not Kind.NUMBER:
        raise DoubtError(Doubt.SYNTAX)
    if token.kind not in {Kind.WORD, Kind.NAME, Kind.STRING, Kind.NUMBER}:
        raise DoubtError(Doubt.SYNTAX)
    if name in _LISTS_OF_NAMES:
        return _as_name(token.value)
    return sign.replace("+", "") + token.value


def _as_name(value: str) -> str:
    """Quoted where the server would quote it when it keeps a list of names."""
    is_plain = value[:1].isalpha() or value[:1] == "_"
    if (
        is_plain
        and value.isascii()
        and value == value.lower()
        and value.replace("_", "a").isalnum()
        and value not in RESERVED
    ):
        return value
    return '"' + value.replace('"', '""') + '"'


def read_reset(cursor: Cursor) -> Piece:
    """``RESET …``."""
    name = _named_alone(cursor)
    return _piece("reset", (setting(name, "session", None),))


def read_show(cursor: Cursor) -> Piece:
    """``SHOW …``: reads a setting."""
    shown = setting(_named_alone(cursor), "session", None).name
    return Piece("", "show", (Effect("show", Class.READ, ObjectRef("setting", shown)),))


def modes(cursor: Cursor, scope: str, prefix: str) -> tuple[Setting, ...]:
    """``ISOLATION LEVEL …``, ``READ ONLY``, ``DEFERRABLE`` as settings; takes all that is left."""
    found: list[Setting] = []
    while cursor.at < len(cursor.tokens):
        if cursor.take("isolation", "level"):
            level = cursor.name()
            if level in {"read", "repeatable"}:
                level += " " + cursor.name()
            if level not in _LEVELS:
                raise DoubtError(Doubt.SYNTAX)
            found.append(Setting(prefix + "isolation", scope, level))
        elif cursor.take("read", "only"):
            found.append(Setting(prefix + "read_only", scope, "on"))
        elif cursor.take("read", "write"):
            found.append(Setting(prefix + "read_only", scope, "off"))
        elif cursor.take("deferrable"):
            found.append(Setting(prefix + "deferrable", scope, "on"))
        elif cursor.take("not", "deferrable"):
            found.append(Setting(prefix + "deferrable", scope, "off"))
        else:
            raise DoubtError(Doubt.SYNTAX)
        if cursor.mark(",") and cursor.at >= len(cursor.tokens):
            raise DoubtError(Doubt.SYNTAX)
    return tuple(found)


def startup(given: Mapping[str, str]) -> Piece:
    """Settings that came with the connection, judged as SET would be."""
    try:
        found = tuple(setting(name, "startup", value) for name, value in given.items())
    except DoubtError as error:
        return replace(_piece("set", ()), reason=error.reason.value)
    return _piece("set", found)


def _named_alone(cursor: Cursor) -> str:
    """The setting that ends a RESET or SHOW."""
    if cursor.take("all"):
        name = EVERYTHING
    elif cursor.take("transaction", "isolation", "level"):
        name = "transaction_isolation"
    else:
        name = _special_name(cursor) or ".".join(cursor.names())
    cursor.end()
    return name
