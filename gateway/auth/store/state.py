"""The store: consistent reads, one writer at a time, and word to whoever waits for a change."""

import asyncio  # noqa: TID251
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Self

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.auth.store.agents import Agents
from gateway.auth.store.bots import Bots, Line
from gateway.auth.store.change import Change
from gateway.auth.store.engine import WRITES, migrate, open_engine, reaching
from gateway.auth.store.reading import (
    DATA_REVISION,
    KEY_REVISION,
    raise_counter,
    read_all_credentials,
    read_counter,
    read_counters,
    read_credentials,
    read_resources,
    read_sealed,
    read_tokens,
)
from gateway.auth.store.records import Credentials, OpenToken, Resource, Snapshot
from gateway.auth.store.subscription import Subscription, Topic
from gateway.auth.store.tables import certificates
from gateway.auth.store.watch import CHANNEL, TOPICS, revisions
from gateway.errors import NotFoundError
from gateway.storage import Storage


class Store:
    """Resources and secrets behind one URL; safe for many tasks, and for several processes."""

    def __init__(self, engine: AsyncEngine, numbers: Mapping[str, int]) -> None:
        self._engine = engine
        self._writing = asyncio.Lock()
        self._writer = engine.execution_options(**{WRITES: True})
        self._declared: dict[str, Resource] = {}
        self._topics = {name: Topic(numbers.get(name, 0)) for name in TOPICS}

    @classmethod
    async def open(cls, where: Storage | str) -> Self:
        """Open the state that *where* says (a URL will do), making or migrating its tables."""
        engine = open_engine(where if isinstance(where, Storage) else Storage(where))
        try:
            await migrate(engine)
            async with engine.connect() as connection:
                numbers = await read_counters(connection, TOPICS)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine, numbers)

    @property
    def data_revision(self) -> int:
        """Rises with every change of a resource, on whichever node, and is kept over restarts."""
        return self._topics[DATA_REVISION].revision

    @property
    def is_shared(self) -> bool:
        """True where other hosts may use the same state."""
        return self._engine.dialect.name == "postgresql"

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    # Reading

    async def get(self, kind: str, name: str) -> Resource:
        """The resource; NotFoundError when there is none."""
        found = await self.find(kind, name)
        if found is None:
            raise NotFoundError.of(kind, name)
        return found

    async def find(self, kind: str, name: str) -> Resource | None:
        """The resource, or None."""
        if kind == "db" and name in self._declared:
            return self._declared[name]
        async with self._connected() as connection:
            rows = await read_resources(connection, kind, name)
        return rows[0] if rows else None

    async def list(self, kind: str) -> list[Resource]:
        """All resources of a kind, by name."""
        async with self._connected() as connection:
            return list(await self._read(connection, kind))

    async def snapshot(self) -> Snapshot:
        """Roles, users, locks, databases and guards as of one moment."""
        async with self._connected() as connection:
            await _freeze(connection)
            revision = await read_counter(connection, DATA_REVISION)
            return Snapshot(
                revision=revision,
                roles=_documents(await self._read(connection, "role")),
                users=_documents(await self._read(connection, "user")),
                locks=_documents(await self._read(connection, "lock")),
                databases=_documents(await self._read(connection, "db")),
                guards=_documents(await self._read(connection, "guard")),
            )

    async def credentials(self, user: str) -> Credentials | None:
        """What the user logs in with, or None."""
        async with self._connected() as connection:
            return await read_credentials(connection, user)

    async def all_credentials(self) -> Mapping[str, Credentials]:
        """The same for every user who has chosen a password."""
        async with self._connected() as connection:
            return await read_all_credentials(connection)

    async def open_tokens(self, purpose: str) -> Sequence[OpenToken]:
        """The tokens of a purpose that are not used up, by owner; expired ones may be among them."""
        async with self._connected() as connection:
            return await read_tokens(connection, purpose)

    async def counter(self, name: str) -> int:
        """A number that was kept; 0 when there is none."""
        async with self._connected() as connection:
            return await read_counter(connection, name)

    async def certificates_since(self, moment: int) -> int:
        """How many certificates were issued at or after *moment* (seconds)."""
        statement = select(func.count()).where(certificates.c.issued_at >= moment)
        async with self._connected() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def sealed(self) -> tuple[Mapping[str, str], int]:
        """Every sealed text by its name, and the revision of all of them together."""
        async with self._connected() as connection:
            await _freeze(connection)
            return await read_sealed(connection), await read_counter(connection, KEY_REVISION)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        with reaching():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def agents(self) -> AsyncIterator[Agents]:
        """Services elsewhere, to read about."""
        async with self._connected() as connection:
            yield Agents(connection)

    async def bot_lines(self) -> Mapping[str, Line]:
        """Which bots joined, by name, and when each was last renewed."""
        async with self._connected() as connection:
            return await Bots(connection).all()

    async def _read(self, connection: AsyncConnection, kind: str) -> Sequence[Resource]:
        found = await read_resources(connection, kind)
        if kind != "db" or not self._declared:
            return found
        merged = {resource.name: resource for resource in found} | self._declared
        return [merged[name] for name in sorted(merged)]

    # Writing

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """A write transaction; it is undone when the block raises, and told of when it is done."""
        async with self._writing:
            with reaching():
                async with self._writer.begin() as connection:
                    if self.is_shared:
                        # The revision's row is every writer's lock, as BEGIN IMMEDIATE is on SQLite.
                        await connection.execute(
                            text("SELECT value FROM counters WHERE name = 'data_revision' FOR UPDATE")
                        )
                    change = Change(connection, self._declared.keys())
                    yield change
                    if self.is_shared and (change.revision, change.key_revision) != (None, None):
                        await connection.execute(text(f"NOTIFY {CHANNEL}"))
        self._tell({DATA_REVISION: change.revision, KEY_REVISION: change.key_revision})

    async def create(self, resource: Resource, *, replace: bool = False) -> Resource:
        """Store a new resource; an existing one is a conflict unless *replace* is set."""
        async with self.change() as change:
            return await change.create(resource, replace=replace)

    async def update(self, resource: Resource, *, expected: int) -> Resource:
        """Store a new form of a resource that is still at revision *expected*."""
        async with self.change() as change:
            return await change.update(resource, expected=expected)

    async def delete(self, kind: str, name: str) -> None:
        """Remove a resource; NotFoundError when there is none."""
        async with self.change() as change:
            await change.delete(kind, name)

    async def bundle_number(self, content: str, least: int) -> int:
        """The number of the policy bundle with this *content*, the same on every node that has it.

        It rises with each change, whichever node makes it; *least* is the lowest that the caller may use.
        """
        own = f"bundle:{content[:48]}"
        async with self.change() as change:
            highest, mine = await change.counter("bundle_number"), await change.counter(own)
            if mine == highest and mine >= max(least, 1):
                return mine
            number = max(highest + 1, least)
            await change.set_counter("bundle_number", number)
            await change.set_counter(own, number)
        return number

    async def declare(self, databases: Iterable[Resource]) -> None:
        """Take databases from the configuration file: they are listed, and cannot be changed here.

        They live in memory, and hide stored ones of the same name.
        """
        declared = {database.name: database for database in databases}
        if declared == self._declared:
            return
        async with self._writing, self._writer.begin() as connection:
            if self.is_shared:
                await connection.execute(text(f"NOTIFY {CHANNEL}"))
            revision = await raise_counter(connection, DATA_REVISION)
        self._declared = declared
        self._tell({DATA_REVISION: revision})

    # Word of changes

    def subscribe(self, topic: str = DATA_REVISION) -> Subscription:
        """An async iterator over the revisions of *topic*: DATA_REVISION or KEY_REVISION.

        It ends to be told when nobody refers to it any more. Word of other processes comes while
        ``watch`` runs.
        """
        return self._topics[topic].subscribe()

    async def watch(self, heard: Callable[[Exception | None], None]) -> None:
        """Pass on what other processes change, for ever.

        *heard* is called with None each time the state answered, and with the error when it did not: every
        two seconds at least, or after five where it hangs.
        """
        async with aclosing(revisions(self._engine)) as news:
            async for found in news:
                if isinstance(found, Exception):
                    heard(found)
                else:
                    heard(None)
                    self._tell(found)

    def _tell(self, numbers: Mapping[str, int | None]) -> None:
        for name, revision in numbers.items():
            if revision is not None:
                self._topics[name].tell(revision)


async def _freeze(connection: AsyncConnection) -> None:
    """All that is read in this transaction is of one moment; on SQLite that is so in any case."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def _documents(found: Iterable[Resource]) -> list[dict[str, Any]]:
    return [_document(resource.document) for resource in found]


def _document(document: Mapping[str, Any]) -> dict[str, Any]:
    return dict(document)
