"""What is done to the server and to rights: GRANT, KILL, FLUSH, INSTALL, maintenance of tables.

https://dev.mysql.com/doc/refman/8.0/en/sql-server-administration-statements.html. Nobody needs their
details to judge them, so what they are about is named as far as it stands in plain sight.
"""

from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece, Use
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.pieces import effect, piece
from gateway.classify.tokens import MARK
from gateway.model.classification import Class, Effect

_KINDS: Final = frozenset(("table", "function", "procedure", "package"))


def read_grant(cursor: Cursor) -> Piece:
    """GRANT and REVOKE: of rights on a thing, or of roles."""
    operation = cursor.tokens[0].value
    depth = 0
    while not cursor.is_end() and not (depth == 0 and cursor.word() in {"on", "to", "from"}):
        token = cursor.next()
        depth += (token.value == "(") - (token.value == ")")
    if not cursor.take("on"):
        cursor.rest()
        return piece(operation, effect(operation, "role", ""))
    kind = cursor.take_any(_KINDS) or "table"
    cursor.take("body")
    made = _on(operation, kind, cursor)
    cursor.rest()
    return piece(operation, made)


def _on(operation: str, kind: str, cursor: Cursor) -> Effect:
    """``*``, ``*.*``, ``db.*`` or a path."""
    if cursor.mark("*"):
        return effect(operation, "server", "*" if cursor.mark(".") else "")
    name = cursor.name()
    if not cursor.mark("."):
        return effect(operation, kind, name)
    if cursor.mark("*"):
        return effect(operation, "database", name)
    return effect(operation, kind, cursor.label(), name)


def read_maintenance(cursor: Cursor) -> Piece:
    """``CHECK TABLE``, ``OPTIMIZE TABLE``, ``REPAIR TABLE``, ``CHECKSUM TABLE``, ``ANALYZE TABLE``."""
    word = cursor.tokens[0].value
    cursor.take_any(("no_write_to_binlog", "local"))
    if not cursor.take("table") and not cursor.take("tables"):
        if word in {"check", "repair"} and cursor.take("view"):
            pass
        else:
            raise DoubtError(Doubt.STATEMENT)
    operation = "select" if word == "checksum" else word
    uses: tuple[Use, ...] = tuple(cursor.uses(operation))
    cursor.rest()
    return piece(operation, uses=uses)


def read_kill(cursor: Cursor) -> Piece:
    """``KILL [HARD | SOFT] [CONNECTION | QUERY] …``."""
    name = cursor.tokens[-1].value
    if any(token.kind is MARK for token in cursor.tokens):
        raise DoubtError(Doubt.SYNTAX)  # an expression, in which a query may stand
    cursor.plain_rest()
    return piece("kill", effect("kill", "connection", name))


def read_flush(cursor: Cursor) -> Piece:
    """``FLUSH …``."""
    word = cursor.tokens[1].value if len(cursor.tokens) > 1 else ""
    cursor.plain_rest()
    return piece("flush", effect("flush", "server", word))


def read_install(cursor: Cursor) -> Piece:
    """``INSTALL PLUGIN``, ``UNINSTALL COMPONENT``: code of others."""
    cursor.plain_rest()
    return piece("install", effect("install", "library", ""))


def read_shutdown(cursor: Cursor) -> Piece:
    """``SHUTDOWN`` and ``RESTART``."""
    cursor.plain_rest()
    return piece("shutdown", effect("shutdown", "server", ""))


def read_administer(cursor: Cursor) -> Piece:
    """Statements about the server that have no word of their own here."""
    words = [token.value for token in cursor.tokens[:2]]
    cursor.plain_rest()
    return piece("administer", effect("administer", "server", " ".join(words)))


def read_binlog(cursor: Cursor) -> Piece:
    """``BINLOG '…'`` runs events that nobody can read here."""
    cursor.plain_rest()
    return piece(
        "replicate", effect("replicate", "server", "binlog", cls=Class.ADMIN), reason=Doubt.DYNAMIC.value
    )
