"""What both versions of the policies say about statements: the recorded ones, and some that are made up."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.analysis.access import Access, Route
from gateway.analysis.judgements import Compared, Judgement, changed
from gateway.analysis.replaying import Gathered, Kept, Key, Past
from gateway.analysis.samples import PROTOCOLS, Sample
from gateway.analysis.timeless import of_world
from gateway.cli.policy.asking import Asker
from gateway.cli.policy.judging_again import Again
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.obligation import NONE

CONNECT: Final = "connect"

Advance = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Decisions of a cluster, and by digest the inputs kept; ``missing`` says why there are none."""

    found: Gathered = field(default_factory=Gathered)
    kept: Kept = field(default_factory=dict)
    missing: str = ""

    def of(self, users: set[str], databases: set[str]) -> "Recorded":
        """Those of these users on these databases; of all where none are named."""
        kept = {
            key: past
            for key, past in self.found.decisions.items()
            if (not users or past.who.get("user") in users)
            and (not databases or past.who.get("database") in databases)
        }
        return Recorded(Gathered(kept, dict(self.found.left_out)), self.kept, self.missing)


async def again(asker: Asker, recorded: Recorded, advance: Advance) -> dict[Key, Judgement]:
    """What this version says about each recorded decision, by its log and its id."""
    found = Gathered(recorded.found.decisions, dict(recorded.found.left_out))
    judging = Again(asker.client, found, recorded.kept, advance, timeless=of_world(asker.world))
    decisions = list(found.decisions.values())
    outcomes = await judging.judge(decisions)
    judged = zip(decisions, outcomes, strict=True)
    return {past.key: outcome for past, outcome in judged if outcome is not None}


async def made_up(asker: Asker, access: Access, samples: Sequence[Sample]) -> dict[Route, list[Judgement]]:
    """What this version says about *samples*, for one route of each way in that it opens."""
    databases = asker.world.databases()
    asked = [
        (route, asker.session(route, databases[route.database], access.routes[route]), sample.facts)
        for route in _first_ways(access)
        if databases[route.database].protocol in PROTOCOLS
        for sample in samples
    ]
    found: dict[Route, list[Judgement]] = {}
    decisions = await asker.queries([(session, facts) for _, session, facts in asked])
    for (route, _, _), decision in zip(asked, decisions, strict=True):
        found.setdefault(route, []).append(_judgement(decision))
    return found


def _first_ways(access: Access) -> Iterator[Route]:
    seen = set()
    for route, roles in sorted(access.routes.items()):
        if (way := (route.user, route.database, roles)) not in seen:
            seen.add(way)
            yield route


def _judgement(decision: Decision) -> Judgement:
    match decision:
        case Allowed():
            return Judgement(allowed=True, codes=(), obligations=decision.obligations)
        case Denied():
            return Judgement(False, tuple(reason.code for reason in decision.reasons), NONE)


def compared(
    recorded: Recorded,
    past: tuple[Mapping[Key, Judgement], Mapping[Key, Judgement]],
    samples: Sequence[Sample],
    invented: tuple[Mapping[Route, Sequence[Judgement]], Mapping[Route, Sequence[Judgement]]],
) -> list[Compared]:
    """What changes of all that; *past* and *invented* hold what the old and the new version say."""
    return changed([*_recorded(recorded.found.decisions, *past), *_invented(samples, *invented)])


def _recorded(
    decisions: Mapping[Key, Past], old: Mapping[Key, Judgement], new: Mapping[Key, Judgement]
) -> Iterator[Compared]:
    for key, past in decisions.items():
        if key in old and key in new:
            statement = CONNECT if past.is_connect else past.statement
            judged = (_plain(old[key]), _plain(new[key]))
            yield Compared(_route(past.who), statement, *judged, past.decision_id, past.origin)


def _plain(judgement: Judgement) -> Judgement:
    """A yes without its reasons: which role gives it is no change."""
    return judgement._replace(codes=()) if judgement.allowed else judgement


def _route(who: Mapping[str, Any]) -> Route:
    user, database, db_user, db_name = (
        str(who.get(key, "")) for key in ("user", "database", "db_user", "db_name")
    )
    return Route(user, database, db_user, db_name)


def _invented(
    samples: Iterable[Sample],
    old: Mapping[Route, Sequence[Judgement]],
    new: Mapping[Route, Sequence[Judgement]],
) -> Iterator[Compared]:
    texts = [sample.text for sample in samples]
    for route in old.keys() & new.keys():
        for text, before, after in zip(texts, old[route], new[route], strict=True):
            yield Compared(route, text, before, after)
