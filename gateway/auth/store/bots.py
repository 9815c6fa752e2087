"""Bots that joined: which joining counts, and which certificate of it was the last."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.auth.store.tables import bots, resources, tokens


@dataclass(frozen=True, slots=True)
class Line:
    """The certificates of one bot since it joined.

    ``instance`` names the joining. ``generation`` counts its certificates, and ``key_digest`` is that of the
    last one's public key. Times are seconds.
    """

    name: str
    instance: str
    generation: int
    key_digest: str
    joined_at: int
    renewed_at: int


class Bots:
    """The rows about bots, in the transaction of *connection*."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, name: str) -> Line | None:
        """The line of a bot; None while it has not joined, and once its line was ended."""
        row = (await self._connection.execute(select(bots).where(bots.c.name == name))).first()
        return None if row is None else _line(row)

    async def all(self) -> dict[str, Line]:
        """Every line, by the bot's name."""
        rows = await self._connection.execute(select(bots).order_by(bots.c.name))
        return {row.name: _line(row) for row in rows}

    async def begin(self, line: Line) -> None:
        """A bot joined; an earlier line of it counts no more."""
        await self.end(line.name)
        await self._connection.execute(
            insert(bots).values(
                name=line.name,
                instance=line.instance,
                generation=line.generation,
                key_digest=line.key_digest,
                joined_at=line.joined_at,
                renewed_at=line.renewed_at,
            )
        )

    async def advance(self, line: Line, key_digest: str, at: int) -> bool:
        """Go on to the next generation; False when the line is not as *line* says any more."""
        where = (
            bots.c.name == line.name,
            bots.c.instance == line.instance,
            bots.c.generation == line.generation,
        )
        values = {"generation": line.generation + 1, "key_digest": key_digest, "renewed_at": at}
        done = await self._connection.execute(update(bots).where(*where).values(**values))
        return done.rowcount == 1

    async def end(self, name: str) -> None:
        """No certificate of the bot is renewed any more, until it joins again."""
        await self._connection.execute(delete(bots).where(bots.c.name == name))

    async def forget(self, name: str) -> None:
        """The same, and remove the join tokens that were made for the bot."""
        await self.end(name)
        known = await self._connection.execute(
            select(resources.c.name, resources.c.document).where(resources.c.kind == "token")
        )
        for row in known.all():
            if json.loads(row.document)["spec"].get("bot_name") != name:
                continue
            mine = (tokens.c.purpose == "join", tokens.c.owner == row.name)
            await self._connection.execute(delete(tokens).where(*mine))
            this = (resources.c.kind == "token", resources.c.name == row.name)
            await self._connection.execute(delete(resources).where(*this))


def _line(row: Row[Any]) -> Line:
    return Line(row.name, row.instance, row.generation, row.key_digest, row.joined_at, row.renewed_at)
