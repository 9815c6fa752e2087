"""What of a statement steers the meaning of the ones behind it.

A statement that changes the search path, the prepared statements or the catalogue must be answered before
the next is judged. The facts say most of it; a few keywords are looked for in the text itself, because a
keyword can be written in one way only and a missed one would leave stale text behind a name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.model.classification import Classification
from gateway.model.statement import Phase
from gateway.sansio.exchange import Facts, Request

_WORDS: Final = re.compile(
    r"\b(?:copy|deallocate|discard|do|call|declare|temp|temporary|pg_temp|pg_settings)\b", re.IGNORECASE
)
_PATH_SETTINGS: Final = frozenset({"search_path", "schema", "role", "session_authorization", "all"})
_SETS: Final = frozenset({"discard", "pg_settings"})  # an UPDATE of that view is a SET
_RUNS_TEXT: Final = frozenset({"do", "call"})
_RUNS_ANOTHER: Final = frozenset({"execute", "fetch", "move"})
_CHANGES_CATALOG: Final = frozenset({"create", "alter", "drop", "import"})
_ENDS_TRANSACTION: Final = frozenset({"commit", "rollback", "prepare_transaction"})


@dataclass(frozen=True, slots=True)
class Steer:
    """What may differ once a request has run.

    ``path``: how names resolve. ``statements``, ``portals``: what a kept name stands for. ``catalog``: what
    exists. ``temporary``: a temporary object may exist. ``copy``: the server may ask for data next.
    ``transaction``: a transaction may end or return to a savepoint.
    """

    path: bool = False
    statements: bool = False
    portals: bool = False
    catalog: bool = False
    temporary: bool = False
    copy: bool = False
    transaction: bool = False


NOTHING: Final = Steer()
_PLANNED: Final = Steer(path=True, temporary=True)
EVERYTHING: Final = Steer(
    path=True, statements=True, portals=True, catalog=True, temporary=True, copy=True, transaction=True
)


class Steering:
    """``Steer`` of requests, remembered by the identity of the facts, which are reused."""

    __slots__ = ("_known", "_long")

    _LIMIT: Final = 256
    _LONGEST: Final = 8 << 10  # characters of a text that is kept here; of longer ones the last is

    def __init__(self) -> None:
        self._known: dict[tuple[int, Phase], tuple[Facts, str, Steer]] = {}
        self._long: dict[tuple[int, Phase], tuple[Facts, str, Steer]] = {}

    def of(self, request: Request, facts: Facts) -> Steer:
        """What *request* may change once it runs."""
        phase = request.phase
        if phase is Phase.PREPARE:
            return NOTHING  # parsing runs nothing
        statement = request.statements[0]
        if statement.unreadable:
            return EVERYTHING if phase is not Phase.BIND else _PLANNED
        key = (id(facts), phase)
        is_long = len(statement.text) > self._LONGEST
        kept, most = (self._long, 1) if is_long else (self._known, self._LIMIT)
        known = kept.get(key)
        if known is not None and known[0] is facts and known[1] == statement.text:
            return known[2]
        if phase is Phase.BIND:
            # Planning may call a function that only claims to be immutable; it runs nothing else.
            steer = _PLANNED if _calls_user_code(facts) else NOTHING
        else:
            steer = steer_of(statement.text, facts)
        if steer == NOTHING:
            steer = NOTHING  # one object, so that the hot path compares by identity
        if len(kept) >= most:
            kept.clear()
        kept[key] = facts, statement.text, steer
        return steer


def steer_of(text: str, facts: Facts) -> Steer:
    """What *text*, of which *facts* are known, may change once it runs."""
    words = {word.lower() for word in _WORDS.findall(text)}
    operations = {item.operation for item in facts}
    operations.update(effect.operation for item in facts for effect in item.effects)
    opaque = any(not item.complete for item in facts)
    hidden = bool(operations & _RUNS_TEXT) or ("unknown" in operations and bool(words & _RUNS_TEXT))
    user_code = hidden or bool(operations & _RUNS_ANOTHER) or _calls_user_code(facts)
    forgets = bool(words & {"deallocate", "discard"})
    makes = "create" in operations or "unknown" in operations
    return Steer(
        path=opaque or user_code or bool(words & _SETS) or _sets_path(facts),
        statements=hidden or forgets,
        portals=user_code or forgets or "declare" in words,
        catalog=hidden or "unknown" in operations or bool(operations & _CHANGES_CATALOG),
        temporary=user_code or (makes and bool(words & {"temp", "temporary", "pg_temp"})),
        copy="copy_in" in operations or (opaque and "copy" in words),
        transaction=opaque or bool(operations & _ENDS_TRANSACTION),
    )


def _calls_user_code(facts: Iterable[Classification]) -> bool:
    return any(
        not named.builtin for item in facts for named in (*item.functions, *item.operators, *item.casts)
    )


def _sets_path(facts: Iterable[Classification]) -> bool:
    return any(setting.name.lower() in _PATH_SETTINGS for item in facts for setting in item.settings)
