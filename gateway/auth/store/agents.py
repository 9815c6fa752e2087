"""Services elsewhere: who joined, which databases each serves, and how it was when it was last heard of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, and_, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.auth.store.tables import agents, served

# Built once: every session's start asks both.
_SERVING = (
    select(agents)
    .join(served, served.c.agent == agents.c.id)
    .where(served.c.database == bindparam("database"))
)
_FIND_SERVING = (
    select(agents, served.c.database)
    .outerjoin(served, and_(served.c.agent == agents.c.id, served.c.database == bindparam("database")))
    .where(agents.c.id == bindparam("identifier"))
)


@dataclass(frozen=True, slots=True)
class Agent:
    """A service that joined with a token.

    ``token`` is the token's name: all that joined with one may serve the same databases. ``grant`` is what it
    allows, as ``tokens.grant_json`` writes it. ``health`` says of
    each database what is wrong with it, and is empty text where nothing is. Times are seconds.
    """

    id: str
    service: str
    hostname: str
    token: str
    grant: str
    names: tuple[str, ...]
    joined_at: int
    seen_at: int
    health: Mapping[str, str] = field(default_factory=dict)


class Agents:
    """The rows about services elsewhere, in the transaction of *connection*."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, agent: Agent) -> None:
        """Keep a service that has just joined."""
        await self._connection.execute(
            insert(agents).values(
                id=agent.id,
                service=agent.service,
                hostname=agent.hostname,
                token=agent.token,
                grant_json=agent.grant,
                names=json.dumps(list(agent.names)),
                joined_at=agent.joined_at,
                seen_at=agent.seen_at,
                health=json.dumps(dict(agent.health)),
            )
        )

    async def find(self, identifier: str) -> Agent | None:
        """One service by its identifier."""
        row = (await self._connection.execute(select(agents).where(agents.c.id == identifier))).first()
        return None if row is None else _agent(row)

    async def find_serving(self, identifier: str, database: str) -> tuple[Agent | None, bool]:
        """One service by its identifier, and whether it serves a database; one question to the store."""
        asked = {"identifier": identifier, "database": database}
        row = (await self._connection.execute(_FIND_SERVING, asked)).first()
        return (None, False) if row is None else (_agent(row), row.database is not None)

    async def all(self) -> list[Agent]:
        """All services, the first to join first."""
        rows = await self._connection.execute(select(agents).order_by(agents.c.joined_at, agents.c.id))
        return [_agent(row) for row in rows]

    async def remove(self, identifier: str) -> None:
        """Forget a service and what it served."""
        await self._connection.execute(delete(served).where(served.c.agent == identifier))
        await self._connection.execute(delete(agents).where(agents.c.id == identifier))

    async def seen(self, identifier: str, at: int, health: Mapping[str, str]) -> None:
        """Keep when it was last heard of, and how its databases are."""
        values = {"seen_at": at, "health": json.dumps(dict(health))}
        await self._connection.execute(update(agents).where(agents.c.id == identifier).values(**values))

    async def serving(self, database: str) -> list[Agent]:
        """The services that serve a database."""
        rows = await self._connection.execute(_SERVING, {"database": database})
        return [_agent(row) for row in rows]

    async def databases_of(self, identifier: str) -> list[str]:
        """The names of the databases that a service serves."""
        statement = select(served.c.database).where(served.c.agent == identifier)
        return [str(name) for name in (await self._connection.execute(statement)).scalars()]

    async def bindings(self) -> dict[str, list[str]]:
        """Every database that is served elsewhere, with the services' identifiers."""
        found: dict[str, list[str]] = {}
        for row in await self._connection.execute(select(served).order_by(served.c.database, served.c.agent)):
            found.setdefault(row.database, []).append(row.agent)
        return found

    async def bind(self, database: str, identifier: str) -> None:
        """A service serves a database from now on."""
        await self._connection.execute(insert(served).values(database=database, agent=identifier))

    async def unbind(self, database: str, identifiers: Sequence[str] | None = None) -> None:
        """These services, or all, no longer serve a database."""
        statement = delete(served).where(served.c.database == database)
        if identifiers is not None:
            statement = statement.where(served.c.agent.in_(identifiers))
        await self._connection.execute(statement)


def _agent(row: Row[Any]) -> Agent:
    return Agent(
        id=row.id,
        service=row.service,
        hostname=row.hostname,
        token=row.token,
        grant=row.grant_json,
        names=tuple(json.loads(row.names)),
        joined_at=row.joined_at,
        seen_at=row.seen_at,
        health=json.loads(row.health),
    )
