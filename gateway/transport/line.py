"""The socket under a handshake: plain until a flow says ``StartTls``, a ``Stream`` from then on.

While it is plain nothing is read that a flow did not ask for, so no byte of a TLS handshake, and no
byte that somebody put in front of it, can be taken for part of the protocol.
"""

import asyncio  # noqa: TID251
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from gateway.errors import ProtocolError
from gateway.sansio.flow import Action, Flow, PeerClosedError, Read, StartTls, Write
from gateway.transport.handshake import shake_hands
from gateway.transport.opening import Handshakes, first_message
from gateway.transport.stream import Stream

T = TypeVar("T")
Upgrade: TypeAlias = Callable[[socket.socket], "asyncio.Future[Stream]"]


@dataclass(slots=True)
class Line:
    """A connection that a flow may be driven over; ``upgrade`` makes the Stream when TLS is asked for."""

    sock: socket.socket | None
    peer: str = ""  # the other end as host:port, or unix
    upgrade: Upgrade | None = None
    stream: Stream | None = None
    heard: bytearray | None = None  # if given: what was read since the last write, for whoever takes over
    said: bytes = b""  # what the other end's ``dial`` returned

    @property
    def encrypted(self) -> bool:
        """True once the stream runs over TLS."""
        return self.stream is not None and self.stream.encrypted

    async def read(self, size: int) -> bytes:
        """Exactly *size* bytes."""
        data = await self._read(size)
        if self.heard is not None:
            self.heard += data
        return data

    async def _read(self, size: int) -> bytes:
        if self.stream is not None:
            return await self.stream.read_exactly(size)
        loop = asyncio.get_running_loop()
        data = b""
        while len(data) < size:
            chunk = await loop.sock_recv(self._plain(), size - len(data))
            if not chunk:
                raise PeerClosedError("the connection ended early")
            data += chunk
        return data

    async def write(self, data: bytes) -> None:
        """Send *data*."""
        if self.heard is not None:
            self.heard.clear()
        if self.stream is not None:
            self.stream.write(data)
            await self.stream.drain()
        else:
            await asyncio.get_running_loop().sock_sendall(self._plain(), data)

    async def start_tls(self) -> None:
        """Run the TLS handshake on the socket; from here on only the stream speaks."""
        if self.upgrade is None or self.sock is None:
            raise ProtocolError("a second TLS handshake was asked for")
        if self.heard is not None:
            self.heard.clear()  # the request for TLS is answered
        sock, self.sock = self.sock, None
        self.stream = await self.upgrade(sock)

    async def adopt(self) -> Stream:
        """The stream; a plain socket (unix, no TLS) becomes one now."""
        if self.stream is None:
            sock, self.sock = self._plain(), None
            self.stream = stream = Stream()
            await asyncio.get_running_loop().connect_accepted_socket(lambda: stream, sock)
        return self.stream

    def refuse_early_bytes(self) -> None:
        """Before a server answers a TLS request: nothing may have come behind the request."""
        if self.sock is None:
            return
        try:
            early = self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return
        if early:  # the class of CVE-2021-23214: plain bytes that would later pass for encrypted ones
            raise ProtocolError("bytes were sent ahead of the TLS handshake")

    def peer_certificate(self) -> bytes | None:
        """The verified peer's certificate as DER; None on a plain line or when it showed none."""
        return None if self.stream is None else self.stream.peer_certificate()

    def close(self) -> None:
        """Close whichever of the two there is; what was written is still sent."""
        if self.stream is not None:
            self.stream.close()
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def _plain(self) -> socket.socket:
        if self.sock is None:  # handed over to a TLS handshake that failed
            raise PeerClosedError("the connection is gone")
        return self.sock


async def drive(flow: Flow[T], line: Line) -> T:
    """Run *flow* over *line* to its end; the caller sets the deadline.

    A write waits for the action behind it: when that is a TLS handshake, nothing may have arrived before the
    write that invites it.
    """
    pending = b""
    step: Callable[[], Action] = partial(next, flow)
    try:
        while True:
            match step():
                case Write(data):
                    pending += data
                    step = partial(next, flow)
                case Read(size):
                    pending = await _flush(line, pending)
                    step = await _reading(flow, line, size)
                case StartTls(client_begins):
                    invitation, pending = pending, b""
                    if not client_begins:
                        line.refuse_early_bytes()
                    await _flush(line, invitation)
                    await line.start_tls()
                    step = partial(next, flow)
    except ProtocolError:
        await _flush(line, pending)  # the native error, if the flow wrote one, goes out before the close
        raise
    except StopIteration as stop:
        await _flush(line, pending)
        return stop.value  # type: ignore[no-any-return]  # a flow's return value travels untyped


async def _flush(line: Line, pending: bytes) -> bytes:
    if pending:
        await line.write(pending)
    return b""


async def _reading(flow: Flow[T], line: Line, size: int) -> Callable[[], Action]:
    try:
        return partial(flow.send, await line.read(size))
    except PeerClosedError as error:
        return partial(flow.throw, error)


def server_upgrade(context: ssl.SSLContext, handshakes: Handshakes, peer: str) -> Upgrade:
    """How an accepted socket becomes a TLS stream, once it is the turn of *peer* to shake hands."""

    async def accept(sock: socket.socket) -> Stream:
        is_waiting = True
        try:
            await first_message(sock)
            async with handshakes.turn(peer):
                is_waiting = False  # from here on a transport closes it
                return await accept_tls(sock, context)
        finally:
            if is_waiting:
                sock.close()

    def upgrade(sock: socket.socket) -> "asyncio.Future[Stream]":
        return asyncio.ensure_future(accept(sock))

    return upgrade


async def accept_tls(sock: socket.socket, context: ssl.SSLContext) -> Stream:
    """Shake hands as the server."""
    return (await shake_hands(sock, context, Stream))[1]


def client_upgrade(context: ssl.SSLContext, server_name: str) -> Upgrade:
    """How a dialled socket becomes a TLS stream that has verified *server_name*."""

    async def connect(sock: socket.socket) -> Stream:
        return (await shake_hands(sock, context, Stream, server_name=server_name))[1]

    def upgrade(sock: socket.socket) -> "asyncio.Future[Stream]":
        return asyncio.ensure_future(connect(sock))

    return upgrade
