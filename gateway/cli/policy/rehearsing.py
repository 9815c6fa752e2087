"""Drives rehearsals: statements go to the classifier and their facts to OPA, as in a session."""

import asyncio  # noqa: TID251
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from gateway.analysis.corpus import Entry, protocol_of
from gateway.analysis.expectation import Result, result
from gateway.analysis.world import World
from gateway.clock import SystemClock, new_id
from gateway.model.decision import Allowed, Denied
from gateway.model.identity import Identity, Use
from gateway.model.resource import Database
from gateway.model.statement import Phase
from gateway.policy.client import PolicyClient
from gateway.policy.document import ConnectQuestion, SessionQuestion
from gateway.policy.offline import offline
from gateway.sansio.exchange import Facts, Request
from gateway.sansio.protocol import Protocol
from gateway.sansio.rehearsal import Ask, Ending, Judged
from gateway.session.facts import Classifier

# A corpus says which database user and name its entries assume.
DB_USER, DB_NAME = "analyst", "appdb"
_REVISION = 1
_AT_ONCE = 16
_ADDRESS = "127.0.0.1:1"


async def judge(entries: Sequence[Entry], world: World, user: str, database: Database | None) -> list[Result]:
    """The results of all *entries*, in their order: as *user*, on *database* or on one without labels."""
    classifier, clock = Classifier(), SystemClock()
    try:
        async with offline(world.shipped, world.team, world.data(_REVISION), clock) as sidecar:
            roles = [role.name for role in world.of("role")]
            bench = _Bench(sidecar.client, classifier, everybody(user, roles), database)
            turns = asyncio.Semaphore(_AT_ONCE)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(bench.entry(entry, turns)) for entry in entries]
            return [task.result() for task in running]
    finally:
        await classifier.close()


async def facts_of(classifier: Classifier, protocol: Protocol, asked: Ask) -> Facts:
    """What the statements of one request do; long ones are read where they can be stopped."""
    request = Request(b"", Phase.QUERY, asked)
    facts = classifier.now(protocol, request)
    return await classifier.later(protocol, request) if facts is None else facts


def everybody(user: str, roles: Iterable[str]) -> Identity:
    """Somebody with a login of all *roles* that does not end."""
    end = datetime.max.replace(tzinfo=UTC)
    return Identity(user, tuple(roles), {}, "", Use.DATABASE, end, end, "")


class _Bench:
    """One user before one policy; a session for each protocol."""

    def __init__(
        self, client: PolicyClient, classifier: Classifier, who: Identity, database: Database | None
    ) -> None:
        self._client = client
        self._classifier = classifier
        self._who = who
        self._database = database
        self._sessions: dict[str, SessionQuestion | Denied] = {}

    async def entry(self, entry: Entry, turns: asyncio.Semaphore) -> Result:
        """Judge one entry."""
        protocol = protocol_of(entry)
        assert protocol is not None, "only entries of known protocols come here"
        async with turns:
            return result(entry, await self._rehearse(protocol, entry))

    async def _rehearse(self, protocol: Protocol, entry: Entry) -> Ending:
        rehearsal = protocol.rehearsals[entry.kind](entry.payload)
        try:
            asked = next(rehearsal)
            while True:
                asked = rehearsal.send(await self._judged(protocol, asked))
        except StopIteration as stop:
            ending: Ending = stop.value
            return ending

    async def _judged(self, protocol: Protocol, asked: Ask) -> Judged:
        facts = await facts_of(self._classifier, protocol, asked)
        session = await self._session(protocol)
        match session:
            case Denied():
                return Judged(facts, session)
            case SessionQuestion():
                return Judged(facts, await self._client.query(session, facts))

    async def _session(self, protocol: Protocol) -> SessionQuestion | Denied:
        """The session that the policy opens for the user, or its refusal."""
        known = self._sessions.get(protocol.name)
        if known is None:
            known = self._sessions[protocol.name] = await self._open(protocol)
        return known

    async def _open(self, protocol: Protocol) -> SessionQuestion | Denied:
        database = self._database or Database(DB_NAME, protocol.name, "localhost:1")
        decision = await self._client.connect(self._question(database))
        match decision:
            case Denied():
                return decision
            case Allowed(roles=roles):
                return SessionQuestion(
                    self._who.user, roles, _REVISION, database, DB_USER, DB_NAME, new_id(0), _ADDRESS
                )

    def _question(self, database: Database) -> ConnectQuestion:
        now = SystemClock().now_ns()
        return ConnectQuestion(self._who, database, DB_USER, DB_NAME, _ADDRESS, new_id(now), now)
