"""A local port that carries each connection to the proxy, through TLS or as it comes.

It listens on 127.0.0.1 only, because whoever reaches the port connects as the person whose certificate it
uses, and it answers nothing itself: every byte a client reads came from the gateway.
"""

import asyncio  # noqa: TID251
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.address import Address

HOST = "127.0.0.1"
CONNECT_SECONDS = 10.0
_HIGH_WATER = 256 * 1024  # bytes held for a peer that reads slowly


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where connections go.

    *context* is asked for each connection, so that a renewed certificate counts at once; when it answers
    None, TLS is left to the client. *alpn* is what the proxy must agree to; *introduction* goes ahead of what
    the client says.
    """

    proxy: Address
    context: Callable[[], ssl.SSLContext | None]
    alpn: str = ""
    introduction: bytes = b""


def listen(port: int) -> socket.socket:
    """The local port (0: any that is free); an OSError when it is taken."""
    return socket.create_server((HOST, port))


class _End(asyncio.Protocol):
    """One side of a connection; what it receives is written to the other side."""

    def __init__(self) -> None:
        self.other: _End | None = None
        self.transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        transport.pause_reading()  # until the other side is there
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._keep(data)
            return
        assert self.other.transport is not None
        self.other.transport.write(data)

    def join(self, other: "_End") -> None:
        """From here on what this side gets goes to *other*."""
        assert self.transport is not None
        assert other.transport is not None
        self.other = other
        if self._early:
            other.transport.write(bytes(self._early))
            self._early.clear()
        if self.closed.is_set():
            other.transport.close()
        self.transport.resume_reading()

    def _keep(self, data: bytes) -> None:
        """Before 3.11.4 asyncio forgets a pause in ``connection_made``: this came before it should have."""
        self._early += data
        if len(self._early) > _HIGH_WATER and self.transport is not None:
            self.transport.abort()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 # either way, the other side ends
        self.closed.set()
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()  # after what was written to it is out


class _Local(_End):
    """The client's side."""

    def __init__(self, accepted: Callable[["_Local"], None]) -> None:
        super().__init__()
        self._accepted = accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._accepted(self)


@dataclass(slots=True)
class Tunnel:
    """The listening port. *report* is told, in a sentence, when a connection cannot be made."""

    upstream: Upstream
    report: Callable[[str], None]
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, listening: socket.socket, stop: asyncio.Event) -> None:
        """Serve what connects to *listening* until *stop* is set; connections open then are closed."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:

            def accepted(local: _Local) -> None:
                task = tasks.create_task(self._carry(local))
                self._open.add(task)
                task.add_done_callback(self._open.discard)

            server = await loop.create_server(lambda: _Local(accepted), sock=listening)
            try:
                await stop.wait()
            finally:
                server.close()
                for task in tuple(self._open):
                    task.cancel()

    async def _carry(self, local: _Local) -> None:
        """Dial for one client, join both sides, and stay until both are closed."""
        assert local.transport is not None
        far: _End | None = None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                far = await self._dial()
            assert far.transport is not None
            if self.upstream.introduction:
                far.transport.write(self.upstream.introduction)
            local.join(far)
            far.join(local)
            await local.closed.wait()
            await far.closed.wait()
        except TimeoutError:
            self.report(f"no answer from {self.upstream.proxy} within {CONNECT_SECONDS:g} seconds")
        except ssl.SSLError as error:
            self.report(
                f"no TLS with {self.upstream.proxy}: {(error.reason or str(error)).replace('_', ' ').lower()}"
            )
        except OSError as error:
            self.report(f"cannot reach {self.upstream.proxy}: {error.strerror or error}")
        finally:
            for end in (local, far):
                if end is not None and end.transport is not None:
                    end.transport.close()

    async def _dial(self) -> _End:
        proxy, context = self.upstream.proxy, self.upstream.context()
        name = proxy.host if context is not None else None
        loop = asyncio.get_running_loop()
        transport, end = await loop.create_connection(
            _End, proxy.host, proxy.port, ssl=context, server_hostname=name
        )
        tls = transport.get_extra_info("ssl_object")
        if self.upstream.alpn and tls is not None and tls.selected_alpn_protocol() != self.upstream.alpn:
            transport.abort()
            raise OSError(f"it does not speak {self.upstream.alpn} there")
        return end
