"""One connection to the proxy, with a deadline for each answer."""

import socket
import ssl
from typing import Final

from gateway.address import Address
from gateway.cli.failures import UnreachableError
from gateway.clock import Clock
from gateway.errors import ProtocolError

_CONNECT_SECONDS: Final = 10.0
_GOODBYE_SECONDS: Final = 1.0
_CHUNK: Final = 1 << 16
_MAX_HELD: Final = 64 << 20  # bytes of one read


class Channel:
    """Bytes in and out; *seconds* is how long an answer may take as a whole, from ``send`` on."""

    def __init__(self, sock: socket.socket, seconds: float, clock: Clock) -> None:
        self._sock = sock
        self._seconds = seconds
        self._clock = clock
        self._end = clock.monotonic() + seconds
        self._held = b""

    def send(self, data: bytes) -> None:
        """Send *data*; from here on its answer is waited for. What nobody reads any more is no error."""
        self._end = self._clock.monotonic() + self._seconds
        self._sock.settimeout(self._seconds)
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise
        except OSError:
            return  # whoever closed it may have said why

    def exactly(self, size: int) -> bytes:
        """The next *size* bytes; EOFError when the connection ends first, TimeoutError when time is up."""
        if not 0 <= size <= _MAX_HELD:
            raise ProtocolError(f"an answer of {size} bytes")
        parts, held = [self._held], len(self._held)
        while held < size:
            parts.append(self._received())
            held += len(parts[-1])
        joined = b"".join(parts)
        self._held = joined[size:]
        return joined[:size]

    def some(self) -> bytes:
        """What comes next, whatever its size; errors as of ``exactly``."""
        held, self._held = self._held, b""
        return held or self._received()

    def _received(self) -> bytes:
        left = self._end - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        try:
            data = self._sock.recv(_CHUNK)
        except TimeoutError:
            raise
        except OSError:
            raise EOFError from None
        if not data:
            raise EOFError
        return data

    def close(self, goodbye: bytes = b"") -> None:
        """Say *goodbye*, if anybody listens."""
        try:
            self._sock.settimeout(_GOODBYE_SECONDS)
            self._sock.sendall(goodbye)
        except OSError:
            pass
        finally:
            self._sock.close()


def dial(proxy: Address, context: ssl.SSLContext, alpn: str, seconds: float, clock: Clock) -> Channel:
    """A connection to the proxy in which nothing was said yet.

    Raises:
        UnreachableError: nobody is there, or not who should be.
    """
    try:
        plain = socket.create_connection((proxy.host, proxy.port), timeout=_CONNECT_SECONDS)
        try:
            sock = context.wrap_socket(plain, server_hostname=proxy.host)
        except BaseException:
            plain.close()
            raise
    except ssl.SSLError as error:
        why = (error.reason or str(error)).replace("_", " ").lower()
        raise UnreachableError(f"no TLS with {proxy}: {why}") from error
    except OSError as error:
        raise UnreachableError(f"cannot reach {proxy}: {error.strerror or error}") from error
    if sock.selected_alpn_protocol() != alpn:
        sock.close()
        raise UnreachableError(f"{proxy} does not speak {alpn}")
    return Channel(sock, seconds, clock)
