"""Ends connections to the API on which nobody asks anything: idle ones, and ones whose request never comes.

The server of the web has a limit between two requests, and none for the first one or for a head that trickles
in. A request that is being answered may take as long as it needs.
"""

import asyncio  # noqa: TID251
from typing import Protocol, runtime_checkable

IDLE_SECONDS = 30.0
LOOK_SECONDS = 5.0


@runtime_checkable
class Asked(Protocol):
    """What aiohttp's protocol of one connection keeps; there is no public word for either."""

    _request_count: int
    _current_request: object


def watch(connection: asyncio.BaseProtocol, transport: asyncio.BaseTransport) -> None:
    """Close *transport* once nothing was asked on *connection* for a while, where it is the API's."""
    if isinstance(connection, Asked):
        _Watch(connection, transport).look()


class _Watch:
    """Looks now and then; most connections are gone by the first look."""

    def __init__(self, connection: Asked, transport: asyncio.BaseTransport) -> None:
        self._connection = connection
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._count = 0
        self._since = self._loop.time()

    def look(self) -> None:
        if self._transport.is_closing():
            return
        count, is_busy = self._connection._request_count, self._connection._current_request is not None  # noqa: SLF001 # see Asked
        now = self._loop.time()
        if is_busy or count != self._count:
            self._count, self._since = count, now
        elif now - self._since >= IDLE_SECONDS:
            self._transport.close()
            return
        self._loop.call_later(LOOK_SECONDS, self.look)
