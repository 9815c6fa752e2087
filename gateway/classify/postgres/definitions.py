"""ALTER, DROP and the like: what is changed of things that are there, as far as ``creation`` reads them."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Piece, Use
from gateway.classify.operations import CLASS_OF
from gateway.classify.pieces import effect, piece
from gateway.classify.postgres import settings
from gateway.classify.postgres.creation import ROLES, are_plain_columns, column_types
from gateway.classify.postgres.cursor import Cursor
from gateway.classify.tokens import MARK, WORD
from gateway.model.classification import Class, Effect, ObjectRef

_RELATIONS = frozenset(("table", "view", "index", "sequence"))
_PLAIN_ACTIONS = (
    ("add", "column"),
    ("drop", "column"),
    ("rename", "column"),
    ("rename", "to"),
)


def read_alter(cursor: Cursor) -> Piece:
    """``ALTER …``."""
    if cursor.take("system"):
        return _alter_settings(cursor, "system", Effect("alter", Class.ADMIN, ObjectRef("system", "")))
    kind = cursor.name()
    if kind in ROLES or kind == "database":
        return _alter_role(cursor, "database" if kind == "database" else "role")
    if kind == "materialized" and cursor.take("view"):
        kind = "materialized_view"
    if kind in _RELATIONS or kind == "materialized_view":
        return _alter_relation(cursor, kind)
    return piece(
        "alter", effect("alter", kind, cls=Class.DCL if kind == "default" else None), reason=Doubt.BODY.value
    )


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
    values = tuple(token.value for token in rest if token.kind is WORD)
    is_plain = values[:2] in _PLAIN_ACTIONS and are_plain_columns(rest) and "cascade" not in values
    is_plain = is_plain and not any(token.kind is MARK and token.value == "," for token in rest)
    if not is_plain:
        return Piece("", "alter", uses=(use,), reason=Doubt.BODY.value)
    if values[0] != "add":
        return Piece("", "alter", uses=(use,))
    column = rest[5:] if values[2:5] == ("if", "not", "exists") else rest[2:]
    return Piece("", "alter", uses=(use,), casts=column_types(column))


def read_drop(cursor: Cursor) -> Piece:
    """``DROP …``: CASCADE takes what is not named."""
    kind = cursor.name()
    if kind == "owned":
        return piece("drop", effect("drop", "owned", cls=Class.DCL), reason=Doubt.BODY.value)
    if kind == "materialized" and cursor.take("view"):
        kind = "materialized_view"
    if kind not in _RELATIONS | ROLES | {
        "materialized_view",
        "schema",
        "type",
        "domain",
        "database",
        "extension",
    }:
        return piece("drop", effect("drop", kind), reason=Doubt.BODY.value)
    cursor.take("concurrently")
    cursor.take("if", "exists")
    reason = ""
    if kind in _RELATIONS | {"materialized_view", "type", "domain"}:
        uses = cursor.uses("drop", kind)
        effects: tuple[Effect, ...] = ()
    else:
        uses, effects = [], _dropped(cursor, "role" if kind in ROLES else kind)
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
    return piece("comment", effect("comment", kind), reason=Doubt.BODY.value)


def read_refresh(cursor: Cursor) -> Piece:
    """``REFRESH MATERIALIZED VIEW …``: runs the query that the view keeps."""
    cursor.expect("materialized", "view")
    cursor.take("concurrently")
    return Piece("", "refresh", uses=(cursor.use("refresh", "materialized_view"),))


def read_import(cursor: Cursor) -> Piece:
    """``IMPORT FOREIGN SCHEMA …``."""
    cursor.rest()
    return piece("import", effect("import", "schema"), reason=Doubt.BODY.value)
