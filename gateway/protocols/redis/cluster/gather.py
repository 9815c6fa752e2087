"""One answer out of the answers of several nodes."""

from collections.abc import Sequence
from typing import Final

from gateway.protocols.redis.cluster.plan import LISTS, SUMS

NODE_BITS: Final = 10
MOST_NODES: Final = 1 << NODE_BITS
_CRLF: Final = b"\r\n"


def combined(name: str, answers: Sequence[bytes]) -> bytes:
    """All nodes' *answers* to the command called *name*; an error of one is the error of all."""
    for answer in answers:
        if answer[:1] in {b"-", b"!"}:
            return answer
    if name in SUMS:
        return b":%d\r\n" % sum(int(answer[1:-2]) for answer in answers)
    if name in LISTS:
        heads = [answer.partition(_CRLF) for answer in answers]
        return b"*%d\r\n" % sum(int(head[1:]) for head, _, _ in heads) + b"".join(
            [rest for _, _, rest in heads]
        )
    return answers[0]


def scan_place(cursor: bytes) -> tuple[int, bytes] | None:
    """The node and its own cursor out of a client's cursor; None for what is none."""
    if not cursor.isdigit() or len(cursor) > 20:
        return None
    number = int(cursor)
    return number % MOST_NODES, b"%d" % (number >> NODE_BITS)


def scanned(answer: bytes, node: int, nodes: int) -> bytes:
    """A node's answer to SCAN with the client's cursor in it: behind the end of one node comes the next."""
    if not answer.startswith(b"*2\r\n$"):
        return answer
    size, _, rest = answer[5:].partition(_CRLF)
    length = int(size)
    cursor, found = int(rest[:length]), rest[length + 2 :]
    if cursor:
        cursor = (cursor << NODE_BITS) | node
    elif node + 1 < nodes:
        cursor = node + 1
    text = b"%d" % cursor
    return b"*2\r\n$%d\r\n%b\r\n%b" % (len(text), text, found)
