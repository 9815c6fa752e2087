"""A byte stream over an asyncio transport: chunks in, bytes out, and back-pressure on both.

Two ways to read, never at once. A task awaits ``receive`` or ``read_exactly``; or ``relay_to`` hands each
chunk to a function at once, without a task switch, which is how results flow back. A paused writer
pauses the stream that it is paired with (``pair``), so memory stays bounded.
"""

import asyncio  # noqa: TID251
import typing
from collections.abc import Callable
from typing import Any, cast

from gateway.errors import ProtocolError
from gateway.sansio.flow import PeerClosedError
from gateway.transport.tls import PEER

HIGH_WATER = 64 * 1024  # bytes kept for a reader, or written and not yet sent, before the peer is paused


class Source(typing.Protocol):
    """What feeds a stream, and can be told to wait."""

    def hold(self) -> None:
        """Stop reading."""
        ...

    def release(self) -> None:
        """Read on."""
        ...


class Stream(asyncio.Protocol):
    """One side of a session once its socket is a transport (encrypted or a unix socket)."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        self._kept = 0
        self._reading = True
        self._eof = False
        self._waiter: asyncio.Future[None] | None = None
        self._handler: Callable[[bytes], None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._paired: Source | None = None
        self._taker: Callable[[bytes], bool] | None = None
        self._closed: asyncio.Future[None] | None = None
        self.failure: ProtocolError | None = None
        self.sent = 0
        self.received = 0

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; writes pause beyond the high-water mark."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._closed = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Hand the chunk on, or keep it; a paused transport may still deliver, and nothing is lost."""
        self.received += len(data)
        if self._handler is not None:
            self._handle(data)
            return
        waiter = self._waiter
        if self._taker is not None and waiter is not None and not waiter.done() and self._taker(data):
            return
        self._chunks.append(data)
        self._kept += len(data)
        if self._kept > HIGH_WATER and self._reading:
            self._reading = False
            self._require().pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The peer will send no more; the transport closes itself."""
        self._eof = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Release every waiter; a lost connection reads as its end."""
        del exc
        self._eof = True
        self._wake()
        self.resume_writing()
        self._paired = None
        self._handler = None
        self._taker = None
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def pause_writing(self) -> None:
        """The peer reads too slowly: stop reading from the stream this one is fed by."""
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()
        if self._paired is not None:
            self._paired.hold()

    def resume_writing(self) -> None:
        """The peer caught up."""
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
        if self._paired is not None:
            self._paired.release()

    # -- reading

    async def receive(self) -> bytes:
        """All that has arrived, at least one byte; ``b""`` at the end of the stream."""
        await self.arrived()
        return self.take()

    async def arrived(self) -> None:
        """Wait until there is something to take, if only the end of the stream."""
        while not self._chunks and not self._eof:
            await self._wait()

    def take(self) -> bytes:
        """All that is kept; ``b""`` at the end of the stream."""
        if not self._chunks:
            return b""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._keep_reading(0)
        return data

    async def read_exactly(self, size: int) -> bytes:
        """Exactly *size* bytes; PeerClosedError when the stream ends before."""
        while self._kept < size:
            if self._eof:
                raise PeerClosedError("the connection ended early")
            await self._wait()
        data = b"".join(self._chunks)
        rest = data[size:]
        self._chunks = [rest] if rest else []
        self._keep_reading(len(rest))
        return data[:size]

    def relay_to(self, handler: Callable[[bytes], None]) -> None:
        """Hand what is kept and all further chunks to *handler*; its ProtocolError ends the stream."""
        self._handler = handler
        kept = b"".join(self._chunks)
        self._chunks.clear()
        self._keep_reading(0)
        if kept:
            self._handle(kept)

    def offer_to(self, taker: Callable[[bytes], bool]) -> None:
        """Offer a chunk to *taker* first while a task waits for one; what it refuses is kept as ever."""
        self._taker = taker

    def give_back(self, data: bytes) -> None:
        """Keep what was taken, in front of all that has arrived since."""
        self._chunks.insert(0, data)
        self._kept += len(data)
        self._wake()

    def pair(self, source: Source) -> None:
        """While this stream cannot be written to, *source* is not read from."""
        self._paired = source

    def hold(self) -> None:
        """Stop reading, on behalf of the stream this one feeds."""
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def release(self) -> None:
        """Read on."""
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    # -- writing

    def write(self, data: bytes) -> None:
        """Queue bytes; they are dropped when the peer is gone, which the reader notices."""
        if self._transport is not None and not self._transport.is_closing():
            self.sent += len(data)
            self._transport.write(data)

    @property
    def is_paused(self) -> bool:
        """True while no more should be written."""
        return self._writable is not None

    async def drain(self) -> None:
        """Wait until more may be written."""
        if self._writable is not None:
            await self._writable

    def close(self) -> None:
        """Send what is queued, then close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until the connection is gone."""
        if self._closed is not None:
            await asyncio.shield(self._closed)

    # -- what the connection is

    @property
    def encrypted(self) -> bool:
        """True over TLS."""
        return self._info("ssl_object") is not None

    def peer_certificate(self) -> bytes | None:
        """The verified peer's certificate as DER, None when it showed none."""
        return cast("bytes | None", self._info(PEER))

    # -- own

    def _info(self, name: str) -> Any:
        return None if self._transport is None else self._transport.get_extra_info(name)

    def _handle(self, data: bytes) -> None:
        assert self._handler is not None
        try:
            self._handler(data)
        except ProtocolError as error:
            self.failure = error
            self.abort()

    def _require(self) -> asyncio.Transport:
        assert self._transport is not None, "the stream is not connected"
        return self._transport

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        assert self._waiter is None, "one reader per stream"
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _keep_reading(self, kept: int) -> None:
        self._kept = kept
        if not self._reading and kept <= HIGH_WATER and not self._eof:
            self.release()
