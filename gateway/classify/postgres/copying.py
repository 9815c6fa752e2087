"""COPY in its old and new spellings: https://www.postgresql.org/docs/15/sql-copy.html."""

from dataclasses import replace

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Piece, Use
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres import tree
from gateway.classify.postgres.cursor import Cursor
from gateway.classify.postgres.lexer import Token
from gateway.classify.tokens import Kind
from gateway.model.classification import Class, Effect, ObjectRef

_QUERIES = frozenset(("select", "with", "values", "table", "insert", "update", "delete", "merge"))
_SELECT = Token(Kind.WORD, "select", 0, 0)
_WHERE = Token(Kind.WORD, "where", 0, 0)
_ONE = Token(Kind.NUMBER, "1", 0, 0)


def read(cursor: Cursor) -> Piece:
    """``COPY …``, the word itself taken already."""
    cursor.take("binary")
    if cursor.is_mark("("):
        inner = tree.read(cursor.brackets())
        cursor.expect("to")
        piece = replace(inner, operation="copy_out", effects=(Effect("copy_out", Class.READ), *inner.effects))
        return _other_end(cursor, piece, "copy_out")
    catalog, schema, name = (["", "", *cursor.names()])[-3:]
    columns: tuple[str, ...] = ("*",)
    if cursor.is_mark("("):
        columns = tuple(token.value for token in cursor.brackets() if token.kind in {Kind.WORD, Kind.NAME})
    direction = cursor.take_any(frozenset(("from", "to")))
    if not direction:
        raise DoubtError(Doubt.SYNTAX)
    operation = "copy_in" if direction == "from" else "copy_out"
    use = Use(catalog, schema, name, (Action(operation, CLASS_OF[operation], columns),))
    return _other_end(cursor, Piece("", operation, uses=(use,)), operation)


def _other_end(cursor: Cursor, piece: Piece, operation: str) -> Piece:
    """STDIN and STDOUT are the client; a literal is a file of the server, PROGRAM runs there."""
    kind = ""
    if cursor.take("program"):
        cursor.string()
        kind = "program"
    elif cursor.peek().kind is Kind.STRING:
        cursor.string()
        kind = "file"
    elif not cursor.take_any(frozenset(("stdin", "stdout"))):
        raise DoubtError(Doubt.SYNTAX)
    if kind:
        piece = replace(piece, effects=(*piece.effects, Effect(operation, Class.ADMIN, ObjectRef(kind, ""))))
    where = _options(cursor)
    if not where:
        return piece
    judged = tree.read([_SELECT, _ONE, _WHERE, *where])
    return replace(
        piece,
        uses=(*piece.uses, *judged.uses),
        calls=judged.calls,
        empty_calls=judged.empty_calls,
        operators=judged.operators,
        casts=judged.casts,
        attributes=judged.attributes,
    )


def _options(cursor: Cursor) -> list[Token]:
    """Past the options (they choose a format, not what is read or written); what WHERE holds is returned."""
    while cursor.at < len(cursor.tokens):
        if cursor.is_mark("("):
            cursor.brackets()
        elif cursor.take("where"):
            return cursor.rest()
        else:
            cursor.next()
    return []
