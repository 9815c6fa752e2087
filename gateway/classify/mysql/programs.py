"""What runs what stands elsewhere, and what reaches tables by ways of its own: PREPARE to LOCK TABLES."""

from dataclasses import replace
from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Piece, Use
from gateway.classify.mysql.changes import Changes
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.mysql.scope import Scope, Source
from gateway.classify.operations import CLASS_OF
from gateway.classify.pieces import effect, piece, plus
from gateway.classify.tokens import NAME, NUMBER, STRING, VARIABLE, WORD
from gateway.model.classification import Class

_LAYOUT: Final = frozenset(
    ("fields", "columns", "lines", "terminated", "by", "optionally", "enclosed", "escaped", "starting")
)


def read_prepare(cursor: Cursor) -> Piece:
    """``PREPARE s FROM …``: a text in a text, or in a variable."""
    name = cursor.name()
    cursor.rest()
    return piece("prepare", effect("prepare", "prepared", name), reason=Doubt.DYNAMIC.value)


def read_execute(cursor: Cursor) -> Piece:
    """``EXECUTE s USING …`` and ``EXECUTE IMMEDIATE …``: what runs, another statement said."""
    name = cursor.peek().raw
    cursor.rest()
    return piece("execute", effect("execute", "prepared", name), reason=Doubt.DYNAMIC.value)


def read_deallocate(cursor: Cursor) -> Piece:
    """``DEALLOCATE PREPARE s``."""
    cursor.expect("prepare")
    name = cursor.name()
    cursor.end()
    return piece("deallocate", effect("deallocate", "prepared", name))


def read_call(cursor: Cursor) -> Piece:
    """A procedure may do anything that its owner may."""
    schema, name = cursor.path()
    if cursor.mark("."):
        name = f"{name}.{cursor.label()}"
    reader = Changes(cursor)
    if cursor.mark("(") and not cursor.mark(")"):
        reader.expressions(Scope({}))
        cursor.expect_mark(")")
    return plus(
        reader.piece("call"), "call", effect("call", "procedure", name, schema), reason=Doubt.DYNAMIC.value
    )


def read_do(cursor: Cursor) -> Piece:
    """``DO expression, …``: a SELECT that shows nothing."""
    reader = Changes(cursor)
    scope = Scope({})
    reader.select_list(scope)
    return reader.piece("select")


def read_handler(cursor: Cursor) -> Piece:
    """``HANDLER t OPEN`` opens a table, to read it row by row; what READ reads, only its OPEN said."""
    schema, name = cursor.path()
    if cursor.take("open"):
        if cursor.take("as") or not cursor.is_end():
            cursor.name()
        cursor.end()
        read = Use("", schema, name, (Action("select", Class.READ, ("*",)),))
        return piece("handler", effect("handler", "handler", name), uses=(read,))
    if cursor.take("close"):
        cursor.end()
        return piece("close", effect("close", "handler", name))
    cursor.rest()
    return piece("handler", effect("handler", "handler", name), reason=Doubt.CURSOR.value)


def read_load(cursor: Cursor) -> Piece:
    """``LOAD DATA`` and ``LOAD XML``: from a file of the server's, or of the client's."""
    if cursor.take("index"):
        cursor.rest()
        return piece("administer", effect("administer", "server", "load index"))
    if not cursor.take_any(("data", "xml")):
        raise DoubtError(Doubt.STATEMENT)
    cursor.take_any(("low_priority", "concurrent"))
    is_local = cursor.take("local")
    cursor.expect("infile")
    file = cursor.string()
    action = cursor.take_any(("replace", "ignore"))
    cursor.expect("into", "table")
    reader = Changes(cursor)
    schema, name = cursor.path()
    number = reader.relation(schema, name)
    reader.relations[number].does("insert").columns["*"] = None
    if action == "replace":
        reader.relations[number].does("delete")
    scope = Scope({}, sources=[Source(name, schema, number)])
    _loaded(reader, cursor, scope)
    kind = "client_file" if is_local else "file"
    return plus(reader.piece("copy_in"), "copy_in", effect("copy_in", kind, file, cls=Class.ADMIN))


def _loaded(reader: Changes, cursor: Cursor, scope: Scope) -> None:  # noqa: C901, PLR0912 - clause by clause
    """All that may stand behind the table."""
    if cursor.take("partition"):
        cursor.names()
    if cursor.take("character", "set") or cursor.take("charset"):
        cursor.label()
    if cursor.take("rows", "identified", "by"):
        cursor.string()
    while cursor.take_any(_LAYOUT):
        if cursor.peek().kind in {STRING, NUMBER}:
            cursor.next()
    if cursor.take("ignore"):
        cursor.number()
        if not cursor.take("rows"):
            cursor.expect("lines")
    if cursor.mark("("):
        while not cursor.mark(")"):
            if cursor.next().kind not in {WORD, NAME, VARIABLE}:
                raise DoubtError(Doubt.SYNTAX)
            cursor.mark(",")
    if cursor.take("set"):
        while True:
            cursor.path()
            cursor.expect_mark("=")
            reader.expression(scope)
            if not cursor.mark(","):
                return


def read_lock(cursor: Cursor) -> Piece:
    """``LOCK TABLES a AS b READ, c WRITE``."""
    if not cursor.take("tables") and not cursor.take("table"):
        cursor.rest()
        return piece("administer", effect("administer", "server", "lock"))
    uses: list[Use] = []
    while True:
        schema, name = cursor.path()
        if cursor.take("as") or cursor.word() not in {"read", "low_priority", "write"}:
            cursor.name()
        is_read = cursor.take("read")
        if is_read:
            cursor.take("local")
        else:
            cursor.take("low_priority")
            cursor.expect("write")
            cursor.take("concurrent")
        uses.append(Use("", schema, name, (Action("lock", CLASS_OF["lock"]),)))
        if not cursor.mark(","):
            break
    cursor.skip_wait()
    cursor.end()
    return piece("lock", uses=tuple(uses))


def read_unlock(cursor: Cursor) -> Piece:
    """``UNLOCK TABLES``."""
    if not cursor.take("tables") and not cursor.take("table"):
        cursor.expect("instance")
    cursor.end()
    return piece("unlock", effect("unlock"))


def explained(inner: Piece) -> Piece:
    """Judged as what it wraps, whether it runs or not: a plan shows values too."""
    return replace(plus(inner, "explain", effect("explain")), calls=inner.calls)
