"""Which service elsewhere serves which database: the auth service decides, whatever a heartbeat claims.

A name belongs to the token with which the first service that offered it joined. Others that joined with the
same token may stand in for it; everybody else is refused, and so is a name that is enrolled here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.auth import tokens
from gateway.auth.databases import ELSEWHERE
from gateway.auth.desk import Desk
from gateway.auth.joining import drop_unserved, standing
from gateway.auth.store import Agent, Change, Resource
from gateway.errors import AccessError, ConflictError
from gateway.model.decision import Denied
from gateway.model.event import Kind
from gateway.model.identity import Identity
from gateway.model.joining import Joining
from gateway.model.resource import Database

FRESH_SECONDS = 30
"""A service that was not heard of for longer counts as gone."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A database that a service says it serves; ``problem`` is what is wrong with it, empty when nothing."""

    database: Database
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A name that a service may not serve, and why."""

    name: str
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """One service of one database, as a list shows it. ``last_seen`` is in seconds, 0 for never."""

    id: str
    hostname: str
    healthy: bool
    reason: str
    last_seen: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What stood in the store when a heartbeat came."""

    resources: Mapping[str, Resource]
    mine: frozenset[str] = field(default_factory=frozenset)


async def register(desk: Desk, identity: Identity, offered: Sequence[Offered]) -> list[Refused]:
    """Take a heartbeat: what a service serves now, and how it is. Returns what it may not serve."""
    agent = await standing(desk, identity, "register")
    known = await _known(desk, agent)
    fresh = [item.database for item in offered if not _stands(known, item.database)]
    refused = await _beyond_grant(desk, agent, fresh)
    events: list[tuple[Kind, dict[str, Any]]] = []
    async with desk.store.change() as change:
        for database in fresh:
            if database.name in refused:
                await _withdraw(change, agent, known, database.name)
            elif (conflict := await _take(change, agent, database, events)) is not None:
                refused[database.name] = conflict
                await _withdraw(change, agent, known, database.name)
        for name in known.mine - {item.database.name for item in offered}:
            await _withdraw(change, agent, known, name)
        health = {item.database.name: item.problem for item in offered if item.database.name not in refused}
        await change.agents.seen(agent.id, desk.seconds(), health)
        await desk.record_all(events)
    return list(refused.values())


async def services_of(desk: Desk) -> Mapping[str, list[Served]]:
    """For each database that is served elsewhere: by whom, and how it is."""
    async with desk.store.agents() as agents:
        bindings = await agents.bindings()
        known = {agent.id: agent for agent in await agents.all()}
    now = desk.seconds()
    return {
        name: [_shown(known[identifier], name, now) for identifier in identifiers if identifier in known]
        for name, identifiers in bindings.items()
    }


def trouble(agent: Agent, database: str, now: int) -> str:
    """What is wrong with a database as this service last told; empty when nothing is."""
    if not agent.seen_at:
        return "its service was not heard of yet"
    if now - agent.seen_at > FRESH_SECONDS:
        return f"its service was last heard of {now - agent.seen_at} s ago"
    return agent.health.get(database, "its service has not looked at it yet")


def _shown(agent: Agent, database: str, now: int) -> Served:
    reason = trouble(agent, database, now)
    return Served(agent.id, agent.hostname, not reason, reason, agent.seen_at)


async def _beyond_grant(desk: Desk, agent: Agent, fresh: Sequence[Database]) -> dict[str, Refused]:
    """Those that the token with which the service joined does not allow, as the policy says."""
    if not fresh:
        return {}
    admission = await desk.hooks.policy.join(tokens.parse_grant(agent.grant), Joining(agent.service, fresh))
    match admission.decision:
        case Denied() as denial if denial.revisions is None:  # nobody answered: try again later
            raise AccessError(denial.sentence, code=denial.code)
        case _:
            pass
    told = f"the token {agent.token} does not allow it"
    hint = "join with a token whose --labels and databases allow it"
    return {
        database.name: Refused(database.name, "token_forbids", f"database {database.name!r}: {told}", hint)
        for database in fresh
        if database.name not in admission.databases
    }


async def _known(desk: Desk, agent: Agent) -> _Known:
    async with desk.store.agents() as agents:
        mine = frozenset(await agents.databases_of(agent.id))
    return _Known({item.name: item for item in await desk.store.list("db")}, mine)


def _stands(known: _Known, database: Database) -> bool:
    stored = known.resources.get(database.name)
    return database.name in known.mine and stored is not None and stored.document == _document(database)


async def _take(
    change: Change, agent: Agent, database: Database, events: list[tuple[Kind, dict[str, Any]]]
) -> Refused | None:
    """Bind the name to this service; what stands against it otherwise. What is to be told joins *events*."""
    name = database.name
    existing = await change.get("db", name)
    holders = await change.agents.serving(name)
    others = [holder for holder in holders if holder.id != agent.id]
    if existing is not None and not holders:
        return _taken(name, "is enrolled in the cluster itself")
    if any(holder.token != agent.token for holder in others):
        return _taken(
            name, f"is served by {others[0].hostname or others[0].id}, which joined with another token"
        )
    document = _document(database)
    if existing is None or existing.document != document:
        if others:
            told = "other services serve it with another protocol, description or labels"
            return Refused(
                name, "database_differs", f"database {name!r}: {told}", "write the same in all their files"
            )
        try:
            stored = await change.create(Resource("db", name, "v3", document), replace=True)
        except ConflictError as error:
            return _taken(name, str(error))
        kind = Kind.RESOURCE_CREATE if existing is None else Kind.RESOURCE_UPDATE
        about = {"user": agent.id, "subject": "agent", "agent": agent.id}
        events.append((kind, {**about, "kind": "db", "name": name, "revision": stored.revision}))
    if agent.id not in {holder.id for holder in holders}:
        await change.agents.bind(name, agent.id)
    return None


def _taken(name: str, why: str) -> Refused:
    hint = f"choose another name, join with the token of that service, or remove it: regate rm db/{name}"
    return Refused(name, "name_taken", f"the name {name!r} is taken: it {why}", hint)


async def _withdraw(change: Change, agent: Agent, known: _Known, name: str) -> None:
    if name in known.mine:
        await change.agents.unbind(name, [agent.id])
        await drop_unserved(change, name)


def _document(database: Database) -> dict[str, Any]:
    return {
        "kind": "db",
        "version": "v3",
        "metadata": {
            "name": database.name,
            "description": database.description,
            "labels": dict(database.labels),
        },
        "spec": {"protocol": database.protocol, "uri": database.uri, "served_by": ELSEWHERE},
    }
