"""A port for one database protocol and nothing else: no API, no services."""

import asyncio  # noqa: TID251
import ssl
from collections.abc import Awaitable, Callable, Iterable

from gateway.model.resource import Database
from gateway.sansio.protocol import Protocol
from gateway.session.dial import Dialler
from gateway.transport.listener import HTTP, HandOver, Port

MOST_ASKED = 8  # servers, for how they greet


def own_port(
    protocol: Protocol,
    public: str,
    context: Callable[[], ssl.SSLContext],
    *,
    greet: Callable[[], Awaitable[bytes]],
    hand_over: HandOver | None = None,
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


async def greeting(protocol: Protocol, databases: Iterable[Database], dialler: Dialler) -> bytes:
    """How to greet whoever comes to the protocol's own port, before it says which database it wants."""
    assert protocol.speaks_first is not None, "asked only where the server speaks first"
    mine = [item for item in databases if item.protocol == protocol.name and not item.elsewhere]
    known = [said for item in mine if (said := dialler.greetings.of(item))]
    if not known:
        asked = [dialler.greeting(protocol, item) for item in mine[:MOST_ASKED]]
        known = [said for said in await asyncio.gather(*asked) if said]
    return protocol.speaks_first.shared(known)


class _Nothing(asyncio.Protocol):
    """What speaks anything else is let go."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
