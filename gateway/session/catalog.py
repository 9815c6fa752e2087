"""What a database user can see, read over a second connection and shared by that user's sessions."""

import asyncio  # noqa: TID251
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.errors import BackendError, ProtocolError
from gateway.model.identity import Route
from gateway.model.resource import Database
from gateway.model.statement import Catalog
from gateway.sansio.protocol import Protocol, Startup
from gateway.session.dial import Dialler
from gateway.transport.line import Line, drive

FRESH_SECONDS = 30.0
AGAIN_SECONDS = 1.0  # a refusal may be due to a catalogue older than this
READ_SECONDS = 10.0


@dataclass(slots=True)
class _Entry:
    catalog: Catalog | None = None
    read_at: float = float("-inf")


class Catalogs:
    """Catalogues by (database, database user, database name): dropped at DDL, read again after 30 s.

    An unchanged catalogue stays the same object, because name resolution is remembered by identity.
    """

    def __init__(self, dialler: Dialler, clock: Clock) -> None:
        self._dialler = dialler
        self._clock = clock
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        self._turns: dict[tuple[str, str, str], asyncio.Lock] = {}

    async def get(
        self, protocol: Protocol, route: Route, database: Database, *, seconds: float
    ) -> Catalog | None:
        """The catalogue, at most *seconds* old when this was called; None when it cannot be read."""
        key = (database.name, route.db_user, route.db_name)
        entry = self._entries.setdefault(key, _Entry())
        allowed = seconds if entry.catalog is not None else min(seconds, AGAIN_SECONDS)
        oldest = self._clock.monotonic() - allowed
        if entry.read_at > oldest:
            return entry.catalog
        async with self._turns.setdefault(key, asyncio.Lock()):
            if entry.read_at > oldest:  # somebody read it while this session waited
                return entry.catalog
            started_at = self._clock.monotonic()
            found = await self._read(protocol, route, database)
            if found != entry.catalog:
                entry.catalog = found
            entry.read_at = started_at
            return entry.catalog

    async def _read(self, protocol: Protocol, route: Route, database: Database) -> Catalog | None:
        try:
            backend = await self._dialler.login(protocol, Startup(), route, database)
        except BackendError:
            return None
        line = Line(None, stream=backend.stream)
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await drive(protocol.read_catalog(), line)
        except (ProtocolError, TimeoutError):
            return None
        finally:
            line.close()
