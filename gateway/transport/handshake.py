"""The TLS handshake on a connected socket, at whose end the transport takes it over."""

import asyncio  # noqa: TID251
import errno
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from gateway.transport.readiness import readable, writable
from gateway.transport.tls import TlsTransport

P = TypeVar("P", bound=asyncio.BaseProtocol)

HANDSHAKE_SECONDS = 5.0


async def shake_hands(
    sock: socket.socket,
    context: ssl.SSLContext,
    protocol: Callable[[], P],
    *,
    server_name: str | None = None,
) -> "tuple[TlsTransport, P]":
    """Run the handshake on a connected, non-blocking *sock*, as the client of *server_name* or as the server.

    The socket is the transport's from here on, closed when the handshake fails.

    Raises:
        TimeoutError: it took longer than HANDSHAKE_SECONDS.
        OSError: the connection broke, or (ssl.SSLError) either side did not like the other.
    """
    made = protocol()
    holder: socket.socket = sock
    try:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = sock.getpeername()  # nobody tells it any more once a peer has hung up
        holder = tls = context.wrap_socket(
            sock,
            server_side=server_name is None,
            server_hostname=server_name or None,
            do_handshake_on_connect=False,
        )
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            while not await _step(tls):
                pass
        return TlsTransport(tls, peer, made), made
    except BaseException:
        holder.close()
        raise


async def _step(tls: ssl.SSLSocket) -> bool:
    """One round of the handshake; True when it is over."""
    try:
        tls.do_handshake()
    except ssl.SSLEOFError as error:
        raise ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake") from error
    except ssl.SSLWantReadError:
        await readable(tls)
        return False
    except ssl.SSLWantWriteError:
        await writable(tls)
        return False
    return True
