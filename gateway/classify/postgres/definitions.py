# ruff: noqa: SIM905 - lists of words read best as words
"""CREATE, ALTER, DROP and the like: what is defined, and the queries inside.

Understood are definitions that hold nothing which runs later: what does (functions, triggers, rules,
defaults and checks that call something) is seen, named, and marked as not complete.
"""

from dataclasses import replace

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Piece, Qualified, Use
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres import settings, tree, types
from gateway.classify.postgres.cursor import Cursor
from gateway.classify.postgres.lexer import Token
from gateway.classify.tokens import Kind
from gateway.model.classification import Class, Effect, ObjectRef

_RELATIONS = frozenset(("table", "view", "index", "sequence"))
_ROLES = frozenset(("role", "user", "group"))
_QUERIES = frozenset(("select", "with", "values", "table"))
_RUNS_LATER = frozenset(
    """
    check collate constraint exclude foreign generated include inherits like of partition references
    tablespace using where with on default
    """.split()
)
_PLAIN_ACTIONS = (
    ("add", "column"),
    ("drop", "column"),
    ("rename", "column"),
    ("rename", "to"),
)


def _ddl(operation: str, kind: str, name: str = "", *, cls: Class | None = None, reason: str = "") -> Piece:
    target = ObjectRef(kind, name) if kind else None
    return Piece("", operation, (Effect(operation, cls or CLASS_OF[operation], target),), reason=reason)


# -- CREATE


def read_create(cursor: Cursor) -> Piece:
    """``CREATE …``."""
    cursor.take("or", "replace")
    is_temporary = False
    if cursor.take_any(frozenset(("global", "local"))) or cursor.word() in {"temp", "temporary"}:
        is_temporary = bool(cursor.take_any(frozenset(("temp", "temporary"))))
    cursor.take("unlogged")
    cursor.take("recursive")
    kind = cursor.name()
    if kind in _ROLES:
        return replace(_ddl("create", "role", cursor.name(), cls=Class.DCL))
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
    return _ddl("create", kind.replace(" ", "_"), reason=Doubt.BODY.value)


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
    if not is_plain or not columns or not _are_plain_columns(columns):
        return Piece("", "create", uses=(made,), reason=Doubt.BODY.value)
    return Piece("", "create", uses=(made,), casts=_column_types(columns))


def _column_types(tokens: list[Token]) -> tuple[Qualified, ...]:
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
        if token.kind is Kind.MARK:
            depth += (token.value == "(") - (token.value == ")")
            starts = token.value == "," and depth == 0
    return tuple(found)


def _are_plain_columns(tokens: list[Token]) -> bool:
    """Names, types and keys only: no default, check or reference that would call or read something."""
    return not any(token.kind is Kind.WORD and token.value in _RUNS_LATER for token in tokens)


def _query_behind_as(tokens: list[Token]) -> list[Token] | None:
    """The query of CREATE … AS, without WITH [NO] DATA; None when there is none."""
    depth = 0
    for at, token in enumerate(tokens):
        if token.kind is Kind.MARK:
            depth += (token.value == "(") - (token.value == ")")
        if depth or token.kind is not Kind.WORD or token.value != "as":
            continue
        query = tokens[at + 1 :]
        tail = [item.value for item in query[-3:]]
        if tail[-2:] == ["with", "data"]:
            return query[:-2]
        return query[:-3] if tail == ["with", "no", "data"] else query
    return None


def _with_query(made: Use, query: list[Token]) -> Piece:
    first = query[0] if query else Token(Kind.MARK, "", 0, 0)
    if not (
        (first.kind is Kind.WORD and first.value in _QUERIES)
        or (first.kind is Kind.MARK and first.value == "(")
    ):
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
    return _ddl("create", "schema", name, reason=Doubt.BODY.value if cursor.at < len(cursor.tokens) else "")


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
        token.kind is Kind.MARK and token.value != "," for token in columns
    )
    return Piece("", "create", uses=(use,), reason="" if is_plain else Doubt.BODY.value)


# -- ALTER


def read_alter(cursor: Cursor) -> Piece:
    """``ALTER …``."""
    if cursor.take("system"):
        return _alter_settings(cursor, "system", Effect("alter", Class.ADMIN, ObjectRef("system", "")))
    kind = cursor.name()
    if kind in _ROLES or kind == "database":
        return _alter_role(cursor, "database" if kind == "database" else "role")
    if kind == "materialized" and cursor.take("view"):
        kind = "materialized_view"
    if kind in _RELATIONS or kind == "materialized_view":
        return _alter_relation(cursor, kind)
    return _ddl("alter", kind, cls=Class.DCL if kind == "default" else None, reason=Doubt.BODY.value)


def _alter_role(cursor: Cursor, kind: str) -> Piece:
    name = cursor.name()
    effect = Effect("alter", Class.DCL if kind == "role" else Class.DDL, ObjectRef(kind, name))
    if kind == "role" and cursor.take("in", "database"):
        cursor.name()
    if cursor.word() in {"set", "reset"}:
        return _alter_settings(cursor, kind, effect)
    return Piece("", "alter", (effect,))


def _alter_settings(cursor: Cursor, scope: str, effect: Effect) -> Piece:
    if cursor.take("reset"):
        name = settings.EVERYTHING if cursor.take("all") else ".".join(cursor.names())
        cursor.end()
        changed = settings.setting(name, scope, None)
    else:
        cursor.expect("set")
        changed = settings.assignment(cursor, scope)
    return Piece("", "alter", (effect,), settings=(changed,))


def _alter_relation(cursor: Cursor, kind: str) -> Piece:
    cursor.take("if", "exists")
    cursor.take("only")
    use = cursor.use("alter", kind)
    cursor.mark("*")
    rest = cursor.rest()
    values = tuple(token.value for token in rest if token.kind is Kind.WORD)
    is_plain = values[:2] in _PLAIN_ACTIONS and _are_plain_columns(rest) and "cascade" not in values
    is_plain = is_plain and not any(token.kind is Kind.MARK and token.value == "," for token in rest)
    if not is_plain:
        return Piece("", "alter", uses=(use,), reason=Doubt.BODY.value)
    if values[0] != "add":
        return Piece("", "alter", uses=(use,))
    column = rest[5:] if values[2:5] == ("if", "not", "exists") else rest[2:]
    return Piece("", "alter", uses=(use,), casts=_column_types(column))


# -- the others


def read_drop(cursor: Cursor) -> Piece:
    """``DROP …``: CASCADE takes what is not named."""
    kind = cursor.name()
    if kind == "owned":
        return _ddl("drop", "owned", cls=Class.DCL, reason=Doubt.BODY.value)
    if kind == "materialized" and cursor.take("view"):
        kind = "materialized_view"
    if kind not in _RELATIONS | _ROLES | {
        "materialized_view",
        "schema",
        "type",
        "domain",
        "database",
        "extension",
    }:
        return _ddl("drop", kind, reason=Doubt.BODY.value)
    cursor.take("concurrently")
    cursor.take("if", "exists")
    reason = ""
    if kind in _RELATIONS | {"materialized_view", "type", "domain"}:
        uses = cursor.uses("drop", kind)
        effects: tuple[Effect, ...] = ()
    else:
        uses, effects = [], _dropped(cursor, "role" if kind in _ROLES else kind)
    if cursor.take("cascade"):
        reason = Doubt.BODY.value
    cursor.take("restrict")
    if cursor.at < len(cursor.tokens):
        reason = Doubt.SYNTAX.value
    return Piece("", "drop", effects, uses=tuple(uses), reason=reason)


def _dropped(cursor: Cursor, kind: str) -> tuple[Effect, ...]:
    found = []
    while True:
        cls = Class.DCL if kind == "role" else Class.DDL
        found.append(Effect("drop", cls, ObjectRef(kind, cursor.name())))
        if not cursor.mark(","):
            return tuple(found)


def read_truncate(cursor: Cursor) -> Piece:
    """``TRUNCATE …``: CASCADE empties what is not named."""
    cursor.take("table")
    uses = cursor.uses("truncate")
    if cursor.take_any(frozenset(("restart", "continue"))):
        cursor.expect("identity")
    reason = Doubt.BODY.value if cursor.take("cascade") else ""
    cursor.take("restrict")
    cursor.end()
    return Piece("", "truncate", uses=tuple(uses), reason=reason)


def read_comment(cursor: Cursor) -> Piece:
    """``COMMENT ON …``."""
    cursor.expect("on")
    kind = cursor.name()
    if kind == "materialized" and cursor.take("view"):
        kind = "materialized_view"
    if kind in _RELATIONS or kind == "materialized_view":
        use = cursor.use("comment", kind)
        cursor.expect("is")
        return Piece("", "comment", uses=(use,))
    if kind == "column":
        names = cursor.names()
        if len(names) == 1 or cursor.is_mark("."):
            raise DoubtError(Doubt.SYNTAX)
        cursor.expect("is")
        catalog, schema, name = (["", "", *names[:-1]])[-3:]
        action = Action("comment", CLASS_OF["comment"], (names[-1],))
        return Piece("", "comment", uses=(Use(catalog, schema, name, (action,)),))
    return _ddl("comment", kind, reason=Doubt.BODY.value)


def read_refresh(cursor: Cursor) -> Piece:
    """``REFRESH MATERIALIZED VIEW …``: runs the query that the view keeps."""
    cursor.expect("materialized", "view")
    cursor.take("concurrently")
    return Piece("", "refresh", uses=(cursor.use("refresh", "materialized_view"),))


def read_import(cursor: Cursor) -> Piece:
    """``IMPORT FOREIGN SCHEMA …``."""
    cursor.rest()
    return _ddl("import", "schema", reason=Doubt.BODY.value)
