"""Who may do what under one policy, and how two policies differ in it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.analysis.candidates import FRESH, Act


class Route(NamedTuple):
    """One way in: a user at a database as a database user, to a database name."""

    user: str
    database: str
    db_user: str
    db_name: str

    def text(self) -> str:
        """``as reader to shop``."""
        return f"as {told(self.db_user)} to {told(self.db_name)}"


@dataclass(frozen=True, slots=True)
class Access:
    """What was allowed: for each open route the granting roles, and the acts allowed on it."""

    routes: Mapping[Route, tuple[str, ...]] = field(default_factory=dict)
    acts: Mapping[Route, frozenset[Act]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that one version allows and the other does not; ``act`` is None for the connect itself."""

    gains: bool
    route: Route
    act: Act | None
    roles: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """``connect``, or the act."""
        return "connect" if self.act is None else self.act.text()


def changes(old: Access, new: Access) -> list[Change]:
    """Every route and act that one has and the other lacks; a route that comes or goes is one change."""
    found = [*_one_way(old, new, gains=False), *_one_way(new, old, gains=True)]
    return sorted(found, key=lambda item: (item.route, item.gains, item.what))


def _one_way(has: Access, lacks: Access, *, gains: bool) -> Iterator[Change]:
    for route, roles in has.routes.items():
        if route not in lacks.routes:
            yield Change(gains, route, None, roles)
            continue
        for act in has.acts.get(route, frozenset()) - lacks.acts.get(route, frozenset()):
            yield Change(gains, route, act, roles)


def told(name: str) -> str:
    """A class of names for people."""
    return "(any other)" if name == FRESH else name or "(none)"
