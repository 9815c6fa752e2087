"""Where each command of a session goes, and the answers that the gateway gives by itself."""

from collections.abc import Sequence

from gateway import address
from gateway.address import Address
from gateway.errors import ConfigError
from gateway.protocols.redis import resp
from gateway.protocols.redis.cluster import announce, gather, plan
from gateway.protocols.redis.cluster.answers import Answer
from gateway.protocols.redis.cluster.nodes import Nodes
from gateway.protocols.redis.cluster.plan import Place
from gateway.sansio.spread import Node


def error(code: str, text: str) -> bytes:
    """An error of the gateway's own."""
    shown = "".join(character if character.isprintable() else " " for character in text[:400])
    return f"-{code} {shown}\r\n".encode()


class Placing:
    """Sends commands outside of transactions."""

    def __init__(self, nodes: Nodes, database: str, public: str) -> None:
        """*public* is where the client reaches the gateway, as far as that is known."""
        self._nodes = nodes
        self._own_id = announce.node_id(database)
        self.at = address_of(public)
        self._last: Node | None = None  # of the latest command with a key

    def place(self, answer: Answer, *, is_resp3: bool) -> None:
        """Send it to whom it concerns, or answer it."""
        answer.slot = plan.slot(answer.name, answer.arguments)
        if answer.slot is not None:
            self._to_slot(answer, answer.slot)
            return
        match plan.place_of(answer.name):
            case Place.HERE:
                said = announce.answer(answer.name, at=self.at, own_id=self._own_id, is_resp3=is_resp3)
                answer.finish(said)
            case Place.STATE:
                self._to_all(answer, [*dict.fromkeys([self._nodes.home, *self._nodes.links])])
                self._nodes.tell_all(answer.name + _variant(answer), answer.raw)
            case Place.MASTERS:
                self._to_all(answer, self._nodes.masters)
            case Place.SCAN:
                self._scan(answer)
            case Place.REFUSED:
                words = answer.name.replace("|", " ").upper()
                answer.finish(error("ERR", f"{words} is not offered on a cluster"))
            case _ if answer.name == "sunsubscribe":
                self._end_shard_subscriptions(answer)
            case _:
                self._nodes.send((answer.name == "wait" and self._last) or self._nodes.home, answer)

    def _to_slot(self, answer: Answer, slot: int) -> None:
        owner = self._nodes.owner(slot)
        if owner is None:
            answer.finish(error("CLUSTERDOWN", "no node has this key's slot"))
            self._nodes.ask(self._nodes.home)
            return
        self._last = owner
        self._nodes.send(owner, answer)

    def _to_all(self, answer: Answer, nodes: Sequence[Node]) -> None:
        answer.parts, answer.missing = [b""] * len(nodes), len(nodes)
        if not nodes:
            answer.finish(error("CLUSTERDOWN", "the cluster has no masters"))
        for index, node in enumerate(nodes):
            self._nodes.send(node, answer, index=index)

    def _scan(self, answer: Answer) -> None:
        place = gather.scan_place(answer.arguments[1]) if len(answer.arguments) > 1 else None
        if place is None or place[0] >= len(self._nodes.masters):
            answer.finish(error("ERR", "invalid cursor"))
            return
        answer.scan_node = place[0]
        raw = resp.encode(answer.arguments[0], place[1], *answer.arguments[2:])
        self._nodes.send(self._nodes.masters[place[0]], answer, raw=raw)

    def _end_shard_subscriptions(self, answer: Answer) -> None:
        """SUNSUBSCRIBE of all: every node that has some confirms its own."""
        having = [link.node for link in self._nodes.links.values() if link.subscriptions.shard]
        answer.missing = max(1, len(having))
        for node in having or [self._nodes.home]:
            self._nodes.send(node, answer)


def _variant(answer: Answer) -> str:
    """CLIENT SETINFO keeps one value for each of its names."""
    return answer.arguments[2].decode("latin-1").lower() if answer.name == "client|setinfo" else ""


def address_of(text: str) -> Address | None:
    """``host:port``; None for what is no address."""
    try:
        found = address.parse(text)
    except ConfigError:
        return None
    return found if found.host and found.port else None
