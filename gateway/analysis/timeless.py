"""Whether the policies of a world can look at the time when they judge statements. Reads Rego, else pure.

Then a statement that ran a thousand times in a month is judged once. Said only where nothing else can be: the
shipped policies read the time of a statement in two guards, and a team's are taken at their letters.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.analysis.world import World
from gateway.policy.publish import TEAM, content_digest, policies_in
from gateway.schema import data_dir

# What a rule may begin with and still not see the time; anything else counts as if it did.
_OTHER: Final = re.compile(
    r"\binput\b(?!\.(?:session|request|row)\b)"
    r"|\bdata\b(?!\.(?:regate|gateway\.(?:lib|guards|team))\b)"
    r"|\bwith\b"
)
_HOURS: Final = "time/business-hours"
_MOMENTS: Final = frozenset({"from", "until"})


def of_world(world: World) -> bool:
    """Whether it holds for *world*; never for one with another library than this version's."""
    shipped = data_dir("policies")
    if content_digest(world.shipped, None) != content_digest(shipped, None):
        return False
    folders = [world.team] if world.shipped == shipped else [world.team, world.shipped / TEAM]
    return is_timeless([text for folder in folders for text in _texts(folder)], world.documents("guard"))


def _texts(folder: Path | None) -> list[str]:
    if folder is None or not folder.is_dir():
        return []
    return [path.read_text(encoding="utf-8") for path in policies_in(folder)]


def is_timeless(rego: Iterable[str], guards: Iterable[Mapping[str, Any]]) -> bool:
    """True when no verdict about statements can depend on the time.

    *rego* are the texts of a team's policies, *guards* the resources that switch shipped ones on.
    """
    return not any(map(_OTHER.search, rego)) and not any(map(_is_about_time, guards))


def _is_about_time(guard: Mapping[str, Any]) -> bool:
    spec = guard.get("spec") or {}
    return spec.get("guard") == _HOURS or not _MOMENTS.isdisjoint(spec.get("settings") or {})
