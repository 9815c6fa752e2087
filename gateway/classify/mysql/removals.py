"""DROP, RENAME and TRUNCATE: what they take away, and under which name it is found again.

https://dev.mysql.com/doc/refman/8.0/en/sql-data-definition-statements.html.
"""

from gateway.classify.facts import Piece, Use
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.mysql.defined import beyond_databases, used
from gateway.classify.mysql.words import STORED
from gateway.classify.pieces import effect, piece
from gateway.model.classification import Class


def read_drop(cursor: Cursor) -> Piece:
    """``DROP …``."""
    cursor.take("temporary")
    if cursor.take("prepare"):
        name = cursor.name()
        cursor.end()
        return piece("deallocate", effect("deallocate", "prepared", name))
    word = cursor.next().value
    cursor.take("body") if word == "package" else None
    cursor.take("if", "exists")
    if word in {"table", "tables", "view", "sequence"}:
        uses = tuple(cursor.uses("drop", {"tables": "table"}.get(word, word)))
        cursor.take_any(("restrict", "cascade"))
        cursor.skip_wait()
        cursor.end()
        return piece("drop", uses=uses)
    if word in {"database", "schema"}:
        name = cursor.name()
        cursor.end()
        return piece("drop", effect("drop", "database", name))
    if word == "index":
        name = cursor.label()
        cursor.expect("on")
        schema, table = cursor.path()
        cursor.rest()
        return piece("drop", effect("drop", "index", name, schema), uses=(used(schema, table, "alter"),))
    if word in STORED:
        schema, name = cursor.path()
        cursor.end()
        return piece("drop", effect("drop", word, name, schema))
    return beyond_databases(cursor, "drop", word)


def read_rename(cursor: Cursor) -> Piece:
    """``RENAME TABLE a TO b, …`` and ``RENAME USER``."""
    if cursor.take("user"):
        cursor.rest()
        return piece("alter", effect("alter", "user", "", cls=Class.DCL))
    if not cursor.take("table"):
        cursor.expect("tables")
    cursor.take("if", "exists")
    uses: list[Use] = []
    while True:
        uses.append(used(*cursor.path(), "alter", "drop"))
        cursor.skip_wait()
        cursor.expect("to")
        uses.append(used(*cursor.path(), "create", is_new=True))
        if not cursor.mark(","):
            break
    cursor.end()
    return piece("alter", uses=tuple(uses))


def read_truncate(cursor: Cursor) -> Piece:
    """``TRUNCATE [TABLE] t``."""
    cursor.take("table")
    use = cursor.use("truncate")
    cursor.skip_wait()
    cursor.end()
    return piece("truncate", uses=(use,))
