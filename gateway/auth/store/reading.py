"""What is read from the tables, on whatever connection it is read."""

import json
from collections.abc import Iterable, Mapping

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.auth.store.records import Credentials, OpenToken, Resource
from gateway.auth.store.tables import counters, credentials, resources, sealed, tokens

DATA_REVISION = "data_revision"
"""The number that rises when a resource changes."""
KEY_REVISION = "key_revision"
"""The number that rises when a key of the cluster changes."""


async def read_resources(connection: AsyncConnection, kind: str, name: str | None = None) -> list[Resource]:
    """The resources of a kind, by name, or the one that has *name*."""
    statement = select(resources).where(resources.c.kind == kind).order_by(resources.c.name)
    if name is not None:
        statement = statement.where(resources.c.name == name)
    found = []
    for row in await connection.execute(statement):
        document: Mapping[str, object] = json.loads(row.document)
        found.append(Resource(row.kind, row.name, row.version, document, row.revision))
    return found


async def read_credentials(connection: AsyncConnection, user: str) -> Credentials | None:
    """What the user logs in with."""
    statement = select(credentials).where(credentials.c.user_name == user)
    row = (await connection.execute(statement)).first()
    return None if row is None else Credentials(row.password_hash, row.totp_secret)


async def read_all_credentials(connection: AsyncConnection) -> dict[str, Credentials]:
    """What each user logs in with."""
    rows = await connection.execute(select(credentials))
    return {row.user_name: Credentials(row.password_hash, row.totp_secret) for row in rows}


async def read_tokens(connection: AsyncConnection, purpose: str) -> list[OpenToken]:
    """The tokens of a purpose that are not used up."""
    statement = select(tokens.c.owner, tokens.c.expires_at, tokens.c.uses_left)
    rows = await connection.execute(statement.where(tokens.c.purpose == purpose).order_by(tokens.c.owner))
    return [OpenToken(row.owner, row.expires_at, row.uses_left) for row in rows]


async def read_sealed(connection: AsyncConnection) -> dict[str, str]:
    """Every sealed text by its name."""
    return {row.name: row.body for row in await connection.execute(select(sealed))}


async def has_counter(connection: AsyncConnection, name: str) -> bool:
    """True when a number of that name is kept."""
    statement = select(counters.c.value).where(counters.c.name == name)
    return (await connection.execute(statement)).first() is not None


async def read_counter(connection: AsyncConnection, name: str) -> int:
    """A number that was kept; 0 when there is none."""
    statement = select(counters.c.value).where(counters.c.name == name)
    return int((await connection.execute(statement)).scalar() or 0)


async def read_counters(connection: AsyncConnection, names: Iterable[str]) -> dict[str, int]:
    """Several numbers at once; those that were never kept are missing."""
    statement = select(counters).where(counters.c.name.in_(list(names)))
    return {row.name: int(row.value) for row in await connection.execute(statement)}


async def raise_counter(connection: AsyncConnection, name: str) -> int:
    """Add one to a number and return it."""
    statement = (
        update(counters)
        .where(counters.c.name == name)
        .values(value=counters.c.value + 1)
        .returning(counters.c.value)
    )
    return int((await connection.execute(statement)).scalar_one())
