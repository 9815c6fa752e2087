"""Several servers as one stream: what ends the session when one of them says what nobody can read."""

import asyncio
import socket

from gateway.errors import ProtocolError
from gateway.sansio.spread import Node, Step
from gateway.session.legs import Legs
from gateway.transport.stream import Stream

ONE = Node("one:1")


class _Straight:
    """A router that passes all from its only server on."""

    def start(self) -> Node:
        return ONE

    def from_session(self, data: bytes) -> Step:
        return Step(to_nodes=((ONE, data),))

    def from_node(self, _node: Node, data: bytes) -> Step:
        return Step(data)

    def lost(self, _node: Node, _reason: str, *, was_open: bool) -> Step:
        return Step()

    def kept(self, _node: Node) -> int:
        return 0


async def test_an_answer_that_the_conversation_cannot_read_ends_all_connections() -> None:
    server, near = socket.socketpair()
    near.setblocking(False)
    _, stream = await asyncio.get_running_loop().connect_accepted_socket(Stream, near)

    async def dial(_node: Node) -> Stream:
        raise AssertionError("there is one server")

    def read(_data: bytes) -> None:
        raise ProtocolError("an answer to nothing")

    legs = Legs(_Straight(), stream, dial)
    legs.relay_to(read)
    server.send(b"what")
    await asyncio.wait_for(legs.closed(), 5)
    assert str(legs.failure) == "an answer to nothing"
    await stream.closed()
    server.close()
