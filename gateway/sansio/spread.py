"""A database that is several servers: a router knows who answers what.

The conversation above it sees one server. The router is a machine like it: bytes in, and what either side
gets; the engine (``gateway.session.legs``) opens a connection to a server when the first bytes for it come.
"""

import typing
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Node:
    """One server: its ``host:port``, and the name in its certificate (empty: the database's own)."""

    uri: str
    server_name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from some bytes: for the client, for servers; *over* says why all is at an end."""

    to_client: bytes = b""
    to_nodes: tuple[tuple[Node, bytes], ...] = ()
    over: str = ""


class Router(typing.Protocol):
    """Sends each piece to its own server, and puts the answers back in order; raises only ProtocolError."""

    def start(self) -> Node:
        """The server of the connection that is open already."""
        ...

    def from_session(self, data: bytes) -> Step:
        """Bytes that were judged, or substitutes."""
        ...

    def from_node(self, node: Node, data: bytes) -> Step:
        """Bytes that a server said."""
        ...

    def lost(self, node: Node, reason: str, *, was_open: bool) -> Step:
        """The connection to *node* is gone, or could not be had, and then nothing was sent."""
        ...

    def kept(self, node: Node) -> int:
        """How many bytes of a server's answers wait for another server's."""
        ...
