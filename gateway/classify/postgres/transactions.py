"""BEGIN to ROLLBACK PREPARED: https://www.postgresql.org/docs/15/sql-begin.html and its neighbours."""

from gateway.classify.facts import Piece
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres import settings
from gateway.classify.postgres.cursor import Cursor
from gateway.model.classification import Effect, ObjectRef


def _piece(operation: str, target: ObjectRef | None = None) -> Piece:
    return Piece("", operation, (Effect(operation, CLASS_OF[operation], target),))


def read_begin(cursor: Cursor) -> Piece:
    """``BEGIN [WORK | TRANSACTION] modes``."""
    if not cursor.take("work"):
        cursor.take("transaction")
    return _begin(cursor)


def read_start(cursor: Cursor) -> Piece:
    """``START TRANSACTION modes``."""
    cursor.expect("transaction")
    return _begin(cursor)


def _begin(cursor: Cursor) -> Piece:
    modes = settings.modes(cursor, "local", "transaction_")
    return Piece("", "begin", (Effect("begin", CLASS_OF["begin"]),), settings=modes)


def read_commit(cursor: Cursor) -> Piece:
    """``COMMIT`` and ``END``."""
    if cursor.take("prepared"):
        name = cursor.string()
        cursor.end()
        return _piece("commit_prepared", ObjectRef("transaction", name))
    _chain(cursor)
    return _piece("commit")


def read_rollback(cursor: Cursor) -> Piece:
    """``ROLLBACK`` and ``ABORT``, whole or to a savepoint."""
    if cursor.take("prepared"):
        name = cursor.string()
        cursor.end()
        return _piece("rollback_prepared", ObjectRef("transaction", name))
    if not cursor.take("work"):
        cursor.take("transaction")
    if cursor.take("to"):
        if cursor.peek(1).value:
            cursor.take("savepoint")
        cursor.name()
        cursor.end()
        return _piece("rollback")
    _chain(cursor)
    return _piece("rollback")


def _chain(cursor: Cursor) -> None:
    if not cursor.take("work"):
        cursor.take("transaction")
    if cursor.take("and"):
        cursor.take("no")
        cursor.expect("chain")
    cursor.end()


def read_savepoint(cursor: Cursor) -> Piece:
    """``SAVEPOINT name``."""
    cursor.name()
    cursor.end()
    return _piece("savepoint")


def read_release(cursor: Cursor) -> Piece:
    """``RELEASE [SAVEPOINT] name``."""
    if cursor.peek(1).value:
        cursor.take("savepoint")
    cursor.name()
    cursor.end()
    return _piece("release")
