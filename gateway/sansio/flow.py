"""Sequential exchanges as generators: they yield what they need, and whoever owns the socket does it.

A ``Flow[T]`` yields actions, receives the bytes of each ``Read`` and returns a ``T``. Any protocol fault is
a ``ProtocolError``; a peer that closes raises ``PeerClosedError`` into the flow at its ``Read``.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from gateway.errors import ProtocolError


class PeerClosedError(ProtocolError):
    """The peer closed the connection where the protocol expected more."""


@dataclass(frozen=True, slots=True)
class Read:
    """Exactly this many bytes, no more: what follows must not be consumed (it may be a TLS handshake)."""

    size: int


@dataclass(frozen=True, slots=True)
class Write:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Upgrade now; the driver refuses bytes that came ahead of the handshake.

    With ``client_begins`` the peer was not invited: what has arrived is its handshake's first message.
    """

    client_begins: bool = False


Action: TypeAlias = Read | Write | StartTls
T = TypeVar("T")
Flow: TypeAlias = Generator[Action, bytes, T]


def read(size: int) -> Flow[bytes]:
    """Yield one ``Read`` and return its bytes."""
    data = yield Read(size)
    return data


def write(data: bytes) -> Flow[None]:
    """Yield one ``Write``."""
    yield Write(data)


def start_tls() -> Flow[None]:
    """Yield one ``StartTls``."""
    yield StartTls()
