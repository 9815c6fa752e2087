"""The nodes as a session sees them: who has which slot, what is sent to whom, what each must know."""

from collections.abc import Mapping
from typing import Final

from gateway.protocols.redis import resp
from gateway.protocols.redis.cluster.answers import Answer
from gateway.protocols.redis.cluster.links import Ask, Link
from gateway.protocols.redis.cluster.slots import Topology, topology
from gateway.protocols.redis.pubsub import WORDS
from gateway.protocols.redis.replies import ERRORS, Reply
from gateway.sansio.spread import Node

_NODES: Final = resp.encode(b"CLUSTER", b"NODES")


class Nodes:
    """The topology, a connection to each node that was needed, and the bytes that wait to be sent."""

    def __init__(self, found: Topology) -> None:
        self._map = found
        self._links: dict[Node, Link] = {found.own: Link(found.own)}
        self._state: dict[str, bytes] = {}  # what every connection must be told
        self._out: dict[Node, list[bytes]] = {}
        self.home = found.own if found.own in found.masters or not found.masters else found.masters[0]

    @property
    def links(self) -> Mapping[Node, Link]:
        """The connections, in the order in which they were opened."""
        return self._links

    @property
    def masters(self) -> tuple[Node, ...]:
        """Those that have slots."""
        return self._map.masters

    def owner(self, slot: int) -> Node | None:
        """The node that has *slot*."""
        return self._map.owner(slot)

    def known(self, node: Node) -> Node:
        """The node at that address, with the name that its certificate has."""
        known = [*self._links, *self._map.masters]
        return next((other for other in known if other.uri == node.uri), node)

    def is_known(self, node: Node) -> bool:
        """True when the cluster itself has named it."""
        return node in self._links or node in self._map.masters

    def listening(self) -> Node | None:
        """The first that a connection has subscriptions on."""
        return next((link.node for link in self._links.values() if link.subscriptions.total), None)

    # -- what is sent

    def tell_all(self, key: str, raw: bytes) -> None:
        """What every connection that is opened from now on must be told first; one for each *key*."""
        self._state[key] = raw

    def send(self, node: Node, answer: Answer | None, *, raw: bytes = b"", index: int = 0) -> None:
        """Send a command, by default the one of *answer*, to a node."""
        ask = Ask(answer, index=index)
        if answer is not None:
            ask.name = answer.name
            if ask.name in WORDS:
                ask.channels = len(answer.arguments) - 1
            raw = raw or answer.raw
        self.write(node, raw, ask)

    def write(self, node: Node, raw: bytes, ask: Ask) -> None:
        """Send *raw*, to which the node will answer as *ask* says."""
        link = self._links.get(node)
        if link is None:
            link = self._links[node] = Link(node)
            for known in self._state.values():
                link.sent.append(Ask())
                self._out.setdefault(node, []).append(known)
        link.sent.append(ask)
        self._out.setdefault(node, []).append(raw)

    def take(self) -> tuple[tuple[Node, bytes], ...]:
        """All that may go now."""
        data = tuple((node, b"".join(parts)) for node, parts in self._out.items() if parts)
        self._out = {}
        return data

    def forget(self, node: Node, answers: "set[int]") -> None:
        """Nobody waits any more for what *node* says to these (by identity)."""
        link = self._links.get(node)
        for ask in link.sent if link is not None else ():
            if ask.answer is not None and id(ask.answer) in answers:
                ask.answer = None

    # -- who there is

    def ask(self, node: Node) -> None:
        """Have *node* say which nodes there are, unless it is about to."""
        link = self._links.get(node)
        if link is None or not any(ask.is_about_nodes for ask in link.sent):
            self.write(node, _NODES, Ask(is_about_nodes=True))

    def learn(self, link: Link, reply: Reply, data: bytes) -> None:
        """It said so."""
        if reply.kind in ERRORS:
            return
        text = data[data.find(b"\r\n") + 2 : -2].decode("utf-8", "replace").removeprefix("txt:")
        self._map = topology(text, link.node)

    def lose(self, node: Node) -> Link | None:
        """Its connection is gone."""
        return self._links.pop(node, None)

    def go_on_without(self, node: Node) -> bool:
        """Ask another who there is now; False when there is none."""
        others = [other for other in [*self._links, *self._map.masters] if other != node]
        if not others:
            return False
        if self.home == node:
            self.home = others[0]
        self.ask(others[0])
        return True
