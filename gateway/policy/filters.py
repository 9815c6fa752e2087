"""Row filters: a guard's rule ``include``, evaluated by OPA as far as it can be without the row. Pure.

https://www.openpolicyagent.org/docs/filtering/partial-evaluation: what is left becomes a condition in SQL.
``input.row`` is not known; the relation's columns take its place. The time is left out of the question, so
that a condition is a function of the session, the policy and the data alone: compiling takes OPA a good part
of a second, and what it found is kept for as long as those three are the same.
"""

import json
import re
from typing import Final

from gateway.errors import PolicyError

ACCEPT: Final = "application/vnd.opa.sql.postgresql+json"
ROW: Final = "regate_row"
"""What conditions call the row; the rewritten statement gives the relation that name."""

_GUARD: Final = re.compile(r"[A-Za-z0-9_-]{1,100}/[A-Za-z0-9_-]{1,100}")
_WHERE: Final = "WHERE "
_OPTIONS: Final = json.dumps({"targetSQLTableMappings": {"postgresql": {"row": {"$self": ROW}}}}).encode()


def path(guard: str) -> str:
    """Where OPA answers for *guard*.

    Raises:
        PolicyError: its name cannot stand in a path.
    """
    if _GUARD.fullmatch(guard) is None:
        raise PolicyError(f"guard {guard[:100]!r} has a name that cannot be asked for")
    return f"/v1/compile/gateway/guards/{guard}/include"


def question(session: bytes) -> bytes:
    """The request body: what guards see of a session, and no row."""
    known = b'{"contract":1,"session":%b}' % session
    return b'{"input":%b,"options":%b,"unknowns":["input.row"]}' % (known, _OPTIONS)


def condition(status: int, body: bytes) -> str | None:
    """The condition in OPA's answer: ``""`` for all rows, None for none.

    No row, and a rule that does not exist, both come without a query: no row is seen.

    Raises:
        PolicyError: the answer is none, or the filter cannot be written in SQL.
    """
    if status != 200:
        raise PolicyError("the row filter cannot be written in SQL")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PolicyError("opa's answer is not json") from error
    if value == {}:
        return None
    if type(value) is not dict or list(value) != ["result"] or type(value["result"]) is not dict:
        raise PolicyError("opa's answer is not a filter")
    found = value["result"]
    if not found:
        return None
    if list(found) != ["query"] or type(found["query"]) is not str:
        raise PolicyError("opa's answer is not a filter")
    sql: str = found["query"]
    if not sql:
        return ""
    if not sql.startswith(_WHERE) or not sql.removeprefix(_WHERE).strip():
        raise PolicyError("opa's answer is not a condition")
    return sql.removeprefix(_WHERE)


class Conditions:
    """The conditions compiled last; *key* names the guard, the session's content and both revisions."""

    _LIMIT: Final = 256

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes, str, int], str | None] = {}

    def find(self, key: tuple[str, bytes, str, int]) -> tuple[str | None] | None:
        """What is known under *key*, in a tuple because None is a condition; None if nothing is."""
        return (self._known[key],) if key in self._known else None

    def keep(self, key: tuple[str, bytes, str, int], found: str | None) -> None:
        """Remember it, and forget the oldest beyond the limit."""
        if len(self._known) >= self._LIMIT:
            del self._known[next(iter(self._known))]
        self._known[key] = found
