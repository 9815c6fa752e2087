"""What two policies say about the same statements, recorded or made up: verdicts and obligations. Pure."""

import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.analysis.access import Route, told
from gateway.analysis.candidates import FRESH
from gateway.model.obligation import NONE, Obligations
from gateway.policy.obligations import merge, to_json

# Refusals for want of a grant: of made-up statements they are told as acts already.
_OF_ROLES: Final = frozenset({
    "function_not_granted", "not_understood", "operation_denied", "operation_not_granted",
    "operator_not_granted", "setting_refused", "type_not_granted",
})  # fmt: skip

Kind: typing.TypeAlias = typing.Literal["gains", "loses", "loosens", "tightens"]
WIDENS: Final = frozenset({"gains", "loosens"})


class Judgement(typing.NamedTuple):
    """One verdict: allowed or not, the codes of its reasons, and what a yes is tied to."""

    allowed: bool
    codes: tuple[str, ...]
    obligations: Obligations = NONE

    def to_json(self) -> dict[str, Any]:
        """For a report."""
        return {
            "verdict": "allowed" if self.allowed else "denied",
            "reasons": list(self.codes),
            "obligations": to_json(self.obligations),
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """One statement on one route, and both judgements; ``decision_id`` is empty where it was made up.

    ``origin`` is the log that the decision stands in, ``times`` how often it was recorded with this outcome.
    """

    route: Route
    statement: str
    old: Judgement
    new: Judgement
    decision_id: str = ""
    origin: str = ""
    times: int = 1

    @property
    def kind(self) -> Kind | None:
        """What changes; None for nothing."""
        if self.old.allowed is not self.new.allowed:
            return "gains" if self.new.allowed else "loses"
        if not self.new.allowed or self.old.obligations == self.new.obligations:
            return None
        both = merge(self.old.obligations, self.new.obligations)
        return "tightens" if both == self.new.obligations else "loosens"

    @property
    def why(self) -> str:
        """What decides now, or decided: codes, or the kinds of obligations."""
        match self.kind:
            case "gains":
                return ", ".join(self.old.codes)
            case "loses":
                return ", ".join(self.new.codes)
            case _:
                kinds = self.old.obligations.kinds | self.new.obligations.kinds
                return ", ".join(sorted(kinds))


def changed(compared: Iterable[Compared]) -> list[Compared]:
    """Those that change; equal ones of a route are one, with their number."""
    found: dict[tuple[object, ...], Compared] = {}
    for item in compared:
        if item.kind is None or _is_told(item):
            continue
        key = (item.route, item.statement, item.old, item.new, bool(item.decision_id))
        known = found.get(key)
        found[key] = item if known is None else replace(known, times=known.times + item.times)
    return sorted(found.values(), key=lambda item: (item.route, str(item.kind), item.statement))


def _is_told(item: Compared) -> bool:
    refusal = item.old if item.new.allowed else item.new
    is_made_up = not item.decision_id
    return is_made_up and not refusal.allowed and _OF_ROLES.issuperset(refusal.codes)


def rows(found: Iterable[Compared]) -> Iterator[dict[str, Any]]:
    """For a report."""
    for item in found:
        yield {
            "change": item.kind,
            "user": item.route.user,
            "database": item.route.database,
            "db_user": told(item.route.db_user),
            "db_name": told(item.route.db_name),
            "statement": item.statement.replace(FRESH, "(any other)"),
            "source": "recorded" if item.decision_id else "made up",
            "times": item.times,
            "decision_id": item.decision_id,
            "origin": item.origin,
            "old": item.old.to_json(),
            "new": item.new.to_json(),
            "why": item.why,
        }
