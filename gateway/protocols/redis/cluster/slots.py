"""Which server has which keys: slots by CRC16, and their owners as ``CLUSTER NODES`` tells them."""

from binascii import crc_hqx
from dataclasses import dataclass
from typing import Final

from gateway import address
from gateway.errors import ConfigError, ProtocolError
from gateway.sansio.spread import Node

SLOTS: Final = 16_384
_BAD: Final = frozenset({"fail", "noaddr", "handshake"})


@dataclass(frozen=True, slots=True)
class Topology:
    """Who has what: *owners* by slot, an index into *masters* or -1; *masters* by the lowest slot they have.

    *own* is the server that told it, whatever its part.
    """

    masters: tuple[Node, ...]
    owners: tuple[int, ...]
    own: Node

    def owner(self, slot: int) -> Node | None:
        """The master of *slot*."""
        index = self.owners[slot]
        return None if index < 0 else self.masters[index]


def slot_of(key: bytes) -> int:
    """The slot of a key: of the part in its first pair of braces, if there is something in it."""
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    return crc_hqx(key, 0) % SLOTS


def topology(text: str, asked: Node) -> Topology:
    """Read ``CLUSTER NODES`` as *asked* answered it; ProtocolError for what is none."""
    own = asked
    found: list[tuple[int, Node, list[tuple[int, int]]]] = []
    for line in text.splitlines():
        words = line.split(" ")
        if len(words) < 8:
            raise ProtocolError("the database server's list of nodes cannot be read")
        flags = frozenset(words[2].split(","))
        if flags & _BAD:
            continue
        node = node_at(words[1].partition(",")[0].partition("@")[0], _hostname(words[1]), asked)
        if "myself" in flags:
            own = node = Node(node.uri, node.server_name or asked.server_name)
        ranges = [_range(word) for word in words[8:] if not word.startswith("[")]
        if "master" in flags and ranges:
            found.append((min(low for low, _ in ranges), node, ranges))
    found.sort(key=lambda item: item[0])
    owners = [-1] * SLOTS
    for index, (_, _, ranges) in enumerate(found):
        for low, high in ranges:
            owners[low : high + 1] = [index] * (high - low + 1)
    return Topology(tuple(node for _, node, _ in found), tuple(owners), own)


def node_at(place: str, hostname: str, asked: Node) -> Node:
    """The node at ``host:port``; one that does not know its own host is where it was asked."""
    host, _, port = place.rpartition(":")
    try:
        host = host.strip("[]") or address.parse(asked.uri, default_port=0).host
        found = address.parse(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except ConfigError:
        raise ProtocolError(f"a node at {place[:80]!r}") from None
    return Node(str(found), hostname)


def _hostname(word: str) -> str:
    """``ip:port@cport,hostname,…``: the hostname, if there is one."""
    more = word.split(",")[1:]
    return more[0] if more and "=" not in more[0] else ""


def _range(word: str) -> tuple[int, int]:
    low, _, high = word.partition("-")
    if not low.isdigit() or not (high or low).isdigit() or not int(low) <= int(high or low) < SLOTS:
        raise ProtocolError("the database server's list of nodes has slots that cannot be read")
    return int(low), int(high or low)
