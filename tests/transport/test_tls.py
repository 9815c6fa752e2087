"""TLS on the socket itself, against Python's blocking TLS on the other side, on both event loops."""

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvloop

from gateway.transport import goodbye, handshake
from gateway.transport.handshake import shake_hands
from gateway.transport.stream import HIGH_WATER, Stream
from gateway.transport.tls import TlsTransport
from tests.servers.certificates import Authority

ESTABLISHED = 1  # TCP_ESTABLISHED in linux/tcp_states.h
MEGABYTE = bytes(range(256)) * 4096
Peer = Callable[[ssl.SSLSocket], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a test's coroutine on one of the loops."""

    def go(work: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(work, 60))

    return go


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's, each with a certificate that the other verifies."""
    authority = Authority(tmp_path_factory.mktemp("tls"))
    files = authority.server()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.ca))
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=str(files.ca))
    mine = authority.client("ada")
    client.load_cert_chain(mine.certificate, mine.key)
    return server, client


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@contextmanager
def talking(context: ssl.SSLContext, peer: Peer, *, is_server: bool = False) -> Iterator[socket.socket]:
    """Our end of a connection on which *peer* acts, in a thread; what it raises comes here."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        plain = socket.create_connection(listening.getsockname(), timeout=30)
        ours, _ = listening.accept()
    ours.setblocking(False)
    raised: list[BaseException] = []

    def act() -> None:
        try:
            name = None if is_server else "localhost"
            with plain, context.wrap_socket(plain, server_side=is_server, server_hostname=name) as tls:
                peer(tls)
        except BaseException as error:  # noqa: BLE001 # handed to the test
            raised.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield ours
    finally:
        thread.join(30)
    if raised:
        raise raised[0]


def read_all(tls: ssl.SSLSocket) -> bytes:
    said = bytearray()
    while chunk := tls.recv(65536):
        said += chunk
    return bytes(said)


async def received(stream: Stream, size: int) -> bytes:
    got = bytearray()
    while len(got) < size and (chunk := await stream.receive()):
        got += chunk
    return bytes(got)


def test_megabytes_come_and_go_whole(run: Any, contexts: Contexts) -> None:
    heard: list[bytes] = []
    written = threading.Event()

    def peer(tls: ssl.SSLSocket) -> None:
        tls.sendall(MEGABYTE * 8)
        _until(written)
        heard.append(read_all(tls))

    async def ours(sock: socket.socket) -> None:
        _, stream = await shake_hands(sock, contexts[0], Stream)
        assert stream.encrypted
        assert await received(stream, len(MEGABYTE) * 8) == MEGABYTE * 8
        stream.write(MEGABYTE * 32)  # more than the buffers of two sockets hold
        stream.write(b"the end")
        assert stream.is_paused
        written.set()
        stream.close()
        await stream.closed()

    with talking(contexts[1], peer) as sock:
        run(ours(sock))
    assert heard == [MEGABYTE * 32 + b"the end"]


def test_what_nobody_reads_stays_in_the_socket(run: Any, contexts: Contexts) -> None:
    class Held(Stream):
        """Says when it stops reading."""

        def __init__(self) -> None:
            super().__init__()
            self.held = asyncio.Event()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._require().is_reading():
                self.held.set()

    async def ours(sock: socket.socket) -> None:
        _, stream = await shake_hands(sock, contexts[0], Held)
        await stream.held.wait()
        assert HIGH_WATER < stream.received <= HIGH_WATER + 16 * 16384
        assert await received(stream, len(MEGABYTE) * 8) == MEGABYTE * 8
        stream.close()
        await stream.closed()

    def peer(tls: ssl.SSLSocket) -> None:
        tls.sendall(MEGABYTE * 8)
        assert read_all(tls) == b""

    with talking(contexts[1], peer) as sock:
        run(ours(sock))


def test_a_last_answer_is_read_by_whoever_still_sends(run: Any, contexts: Contexts) -> None:
    """Closing a socket in which bytes wait would send a reset."""
    heard: list[bytes] = []
    closed = threading.Event()

    def peer(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"a question")
        assert closed.wait(30)
        tls.sendall(MEGABYTE[:100_000])
        heard.append(read_all(tls))

    async def ours(sock: socket.socket) -> None:
        _, stream = await shake_hands(sock, contexts[0], Stream)
        await stream.receive()
        stream.write(b"no")
        stream.close()
        closed.set()
        await stream.closed()

    with talking(contexts[1], peer) as sock:
        run(ours(sock))
    assert heard == [b"no"]


def test_whoever_keeps_the_line_open_is_left_after_a_while(
    run: Any, contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goodbye, "SHUTDOWN_SECONDS", 0.05)
    done = threading.Event()

    async def ours(sock: socket.socket) -> None:
        _, stream = await shake_hands(sock, contexts[0], Stream)
        stream.close()
        await stream.closed()
        assert sock.fileno() == -1
        done.set()

    with talking(contexts[1], lambda _tls: _until(done)) as sock:
        run(ours(sock))


def test_whoever_stops_reading_is_left_with_what_is_queued(
    run: Any, contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goodbye, "SHUTDOWN_SECONDS", 0.05)
    done = threading.Event()

    async def ours(sock: socket.socket) -> None:
        transport, stream = await shake_hands(sock, contexts[0], Stream)
        stream.write(MEGABYTE * 32)
        stream.close()
        await stream.closed()
        assert transport.get_write_buffer_size() == 0
        done.set()

    with talking(contexts[1], lambda _tls: _until(done)) as sock:
        run(ours(sock))


def test_the_peers_certificate_is_known_when_it_is_gone(run: Any, contexts: Contexts) -> None:
    async def ours(sock: socket.socket) -> None:
        transport, stream = await shake_hands(sock, contexts[0], Stream)
        shown = stream.peer_certificate()
        assert shown is not None
        assert transport.get_extra_info("peername")[0] == "127.0.0.1"
        assert await stream.receive() == b""
        await stream.closed()
        assert stream.peer_certificate() == shown

    with talking(contexts[1], lambda tls: tls.unwrap().close()) as sock:
        run(ours(sock))


def test_a_peer_that_hangs_up_at_once_was_heard_to_its_end(
    run: Any, contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server does that says why it takes no certificate: its words are there, a reset behind them."""
    hung_up = threading.Event()
    step = handshake._step

    async def and_then_wait(tls: ssl.SSLSocket) -> bool:
        is_over = await step(tls)
        if is_over:
            await asyncio.to_thread(hung_up.wait, 30)
            while socket_state(tls) == ESTABLISHED:  # noqa: ASYNC110 # the kernel tells nobody
                await asyncio.sleep(0.01)
        return is_over

    def peer(tls: ssl.SSLSocket) -> None:
        tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # all that is queued goes out now
        tls.sendall(b"no")
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        tls.close()
        hung_up.set()

    async def ours(sock: socket.socket) -> None:
        transport, stream = await shake_hands(sock, contexts[1], Stream, server_name="localhost")
        assert transport.get_extra_info("peername")[0] == "127.0.0.1"
        assert await stream.receive() == b"no"
        await stream.closed()

    monkeypatch.setattr(handshake, "_step", and_then_wait)
    with talking(contexts[0], peer, is_server=True) as sock:
        run(ours(sock))


def socket_state(sock: socket.socket) -> int:
    """The connection's state, as ``tcp(7)`` tells it."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def test_as_the_client_it_verifies_the_name(run: Any, contexts: Contexts) -> None:
    async def dialled(name: str) -> Stream:
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        async with asyncio.TaskGroup() as both:
            server = both.create_task(shake_hands(far, contexts[0], Stream))
            client = both.create_task(shake_hands(near, contexts[1], Stream, server_name=name))
        server.result()[1].write(b"welcome")
        stream = client.result()[1]
        assert await stream.receive() == b"welcome"
        for _, each in (server.result(), client.result()):
            each.abort()
            await each.closed()
        return stream

    async def ours() -> None:
        await dialled("localhost")
        with pytest.raises(ExceptionGroup) as raised:
            await dialled("elsewhere.example.com")
        assert raised.group_contains(ssl.SSLCertVerificationError)

    run(ours())


ENDS: list[Callable[[socket.socket], object]] = [
    socket.socket.getsockname,  # nothing at all
    lambda far: far.shutdown(socket.SHUT_WR),
    lambda far: far.send(b"GET / HTTP/1.1"),
]


def test_a_handshake_that_stalls_or_breaks_ends(
    run: Any, contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.05)

    async def ours() -> None:
        for end in ENDS:
            near, far = socket.socketpair()
            near.setblocking(False)
            end(far)
            with far, pytest.raises((TimeoutError, ConnectionResetError, ssl.SSLError)):
                await shake_hands(near, contexts[0], Stream)
            assert near.fileno() == -1

    run(ours())


def test_a_bug_behind_it_ends_one_connection_and_is_told(run: Any, contexts: Contexts) -> None:
    class Buggy(Stream):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError(len(data))

    told: list[dict[str, Any]] = []

    async def ours(sock: socket.socket) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
        _, stream = await shake_hands(sock, contexts[0], Buggy)
        await stream.closed()

    def peer(tls: ssl.SSLSocket) -> None:
        tls.sendall(b"x")
        with suppress(OSError):  # cut off without a goodbye
            assert tls.recv(1) == b""

    with talking(contexts[1], peer) as sock:
        run(ours(sock))
    assert [type(each["exception"]) for each in told] == [ZeroDivisionError]


def test_a_reset_is_the_end(run: Any, contexts: Contexts) -> None:
    heard = threading.Event()

    async def ours(sock: socket.socket) -> None:
        transport, stream = await shake_hands(sock, contexts[0], Stream)
        stream.write(b"welcome")
        heard.set()
        assert await stream.receive() == b""
        await stream.closed()
        assert transport.is_closing()
        stream.write(b"into the void")
        transport.write(b"into the void")

    def peer(tls: ssl.SSLSocket) -> None:
        _until(heard)
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        socket.socket(fileno=tls.detach()).close()

    with talking(contexts[1], peer) as sock:
        run(ours(sock))


def _until(done: threading.Event) -> None:
    assert done.wait(30)


def test_it_is_a_transport_in_full() -> None:
    """What asyncio's own has is there: protocols of others, aiohttp's among them, use it."""
    missing = [
        name
        for name in dir(asyncio.Transport)
        if not name.startswith("_")
        and getattr(TlsTransport, name) is getattr(asyncio.Transport, name)
        and name != "writelines"  # as it is: one write of all
    ]
    assert missing == []
