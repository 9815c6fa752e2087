"""CREATE and ALTER.

https://dev.mysql.com/doc/refman/8.0/en/sql-data-definition-statements.html. Of a table's definition only
what names other tables is read: queries, LIKE, REFERENCES, EXCHANGE, CONVERT. What reaches beyond the
database (engines that read elsewhere, MERGE, directories) and what runs later (routines, triggers, events) is
not understood.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Piece, Use
from gateway.classify.mysql.changes import Changes
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.mysql.defined import OF_SERVER, beyond_databases, named_in, query_at, used
from gateway.classify.mysql.lexer import Token
from gateway.classify.mysql.scope import Scope
from gateway.classify.mysql.words import STORED
from gateway.classify.operations import CLASS_OF
from gateway.classify.pieces import effect, piece
from gateway.classify.tokens import WORD

_DROPPED: Final = STORED | {"database", "server"}


def read_create(cursor: Cursor) -> Piece:
    """``CREATE …``; with OR REPLACE it drops what has the name."""
    if not cursor.take("or", "replace"):
        return _create(cursor)
    made = _create(cursor)
    new = tuple(
        replace(use, actions=(*use.actions, Action("drop", CLASS_OF["drop"]))) if use.is_new else use
        for use in made.uses
    )
    dropped = (
        effect("drop", item.object.kind, item.object.name, item.object.schema)
        for item in made.effects
        if item.operation == "create" and item.object is not None and item.object.kind in _DROPPED
    )
    return replace(made, uses=new, effects=(*made.effects, *dropped))


def _create(cursor: Cursor) -> Piece:
    word = _skip_to_kind(cursor)
    if word == "table":
        return _create_table(cursor)
    if word == "view":
        return _view(cursor, "create")
    if word in STORED:
        return _stored(cursor, "create", word)
    if word in {"database", "schema"}:
        cursor.take("if", "not", "exists")
        name = cursor.name()
        cursor.rest()
        return piece("create", effect("create", "database", name))
    if word == "index":
        return _index(cursor)
    if word == "sequence":
        cursor.take("if", "not", "exists")
        use = cursor.use("create", "sequence", is_new=True)
        named_in(cursor.rest())
        return piece("create", uses=(use,))
    return beyond_databases(cursor, "create", word)


def _skip_to_kind(cursor: Cursor) -> str:
    """Past DEFINER, ALGORITHM, UNIQUE and what else may stand in front of the kind of thing."""
    while True:
        if cursor.take("definer"):
            cursor.expect_mark("=")
            cursor.account()
        elif cursor.take("algorithm"):
            cursor.expect_mark("=")
            cursor.next()
        elif cursor.take("sql", "security"):
            cursor.next()
        elif cursor.word() == "spatial" and cursor.word(1) == "reference":
            return cursor.next().value
        elif not cursor.take_any(_BEFORE_KIND):
            break
    word = cursor.next()
    if word.kind is WORD and (word.value in _KINDS or word.value in STORED or word.value in OF_SERVER):
        return word.value
    raise DoubtError(Doubt.STATEMENT)


_BEFORE_KIND: Final = frozenset(
    ("temporary", "unique", "fulltext", "spatial", "aggregate", "online", "offline", "external", "undo")
)
_KINDS: Final = frozenset(("table", "view", "database", "schema", "index", "sequence", "user", "role"))


def _stored(cursor: Cursor, operation: str, word: str) -> Piece:
    """A body runs later, under other rights."""
    cursor.take("body")
    cursor.take("if", "not", "exists")
    cursor.take("if", "exists")
    schema, name = cursor.path()
    uses: tuple[Use, ...] = ()
    if word == "trigger" and operation == "create":
        while not cursor.is_end() and cursor.word() != "on":
            cursor.next()
        if cursor.take("on"):
            uses = (used(*cursor.path(), "alter"),)
    cursor.rest()
    return piece(operation, effect(operation, word, name, schema), uses=uses, reason=Doubt.BODY.value)


def _view(cursor: Cursor, operation: str) -> Piece:
    """A view shows what its maker may read: its query is judged now."""
    cursor.take("if", "not", "exists")
    use = cursor.use(operation, "view", is_new=True)
    if cursor.is_mark("("):
        cursor.names()
    cursor.expect("as")
    reader = Changes(cursor)
    reader.query(Scope({}))
    if cursor.take("with"):
        cursor.take_any(("cascaded", "local"))
        cursor.expect("check", "option")
    inner = reader.piece(operation)
    return replace(inner, uses=_with(inner, use), effects=inner.effects)


def _with(inner: Piece, *uses: Use) -> tuple[Use, ...]:
    """More relations behind those of *inner*, whose numbers stay what they are."""
    return (*inner.uses, *uses)


def _index(cursor: Cursor) -> Piece:
    cursor.take("if", "not", "exists")
    name = cursor.name()
    while not cursor.is_end() and cursor.word() != "on":
        cursor.next()
    cursor.expect("on")
    schema, table = cursor.path()
    named_in(cursor.rest())
    return piece("create", effect("create", "index", name, schema), uses=(used(schema, table, "alter"),))


def _create_table(cursor: Cursor) -> Piece:
    cursor.take("if", "not", "exists")
    new = cursor.use("create", is_new=True)
    if cursor.take("like"):
        other = used(*cursor.path(), "select")
        cursor.end()
        return piece("create", uses=(new, other))
    if cursor.is_mark("(") and cursor.word(1) == "like":
        cursor.at += 2
        other = used(*cursor.path(), "select")
        cursor.expect_mark(")")
        cursor.end()
        return piece("create", uses=(new, other))
    start = cursor.at
    at = query_at(cursor)
    uses, reason = named_in(cursor.tokens[start:at])
    if at == len(cursor.tokens):
        cursor.rest()
        return piece("create", uses=(new, *uses), reason=reason)
    cursor.at = at
    reader = Changes(cursor)
    reader.query(Scope({}))
    inner = reader.piece("create")
    return replace(inner, uses=_with(inner, new, *uses), reason=reason)


def read_alter(cursor: Cursor) -> Piece:
    """``ALTER …``."""
    cursor.take("online")
    cursor.take("ignore")
    word = _skip_to_kind(cursor)
    if word == "table":
        return _alter_table(cursor)
    if word == "view":
        return _view(cursor, "alter")
    if word in STORED:
        return _stored(cursor, "alter", word)
    if word in {"database", "schema"}:
        name = (
            cursor.name()
            if cursor.is_name() and cursor.word() not in {"default", "character", "collate"}
            else ""
        )
        cursor.rest()
        return piece("alter", effect("alter", "database", name))
    if word == "sequence":
        cursor.take("if", "exists")
        use = cursor.use("alter", "sequence")
        named_in(cursor.rest())
        return piece("alter", uses=(use,))
    return beyond_databases(cursor, "alter", word)


def _alter_table(cursor: Cursor) -> Piece:
    cursor.take("if", "exists")
    schema, name = cursor.path()
    tokens = cursor.rest()
    uses, reason = named_in(tokens)
    others = [other for at, token in enumerate(tokens) if token.kind is WORD for other in _other(tokens, at)]
    work = ["alter"]
    if others:
        work += [
            "insert",
            "delete",
            "drop",
        ]  # rows move to another table, or this one to a new name
    words = [token.value for token in tokens if token.kind is WORD]
    if ("drop", "partition") in pairwise(words) or ("truncate", "partition") in pairwise(words):
        work.append("truncate")
    return piece("alter", uses=(used(schema, name, *work), *uses, *others), reason=reason)


def _other(tokens: list[Token], at: int) -> list[Use]:
    """Another table that this word leads to."""
    cursor = Cursor(tokens, at)
    if cursor.take("with", "table") or cursor.take("convert", "table"):
        return [used(*cursor.path(), "alter", "select", "insert", "delete")]
    if cursor.take("to", "table"):
        return [used(*cursor.path(), "create", is_new=True)]
    if cursor.take("rename") and cursor.word() not in {"column", "index", "key"}:
        if not cursor.take("to") and not cursor.take("as"):
            cursor.mark("=")
        return [used(*cursor.path(), "create", is_new=True)]
    return []
