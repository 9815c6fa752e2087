"""What a connection opens with, looked at and left where it is, and whose turn it is to shake hands.

Anybody can open a connection and then say little or nothing. Until its first message is whole it costs a
descriptor and no look: the kernel wakes who waits only once enough of it is there (``SO_RCVLOWAT``).
"""

import asyncio  # noqa: TID251
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.sansio import hello
from gateway.transport.readiness import readable

HANDSHAKES_AT_ONCE = 1_000  # each takes some 50 KiB while the other side is awaited
HANDSHAKES_FROM_ONE = 200  # address: whoever stalls them all is in nobody's way but his own
_NETWORK = 64  # bits that one holder of IPv6 addresses has in common


async def first_byte(sock: socket.socket) -> int | None:
    """The first byte; None when the peer closed without a word."""
    await readable(sock)
    byte = sock.recv(1, socket.MSG_PEEK)
    return byte[0] if byte else None


async def first_message(sock: socket.socket) -> bytes:
    """All that is there once a TLS client's first message is whole, or cannot become one any more."""
    await readable(sock)
    try:
        seen = -1
        while True:
            data = sock.recv(hello.PEEK, socket.MSG_PEEK)
            wanted = hello.wanted(data)
            if wanted <= len(data) or len(data) <= seen:  # the second: nothing more will come
                return data
            seen = len(data)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
            await readable(sock)
    finally:
        if sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


@dataclass(slots=True)
class _Address:
    turn: asyncio.Semaphore
    users: int = 0


class Handshakes:
    """Bounds how many handshakes wait for the other side, and how many of them for one address."""

    def __init__(self, most: int = HANDSHAKES_AT_ONCE, from_one: int = HANDSHAKES_FROM_ONE) -> None:
        self._all = asyncio.Semaphore(most)
        self._from_one = from_one
        self._of: dict[str, _Address] = {}

    @asynccontextmanager
    async def turn(self, peer: str) -> AsyncIterator[None]:
        """One handshake with *peer*, as ``host:port``."""
        key = source_of(peer)
        address = self._of.setdefault(key, _Address(asyncio.Semaphore(self._from_one)))
        address.users += 1
        try:
            async with address.turn, self._all:
                yield
        finally:
            address.users -= 1
            if not address.users:
                del self._of[key]


def source_of(peer: str) -> str:
    """Who *peer*, a ``host:port``, counts as: an address, or of IPv6 a network."""
    host = peer.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, _NETWORK), strict=False))
    return host
