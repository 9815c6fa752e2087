"""TLS settings with a certificate minted for one session and its database user.

Loading a key into OpenSSL takes a millisecond or two, so the certificate of the *next* session of the same
user is made in a thread while this one logs in. Each is used once, and thrown away unused after a minute.
"""

import asyncio  # noqa: TID251
import ssl
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from gateway.ca.issue import mint_db_client
from gateway.ca.keys import Authorities
from gateway.ca.profile import Kind
from gateway.ca.sign import MintedCertificate
from gateway.ca.steady import SteadyClock
from gateway.ca.tls import backend_context
from gateway.clock import Clock
from gateway.model.resource import BackendAuth, Database

MINTED_FOR = timedelta(hours=1)
SPARE_SECONDS = 60.0
MOST_SPARES = 64

Make: TypeAlias = Callable[[Database, str], Awaitable[ssl.SSLContext]]
"""Makes settings for a database and its user; where the keys are elsewhere it has to ask."""


class Settings(typing.Protocol):
    """Where the TLS settings for a connection to a database come from."""

    async def take(self, database: Database, db_user: str) -> ssl.SSLContext:
        """Settings to reach *database* as *db_user* with."""
        ...


@dataclass(frozen=True, slots=True)
class _Spare:
    database: Database
    made_at: float
    context: ssl.SSLContext


class Minted:
    """Hands out TLS settings, each once, and keeps one in reserve for each user who came lately."""

    def __init__(self, make: Make, clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._spares: dict[tuple[str, str], _Spare] = {}
        self._making: set[asyncio.Future[ssl.SSLContext]] = set()
        self._era = 0  # what was begun before ``forget`` is not kept when it is done

    async def take(self, database: Database, db_user: str) -> ssl.SSLContext:
        """Settings that nobody else has used."""
        key = (database.name, db_user)
        spare = self._spares.pop(key, None)
        self._prepare(key, database)
        if spare is not None and spare.database is database and not self._is_old(spare):
            return spare.context
        return await self._make(database, db_user)

    def forget(self) -> None:
        """Throw the reserve away: the authorities are others now."""
        self._era += 1
        self._spares.clear()

    def _is_old(self, spare: _Spare) -> bool:
        return self._clock.monotonic() - spare.made_at > SPARE_SECONDS

    def _prepare(self, key: tuple[str, str], database: Database) -> None:
        if len(self._spares) >= MOST_SPARES:
            self._spares = {name: spare for name, spare in self._spares.items() if not self._is_old(spare)}
            return
        making = asyncio.ensure_future(self._make(database, key[1]))
        self._making.add(making)
        making.add_done_callback(partial(self._keep, key, database, self._era))

    def _keep(
        self, key: tuple[str, str], database: Database, era: int, made: "asyncio.Future[ssl.SSLContext]"
    ) -> None:
        self._making.discard(made)
        if made.cancelled() or made.exception() is not None:
            return  # the next session finds out for itself
        if era == self._era:
            self._spares[key] = _Spare(database, self._clock.monotonic(), made.result())


def material(
    authorities: Authorities, steady: SteadyClock, database: Database, db_user: str
) -> tuple[str, MintedCertificate | None]:
    """The database's own authority or the cluster's as anchor (PEM), and a new key and certificate."""
    minted = None
    if database.auth in {BackendAuth.CERTIFICATE, BackendAuth.PASSWORD}:
        minted = mint_db_client(
            authorities.db_client,
            cluster=authorities.cluster,
            db_user=db_user,
            ttl=MINTED_FOR,
            now=steady.now(),
        )
    return database.tls.ca or authorities.trusted_pem(Kind.DB), minted


def maker(authorities: Authorities, steady: SteadyClock) -> Make:
    """Makes settings where the keys are at hand."""

    def at_once(database: Database, db_user: str) -> ssl.SSLContext:
        return backend_context(*material(authorities, steady, database, db_user))

    async def make(database: Database, db_user: str) -> ssl.SSLContext:
        return await asyncio.to_thread(at_once, database, db_user)

    return make
