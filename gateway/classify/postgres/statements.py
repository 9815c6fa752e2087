"""Every kind of statement and who reads it: sqlglot queries and changes, this package's hands the rest."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece, Qualified, Use
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres import (
    copying,
    creation,
    definitions,
    rights,
    settings,
    transactions,
    tree,
    types,
)
from gateway.classify.postgres.cursor import Cursor
from gateway.classify.postgres.lexer import Token
from gateway.classify.tokens import Kind
from gateway.model.classification import Class, Effect, ObjectRef

_SELECT = Token(Kind.WORD, "select", 0, 0)
_EXPLAIN_INSIDE: Final = frozenset(
    (
        "select",
        "with",
        "values",
        "table",
        "insert",
        "update",
        "delete",
        "merge",
        "create",
        "declare",
        "execute",
    )
)
_QUERY_WORDS: Final = frozenset(("select", "with", "values", "table", "insert", "update", "delete", "merge"))


def read(tokens: list[Token]) -> Piece:
    """The facts of one statement; raises DoubtError."""
    first = tokens[0]
    if first.kind is Kind.WORD:
        if first.value in _QUERY_WORDS:
            return tree.read(tokens)
        handler = _HANDLERS.get(first.value)
        if handler is not None:
            return handler(Cursor(tokens, 1))
    elif first.kind is Kind.MARK and first.value == "(":
        return tree.read(tokens)
    raise DoubtError(Doubt.STATEMENT)


def operation_of(tokens: list[Token]) -> str:
    """A word for a statement that was not understood: what it starts with, if that is a word of ours."""
    first = tokens[0]
    word = first.value if first.kind is Kind.WORD else ""
    word = {
        "start": "begin",
        "abort": "rollback",
        "end": "commit",
        "analyse": "analyze",
        "with": "unknown",
    }.get(word, word)
    if word in {"copy", "security", "import"}:
        return {"copy": "copy_out", "security": "security_label"}.get(word, word)
    return word if word in CLASS_OF else "unknown"


def _plus(inner: Piece, operation: str, *effects: Effect, reason: str = "") -> Piece:
    return replace(
        inner, operation=operation, effects=(*effects, *inner.effects), reason=reason or inner.reason
    )


def _effect(operation: str, kind: str = "", name: str = "") -> Effect:
    return Effect(operation, CLASS_OF[operation], ObjectRef(kind, name) if kind else None)


def _explain(cursor: Cursor) -> Piece:
    """Judged as what it wraps, with or without ANALYZE: a plan shows values too."""
    if cursor.is_mark("(") and cursor.word(1) not in _QUERY_WORDS and not cursor.is_mark("(", 1):
        cursor.brackets()
    else:
        if not cursor.take("analyze"):
            cursor.take("analyse")
        cursor.take("verbose")
    if not cursor.is_mark("(") and cursor.word() not in _EXPLAIN_INSIDE:
        raise DoubtError(Doubt.SYNTAX)
    return _plus(read(cursor.rest()), "explain", _effect("explain"))


def _prepare(cursor: Cursor) -> Piece:
    if cursor.take("transaction"):
        name = cursor.string()
        cursor.end()
        return Piece("", "prepare_transaction", (_effect("prepare_transaction", "transaction", name),))
    name = cursor.name()
    casts = _types(cursor.brackets()) if cursor.is_mark("(") else ()
    cursor.expect("as")
    if cursor.word() not in _QUERY_WORDS and not cursor.is_mark("("):
        raise DoubtError(Doubt.SYNTAX)
    inner = read(cursor.rest())
    inner = replace(inner, casts=tuple(dict.fromkeys((*casts, *inner.casts))))
    return _plus(inner, "prepare", _effect("prepare", "prepared", name))


def _types(tokens: list[Token]) -> tuple[Qualified, ...]:
    """The types of a prepared statement's parameters."""
    found: list[Qualified] = []
    at = 0
    while at < len(tokens):
        name, at = types.read(tokens, at)
        if name == types.NO_TYPE or (at < len(tokens) and tokens[at].value != ","):
            raise DoubtError(Doubt.SYNTAX)
        found.append(name)
        at += 1
    return tuple(found)


def _arguments(cursor: Cursor) -> Piece:
    """The facts of an argument list, read as a select list."""
    inside = cursor.brackets() if cursor.is_mark("(") else []
    cursor.end()
    return tree.read([_SELECT, *inside]) if inside else Piece("", "select")


def _execute(cursor: Cursor) -> Piece:
    """What a prepared name stands for, another statement said."""
    name = cursor.name()
    return _plus(
        _arguments(cursor), "execute", _effect("execute", "prepared", name), reason=Doubt.DYNAMIC.value
    )


def _deallocate(cursor: Cursor) -> Piece:
    if cursor.peek(1).value:
        cursor.take("prepare")
    name = "*" if cursor.take("all") else cursor.name()
    cursor.end()
    return Piece("", "deallocate", (_effect("deallocate", "prepared", name),))


def _declare(cursor: Cursor) -> Piece:
    name = cursor.name()
    while cursor.take_any(frozenset(("binary", "insensitive", "asensitive", "scroll", "no"))):
        pass
    cursor.expect("cursor")
    if cursor.take_any(frozenset(("with", "without"))):
        cursor.expect("hold")
    cursor.expect("for")
    return _plus(tree.read(cursor.rest()), "declare", _effect("declare", "cursor", name))


def _fetch(cursor: Cursor) -> Piece:
    """A cursor may come from a function or a protocol portal: what FETCH runs is not in its text."""
    operation = cursor.tokens[0].value
    return Piece(
        "", operation, (_effect(operation, "cursor", cursor.tokens[-1].value),), reason=Doubt.CURSOR.value
    )


def _close(cursor: Cursor) -> Piece:
    name = "*" if cursor.take("all") else cursor.name()
    cursor.end()
    return Piece("", "close", (_effect("close", "cursor", name),))


def _lock(cursor: Cursor) -> Piece:
    cursor.take("table")
    uses = cursor.uses("lock")
    if cursor.take("in"):
        while cursor.take_any(frozenset(("access", "row", "share", "update", "exclusive"))):
            pass
        cursor.expect("mode")
    cursor.take("nowait")
    cursor.end()
    return Piece("", "lock", uses=tuple(uses))


def _channel(cursor: Cursor) -> Piece:
    operation = cursor.tokens[0].value
    name = "*" if cursor.mark("*") else cursor.name()
    if operation == "notify" and cursor.mark(","):
        cursor.string()
    cursor.end()
    return Piece("", operation, (_effect(operation, "channel", name),))


def _discard(cursor: Cursor) -> Piece:
    what = cursor.take_any(frozenset(("all", "plans", "sequences", "temp", "temporary")))
    if not what:
        raise DoubtError(Doubt.SYNTAX)
    cursor.end()
    changed = (settings.setting(settings.EVERYTHING, "session", None),) if what == "all" else ()
    return Piece("", "discard", (_effect("discard", "session", what),), settings=changed)


def _call(cursor: Cursor) -> Piece:
    """A procedure may do anything its owner may, and commit in between."""
    names = cursor.names()
    schema, name = (["", *names])[-2:]
    inner = _arguments(cursor)
    return replace(
        _plus(inner, "call", Effect("call", Class.UNKNOWN, ObjectRef("procedure", name, schema))),
        calls=(*inner.calls, (schema, name)),
        reason=Doubt.DYNAMIC.value,
    )


def _do(cursor: Cursor) -> Piece:
    cursor.rest()
    return Piece("", "do", (_effect("do"),), reason=Doubt.DYNAMIC.value)


def _maintain(cursor: Cursor) -> Piece:
    """VACUUM, ANALYZE, CLUSTER, REINDEX, REFRESH: which relations, or all."""
    word = cursor.tokens[0].value
    operation = "analyze" if word == "analyse" else word
    kind = "table"
    if cursor.is_mark("("):
        cursor.brackets()
    while cursor.take_any(frozenset(("full", "freeze", "verbose", "analyze", "analyse", "concurrently"))):
        pass
    if operation == "reindex":
        kind = cursor.take_any(frozenset(("index", "table", "schema", "database", "system")))
        cursor.take("concurrently")
    uses: list[Use] = []
    if cursor.at < len(cursor.tokens):
        while True:
            uses.append(cursor.use(operation, kind))
            if cursor.is_mark("("):
                cursor.brackets()
            if not cursor.mark(","):
                break
    if operation == "cluster" and cursor.take("using"):
        cursor.name()
    cursor.end()
    everything = () if uses else (_effect(operation, "database", ""),)
    return Piece("", operation, everything, uses=tuple(uses))


def _alone(cursor: Cursor) -> Piece:
    word = cursor.tokens[0].value
    cursor.end()
    return Piece("", word, (_effect(word),))


def _load(cursor: Cursor) -> Piece:
    name = cursor.string()
    cursor.end()
    return Piece("", "load", (_effect("load", "library", name),))


_HANDLERS: Final[dict[str, Callable[[Cursor], Piece]]] = {
    "abort": transactions.read_rollback,
    "alter": definitions.read_alter,
    "analyse": _maintain,
    "analyze": _maintain,
    "begin": transactions.read_begin,
    "call": _call,
    "checkpoint": _alone,
    "close": _close,
    "cluster": _maintain,
    "comment": definitions.read_comment,
    "commit": transactions.read_commit,
    "copy": copying.read,
    "create": creation.read_create,
    "deallocate": _deallocate,
    "declare": _declare,
    "discard": _discard,
    "do": _do,
    "drop": definitions.read_drop,
    "end": transactions.read_commit,
    "execute": _execute,
    "explain": _explain,
    "fetch": _fetch,
    "grant": rights.read_grant,
    "import": definitions.read_import,
    "listen": _channel,
    "load": _load,
    "lock": _lock,
    "move": _fetch,
    "notify": _channel,
    "prepare": _prepare,
    "reassign": rights.read_reassign,
    "refresh": definitions.read_refresh,
    "reindex": _maintain,
    "release": transactions.read_release,
    "reset": settings.read_reset,
    "revoke": rights.read_grant,
    "rollback": transactions.read_rollback,
    "savepoint": transactions.read_savepoint,
    "security": rights.read_label,
    "set": settings.read_set,
    "show": settings.read_show,
    "start": transactions.read_start,
    "truncate": definitions.read_truncate,
    "unlisten": _channel,
    "vacuum": _maintain,
}
