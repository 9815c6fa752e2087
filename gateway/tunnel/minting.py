"""The certificates that a database sees, where the keys are elsewhere: asked for with what a session showed.

A session's certificate is the evidence. Connections that belong to no session's task (a cancel) use that of
any live session of the same database user. A mint is used for its session alone, and not past its time.
"""

import asyncio  # noqa: TID251
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from gateway.ca.sign import MintedCertificate
from gateway.ca.tls import backend_context
from gateway.clock import Clock
from gateway.errors import BackendError, RegateError
from gateway.model.identity import Identity
from gateway.model.resource import BackendAuth, Database
from gateway.tunnel.credentials import new_key, pem_of, request_for
from gateway.tunnel.remote import Remote

GOOD_SECONDS = 3300.0  # of the hour that a mint lasts


@dataclass(eq=False, slots=True)
class Evidence:
    """What a mint is asked with: a session's certificate, or (without one) a look at a database's health."""

    database: str
    db_user: str
    session: bytes = b""
    settings: ssl.SSLContext | None = None
    made_at: float = 0.0
    ahead: "asyncio.Future[ssl.SSLContext] | None" = None  # asked for before anybody needs them
    anchors: str = ""  # that those are made with


_current: ContextVar[Evidence | None] = ContextVar("evidence", default=None)


class RemoteSettings:
    """``gateway.session.minted.Settings`` for a service that holds no authority's key."""

    def __init__(self, remote: Remote, clock: Clock) -> None:
        self._remote = remote
        self._clock = clock
        self._live: list[Evidence] = []
        self._looks: dict[str, Evidence] = {}

    @contextmanager
    def session(self, identity: Identity, der: bytes, database: Database | None = None) -> Iterator[None]:
        """For the length of the block, this task's connections to databases belong to that session.

        Where its *database* is given, the certificate for that is asked for at once: the auth service asks
        the policy itself before it makes one, and meanwhile the client is heard and the policy here asked.
        One that is not needed in the end is never shown to anybody.
        """
        assert identity.route is not None
        evidence = Evidence(identity.route.database, identity.route.db_user, der)
        if database is not None and database.auth is BackendAuth.CERTIFICATE:
            evidence.anchors = self._anchors(database)
            evidence.ahead = asyncio.ensure_future(self._make(evidence, evidence.anchors))
            evidence.ahead.add_done_callback(_look)
        self._live.append(evidence)
        try:
            with _showing(evidence):
                yield
        finally:
            self._live.remove(evidence)
            if evidence.ahead is not None:
                evidence.ahead.cancel()

    @contextmanager
    def health(self, database: str) -> Iterator[None]:
        """For the length of the block, this task's connections look at a database's health."""
        with _showing(self._looks.setdefault(database, Evidence(database, ""))):
            yield

    async def take(self, database: Database, db_user: str) -> ssl.SSLContext:
        """Settings to reach *database* as *db_user* with."""
        anchors = self._anchors(database)
        if database.auth is not BackendAuth.CERTIFICATE:
            return await asyncio.to_thread(backend_context, anchors)
        evidence = self._evidence(database.name, db_user)
        now = self._clock.monotonic()
        if evidence.settings is None or now - evidence.made_at > GOOD_SECONDS:
            ahead, evidence.ahead = evidence.ahead, None
            if ahead is not None and evidence.anchors != anchors:
                ahead.cancel()
                ahead = None
            evidence.settings = await (self._make(evidence, anchors) if ahead is None else ahead)
            evidence.made_at = now
        return evidence.settings

    def _anchors(self, database: Database) -> str:
        return database.tls.ca or self._remote.credentials.db_ca

    async def _make(self, evidence: Evidence, anchors: str) -> ssl.SSLContext:
        minted = await self._mint(evidence)
        return await asyncio.to_thread(backend_context, anchors, minted)

    def _evidence(self, database: str, db_user: str) -> Evidence:
        current = _current.get()
        if current is not None and current.database == database and current.db_user in {"", db_user}:
            return current
        for evidence in reversed(self._live):
            if (evidence.database, evidence.db_user) == (database, db_user):
                return evidence
        raise BackendError(f"no session stands for {db_user} at {database}")

    async def _mint(self, evidence: Evidence) -> MintedCertificate:
        key = new_key()
        request = request_for(key)
        try:
            if evidence.session:
                certificate = await self._remote.mint(evidence.session, request)
            else:
                certificate = await self._remote.mint_health(evidence.database, request)
        except BackendError:
            raise
        except RegateError as error:
            raise BackendError(f"the auth service gives no certificate: {error}") from error
        return MintedCertificate(certificate, pem_of(key))


def _look(made: "asyncio.Future[ssl.SSLContext]") -> None:
    """Whoever needs them is told what went wrong; where nobody does, nobody complains either."""
    if not made.cancelled():
        made.exception()


@contextmanager
def _showing(evidence: Evidence) -> Iterator[None]:
    token = _current.set(evidence)
    try:
        yield
    finally:
        _current.reset(token)
