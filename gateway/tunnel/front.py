"""A proxy's public port without an auth service behind it: sessions go to services, all else to the auth.

The API's connections are passed on as they are, TLS and all: passwords, tokens and logins are between the
client and the auth service, and the proxy neither reads nor changes them.
"""

import asyncio  # noqa: TID251
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from structlog.typing import FilteringBoundLogger

from gateway.address import Address
from gateway.ca.identity import from_certificate
from gateway.clock import Clock, utc
from gateway.errors import CertificateError, ProtocolError
from gateway.sansio.protocol import Hello, Protocol, Startup
from gateway.session.denial import local_denial, turn_away
from gateway.session.environment import Deadlines
from gateway.session.pace import CANCELS_PER_SECOND, Pace
from gateway.transport.line import Line, drive
from gateway.transport.listener import TLS_RECORD
from gateway.transport.opening import source_of
from gateway.transport.stream import Stream
from gateway.tunnel.relay import Relay, join_streams

DIAL_SECONDS = 5.0
PEEK = 16 * 1024 + 5
MOST_PASSED = 2000
MOST_FROM_ONE = 500  # address: whoever opens many and says nothing leaves room for others
FAREWELL_SECONDS = 2.0
NO_CERTIFICATE = "connect with a certificate for a database: run `regate db login` first"


class Front:
    """Serves database clients: what is not a session elsewhere is refused."""

    def __init__(self, relay: Relay, clock: Clock, log: FilteringBoundLogger) -> None:
        self._relay = relay
        self._clock = clock
        self._log = log
        self._cancels = Pace(CANCELS_PER_SECOND, clock.monotonic)

    async def serve(self, protocol: Protocol, line: Line, hello: Hello) -> None:
        """One connection, to its end."""
        startup: Startup | None = None
        try:
            if protocol.speaks_first is not None and hello.encrypted:
                # Only the service that has the database knows how its server greets.
                if not await self._relay.carry(protocol, Startup(), line):
                    await self._refuse(protocol, startup, line, "certificate_required", NO_CERTIFICATE)
                return
            async with asyncio.timeout(Deadlines().handshake):
                startup = await drive(protocol.accept(hello), line)
            if startup.kind == "cancel":
                await self._cancel(startup, line)
            elif not await self._relay.carry(protocol, startup, line):
                await self._refuse(protocol, startup, line, "certificate_required", NO_CERTIFICATE)
        except (ProtocolError, CertificateError, TimeoutError, OSError, ssl.SSLError) as error:
            told = str(error) or "the start-up took too long"
            await self._refuse(protocol, startup, line, "protocol_error", told)

    async def _cancel(self, startup: Startup, line: Line) -> None:
        if self._cancels.admits(source_of(line.peer)):
            await self._relay.cancel(startup.cancel_key, self._user(line))
        else:
            self._log.info("cancel refused", client_address=line.peer, code="rate_limited")

    def _user(self, line: Line) -> str | None:
        der = line.peer_certificate()
        return None if der is None else from_certificate(der, now=utc(self._clock)).user

    async def _refuse(
        self, protocol: Protocol, startup: Startup | None, line: Line, code: str, told: str
    ) -> None:
        self._log.info("connection refused", client_address=line.peer, code=code, error=told)
        with suppress(TimeoutError, OSError, ProtocolError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await turn_away(protocol, line, startup, local_denial(self._clock, code, told))


class PassOn:
    """Hands connections that speak none of *own* to the auth service, byte for byte."""

    def __init__(
        self,
        own: Collection[str],
        offered: Callable[[bytes], tuple[str, ...] | None],
        server: Address,
        introduce: Callable[[str, bytes], bytes],
        log: FilteringBoundLogger,
    ) -> None:
        """*introduce* makes the words that go ahead of a connection from an address, which begins so."""
        self._introduce = introduce
        self._own = frozenset(own)
        self._offered = offered
        self._server = server
        self._log = log
        self._passing: set[asyncio.Task[None]] = set()
        self._of: Counter[str] = Counter()  # by address

    def take(self, sock: socket.socket, peer: str, first: int | None) -> bool:
        """``Port.hand_over``: True when the connection, whose first message is there, is passed on."""
        if first != TLS_RECORD or len(self._passing) >= MOST_PASSED:
            return False
        offered = self._offered(sock.recv(PEEK, socket.MSG_PEEK))
        source = source_of(peer)
        if offered is None or self._own & set(offered) or self._of[source] >= MOST_FROM_ONE:
            return False
        own = socket.socket(fileno=os.dup(sock.fileno()))
        own.setblocking(False)
        task = asyncio.ensure_future(self._pass(own, peer))
        self._passing.add(task)
        self._of[source] += 1
        task.add_done_callback(partial(self._passed, source))
        return True

    def _passed(self, source: str, task: "asyncio.Task[None]") -> None:
        self._passing.discard(task)
        self._of[source] -= 1
        if not self._of[source]:
            del self._of[source]

    def close(self) -> None:
        """The proxy stops."""
        for task in self._passing:
            task.cancel()

    async def _pass(self, sock: socket.socket, peer: str) -> None:
        try:
            await self._join(sock, peer)
        except (OSError, TimeoutError) as error:
            self._log.warning("the auth service is not reached", error=str(error) or "no answer in time")
        finally:
            sock.close()

    async def _join(self, sock: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        introduction = self._introduce(peer, sock.recv(PEEK, socket.MSG_PEEK))
        client, server = Stream(), Stream()
        async with asyncio.timeout(DIAL_SECONDS):
            await loop.create_connection(lambda: server, self._server.host, self._server.port)
        server.write(introduction)
        await loop.connect_accepted_socket(lambda: client, sock.dup())
        try:
            await join_streams(client, server)
        finally:
            server.close()
            client.close()
