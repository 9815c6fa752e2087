"""BEGIN to RELEASE SAVEPOINT, and XA: https://dev.mysql.com/doc/refman/8.0/en/commit.html and others."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece
from gateway.classify.mysql import settings
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.pieces import effect, piece
from gateway.model.classification import Setting


def read_begin(cursor: Cursor) -> Piece:
    """``BEGIN [WORK]``; a block of MariaDB's is not read."""
    if cursor.word() == "not":
        raise DoubtError(Doubt.BODY)
    cursor.take("work")
    cursor.end()
    return piece("begin", effect("begin"))


def read_start(cursor: Cursor) -> Piece:
    """``START TRANSACTION modes``; whatever else starts is of the server's own parts."""
    if not cursor.take("transaction"):
        return read_server(cursor)
    found: list[Setting] = []
    while not cursor.is_end():
        if cursor.take("with"):
            cursor.expect("consistent", "snapshot")
        else:
            found.append(settings.access_mode(cursor, "local"))
        if not cursor.mark(","):
            break
    cursor.end()
    return piece("begin", effect("begin"), settings=tuple(found))


def read_server(cursor: Cursor) -> Piece:
    """``START SLAVE``, ``STOP REPLICA``, ``CHANGE MASTER TO``, ``RESET MASTER`` and the like."""
    words = [token.value for token in cursor.tokens[:3] if token.value.isidentifier()]
    cursor.plain_rest()
    return piece("replicate", effect("replicate", "server", " ".join(words)))


def read_commit(cursor: Cursor) -> Piece:
    """``COMMIT``."""
    cursor.take("work")
    _chain(cursor)
    return piece("commit", effect("commit"))


def read_rollback(cursor: Cursor) -> Piece:
    """``ROLLBACK``, whole or to a savepoint."""
    cursor.take("work")
    if cursor.take("to"):
        cursor.take("savepoint")
        cursor.name()
        cursor.end()
    else:
        _chain(cursor)
    return piece("rollback", effect("rollback"))


def _chain(cursor: Cursor) -> None:
    if cursor.take("and"):
        cursor.take("no")
        cursor.expect("chain")
    if cursor.take("no"):
        cursor.expect("release")
    else:
        cursor.take("release")
    cursor.end()


def read_savepoint(cursor: Cursor) -> Piece:
    """``SAVEPOINT name``."""
    cursor.name()
    cursor.end()
    return piece("savepoint", effect("savepoint"))


def read_release(cursor: Cursor) -> Piece:
    """``RELEASE SAVEPOINT name``."""
    cursor.expect("savepoint")
    cursor.name()
    cursor.end()
    return piece("release", effect("release"))


def read_xa(cursor: Cursor) -> Piece:
    """A transaction that outlives its session."""
    word = cursor.next().value
    cursor.rest()
    operation = {"commit": "commit_prepared", "rollback": "rollback_prepared"}.get(
        word, "prepare_transaction"
    )
    return piece(operation, effect(operation, "transaction", ""))
