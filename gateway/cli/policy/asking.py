"""Puts many questions to a private OPA: connects and statements of whoever may be in a repository."""

import asyncio  # noqa: TID251
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from gateway.analysis.access import Access, Route
from gateway.analysis.candidates import Act, Candidates
from gateway.analysis.world import Placed, World, stored
from gateway.clock import SystemClock, new_id
from gateway.model.decision import Allowed, Decision
from gateway.model.identity import Identity, Use
from gateway.model.resource import Database
from gateway.policy.answer import Problem
from gateway.policy.client import PolicyClient
from gateway.policy.document import ConnectQuestion, SessionQuestion
from gateway.policy.offline import offline
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.sansio.exchange import Facts

ADDRESS = "127.0.0.1:1"
REVISION = 1
_AT_ONCE = 2_000
_END = datetime(2261, 1, 1, tzinfo=UTC)  # of a login that does not end; OPA counts nanoseconds

Progress = Callable[[int], object]


def person(user: str, roles: Iterable[str]) -> Identity:
    """Somebody whose login has all *roles* and does not end."""
    return Identity(user, tuple(roles), {}, "", Use.DATABASE, _END, _END, "")


def _nothing(_done: int) -> None:
    pass


class Asker:
    """Asks about one world at a time; ``turn_to`` changes it."""

    def __init__(self, sidecar: Sidecar, world: World) -> None:
        self._sidecar = sidecar
        self.world = world

    @property
    def client(self) -> PolicyClient:
        """Asks the same OPA."""
        return self._sidecar.client

    async def turn_to(self, world: World) -> None:
        """Ask about the resources of *world* from now on; its Rego must be the same."""
        await self._sidecar.push(world.data(REVISION), REVISION)
        self.world = world

    async def problems(self, document: Mapping[str, Any]) -> list[Problem]:
        """What the policy has against a role or lock, as when it is stored."""
        return await self._sidecar.client.validate_patterns(document)

    async def sees(self, roles: Sequence[Placed], world: World) -> dict[str, bool]:
        """For each role, by name: whether its only holder, with the traits of all, sees a database."""
        traits = _all_traits(world)
        people = [_alone(role.name, traits) for role in roles]
        await self.turn_to(World(world.shipped, world.team, (*roles, *stored(people))))
        databases, now = list(world.databases().values()), SystemClock().now_ns()
        found = {}
        for role in roles:
            shown = await self._sidecar.client.visible(person(_sole(role.name), [role.name]), databases, now)
            found[role.name] = bool(shown)
        return found

    def question(self, route: Route, database: Database, at_ns: int | None = None) -> ConnectQuestion:
        """The connect of *route*, by somebody with all roles of that user."""
        now = SystemClock().now_ns() if at_ns is None else at_ns
        who = person(route.user, self.world.users().get(route.user, ()))
        return ConnectQuestion(who, database, route.db_user, route.db_name, ADDRESS, new_id(now), now)

    async def connect(self, route: Route, database: Database | None = None) -> Decision:
        """May it be opened."""
        where = database or self.world.databases()[route.database]
        return await self._sidecar.client.connect(self.question(route, where))

    async def connects(
        self, questions: Sequence[ConnectQuestion], done: Progress = _nothing
    ) -> list[Decision]:
        """Many connects, in their order."""
        found: list[Decision] = []
        for start in range(0, len(questions), _AT_ONCE):
            found += await self._sidecar.client.rejudge(questions[start : start + _AT_ONCE])
            done(len(found))
        return found

    def session(self, route: Route, database: Database, roles: tuple[str, ...]) -> SessionQuestion:
        """The session that a connect opened."""
        return SessionQuestion(
            route.user, roles, REVISION, database, route.db_user, route.db_name, "simulated", ADDRESS
        )

    async def query(self, session: SessionQuestion, facts: Facts) -> Decision:
        """May these statements run in it."""
        return await self._sidecar.client.query(session, facts)

    async def queries(
        self, asked: Sequence[tuple[SessionQuestion, Facts]], done: Progress = _nothing
    ) -> list[Decision]:
        """Many, in their order."""
        found: list[Decision] = []
        for start in range(0, len(asked), _AT_ONCE):
            some = asked[start : start + _AT_ONCE]
            found += await asyncio.gather(*(self.query(session, facts) for session, facts in some))
            done(len(found))
        return found


def _sole(role: str) -> str:
    return f"holder-of-{role}"


def _alone(role: str, traits: Mapping[str, list[str]]) -> dict[str, Any]:
    """A user with one role."""
    spec = {"roles": [role], "traits": traits}
    return {"kind": "user", "version": "v2", "metadata": {"name": _sole(role)}, "spec": spec}


def _all_traits(world: World) -> dict[str, list[str]]:
    """Every value that anybody has, by trait."""
    found: dict[str, dict[str, None]] = {}
    for user in world.documents("user"):
        for trait, values in (user["spec"].get("traits") or {}).items():
            found.setdefault(trait, {}).update(dict.fromkeys(values or ()))
    return {trait: list(values) for trait, values in found.items()}


@asynccontextmanager
async def asking(world: World) -> AsyncIterator[Asker]:
    """An OPA with the policies and the resources of *world*."""
    async with offline(world.shipped, world.team, world.data(REVISION), SystemClock()) as sidecar:
        yield Asker(sidecar, world)


async def access(
    asker: Asker,
    classes: Candidates,
    users: Iterable[str],
    databases: Mapping[str, Database],
    *,
    acts: Sequence[Act] | None = None,
) -> Access:
    """What *users* may do on *databases*, over all classes.

    Acts are judged once for each user, database and set of granting roles, on the first such route.
    """
    routes = [
        Route(user, name, db_user, db_name)
        for user in users
        for name in databases
        for db_user in classes.db_users
        for db_name in classes.db_names
    ]
    questions = [asker.question(route, databases[route.database]) for route in routes]
    opened: dict[Route, tuple[str, ...]] = {}
    for route, decision in zip(routes, await asker.connects(questions), strict=True):
        if isinstance(decision, Allowed):
            opened[route] = decision.roles
    groups: dict[tuple[str, str, tuple[str, ...]], Route] = {}
    for route, roles in opened.items():
        groups.setdefault((route.user, route.database, roles), route)
    judged = await _acts(asker, groups, databases, classes.acts if acts is None else acts)
    return Access(
        opened, {route: judged[route.user, route.database, roles] for route, roles in opened.items()}
    )


async def _acts(
    asker: Asker,
    groups: Mapping[tuple[str, str, tuple[str, ...]], Route],
    databases: Mapping[str, Database],
    acts: Sequence[Act],
) -> dict[tuple[str, str, tuple[str, ...]], frozenset[Act]]:
    facts = {act: act.facts() for act in acts}
    asked = [
        (key, act, asker.session(route, databases[route.database], key[2]))
        for key, route in groups.items()
        for act in acts
    ]
    decisions = await asker.queries([(session, facts[act]) for _, act, session in asked])
    found: dict[tuple[str, str, tuple[str, ...]], set[Act]] = {key: set() for key in groups}
    for (key, act, _), decision in zip(asked, decisions, strict=True):
        if isinstance(decision, Allowed):
            found[key].add(act)
    return {key: frozenset(allowed) for key, allowed in found.items()}
