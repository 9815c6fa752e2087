"""GRANT, REVOKE, REASSIGN OWNED and SECURITY LABEL: who is given what."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres.cursor import Cursor
from gateway.model.classification import Effect, ObjectRef


def read_grant(cursor: Cursor) -> Piece:
    """GRANT and REVOKE on named tables or of roles; other forms are seen, not understood."""
    operation = cursor.tokens[0].value
    if operation == "revoke":
        for option in ("grant", "admin"):
            cursor.take(option, "option", "for")
    while cursor.at < len(cursor.tokens) and cursor.word() not in {"on", "to", "from"}:
        cursor.next()
    if not cursor.take("on"):
        return Piece(
            "", operation, (Effect(operation, CLASS_OF[operation], ObjectRef("role", _roles(cursor))),)
        )
    cursor.take("table")
    try:
        uses = cursor.uses(operation)
    except DoubtError:
        uses = []
    if not uses or cursor.word() not in {"to", "from"}:
        effect = Effect(operation, CLASS_OF[operation])
        return Piece("", operation, (effect,), reason=Doubt.SYNTAX.value)
    return Piece("", operation, uses=tuple(uses))


def _roles(cursor: Cursor) -> str:
    """The first role that is granted or taken."""
    start = 1
    while cursor.tokens[start].value in {"grant", "admin", "option", "for"}:
        start += 1
    return cursor.tokens[start].value


def read_reassign(cursor: Cursor) -> Piece:
    """``REASSIGN OWNED BY a TO b``."""
    cursor.expect("owned", "by")
    name = cursor.name()
    return Piece("", "reassign", (Effect("reassign", CLASS_OF["reassign"], ObjectRef("role", name)),))


def read_label(cursor: Cursor) -> Piece:
    """``SECURITY LABEL …``: label providers steer access."""
    cursor.expect("label")
    return Piece(
        "",
        "security_label",
        (Effect("security_label", CLASS_OF["security_label"]),),
        reason=Doubt.SYNTAX.value,
    )
