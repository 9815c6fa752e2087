"""TLS straight on a socket, as an asyncio transport.

A TLS layer between two layers of an event loop, where bytes are queued and copied twice, costs some 45 µs
for a small message in and one out; OpenSSL on the socket itself costs 12. A statement takes two of these ways
(``docs/adr/0135-tls-on-the-socket.md``).
"""

import asyncio  # noqa: TID251
import errno
import select
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.transport import goodbye
from gateway.transport.goodbye import RECORD, Goodbye

PEER = "peer_certificate"
"""The extra info that is the verified peer's certificate as DER, also once the connection is gone."""

_MOST_AT_ONCE = 16 * RECORD  # read in one turn of the loop, so that others have theirs
_PIECE = 4 * RECORD  # written at a time
_LONG = 4 * 1024  # behind a record like that there is likely another one
_HIGH_WATER = 64 * 1024
_AGAIN = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsTransport(asyncio.Transport):
    """A connection after its handshake; ``close`` sends what is queued and says goodbye first."""

    def __init__(self, tls: ssl.SSLSocket, peer: Any, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._about: dict[str, Any] = {
            "ssl_object": tls,
            "sslcontext": tls.context,
            "socket": tls,
            "peername": peer,
            "sockname": tls.getsockname(),
            PEER: tls.getpeercert(binary_form=True),
        }
        self._loop = asyncio.get_running_loop()
        self._tls = tls
        self._hung_up = select.poll()
        self._hung_up.register(tls, 0)  # an error and the end are told whatever is asked for
        self._reading = False
        self._closing = False
        self._gone = False
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._high, self._low = _HIGH_WATER, _HIGH_WATER // 4
        self._full = False
        self._goodbye: Goodbye | None = None
        self.set_protocol(protocol)
        protocol.connection_made(self)
        self.resume_reading()

    # -- asyncio.BaseTransport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of asyncio's own transports."""
        return self._about.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who hears of the connection from now on."""
        self._protocol = protocol
        receive = getattr(protocol, "data_received", None)
        assert receive is not None, "a protocol of streams is needed"
        self._receive: Callable[[bytes], None] = receive

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who hears of the connection."""
        return self._protocol

    def is_closing(self) -> bool:
        """True once ``close`` or ``abort`` was called, or the connection broke."""
        return self._closing

    def close(self) -> None:
        """Send what is queued, say goodbye, and close."""
        if self._closing:
            return
        self._closing = True
        self.pause_reading()
        if self._queue:
            self._loop.call_later(goodbye.SHUTDOWN_SECONDS, self._give_up, self._queued)
        else:
            self._say_goodbye()

    def abort(self) -> None:
        """Close now."""
        self._fail(None)

    # -- asyncio.ReadTransport

    def is_reading(self) -> bool:
        """False while paused or closing."""
        return self._reading

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._tls)

    def resume_reading(self) -> None:
        """Hand on what comes."""
        if not self._reading and not self._closing:
            self._reading = True
            self._loop.add_reader(self._tls, self._readable)

    # -- asyncio.WriteTransport

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Beyond *high* bytes the protocol is told to pause, below *low* to go on."""
        self._high = _HIGH_WATER if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The limits, the lower first."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self._queued

    def can_write_eof(self) -> bool:
        """TLS knows no half-closed connection that clients would expect."""
        return False

    def write_eof(self) -> None:
        """Not to be had."""
        raise NotImplementedError

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, and queue what the socket does not take."""
        if self._closing:
            return
        if self._queue:
            self._keep(data)
            return
        rest = data if len(data) <= _PIECE else memoryview(data)
        try:
            while rest:
                sent = self._tls.send(rest[:_PIECE])
                if sent == len(rest):
                    return
                rest = rest[sent:]
        except _AGAIN:
            self._keep(rest)
        except OSError as error:
            self._fail(error)

    # -- own

    def _readable(self) -> None:
        chunks: list[bytes] = []
        taken, is_over = 0, False
        failure: OSError | None = None
        try:
            while self._reading and taken < _MOST_AT_ONCE:
                chunk = self._tls.recv(RECORD)
                if not chunk:
                    is_over = True
                    break
                chunks.append(chunk)
                taken += len(chunk)
                if len(chunk) < _LONG and not self._tls.pending():
                    break  # whatever comes behind wakes the loop again
        except _AGAIN:
            pass
        except OSError as error:
            failure = error
        if chunks:
            self._hand_on(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if failure is not None:
            self._fail(failure)
        elif is_over:
            self._end()
        elif self._reading and self._hung_up.poll(0):
            self._loop.call_soon(self._readable)  # libuv watches a socket no more once it saw its error

    def _hand_on(self, data: bytes) -> None:
        try:
            self._receive(data)
        except Exception as error:  # noqa: BLE001 # as asyncio does: a bug ends one connection, and is logged
            told = {"message": "data_received failed", "exception": error, "transport": self}
            self._loop.call_exception_handler(told)
            self._fail(None)

    def _end(self) -> None:
        self.pause_reading()
        if not self._closing and not self._protocol.eof_received():  # type: ignore[attr-defined]  # of streams
            self.close()

    def _keep(self, data: bytes | bytearray | memoryview) -> None:
        if not self._queue:
            self._loop.add_writer(self._tls, self._writable)
        self._queue.append(memoryview(bytes(data)))
        self._queued += len(data)
        if self._queued > self._high and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def _writable(self) -> None:
        """Send what the socket takes; what it did not take is offered again unchanged, as OpenSSL asks."""
        try:
            while self._queue:
                first = self._queue[0]
                sent = self._tls.send(first[:_PIECE])
                self._queued -= sent
                if sent == len(first):
                    self._queue.popleft()
                else:
                    self._queue[0] = first[sent:]
        except _AGAIN:
            pass
        except OSError as error:
            self._fail(error)
            return
        if self._full and self._queued <= self._low:
            self._full = False
            self._protocol.resume_writing()
        if not self._queue:
            self._loop.remove_writer(self._tls)
            if self._closing:
                self._say_goodbye()

    def _give_up(self, queued: int) -> None:
        """End it where the peer took nothing of what is queued since the last look."""
        if self._queue and self._queued == queued:
            self._fail(TimeoutError(errno.ETIMEDOUT, "the peer reads no more"))
        elif self._queue:
            self._loop.call_later(goodbye.SHUTDOWN_SECONDS, self._give_up, self._queued)

    def _say_goodbye(self) -> None:
        self._goodbye = Goodbye(self._tls, self._loop, self._lost)

    def _fail(self, error: OSError | None) -> None:
        if self._goodbye is not None:
            self._goodbye.end()
        elif not self._gone:
            self._closing = self._gone = True
            self.pause_reading()
            self._loop.remove_writer(self._tls)
            self._queue.clear()
            self._queued = 0
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: OSError | None = None) -> None:
        self._tls.close()
        self._protocol.connection_lost(error)
