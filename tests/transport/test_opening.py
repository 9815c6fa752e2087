"""Strangers who open connections and say little, or nothing, are in nobody's way."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from gateway.sansio import hello
from gateway.transport import handshake, opening
from gateway.transport.listener import Listener, Port, listen
from gateway.transport.opening import Handshakes, first_message, source_of
from tests.sansio.test_hello import first_bytes
from tests.servers.certificates import Authority

HELLO = first_bytes("http/1.1")
STALLED = opening.HANDSHAKES_FROM_ONE + 50
PATIENCE = 30.0


class _Greets(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@asynccontextmanager
async def _port(context: ssl.SSLContext) -> AsyncIterator[int]:
    opened = listen("127.0.0.1", 0)
    served = Listener(Port(lambda: context, {}, None, _Greets), _nobody, structlog.get_logger())
    task = asyncio.create_task(served.serve(opened))
    try:
        yield opened.getsockname()[1]
    finally:
        task.cancel()
        await asyncio.wait([task])
        opened.close()


async def _nobody(*_: object) -> None:
    raise AssertionError("no protocol is served here")


async def _greeted(port: int, address: str) -> bytes:
    """What somebody gets who shakes hands as one should."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, local_addr=(address, 0))
    try:
        return await reader.read(5)
    finally:
        writer.close()


async def _dialled(port: int, said: bytes) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    await asyncio.get_running_loop().sock_sendall(sock, said)
    return sock


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's; and whoever stalls may do so for as long as the test takes."""
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 10 * PATIENCE)
    files = Authority(tmp_path).server()
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(files.certificate, files.key)
    return made


@pytest.mark.parametrize("said", [b"\x16", HELLO[:-1]], ids=["a-byte", "most-of-it"])
async def test_first_messages_that_do_not_come_take_nobodys_turn(
    said: bytes, context: ssl.SSLContext
) -> None:
    async with _port(context) as port:
        stalled = [await _dialled(port, said) for _ in range(STALLED)]
        try:
            async with asyncio.timeout(PATIENCE):
                assert await _greeted(port, "127.0.0.1") == b"hello"
        finally:
            for sock in stalled:
                sock.close()


async def test_handshakes_that_one_address_stalls_hold_up_no_other(context: ssl.SSLContext) -> None:
    async with _port(context) as port:
        stalled = [await _dialled(port, HELLO) for _ in range(STALLED)]
        try:
            async with asyncio.timeout(PATIENCE):
                assert await _greeted(port, "127.0.0.2") == b"hello"
            waiting = asyncio.create_task(_greeted(port, "127.0.0.1"))
            await asyncio.sleep(0)
            for sock in stalled:
                sock.close()
            async with asyncio.timeout(PATIENCE):
                assert await waiting == b"hello", "and its own turn comes when they are gone"
        finally:
            for sock in stalled:
                sock.close()


@pytest.mark.parametrize("pieces", [(1, 4, 5, 6, 50, 200), (5, 9)])
async def test_a_message_is_waited_for_until_it_is_whole_and_left_where_it_is(
    pieces: tuple[int, ...],
) -> None:
    whole = first_bytes("postgresql", "http/1.1")
    with listen("127.0.0.1", 0) as opened:
        client = await _dialled(opened.getsockname()[1], whole[: pieces[0]])
        accepted, _ = await asyncio.get_running_loop().sock_accept(opened)
        with client, accepted:
            accepted.setblocking(False)
            await opening.first_byte(accepted)
            found = asyncio.create_task(first_message(accepted))
            for begin, end in zip(pieces, (*pieces[1:], len(whole)), strict=True):
                await asyncio.sleep(0.01)
                assert not found.done()
                client.send(whole[begin:end])
            async with asyncio.timeout(PATIENCE):
                assert hello.alpn(await found) == ("postgresql", "http/1.1")
            assert accepted.recv(len(whole)) == whole
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


async def test_a_client_that_leaves_in_the_middle_is_waited_for_no_longer() -> None:
    with listen("127.0.0.1", 0) as opened:
        client = await _dialled(opened.getsockname()[1], first_bytes()[:60])
        accepted, _ = await asyncio.get_running_loop().sock_accept(opened)
        with accepted:
            accepted.setblocking(False)
            client.close()
            async with asyncio.timeout(PATIENCE):
                assert hello.alpn(await first_message(accepted)) is None


async def test_turns_are_counted_by_address_and_forgotten() -> None:
    turns = Handshakes(most=3, from_one=2)
    taken = []

    async def shake(peer: str) -> None:
        async with turns.turn(peer):
            taken.append(peer)
            await asyncio.Event().wait()

    peers = ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.2:1", "192.0.2.3:1"]
    tasks = []
    for peer in peers:
        tasks.append(asyncio.create_task(shake(peer)))
        await asyncio.sleep(0)
    assert taken == ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert not turns._of


def test_who_counts_as_one() -> None:
    assert source_of("192.0.2.1:50000") == "192.0.2.1"
    assert source_of("2001:db8:1:2:3::4:50000") == source_of("2001:db8:1:2::9:1") == "2001:db8:1:2::/64"
    assert source_of("::ffff:192.0.2.1:7") == "192.0.2.1"
    assert source_of("fe80::1%eth0:7") == "fe80::/64"
    assert source_of("unix") == ""
