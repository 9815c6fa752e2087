"""What a client hears about the cluster: one node that has every slot, where it is connected already."""

from hashlib import sha256

from gateway.address import Address
from gateway.protocols.redis.cluster.slots import SLOTS


def node_id(database: str) -> str:
    """The one node's id: forty hexadecimal digits, the same in every session of *database*."""
    return sha256(database.encode()).hexdigest()[:40]


def answer(name: str, *, at: Address | None, own_id: str, is_resp3: bool) -> bytes:
    """The answer to a command of ``plan.HERE``; *at* is the address that this client has for the gateway."""
    if name in {"readonly", "readwrite", "unwatch"}:
        return b"+OK\r\n"
    if name == "cluster|myid":
        return _bulk(own_id)
    if name in {"cluster|replicas", "cluster|slaves"}:
        return b"*0\r\n"
    if at is None:
        return b"-ERR nobody knows at which address you reach the gateway; use regate proxy db --tunnel\r\n"
    if name == "cluster|nodes":
        return _bulk(
            f"{own_id} {at.host}:{at.port}@{at.port} myself,master - 0 0 1 connected 0-{SLOTS - 1}\n"
        )
    if name == "cluster|slots":
        node = _list(_bulk(at.host), _number(at.port), _bulk(own_id), b"*0\r\n")
        return _list(_list(_number(0), _number(SLOTS - 1), node))
    return _list(_shard(at, own_id, is_resp3=is_resp3))


def _shard(at: Address, own_id: str, *, is_resp3: bool) -> bytes:
    pairs = _map if is_resp3 else _flat
    node = pairs(
        ("id", _bulk(own_id)),
        ("port", _number(at.port)),
        ("tls-port", _number(at.port)),
        ("ip", _bulk(at.host)),
        ("endpoint", _bulk(at.host)),
        ("role", _bulk("master")),
        ("replication-offset", _number(0)),
        ("health", _bulk("online")),
    )
    return pairs(("slots", _list(_number(0), _number(SLOTS - 1))), ("nodes", _list(node)))


def _map(*items: tuple[str, bytes]) -> bytes:
    return b"%%%d\r\n" % len(items) + b"".join([_bulk(key) + value for key, value in items])


def _flat(*items: tuple[str, bytes]) -> bytes:
    return b"*%d\r\n" % (2 * len(items)) + b"".join([_bulk(key) + value for key, value in items])


def _list(*items: bytes) -> bytes:
    return b"*%d\r\n" % len(items) + b"".join(items)


def _number(value: int) -> bytes:
    return b":%d\r\n" % value


def _bulk(text: str) -> bytes:
    data = text.encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)
