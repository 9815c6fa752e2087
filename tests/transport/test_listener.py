"""Whoever asks for TLS in a protocol's own words takes a turn as those do who begin with it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest
import structlog

from gateway.protocols import REGISTRY
from gateway.sansio.protocol import Hello, Protocol
from gateway.transport import handshake, listener
from gateway.transport.line import Line, drive
from gateway.transport.listener import Listener, Port
from gateway.transport.opening import Handshakes
from tests.sansio.test_hello import first_bytes
from tests.servers.certificates import Authority

SSL_REQUEST = bytes((0, 0, 0, 8, 4, 210, 22, 47))
FROM_ONE = 5
SOON = 0.3  # long enough for a handshake that nothing holds up
PATIENCE = 30.0


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    files = Authority(tmp_path).server("localhost")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.certificate, files.key)
    server.set_alpn_protocols(["postgresql"])
    client = ssl.create_default_context(cafile=str(files.ca))
    client.set_alpn_protocols(["postgresql"])
    return server, client


async def _greet(protocol: Protocol, line: Line, hello: Hello) -> None:
    await drive(protocol.accept(hello), line)


@pytest.fixture
async def port(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[int]:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 10 * PATIENCE)
    monkeypatch.setattr(listener, "Handshakes", partial(Handshakes, most=100, from_one=FROM_ONE))
    postgres = REGISTRY["postgres"]
    served = Listener(
        Port(lambda: contexts[0], {"postgresql": postgres}, postgres, asyncio.Protocol),
        _greet,
        structlog.get_logger(),
    )
    with listener.listen("127.0.0.1", 0) as opened:
        task = asyncio.create_task(served.serve(opened))
        yield opened.getsockname()[1]
        task.cancel()
        await asyncio.wait({task})


async def _ask(stack: AsyncExitStack, port: int, address: str = "127.0.0.1") -> socket.socket:
    """A connection to which the server said that it may shake hands."""
    sock = stack.enter_context(socket.socket())
    sock.setblocking(False)
    sock.bind((address, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, SSL_REQUEST)
    assert await loop.sock_recv(sock, 1) == b"S"
    return sock


async def _shake(stack: AsyncExitStack, port: int, context: ssl.SSLContext, address: str) -> str:
    """The protocol that is spoken after the handshake."""
    sock = await _ask(stack, port, address)
    transport, _ = await asyncio.get_running_loop().create_connection(
        asyncio.Protocol, sock=sock, ssl=context, server_hostname="localhost", ssl_handshake_timeout=PATIENCE
    )
    spoken = transport.get_extra_info("ssl_object").selected_alpn_protocol()
    transport.abort()
    return str(spoken)


async def test_they_wait_for_others_of_their_address_and_for_nobody_else(
    port: int, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    _, client = contexts
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        silent = [await _ask(stack, port) for _ in range(FROM_ONE + 5)]
        assert await _shake(stack, port, client, "127.0.0.1") == "postgresql", (
            "who says nothing takes no turn"
        )
        for sock in silent[:FROM_ONE]:
            await asyncio.get_running_loop().sock_sendall(sock, first_bytes("postgresql"))
            await asyncio.get_running_loop().sock_recv(sock, 1)  # the server shakes hands
        late = asyncio.create_task(_shake(stack, port, client, "127.0.0.1"))
        done, _ = await asyncio.wait({late}, timeout=SOON)
        assert not done
        assert await _shake(stack, port, client, "127.0.0.2") == "postgresql"
        silent[0].close()
        assert await late == "postgresql"
