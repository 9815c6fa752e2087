"""A session process's end of its door: sockets come in and are served as the port they came to would."""

import asyncio  # noqa: TID251
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial

from structlog.typing import FilteringBoundLogger

from gateway.protocols import REGISTRY
from gateway.sansio.protocol import Protocol
from gateway.services.doors import MOST_BYTES, Arrival
from gateway.services.own_port import own_port
from gateway.transport.listener import Listener, Port, Serve
from gateway.transport.stream import Stream

MOST_AT_ONCE = 64  # taken before those that are served go on


class Entrances:
    """Takes what comes through *door* and serves each connection in a task of its own."""

    def __init__(
        self,
        door: socket.socket,
        serve: Serve,
        context: Callable[[], ssl.SSLContext],
        greet: Callable[[Protocol], Awaitable[bytes]],
        log: FilteringBoundLogger,
    ) -> None:
        """*greet* says how a port greets whose protocol's server speaks first."""
        self._door = door
        self._serve = serve
        self._context = context
        self._greet = greet
        self._log = log
        self._listeners: dict[tuple[str, str], Listener] = {}
        self._connections: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """From now on connections are taken."""
        asyncio.get_running_loop().add_reader(self._door, self._take_some)

    def close(self) -> None:
        """End all that are served."""
        for task in list(self._connections):
            task.cancel()

    def _take_some(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if not self._take():
                return

    def _take(self) -> bool:
        """Take one connection that the main process hands over; False where there is none."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._door, MOST_BYTES, 1)
        except (BlockingIOError, InterruptedError):
            return False
        if not descriptors:
            asyncio.get_running_loop().remove_reader(self._door)  # the main process is gone
            return False
        arrival = Arrival.decode(data)
        sock = socket.socket(fileno=descriptors[0])
        sock.setblocking(False)
        task = asyncio.create_task(self._listener(arrival).serve_one(sock, arrival.peer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        return True

    def _listener(self, arrival: Arrival) -> Listener:
        """That of the port; there are as many as the main process has ports."""
        at = (arrival.protocol, arrival.public)
        if at not in self._listeners:
            self._listeners[at] = Listener(self._port(*at), self._serve, self._log)
        return self._listeners[at]

    def _port(self, name: str, public: str) -> Port:
        if name:
            protocol = REGISTRY[name]
            return own_port(protocol, public, self._context, greet=partial(self._greet, protocol))
        return Port(
            context=self._context,
            by_alpn={alpn: protocol for protocol in REGISTRY.values() for alpn in protocol.alpn},
            plain=REGISTRY["postgres"],
            http=_Nobody,
        )


class _Nobody(Stream):
    """A client that turned out to want the API, which is not here: its connection is closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close at once."""
        super().connection_made(transport)
        self.abort()
