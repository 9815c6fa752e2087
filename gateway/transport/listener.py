"""The one public port: what a connection speaks is told by its first byte, and inside TLS by ALPN.

A plain socket is accepted and one byte is looked at without taking it. 0x16 opens a TLS handshake: ALPN then
names a database protocol, or it is the HTTPS API. Anything else is read by a protocol's own flow.
"""

import asyncio  # noqa: TID251
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from structlog.typing import FilteringBoundLogger

from gateway.errors import ConfigError
from gateway.sansio import hello
from gateway.sansio.protocol import Hello, Protocol
from gateway.transport import handshake, quiet
from gateway.transport.line import Line, server_upgrade
from gateway.transport.opening import Handshakes, first_byte, first_message
from gateway.transport.reach import keep_alive
from gateway.transport.stream import Stream

BACKLOG = 1024
FIRST_BYTE_SECONDS = 10.0
TLS_RECORD = 0x16
HTTP = "http/1.1"
_WEB = frozenset({HTTP, "h2"})


Serve: TypeAlias = Callable[[Protocol, Line, Hello], Awaitable[None]]
"""Serves one connection of a database protocol to its end."""
HandOver: TypeAlias = Callable[[socket.socket, str, int | None], bool]
"""Gives a connection to another process, by where it comes from and its first byte, where one is waited for;
False when it is to be served here."""


@dataclass(frozen=True, slots=True)
class Port:
    """What is behind the public port.

    *plain* is the protocol that is recognised by its own first bytes. *others* are further servers by ALPN,
    and *greetings* are connections that open with a byte of their own, before any TLS.
    """

    context: Callable[[], ssl.SSLContext]
    by_alpn: Mapping[str, Protocol]
    plain: Protocol | None
    http: Callable[[], asyncio.Protocol]
    hand_over: HandOver | None = None
    others: Mapping[str, Callable[[], asyncio.Protocol]] = field(default_factory=dict)
    greetings: Mapping[int, Callable[[Line], Awaitable[None]]] = field(default_factory=dict)
    said: Callable[[], Awaitable[bytes]] | None = None
    """How to greet there, where the one protocol's server speaks first; then no first byte is waited for."""
    public: str = ""
    """Where clients reach the port, as host:port, where it is one protocol's alone."""
    web: Callable[[], ssl.SSLContext] | None = None
    """What clients get that offer the web's protocols alone, or none; None: the same as everybody."""


class Listener:
    """Accepts connections and serves each in a task of its own."""

    def __init__(self, port: Port, serve: Serve, log: FilteringBoundLogger) -> None:
        self._port = port
        self._session = serve
        self._log = log
        self._handshakes = Handshakes()

    async def serve(self, listening: socket.socket) -> None:
        """Accept until cancelled; a connection's failure is its own."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    sock, address = await loop.sock_accept(listening)
                except OSError as error:  # too many open files: let some close
                    self._log.warning("cannot accept", error=str(error))
                    await asyncio.sleep(0.1)
                    continue
                sock.setblocking(False)
                tasks.create_task(self.serve_one(sock, f"{address[0]}:{address[1]}"))

    async def serve_passed(self, sock: socket.socket, peer: str) -> None:
        """Serve one connection that somebody passed on; whoever asks is told that it comes from *peer*."""
        await self.serve_one(sock, peer, is_passed=True)

    async def serve_one(self, sock: socket.socket, peer: str, *, is_passed: bool = False) -> None:
        """Serve one connection, that comes from *peer*, to its end."""
        line = Line(
            sock,
            peer=peer,
            upgrade=server_upgrade(self._port.context(), self._handshakes, peer),
            heard=bytearray(),
        )
        try:
            try:
                await self._recognise(line, is_passed=is_passed)
            finally:
                line.close()
        except (OSError, ssl.SSLError, TimeoutError) as error:
            self._log.info("handshake failed", client_address=line.peer, error=str(error) or "timeout")
        except Exception:  # noqa: BLE001 # the outermost loop of the process: a bug ends one connection, not all
            self._log.exception("connection failed", client_address=line.peer)

    async def _recognise(self, line: Line, *, is_passed: bool = False) -> None:
        assert line.sock is not None
        keep_alive(line.sock)
        hand_over = self._port.hand_over
        if self._port.said is not None and self._port.plain is not None:
            if hand_over is not None and hand_over(line.sock, line.peer, None):
                return
            await self._session(self._port.plain, line, Hello(encrypted=False, said=await self._port.said()))
            return
        async with asyncio.timeout(FIRST_BYTE_SECONDS):
            first = await first_byte(line.sock)
        greeting = None if first is None else self._port.greetings.get(first)
        if greeting is not None:
            await greeting(line)
            return
        offered = await self._offered(line.sock) if first == TLS_RECORD else None
        if first is not None and hand_over is not None and hand_over(line.sock, line.peer, first):
            return  # closing it here closes one of two descriptors
        if first == TLS_RECORD:
            async with self._handshakes.turn(line.peer):
                protocol = await self._handshake(line, offered, line.peer if is_passed else "")
            if protocol is not None:
                await self._session(protocol, line, Hello(encrypted=True, public=self._port.public))
        elif first is not None and self._port.plain is not None:
            await self._session(self._port.plain, line, Hello(encrypted=False))

    async def _offered(self, sock: socket.socket) -> tuple[str, ...] | None:
        """What a TLS client wants to speak; None where its first message says nothing that can be read."""
        async with asyncio.timeout(handshake.HANDSHAKE_SECONDS):
            return hello.alpn(await first_message(sock))

    async def _handshake(
        self, line: Line, offered: tuple[str, ...] | None, passed_from: str
    ) -> Protocol | None:
        """TLS, then the protocol that ALPN named; None for the API, which is aiohttp's from here."""
        sock, line.sock = line.sock, None  # the transport closes it
        assert sock is not None
        first = _First(self._port, passed_from)
        await handshake.shake_hands(sock, self._context(offered), lambda: first)
        line.stream = first.stream
        return first.protocol

    def _context(self, offered: tuple[str, ...] | None) -> ssl.SSLContext:
        web = self._port.web
        if web is None or offered is None or not _WEB.issuperset(offered):
            return self._port.context()
        return web()


class _First(asyncio.Protocol):
    """Stands in until the handshake is over, then hands the transport to what ALPN named."""

    def __init__(self, port: Port, passed_from: str) -> None:
        self._port = port
        self._passed_from = passed_from
        self.protocol: Protocol | None = None
        self.stream: Stream | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        spoken = tls.selected_alpn_protocol() or HTTP
        self.protocol = self._port.by_alpn.get(spoken)
        successor: asyncio.Protocol
        if self.protocol is None:
            successor = self._port.others.get(spoken, self._port.http)()
        else:
            successor = self.stream = Stream()
        transport.set_protocol(successor)
        shown = _From(transport, self._passed_from) if self._passed_from else transport
        successor.connection_made(cast("asyncio.BaseTransport", shown))
        quiet.watch(successor, transport)


class _From:
    """A transport whose peer is who began the connection, not who passed it on."""

    def __init__(self, transport: asyncio.BaseTransport, peer: str) -> None:
        self._transport = transport
        host, _, port = peer.rpartition(":")
        self._peer = (host, int(port) if port.isdigit() else 0)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._peer if name == "peername" else self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; *port* 0 takes a free one."""
    try:
        return _listen(host, port)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else error.strerror
        hint = "does regate start run already? Else change proxy_service.listen_addr"
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}", hint=hint) from error


def _listen(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock
