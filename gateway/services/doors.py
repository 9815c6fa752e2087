"""How a connection gets to a session process, and to which.

Through a worker's door goes the socket, with what the main process knows of it and the socket does not say.
"""

import socket
import typing
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

MOST_BYTES: Final = 512
_SEPARATOR: Final = "\n"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who came, and where: *protocol* and *public* are those of a port that is one protocol's alone."""

    peer: str
    protocol: str = ""
    public: str = ""

    def encode(self) -> bytes:
        """The message beside the socket."""
        return _SEPARATOR.join((self.peer, self.protocol, self.public)).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Arrival":
        """What ``encode`` wrote."""
        peer, protocol, public = data.decode().split(_SEPARATOR)
        return cls(peer, protocol, public)


class Behind(typing.Protocol):
    """A session process: its door, and how many sessions it has."""

    @property
    def door(self) -> socket.socket:
        """Where sockets go in."""
        ...

    @property
    def load(self) -> int:
        """Its sessions."""
        ...


W = TypeVar("W", bound=Behind)


def to_any(workers: Iterable[W], sock: socket.socket, arrival: Arrival) -> bool:
    """Give it to the least busy one that takes it; False where none does."""
    for worker in sorted(workers, key=lambda worker: worker.load):
        with suppress(OSError):  # it does not keep up, or just ended
            _put(worker, sock, arrival)
            return True
    return False


def to_one(workers: Iterable[W], home: W | None, sock: socket.socket, arrival: Arrival) -> W | None:
    """Give it to *home*, or where that ended to the least busy one, and return which has them from now on.

    A home that does not keep up gets none, and no other does: what was begun there is known there alone. The
    client finds its connection closed, and drivers come again.
    """
    known = list(workers)
    for worker in [home] if home in known else sorted(known, key=lambda worker: worker.load):
        assert worker is not None
        try:
            _put(worker, sock, arrival)
        except BlockingIOError:
            return worker
        except OSError:
            continue
        return worker
    return None


def _put(worker: Behind, sock: socket.socket, arrival: Arrival) -> None:
    socket.send_fds(worker.door, [arrival.encode()], [sock.fileno()])
