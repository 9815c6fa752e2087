"""Brings a client's session to the service that has its database, and decides nothing on the way.

The client's certificate was verified by TLS. The proxy makes a key for the session, shows that certificate to
the auth service, and gets one for this session at one service. What the client said since TLS began is said
again there, and from then on bytes pass both ways as they come.
"""

import asyncio  # noqa: TID251
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeAlias

from structlog.typing import FilteringBoundLogger

from gateway.ca.identity import from_certificate
from gateway.ca.sign import MintedCertificate
from gateway.ca.tls import backend_context
from gateway.clock import Clock, utc
from gateway.errors import BackendError, CertificateError, RegateError
from gateway.model.identity import Identity, Use
from gateway.sansio.protocol import Protocol as DatabaseProtocol
from gateway.sansio.protocol import Startup
from gateway.session.denial import local_denial, turn_away
from gateway.transport.line import Line, drive
from gateway.transport.stream import Stream
from gateway.tunnel.credentials import new_key, pem_of, request_for
from gateway.tunnel.links import Link, Links

TRIES = 3
REACH_SECONDS = 10.0
FAREWELL_SECONDS = 2.0

Open: TypeAlias = Callable[[bytes, str, str, Sequence[str]], Awaitable[tuple[str, str]]]
"""Gets the client's certificate, a certificate request, the client's address and who is connected; says which
service takes the session, and the certificate to show there."""


class Where(Protocol):
    """What the relay must know of the cluster as of now."""

    @property
    def cluster(self) -> str:
        """Its name."""
        ...

    def host_ca(self) -> str:
        """The authorities of services, in PEM."""
        ...

    def is_elsewhere(self, database: str) -> bool:
        """True for a database that services elsewhere serve."""
        ...


class Relay:
    """``gateway.session.environment.Elsewhere``."""

    def __init__(
        self, links: Links, where: Where, open_session: Open, clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self._links = links
        self._where = where
        self._open = open_session
        self._clock = clock
        self._log = log

    async def cancel(self, key: bytes, user: str | None) -> None:
        """Pass on a cancel."""
        await self._links.cancel(key, user)

    async def carry(self, protocol: DatabaseProtocol, startup: Startup, line: Line) -> bool:
        """Serve *line* if its certificate is for a database elsewhere."""
        der = line.peer_certificate()
        identity = None if der is None else self._identity(der, protocol)
        if der is None or identity is None or startup.kind == "cancel":
            return False
        assert identity.route is not None
        if not self._where.is_elsewhere(identity.route.database):
            return False
        heard = bytes(line.heard or b"")
        line.heard = None
        try:
            async with asyncio.timeout(REACH_SECONDS):
                link, backend = await self._reach(der, line.peer)
        except TimeoutError:
            await self._refuse(protocol, startup, line, BackendError("no service took the session in time"))
        except RegateError as error:
            await self._refuse(protocol, startup, line, error)
        else:
            client = await line.adopt()
            if protocol.introduce is not None:
                backend.write(protocol.introduce(startup))
            if heard and protocol.speaks_first is not None:
                # The client was greeted here already, and answered: the service's own greeting is for nobody.
                async with asyncio.timeout(REACH_SECONDS):
                    await drive(protocol.speaks_first.read(), Line(None, stream=backend))
            backend.write(heard)
            self._links.stock(link)
            await self._pass(link, client, backend)
            if not backend.received:  # closed without a word: it did not believe the certificate
                silent = BackendError("the database service refused the session: are the clocks right?")
                await self._refuse(protocol, startup, line, silent)
        return True

    def _identity(self, der: bytes, protocol: DatabaseProtocol) -> Identity | None:
        """Who it is; None for whatever is no route of this cluster: that is refused elsewhere."""
        try:
            identity = from_certificate(der, now=utc(self._clock))
        except CertificateError:
            return None
        route = identity.route
        fits = identity.use is Use.DATABASE and identity.cluster == self._where.cluster
        return identity if fits and route is not None and route.protocol == protocol.name else None

    async def _reach(self, der: bytes, client_address: str) -> tuple[Link, Stream]:
        """A connection to the first service that takes the session."""
        failed: set[str] = set()
        failure: BackendError | None = None
        for _ in range(TRIES):
            connected = [agent for agent in self._links.connected() if agent not in failed]
            if failure is not None and not connected:
                break
            key = new_key()
            try:
                agent, certificate = await self._open(der, request_for(key), client_address, connected)
            except RegateError:
                if failure is not None:
                    break
                raise
            context = await asyncio.to_thread(self._context, certificate, pem_of(key))
            try:
                return await self._links.dial(agent, context)
            except BackendError as error:
                self._log.warning("service did not take a session", agent=agent, error=str(error))
                failed.add(agent)
                failure = error
        assert failure is not None
        raise failure

    def _context(self, certificate: str, key: str) -> ssl.SSLContext:
        return backend_context(self._where.host_ca(), MintedCertificate(certificate, key))

    async def _pass(self, link: Link, client: Stream, backend: Stream) -> None:
        """Move bytes both ways until either end closes."""
        link.sessions.add(backend)
        try:
            await join_streams(client, backend)
        finally:
            link.sessions.discard(backend)
            backend.close()

    async def _refuse(
        self, protocol: DatabaseProtocol, startup: Startup, line: Line, error: RegateError
    ) -> None:
        code = getattr(error, "code", "agent_unreachable")
        denial = local_denial(self._clock, code, str(error))
        self._log.info("session not carried", client_address=line.peer, code=code, error=str(error))
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await turn_away(protocol, line, startup, denial)


async def join_streams(one: Stream, other: Stream) -> None:
    """Move bytes both ways until either end closes; neither is read faster than the other can be written."""
    one.pair(other)
    other.pair(one)
    other.relay_to(one.write)
    one.relay_to(other.write)
    ends = [asyncio.ensure_future(stream.closed()) for stream in (one, other)]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
