"""The store: consistent reads, one writer at a time, and word to whoever waits for a change."""

import asyncio  # noqa: TID251
import weakref
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.auth.store.change import (
    Change,
    Credentials,
    raise_counter,
    read_all_credentials,
    read_counter,
    read_credentials,
    read_resources,
    read_tokens,
)
from gateway.auth.store.engine import WRITES, migrate, open_engine
from gateway.auth.store.records import OpenToken, Resource, Snapshot
from gateway.auth.store.tables import certificates
from gateway.errors import NotFoundError


class Subscription:
    """An async iterator over data revisions: the current one at once, then one after each change.

    Changes that pile up while nobody looks come as one, the newest.
    """

    def __init__(self, revision: int) -> None:
        self._revision = revision
        self._news = asyncio.Event()
        self._news.set()

    def tell(self, revision: int) -> None:
        """Wake the reader; called by the store."""
        self._revision = revision
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        await self._news.wait()
        self._news.clear()
        return self._revision


class Store:
    """Resources and secrets behind one URL; safe for many tasks, and for several processes."""

    def __init__(self, engine: AsyncEngine, revision: int) -> None:
        self._engine = engine
        self._writing = asyncio.Lock()
        self._writer = engine.execution_options(**{WRITES: True})
        self._declared: dict[str, Resource] = {}
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self.data_revision = revision
        """Rises with every change of a resource, and is kept over restarts."""

    @classmethod
    async def open(cls, url: str) -> Self:
        """Open the state at *url*, making or migrating its tables."""
        engine = open_engine(url)
        try:
            await migrate(engine)
            async with engine.connect() as connection:
                revision = await read_counter(connection, "data_revision")
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine, revision)

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
            raise NotFoundError(f"{kind} {name!r} does not exist")
        return found

    async def find(self, kind: str, name: str) -> Resource | None:
        """The resource, or None."""
        if kind == "db" and name in self._declared:
            return self._declared[name]
        async with self._engine.connect() as connection:
            rows = await read_resources(connection, kind, name)
        return rows[0] if rows else None

    async def list(self, kind: str) -> list[Resource]:
        """All resources of a kind, by name."""
        async with self._engine.connect() as connection:
            return list(await self._read(connection, kind))

    async def snapshot(self) -> Snapshot:
        """Roles, users, locks and databases as of one moment."""
        async with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            revision = await read_counter(connection, "data_revision")
            return Snapshot(
                revision=revision,
                roles=_documents(await self._read(connection, "role")),
                users=_documents(await self._read(connection, "user")),
                locks=_documents(await self._read(connection, "lock")),
                databases=_documents(await self._read(connection, "db")),
            )

    async def credentials(self, user: str) -> Credentials | None:
        """What the user logs in with, or None."""
        async with self._engine.connect() as connection:
            return await read_credentials(connection, user)

    async def all_credentials(self) -> Mapping[str, Credentials]:
        """The same for every user who has chosen a password."""
        async with self._engine.connect() as connection:
            return await read_all_credentials(connection)

    async def open_tokens(self, purpose: str) -> Sequence[OpenToken]:
        """The tokens of a purpose that are not used up, by owner; expired ones may be among them."""
        async with self._engine.connect() as connection:
            return await read_tokens(connection, purpose)

    async def counter(self, name: str) -> int:
        """A number that was kept; 0 when there is none."""
        async with self._engine.connect() as connection:
            return await read_counter(connection, name)

    async def certificates_since(self, moment: int) -> int:
        """How many certificates were issued at or after *moment* (seconds)."""
        statement = select(func.count()).where(certificates.c.issued_at >= moment)
        async with self._engine.connect() as connection:
            return int((await connection.execute(statement)).scalar_one())

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
        async with self._writing, self._writer.begin() as connection:
            if connection.dialect.name == "postgresql":
                # The revision's row is every writer's lock, as BEGIN IMMEDIATE is on SQLite.
                await connection.execute(
                    text("SELECT value FROM counters WHERE name = 'data_revision' FOR UPDATE")
                )
            change = Change(connection, self._declared.keys())
            yield change
        if change.revision is not None:
            self._tell(change.revision)

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

    async def declare(self, databases: Iterable[Resource]) -> None:
        """Take databases from the configuration file: they are listed, and cannot be changed here.

        They live in memory, and hide stored ones of the same name.
        """
        declared = {database.name: database for database in databases}
        if declared == self._declared:
            return
        async with self._writing, self._writer.begin() as connection:
            revision = await raise_counter(connection, "data_revision")
        self._declared = declared
        self._tell(revision)

    # Word of changes

    def subscribe(self) -> Subscription:
        """An async iterator over data revisions; it ends to be told when nobody refers to it any more."""
        subscription = Subscription(self.data_revision)
        self._subscriptions.add(subscription)
        return subscription

    def _tell(self, revision: int) -> None:
        self.data_revision = max(self.data_revision, revision)
        for subscription in self._subscriptions:
            subscription.tell(self.data_revision)


def _documents(found: Iterable[Resource]) -> list[dict[str, Any]]:
    return [_document(resource.document) for resource in found]


def _document(document: Mapping[str, Any]) -> dict[str, Any]:
    return dict(document)
