"""How a TLS connection ends without taking the last answer away from whoever still sends."""

import asyncio  # noqa: TID251
import socket
import ssl
from collections.abc import Callable

SHUTDOWN_SECONDS = 2.0
RECORD = 16 * 1024  # the most that one TLS record carries (RFC 8446, 5.1)


class Goodbye:
    """The close notification; then what still comes is dropped until the peer closes, or time is up.

    To close a socket in which bytes wait would send a reset, which takes back what the peer has not read yet.
    """

    def __init__(self, tls: ssl.SSLSocket, loop: asyncio.AbstractEventLoop, done: Callable[[], None]) -> None:
        self._tls = tls
        self._loop = loop
        self._done = done
        self._over = False
        self._timer = loop.call_later(SHUTDOWN_SECONDS, self.end)
        self._loop.add_writer(tls, self._notify)
        self._notify()

    def end(self) -> None:
        """Close now."""
        if self._over:
            return
        self._over = True
        self._timer.cancel()
        self._loop.remove_reader(self._tls)
        self._loop.remove_writer(self._tls)
        self._loop.call_soon(self._done)

    def _notify(self) -> None:
        try:
            self._tls.unwrap()
        except ssl.SSLWantWriteError:
            return
        except OSError:
            pass  # the notification is out and the peer's is not here, or nobody will ever read it
        self._loop.remove_writer(self._tls)
        try:
            self._tls.shutdown(socket.SHUT_WR)
        except OSError:
            self.end()
            return
        self._loop.add_reader(self._tls, self._drop)

    def _drop(self) -> None:
        try:
            while self._tls.recv(RECORD):
                pass
        except BlockingIOError:
            return
        except OSError:
            pass
        self.end()
