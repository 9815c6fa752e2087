"""What of a statement steers the meaning of the ones behind it.

A statement that changes the search path, the prepared statements or the catalogue must be answered before
the next is judged. The facts say most of it; a few keywords are looked for in the text itself, because a
keyword can be written in one way only and a missed one would leave stale text behind a name.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.model.classification import Class, Classification
from gateway.model.statement import Phase
from gateway.sansio.protocol import Facts, Request

_WORDS: Final = re.compile(
    r"\b(?:copy|deallocate|discard|do|call|execute|declare|temp|temporary|pg_temp)\b", re.IGNORECASE
)
_PATH_SETTINGS: Final = frozenset({"search_path", "schema", "role", "session_authorization", "all"})
_RUNS_HIDDEN_SQL: Final = frozenset({"do", "call", "unknown"})


@dataclass(frozen=True, slots=True)
class Steer:
    """What may differ once a request has run.

    ``path``: how names resolve. ``statements``, ``portals``: what a kept name stands for. ``catalog``: what
    exists. ``temporary``: a temporary object may exist. ``copy``: the server may ask for data next.
    ``transaction``: a transaction may have begun or ended.
    """

    path: bool = False
    statements: bool = False
    portals: bool = False
    catalog: bool = False
    temporary: bool = False
    copy: bool = False
    transaction: bool = False

    def is_nothing(self) -> bool:
        """True for nearly every statement."""
        return self == NOTHING


NOTHING: Final = Steer()
EVERYTHING: Final = Steer(
    path=True, statements=True, portals=True, catalog=True, temporary=True, copy=True, transaction=True
)


class Steering:
    """``Steer`` of requests, remembered by the identity of the facts, which are reused."""

    __slots__ = ("_known",)

    _LIMIT: Final = 256

    def __init__(self) -> None:
        self._known: dict[tuple[int, Phase], tuple[Facts, Steer]] = {}

    def of(self, request: Request, facts: Facts) -> Steer:
        """What *request* may change once it runs."""
        phase = request.phase
        if phase is Phase.PREPARE:
            return NOTHING  # parsing runs nothing
        key = (id(facts), phase)
        known = self._known.get(key)
        if known is not None and known[0] is facts:
            return known[1]
        steer = _bound(facts) if phase is Phase.BIND else _run(request, facts)
        if len(self._known) >= self._LIMIT:
            self._known.clear()
        self._known[key] = facts, steer
        return steer


def _bound(facts: Facts) -> Steer:
    """Planning may call a function that only claims to be immutable; it runs nothing else."""
    return Steer(path=True, temporary=True) if _calls_user_code(facts) else NOTHING


def _run(request: Request, facts: Facts) -> Steer:
    if any(statement.unreadable for statement in request.statements):
        return EVERYTHING
    words = {word.lower() for s in request.statements for word in _WORDS.findall(s.text)}
    opaque = any(not item.complete for item in facts)
    hidden = any(item.operation in _RUNS_HIDDEN_SQL for item in facts) or (
        opaque and bool(words & {"do", "call", "execute"})
    )
    user_code = hidden or _calls_user_code(facts)
    forgets = bool(words & {"deallocate", "discard"})
    creates = opaque or any(_creates(item) for item in facts)
    return Steer(
        path=opaque or user_code or "discard" in words or _sets_path(facts),
        statements=hidden or forgets,
        portals=user_code or forgets or "declare" in words,
        catalog=hidden or any(Class.DDL in _classes(item) for item in facts),
        temporary=user_code or (creates and bool(words & {"temp", "temporary", "pg_temp"})),
        copy="copy" in words,
        transaction=opaque or any(item.operation == "transaction" for item in facts),
    )


def _calls_user_code(facts: Iterable[Classification]) -> bool:
    return any(
        not named.builtin for item in facts for named in (*item.functions, *item.operators, *item.casts)
    )


def _sets_path(facts: Iterable[Classification]) -> bool:
    return any(setting.name.lower() in _PATH_SETTINGS for item in facts for setting in item.settings)


def _creates(item: Classification) -> bool:
    return item.operation == "create" or any(effect.operation == "create" for effect in item.effects)


def _classes(item: Classification) -> set[Class]:
    return {item.cls, *(effect.cls for effect in item.effects)}
