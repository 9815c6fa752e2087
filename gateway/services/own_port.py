"""A port for one database protocol and nothing else: no API, no services."""

import asyncio  # noqa: TID251
import ssl
from collections.abc import Awaitable, Callable
from socket import socket

from gateway.sansio.protocol import Protocol
from gateway.session.listener import HTTP, Port


def own_port(
    protocol: Protocol,
    public: str,
    context: Callable[[], ssl.SSLContext],
    *,
    greet: Callable[[], Awaitable[bytes]],
    hand_over: Callable[[socket, str, int], bool] | None = None,
) -> Port:
    """What is behind the port that clients reach as *public*; *greet* begins where a server speaks first."""
    unnamed = (HTTP,) if protocol.begins_with_tls else ()  # taken for what a client speaks that names nothing
    return Port(
        context=context,
        by_alpn=dict.fromkeys([*protocol.alpn, *unnamed], protocol),
        public=public,
        plain=protocol,
        http=_Nothing,
        hand_over=hand_over,
        said=None if protocol.speaks_first is None else greet,
    )


class _Nothing(asyncio.Protocol):
    """What speaks anything else is let go."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
