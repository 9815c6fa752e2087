"""The Merkle tree of RFC 6962, section 2.1: roots, inclusion and consistency proofs, and their verification.

Leaves are hashes here; ``leaf_hash`` makes one from a record's bytes. A log grows through a ``Frontier``,
which keeps one hash per bit of its size. Proofs are made from all leaf hashes. Verification follows RFC
9162, sections 2.1.3.2 and 2.1.4.2, which describe the same trees by iterative algorithms.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
HASH_SIZE = 32


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf; its prefix keeps it apart from every inner node."""
    return sha256(b"\0" + data).digest()


def leaf_hashes(lines: Iterable[bytes]) -> list[bytes]:
    """The hashes of several leaves."""
    return [sha256(b"\0" + line).digest() for line in lines]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\1" + left + right).digest()


class Frontier:
    """A growing tree: the roots of its full subtrees, the largest first, and its size."""

    __slots__ = ("_nodes", "size")

    def __init__(self, size: int = 0, nodes: Iterable[bytes] = ()) -> None:
        self.size = size
        self._nodes = list(nodes)
        if len(self._nodes) != size.bit_count() or any(len(node) != HASH_SIZE for node in self._nodes):
            raise ValueError(f"{len(self._nodes)} nodes cannot be the frontier of {size} leaves")

    @property
    def nodes(self) -> tuple[bytes, ...]:
        """The roots of the full subtrees, the largest first."""
        return tuple(self._nodes)

    def copy(self) -> "Frontier":
        """The same tree, which grows by itself from here on."""
        return Frontier(self.size, self._nodes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        nodes = self._nodes
        size = self.size
        while size & 1:  # each full pair on the right edge becomes one subtree
            leaf = sha256(b"\1" + nodes.pop() + leaf).digest()
            size >>= 1
        nodes.append(leaf)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add several leaf hashes: a level of the tree at a time."""
        level, size, single = list(leaves), self.size, []
        self.size += len(level)
        while level:
            if size & 1:  # the last subtree of this height becomes the left half of a pair
                level.insert(0, self._nodes.pop())
            if len(level) & 1:
                single.append(level.pop())
            halves = zip(level[::2], level[1::2], strict=True)
            level = [sha256(b"\1" + left + right).digest() for left, right in halves]
            size >>= 1
        self._nodes += reversed(single)

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self._nodes:
            return EMPTY_ROOT
        node = self._nodes[-1]
        for left in self._nodes[-2::-1]:
            node = node_hash(left, node)
        return node


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over all *leaves* (hashes)."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What proves that the leaf at *index* is in the tree over *leaves*; the hashes from the leaf upwards."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"leaf {index} is not in a tree of {len(leaves)}")
    proof: list[bytes] = []
    start, stop = 0, len(leaves)
    while stop - start > 1:
        middle = start + _split(stop - start)
        if index < middle:
            proof.append(root(leaves[middle:stop]))
            stop = middle
        else:
            proof.append(root(leaves[start:middle]))
            start = middle
    return proof[::-1]


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """What proves that the tree over *leaves* extends its own first *old* leaves; empty for 0 and for all."""
    if not 0 <= old <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} cannot extend one of {old}")
    if old in (0, len(leaves)):
        return []
    proof: list[bytes] = []
    start, stop, known = 0, len(leaves), True
    while old != stop:
        middle = start + _split(stop - start)
        if old <= middle:
            proof.append(root(leaves[middle:stop]))
            stop = middle
        else:
            proof.append(root(leaves[start:middle]))
            start, known = middle, False
    if not known:
        proof.append(root(leaves[start:stop]))
    return proof[::-1]


def includes(size: int, root_hash: bytes, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """True when *proof* shows that *leaf* stands at *index* in the tree of *size* with that root."""
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(step, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, step)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root_hash


def extends(old: int, old_root: bytes, size: int, root_hash: bytes, proof: Sequence[bytes]) -> bool:
    """True when *proof* shows that the tree of *size* begins with the *old* leaves of the tree *old_root*."""
    if not 0 <= old <= size:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT and (size > 0 or root_hash == EMPTY_ROOT)
    if old == size:
        return not proof and old_root == root_hash
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    was = now = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            was, now = node_hash(step, was), node_hash(step, now)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, step)
        at, last = at >> 1, last >> 1
    return last == 0 and was == old_root and now == root_hash


def _split(size: int) -> int:
    """The largest power of two below *size*."""
    return 1 << (size - 1).bit_length() - 1
