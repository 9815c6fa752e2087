"""A connected socket to where a database is: TCP or a unix socket.

A name is looked up once, and the address that was compared with what is refused is the one that is dialled.
"""

import asyncio  # noqa: TID251
import socket
from typing import Any

from gateway import address
from gateway.ranges import Ranges

UNIX = "unix:"
KEEPALIVE_IDLE_SECONDS = 20
USER_TIMEOUT_MS = 60_000  # a half-open peer is noticed within a minute


def keep_alive(sock: socket.socket) -> None:
    """Small packets at once, and a dead peer noticed within a minute (security checklist, C4)."""
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


async def reach(uri: str, default_port: int, refused: Ranges) -> socket.socket:
    """A socket connected to *uri*; OSError says why there is none, also when its address is *refused*."""
    loop = asyncio.get_running_loop()
    if uri.startswith(UNIX):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        return await _connect(sock, uri.removeprefix(UNIX))
    place = address.parse(uri, default_port=default_port)
    failure: OSError = OSError(f"{place.host} has no address")
    for family, kind, proto, _, where in await loop.getaddrinfo(
        place.host, place.port, type=socket.SOCK_STREAM
    ):
        if str(where[0]) in refused:
            failure = OSError(
                f"{where[0]} is an address where no database may be (db_service.deny_addresses)"
            )
            continue
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, proto)
        try:
            keep_alive(sock)
            return await _connect(sock, where)
        except OSError as error:
            failure = error
    raise failure


async def _connect(sock: socket.socket, where: tuple[Any, ...] | str) -> socket.socket:
    try:
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock
