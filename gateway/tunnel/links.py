"""A proxy's side of the tunnel: who is connected, and how a connection to one of them is had."""

import asyncio  # noqa: TID251
import secrets
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web
from cryptography import x509
from structlog.typing import FilteringBoundLogger

from gateway.ca.identity import from_chain
from gateway.ca.tls import peer_certificate
from gateway.clock import Clock, utc
from gateway.errors import BackendError, CertificateError, ProtocolError
from gateway.model.identity import Identity, Use
from gateway.transport.line import Line, client_upgrade
from gateway.transport.reach import keep_alive
from gateway.transport.stream import Stream
from gateway.tunnel.preface import MAX_MESSAGE, PATH, SIZE, VIA, Cancel, Dial, Message, encode, number_of

DIAL_SECONDS = 3.0
HEARTBEAT_SECONDS = 4.0  # a channel without an answer for half as long again is closed
PREFACE_SECONDS = 5.0
SEND_SECONDS = 2.0
CANCELS_A_SECOND = 500  # of all clients; of one address, see session.pace
SPARES = 2  # connections of one service that wait for a session
SPARE_SECONDS = 30.0


@dataclass(eq=False, slots=True)
class Link:
    """One service's control channel, and the sessions that run through this proxy to it."""

    agent: str
    channel: web.WebSocketResponse
    via: str = ""
    """The address under which the service reached this proxy."""
    sessions: set[Stream] = field(default_factory=set)
    spares: list[tuple[float, socket.socket]] = field(default_factory=list)
    ordered: dict[str, float] = field(default_factory=dict)

    def take_spare(self, now: float) -> socket.socket | None:
        """A connection that waits and is still there; those that are not go."""
        while self.spares:
            came, sock = self.spares.pop()
            if now - came <= SPARE_SECONDS and _is_open(sock):
                return sock
            sock.close()
        return None

    def orders(self, now: float) -> bool:
        """True when another connection should wait here."""
        self.ordered = {number: at for number, at in self.ordered.items() if now - at <= DIAL_SECONDS}
        return len(self.spares) + len(self.ordered) < SPARES

    def drop_spares(self) -> None:
        """None waits any more."""
        self.ordered.clear()
        while self.spares:
            self.spares.pop()[1].close()

    def cut(self) -> None:
        """End every session at once."""
        for stream in list(self.sessions):
            stream.abort()


class Links:
    """Every service that is connected to this proxy.

    ``authorities`` are those that sign host certificates. ``standings`` says of each service that there is
    why it may not be given sessions, or empty text; whoever is not in it is not part of the cluster.
    """

    def __init__(
        self, authorities: Callable[[], tuple[x509.Certificate, ...]], clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self._authorities = authorities
        self._clock = clock
        self._log = log
        self._links: dict[str, Link] = {}
        self._waiting: dict[str, asyncio.Future[socket.socket]] = {}
        self._ordering: set[asyncio.Future[None]] = set()
        self._standings: Mapping[str, str] = {}
        self._cancels = (0.0, 0)

    def connected(self) -> list[str]:
        """The services that can be asked for a connection."""
        return list(self._links)

    def application(self) -> web.Application:
        """What answers to the control channel's ALPN."""
        made = web.Application()
        made.add_routes([web.get(PATH, self._serve)])
        return made

    async def judge(self, standings: Mapping[str, str]) -> None:
        """Take up who may be given sessions; whoever may not loses those it has, and its channel."""
        self._standings = standings
        for link in list(self._links.values()):
            why = standings.get(link.agent, "it is not part of the cluster")
            if why:
                await self._drop(link, why)

    async def close(self) -> None:
        """The proxy stops."""
        for link in list(self._links.values()):
            await self._drop(link, "the proxy is being stopped")

    async def dial(self, agent: str, context: ssl.SSLContext) -> tuple[Link, Stream]:
        """A verified connection to a service; BackendError when it does not come in time."""
        link = self._links.get(agent)
        if link is None:
            raise BackendError(f"{agent} is not connected")
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                spare = link.take_spare(self._clock.monotonic())
                if spare is not None:
                    with suppress(OSError):  # it was closed in this moment: ask for one that is not
                        return link, await client_upgrade(context, agent)(spare)
                return link, await client_upgrade(context, agent)(await self._called(link))
        except (TimeoutError, OSError) as error:
            raise BackendError(f"{agent} did not connect: {str(error) or 'no answer in time'}") from error

    def stock(self, link: Link) -> None:
        """Ask for a connection that waits for the next session, where none does; nobody waits for that."""
        now = self._clock.monotonic()
        if self._links.get(link.agent) is not link or not link.orders(now):
            return
        number = secrets.token_hex(16)
        link.ordered[number] = now
        asking = asyncio.ensure_future(self._order(link, number))
        self._ordering.add(asking)
        asking.add_done_callback(self._ordering.discard)

    async def _order(self, link: Link, number: str) -> None:
        with suppress(BackendError):
            await self._send(link, Dial(number, is_spare=True))

    async def _called(self, link: Link) -> socket.socket:
        """A connection that the service dials now."""
        number = secrets.token_hex(16)
        arriving: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        self._waiting[number] = arriving
        try:
            await self._send(link, Dial(number))
            await asyncio.wait((arriving,))
        except BaseException:
            if arriving.done():
                arriving.result().close()
            raise
        else:
            return arriving.result()
        finally:
            del self._waiting[number]

    async def arrived(self, line: Line) -> None:
        """A connection that a service dialled: give it to whoever asked for it, once."""
        try:
            async with asyncio.timeout(PREFACE_SECONDS):
                number = number_of(await line.read(SIZE))
        except (ProtocolError, TimeoutError):
            return
        if self._keep_spare(number, line):
            return
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            self._log.info("a connection came for nobody", client_address=line.peer)
            return
        sock, line.sock = line.sock, None
        assert sock is not None
        keep_alive(sock)
        waiting.set_result(sock)

    def _keep_spare(self, number: str, line: Line) -> bool:
        for link in self._links.values():
            if link.ordered.pop(number, None) is not None:
                sock, line.sock = line.sock, None
                assert sock is not None
                keep_alive(sock)
                link.spares.append((self._clock.monotonic(), sock))
                return True
        return False

    async def cancel(self, key: bytes, user: str | None) -> None:
        """Ask every service with sessions here; at most so many a second, because anybody may ask."""
        moment, count = self._cancels
        now = self._clock.monotonic()
        if now - moment >= 1:
            moment, count = now, 0
        self._cancels = moment, count + 1
        if count >= CANCELS_A_SECOND:
            return
        for link in list(self._links.values()):
            with suppress(BackendError):
                await self._send(link, Cancel(key, user))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            identity = self._identify(request)
        except CertificateError as error:
            return web.json_response({"error": {"message": str(error)}}, status=401)
        why = self._standings.get(identity.user, "it is not part of the cluster")
        if why:
            return web.json_response({"error": {"message": why}}, status=403)
        via, before = request.headers.get(VIA, ""), self._links.get(identity.user)
        if before is not None and via and before.via not in {"", via}:
            told = f"this service is connected by {before.via} already"
            return web.json_response({"error": {"message": told}}, status=409)
        channel = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_MESSAGE)
        await channel.prepare(request)
        link, before = Link(identity.user, channel, via), self._links.get(identity.user)
        self._links[link.agent] = link
        if before is not None:  # half-open: the service noticed first, and its sessions go on
            link.sessions = before.sessions
            before.drop_spares()
            await _close(before, "another channel of this service was opened")
        self._log.info("service connected", agent=link.agent)
        try:
            async for message in channel:
                if message.type is not WSMsgType.TEXT or message.data:
                    break  # a service has nothing to say here
        finally:
            if self._links.get(link.agent) is link:
                del self._links[link.agent]
            link.drop_spares()
            self._log.info("service disconnected", agent=link.agent)
        return channel

    def _identify(self, request: web.Request) -> Identity:
        der = peer_certificate(request.transport)
        if not der:
            raise CertificateError("the control channel needs a host certificate")
        identity = from_chain(der, *self._authorities(), uses=(Use.HOST,), now=utc(self._clock))
        if identity.service != "db":
            raise CertificateError(f"a {identity.service or 'cluster'} service serves no databases")
        return identity

    async def _send(self, link: Link, message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await link.channel.send_str(encode(message))
        except (TimeoutError, OSError) as error:
            raise BackendError(f"{link.agent} cannot be told anything") from error

    async def _drop(self, link: Link, why: str) -> None:
        if self._links.get(link.agent) is link:
            del self._links[link.agent]
        link.drop_spares()
        link.cut()
        self._log.warning("service cut off", agent=link.agent, reason=why)
        await _close(link, why)


def _is_open(sock: socket.socket) -> bool:
    """True while nobody closed it; the service says nothing before the session does."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


async def _close(link: Link, why: str) -> None:
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(SEND_SECONDS):
            await link.channel.close(message=why.encode("utf-8", "replace")[:100])
