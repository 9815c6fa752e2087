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
from gateway.clock import Clock, utc
from gateway.errors import BackendError, CertificateError, ProtocolError
from gateway.model.identity import Identity, Use
from gateway.session.dial import keep_alive
from gateway.session.line import Line, client_upgrade
from gateway.session.stream import Stream
from gateway.tunnel.preface import MAX_MESSAGE, PATH, SIZE, Cancel, Dial, Message, encode, number_of

DIAL_SECONDS = 3.0
HEARTBEAT_SECONDS = 4.0  # a channel without an answer for half as long again is closed
PREFACE_SECONDS = 5.0
SEND_SECONDS = 2.0
CANCELS_A_SECOND = 50


@dataclass(eq=False, slots=True)
class Link:
    """One service's control channel, and the sessions that run through this proxy to it."""

    agent: str
    socket: web.WebSocketResponse
    sessions: set[Stream] = field(default_factory=set)

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
        number = secrets.token_hex(16)
        arriving = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                await self._send(link, Dial(number))
                sock = await arriving
                return link, await client_upgrade(context, agent)(sock)
        except (TimeoutError, OSError) as error:
            raise BackendError(f"{agent} did not connect: {str(error) or 'no answer in time'}") from error
        finally:
            del self._waiting[number]
            if arriving.done() and not arriving.cancelled() and link not in self._links.values():
                arriving.result().close()

    async def arrived(self, line: Line) -> None:
        """A connection that a service dialled: give it to whoever asked for it, once."""
        try:
            async with asyncio.timeout(PREFACE_SECONDS):
                number = number_of(await line.read(SIZE))
        except (ProtocolError, TimeoutError):
            return
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            self._log.info("a connection came for nobody", client_address=line.peer)
            return
        sock, line.sock = line.sock, None
        assert sock is not None
        keep_alive(sock)
        waiting.set_result(sock)

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
        channel = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_MESSAGE)
        await channel.prepare(request)
        link = Link(identity.user, channel)
        before = self._links.get(link.agent)
        self._links[link.agent] = link
        if before is not None:  # half-open: the service noticed first, and its sessions go on
            link.sessions = before.sessions
            await _close(before, "another channel of this service was opened")
        self._log.info("service connected", agent=link.agent)
        try:
            async for message in channel:
                if message.type is not WSMsgType.TEXT or message.data:
                    break  # a service has nothing to say here
        finally:
            if self._links.get(link.agent) is link:
                del self._links[link.agent]
            self._log.info("service disconnected", agent=link.agent)
        return channel

    def _identify(self, request: web.Request) -> Identity:
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        if not der:
            raise CertificateError("the control channel needs a host certificate")
        identity = from_chain(der, *self._authorities(), uses=(Use.HOST,), now=utc(self._clock))
        if identity.service != "db":
            raise CertificateError(f"a {identity.service or 'cluster'} service serves no databases")
        return identity

    async def _send(self, link: Link, message: Message) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await link.socket.send_str(encode(message))
        except (TimeoutError, OSError) as error:
            raise BackendError(f"{link.agent} cannot be told anything") from error

    async def _drop(self, link: Link, why: str) -> None:
        if self._links.get(link.agent) is link:
            del self._links[link.agent]
        link.cut()
        self._log.warning("service cut off", agent=link.agent, reason=why)
        await _close(link, why)


async def _close(link: Link, why: str) -> None:
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(SEND_SECONDS):
            await link.socket.close(message=why.encode("utf-8", "replace")[:100])
