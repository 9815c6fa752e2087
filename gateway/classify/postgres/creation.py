# ruff: noqa: SIM905 - lists of words read best as words
"""CREATE: what is made, and the query inside.

Understood are definitions that hold nothing which runs later: what does (functions, triggers, rules, defaults
and checks that call something) is seen, named, and marked as not complete.
"""

from dataclasses import replace

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece, Qualified, Use
from gateway.classify.pieces import effect, piece
from gateway.classify.postgres import tree, types
from gateway.classify.postgres.cursor import Cursor
from gateway.classify.postgres.lexer import Token
from gateway.classify.tokens import MARK, WORD
from gateway.model.classification import Class

ROLES = frozenset(("role", "user", "group"))
_QUERIES = frozenset(("select", "with", "values", "table"))
_RUNS_LATER = frozenset(
    """
    check collate constraint exclude foreign generated include inherits like of partition references
    tablespace using where with on default
    """.split()
)


def read_create(cursor: Cursor) -> Piece:
    """``CREATE …``."""
    cursor.take("or", "replace")
    is_temporary = False
    if cursor.take_any(frozenset(("global", "local"))) or cursor.word() in {"temp", "temporary"}:
        is_temporary = bool(cursor.take_any(frozenset(("temp", "temporary"))))
    cursor.take("unlogged")
    cursor.take("recursive")
    kind = cursor.name()
    if kind in ROLES:
        return piece("create", effect("create", "role", cursor.name(), cls=Class.DCL))
    if kind == "table":
        return _create_table(cursor, is_temporary=is_temporary)
    if kind == "view" or (kind == "materialized" and cursor.take("view")):
        return _create_view(
            cursor, "view" if kind == "view" else "materialized_view", is_temporary=is_temporary
        )
    if kind == "sequence":
        cursor.take("if", "not", "exists")
        return Piece("", "create", uses=(_made(cursor, "sequence", is_temporary=is_temporary),))
    if kind == "schema":
        return _create_schema(cursor)
    if kind in {"unique", "index"}:
        return _create_index(cursor)
    return piece("create", effect("create", kind.replace(" ", "_")), reason=Doubt.BODY.value)


def _made(cursor: Cursor, kind: str, *, is_temporary: bool) -> Use:
    use = cursor.use("create", kind, is_new=True)
    return replace(use, schema="pg_temp") if is_temporary and not use.schema else use


def _create_table(cursor: Cursor, *, is_temporary: bool) -> Piece:
    cursor.take("if", "not", "exists")
    made = _made(cursor, "table", is_temporary=is_temporary)
    columns: list[Token] = []
    if cursor.is_mark("("):
        columns = cursor.brackets()
    rest = cursor.rest()
    query = _query_behind_as(rest)
    if query is not None:
        return _with_query(made, query)
    is_plain = not rest or [token.value for token in rest[:2]] == ["on", "commit"]
    if not is_plain or not columns or not are_plain_columns(columns):
        return Piece("", "create", uses=(made,), reason=Doubt.BODY.value)
    return Piece("", "create", uses=(made,), casts=column_types(columns))


def column_types(tokens: list[Token]) -> tuple[Qualified, ...]:
    """The types of ``a int, b text NOT NULL, PRIMARY KEY (a)``: a value that goes in is cast to them."""
    found: dict[Qualified, None] = {}
    depth, starts = 0, True
    for at, token in enumerate(tokens):
        if starts and token.value not in {"primary", "unique"}:
            name, _ = types.read(tokens, at + 1)
            if name == types.NO_TYPE:
                raise DoubtError(Doubt.SYNTAX)
            found[name] = None
        starts = False
        if token.kind is MARK:
            depth += (token.value == "(") - (token.value == ")")
            starts = token.value == "," and depth == 0
    return tuple(found)


def are_plain_columns(tokens: list[Token]) -> bool:
    """Names, types and keys only: no default, check or reference that would call or read something."""
    return not any(token.kind is WORD and token.value in _RUNS_LATER for token in tokens)


def _query_behind_as(tokens: list[Token]) -> list[Token] | None:
    """The query of CREATE … AS, without WITH [NO] DATA; None when there is none."""
    depth = 0
    for at, token in enumerate(tokens):
        if token.kind is MARK:
            depth += (token.value == "(") - (token.value == ")")
        if depth or token.kind is not WORD or token.value != "as":
            continue
        query = tokens[at + 1 :]
        tail = [item.value for item in query[-3:]]
        if tail[-2:] == ["with", "data"]:
            return query[:-2]
        return query[:-3] if tail == ["with", "no", "data"] else query
    return None


def _with_query(made: Use, query: list[Token]) -> Piece:
    first = query[0] if query else Token(MARK, "", 0, 0)
    if not ((first.kind is WORD and first.value in _QUERIES) or (first.kind is MARK and first.value == "(")):
        return Piece("", "create", uses=(made,), reason=Doubt.DYNAMIC.value)  # AS EXECUTE name
    inner = tree.read(query)
    # The made relation goes last: attributes and loose columns refer to the others by number.
    return replace(inner, operation="create", uses=(*inner.uses, made))


def _create_view(cursor: Cursor, kind: str, *, is_temporary: bool) -> Piece:
    cursor.take("if", "not", "exists")
    made = _made(cursor, kind, is_temporary=is_temporary)
    rest = cursor.rest()
    values = [token.value for token in rest]
    for tail in (
        ["with", "check", "option"],
        ["with", "local", "check", "option"],
        ["with", "cascaded", "check", "option"],
    ):
        if values[-len(tail) :] == tail:
            rest = rest[: -len(tail)]
    query = _query_behind_as(rest)
    if query is None:
        raise DoubtError(Doubt.SYNTAX)
    return _with_query(made, query)


def _create_schema(cursor: Cursor) -> Piece:
    cursor.take("if", "not", "exists")
    name = "" if cursor.word() == "authorization" else cursor.name()
    if cursor.take("authorization"):
        role = cursor.name()
        name = name or role
    return piece(
        "create",
        effect("create", "schema", name),
        reason=Doubt.BODY.value if cursor.at < len(cursor.tokens) else "",
    )


def _create_index(cursor: Cursor) -> Piece:
    """The table changes; an index over anything but columns calls what stands in it."""
    while cursor.at < len(cursor.tokens) and cursor.word() != "on":
        cursor.next()
    cursor.expect("on")
    cursor.take("only")
    use = replace(cursor.use("create", "table"), kind="index")
    if cursor.take("using"):
        cursor.name()
    columns = cursor.brackets()
    is_plain = cursor.at == len(cursor.tokens) and not any(
        token.kind is MARK and token.value != "," for token in columns
    )
    return Piece("", "create", uses=(use,), reason="" if is_plain else Doubt.BODY.value)
