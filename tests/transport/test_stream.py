"""Streams and lines over real sockets: chunks, exact reads, back-pressure, and TLS at the right moment."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.errors import ProtocolError
from gateway.sansio.flow import Flow, PeerClosedError, Read, StartTls, Write
from gateway.transport.line import Line, drive
from gateway.transport.stream import HIGH_WATER, Stream
from tests.session.surroundings import settled


async def stream_on(sock: socket.socket) -> Stream:
    sock.setblocking(False)
    _, stream = await asyncio.get_running_loop().connect_accepted_socket(Stream, sock)
    return stream


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Stream, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    stream = await stream_on(ours)
    yield stream, theirs
    stream.abort()
    await stream.closed()
    theirs.close()


async def test_all_that_arrived_is_one_chunk(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.send(b"one")
    peer.send(b"two")
    await settled()
    assert await stream.receive() == b"onetwo"


async def test_an_exact_read_leaves_the_rest(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.send(b"headbody")
    assert await stream.read_exactly(4) == b"head"
    assert await stream.receive() == b"body"


async def test_the_end_reads_as_nothing_and_ends_an_exact_read(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    peer.send(b"he")
    peer.shutdown(socket.SHUT_WR)
    with pytest.raises(PeerClosedError):
        await stream.read_exactly(4)
    assert await stream.receive() == b"he"
    assert await stream.receive() == b""


async def test_a_relay_gets_what_was_kept_and_all_that_follows(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    got: list[bytes] = []
    peer.send(b"kept")
    await settled()
    stream.relay_to(got.append)
    peer.send(b"later")
    await settled()
    assert got == [b"kept", b"later"]


async def test_a_fault_in_a_relay_ends_the_stream_and_is_remembered(
    pair: tuple[Stream, socket.socket],
) -> None:
    stream, peer = pair

    def fail(_: bytes) -> None:
        raise ProtocolError("unexpected message")

    stream.relay_to(fail)
    peer.send(b"x")
    await stream.closed()
    assert str(stream.failure) == "unexpected message"


async def test_a_reader_that_does_not_read_stops_the_source() -> None:
    """Two pairs joined as a session joins them: what is held in memory stays bounded."""
    client, far_client = socket.socketpair()
    backend, far_backend = socket.socketpair()
    for sock in (far_client, far_backend):
        sock.setblocking(False)
    down, up = await stream_on(client), await stream_on(backend)
    down.pair(up)
    up.relay_to(down.write)
    sent = 0
    for _ in range(400):
        try:
            sent += far_backend.send(bytes(65536))
        except BlockingIOError:
            await asyncio.sleep(0.001)
    assert sent < 400 * 65536, "the source was never stopped"
    assert up.received - sent <= 0
    received = 0
    while received < sent:
        try:
            received += len(far_client.recv(1 << 20))
        except BlockingIOError:
            await asyncio.sleep(0.001)
    assert received == sent
    for stream in (down, up):
        stream.abort()
        await stream.closed()
    far_client.close()
    far_backend.close()


async def test_a_flood_nobody_reads_is_not_kept(pair: tuple[Stream, socket.socket]) -> None:
    stream, peer = pair
    sent = 0
    for _ in range(200):
        try:
            sent += peer.send(bytes(65536))
        except BlockingIOError:
            await asyncio.sleep(0.001)
    assert stream.received <= 16 * HIGH_WATER
    assert len(await stream.receive()) <= 16 * HIGH_WATER


def hello() -> Flow[bytes]:
    word = yield Read(3)
    yield Write(b"ok")
    return word


async def test_a_flow_is_driven_over_a_plain_socket_and_takes_no_byte_too_many() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    theirs.send(b"abcdef")
    line = Line(ours)
    assert await drive(hello(), line) == b"abc"
    assert theirs.recv(10) == b"ok"
    assert ours.recv(10) == b"def"
    line.close()
    theirs.close()


def invite() -> Flow[None]:
    yield Read(3)
    yield Write(b"S")
    yield StartTls()


async def test_bytes_behind_a_tls_request_end_the_connection_before_the_invitation() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    theirs.send(b"abcEARLY")
    line = Line(ours, upgrade=lambda _: pytest.fail("the handshake must not start"))
    with pytest.raises(ProtocolError, match="ahead of the TLS handshake"):
        await drive(invite(), line)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    line.close()
    theirs.close()


def refuse() -> Flow[None]:
    yield Read(1)
    yield Write(b"native error")
    raise ProtocolError("refused")


async def test_a_native_error_goes_out_before_the_fault() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    theirs.send(b"x")
    line = Line(ours)
    with pytest.raises(ProtocolError, match="refused"):
        await drive(refuse(), line)
    assert theirs.recv(100) == b"native error"
    line.close()
    theirs.close()


def patient() -> Flow[str]:
    try:
        yield Read(5)
    except PeerClosedError:
        return "gone"
    return "here"


async def test_a_peer_that_leaves_is_told_to_the_flow() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.close()
    line = Line(ours)
    assert await drive(patient(), line) == "gone"
    line.close()
