"""Where a command goes in a cluster; what has no key goes to the node that the session began on."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from gateway.protocols.redis import keys, table
from gateway.protocols.redis.cluster.slots import SLOTS, slot_of


class Place(Enum):
    """Who answers a command."""

    SLOT = auto()  # the owner of its key, or of its shard channel
    HOME = auto()  # the node that the session began on
    HERE = auto()  # the gateway itself
    STATE = auto()  # every node that has a connection, and each that gets one later
    MASTERS = auto()  # every master, with one answer
    SCAN = auto()  # one master after the other
    REFUSED = auto()  # it makes no sense for one server that is many


HERE: Final = frozenset(
    {
        "cluster|slots", "cluster|shards", "cluster|nodes", "cluster|myid", "cluster|replicas",
        "cluster|slaves", "readonly", "readwrite", "unwatch",
    }
)  # fmt: skip
_STATE: Final = frozenset(
    {"hello", "client|setname", "client|setinfo", "client|tracking", "client|no-evict", "client|no-touch"}
)
SUMS: Final = frozenset({"dbsize"})
LISTS: Final = frozenset({"keys"})
_MASTERS: Final = SUMS | LISTS | {
    "flushall", "flushdb", "script|load", "script|flush", "function|load", "function|delete",
    "function|flush", "function|restore",
}  # fmt: skip
_REFUSED: Final = frozenset({"client|caching"})
_SHARD_CHANNEL: Final = frozenset({"spublish", "ssubscribe", "sunsubscribe"})
_SLOT_NUMBER: Final = frozenset({"cluster|countkeysinslot", "cluster|getkeysinslot"})
_EVERYWHERE: Final = frozenset({Place.MASTERS, Place.SCAN, Place.REFUSED})


def place_of(name: str) -> Place:
    """Where the command called *name* goes, unless it has a key."""
    if name in HERE:
        return Place.HERE
    if name in _STATE:
        return Place.STATE
    if name in _MASTERS:
        return Place.MASTERS
    if name in _REFUSED:
        return Place.REFUSED
    return Place.SCAN if name == "scan" else Place.HOME


def fits_transaction(name: str) -> bool:
    """False for what concerns more than the one node that a transaction is on, or shows where nodes are."""
    return place_of(name) not in _EVERYWHERE and (name not in HERE or name == "unwatch")


def slot(name: str, arguments: Sequence[bytes]) -> int | None:
    """The slot of a command: of its first key; None where it has none."""
    if name in _SHARD_CHANNEL:
        return slot_of(arguments[1]) if len(arguments) > 1 else None
    if name in _SLOT_NUMBER:
        number = arguments[2] if len(arguments) > 2 else b""
        return int(number) if number.isdigit() and len(number) < 6 and int(number) < SLOTS else None
    if name == "migrate":
        return slot_of(arguments[3]) if len(arguments) > 3 and arguments[3] else None
    command = table.commands().get(name)
    if command is None:
        return None
    first = keys.first(command, arguments)
    return None if first is None else slot_of(first)
