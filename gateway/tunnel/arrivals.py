"""Connections that a proxy by itself passed on: taken as if their clients had dialled here."""

import asyncio  # noqa: TID251
import socket
from collections.abc import Awaitable, Callable, Sequence

from cryptography import x509
from structlog.typing import FilteringBoundLogger

from gateway.clock import Clock, utc
from gateway.errors import CertificateError, ProtocolError, RegateError
from gateway.model.identity import Identity
from gateway.transport.line import Line
from gateway.tunnel import passing

SECONDS = 5.0
_AGAIN_SECONDS = 0.01


class Arrivals:
    """``Port.greetings`` for such connections; *may* asks whether that proxy may, *serve* takes them on."""

    def __init__(
        self,
        authorities: Callable[[], Sequence[x509.Certificate]],
        may: Callable[[Identity], Awaitable[object]],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._authorities = authorities
        self._may = may
        self._clock = clock
        self._log = log
        self.serve: Callable[[socket.socket, str], Awaitable[None]] | None = None

    async def arrived(self, line: Line) -> None:
        """Hear who it is, look whether that is what follows, and serve it."""
        try:
            async with asyncio.timeout(SECONDS):
                passed = await self._introduced(line)
        except (RegateError, TimeoutError) as error:
            told = str(error) or "no introduction in time"
            self._log.warning("a connection that was passed on is refused", address=line.peer, error=told)
            return
        sock, line.sock = line.sock, None
        assert sock is not None
        assert self.serve is not None
        await self.serve(sock, passed.address)

    async def _introduced(self, line: Line) -> passing.Passed:
        size = passing.length_of(await line.read(passing.HEAD))
        passed = passing.read(await line.read(size), self._authorities(), utc(self._clock))
        await self._may(passed.proxy)
        assert line.sock is not None
        if not passed.is_about(await _peek(line.sock, passed.size)):
            raise CertificateError("another connection follows than was introduced")
        return passed


async def _peek(sock: socket.socket, size: int) -> bytes:
    """The next bytes, left where they are; they are on their way, so a look now and then is enough."""
    while True:
        try:
            data = sock.recv(size, socket.MSG_PEEK)
        except BlockingIOError:
            data = None
        if data == b"":
            raise ProtocolError("the connection ended early")
        if data is not None and len(data) == size:
            return data
        await asyncio.sleep(_AGAIN_SECONDS)
