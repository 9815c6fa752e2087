"""The tree against known answers, and every proof there is for small trees."""

import random
from hashlib import sha256

import pytest

from gateway.audit import tree
from gateway.audit.tree import EMPTY_ROOT, Frontier, leaf_hash, node_hash

# The eight leaves, and the roots over the first n of them, that Certificate Transparency's own tests use.
LEAVES = tuple(
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
EXHAUSTIVE = 96  # in `make test`; 256 with the marker soak


def hashes(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def slow_root(leaves: list[bytes]) -> bytes:
    """Section 2.1 word for word, as a second opinion."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(slow_root(leaves[:split]), slow_root(leaves[split:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_known_answers(size: int) -> None:
    leaves = [leaf_hash(data) for data in LEAVES[:size]]
    assert tree.root(leaves).hex() == ROOTS[size] == slow_root(leaves).hex()


def test_leaf_and_node_are_apart() -> None:
    assert leaf_hash(b"").hex() == ROOTS[1]
    assert EMPTY_ROOT.hex() == ROOTS[0]
    pair = leaf_hash(b"a") + leaf_hash(b"b")
    assert leaf_hash(pair) != node_hash(pair[:32], pair[32:])


def test_a_frontier_has_the_root_of_its_leaves_at_every_size() -> None:
    leaves = hashes(300)
    frontier = Frontier()
    for size, leaf in enumerate(leaves):
        assert frontier.root() == slow_root(leaves[:size])
        again = Frontier(frontier.size, frontier.nodes)
        again.append(leaf)
        frontier.append(leaf)
        assert (again.size, again.nodes) == (frontier.size, frontier.nodes)


def test_a_copied_frontier_grows_alone() -> None:
    frontier = Frontier()
    frontier.append(leaf_hash(b"a"))
    copy = frontier.copy()
    copy.append(leaf_hash(b"b"))
    assert (frontier.size, copy.size) == (1, 2)
    assert frontier.root() == leaf_hash(b"a")


@pytest.mark.parametrize(("size", "nodes"), [(1, []), (0, [b"x" * 32]), (3, [b"x" * 32]), (1, [b"short"])])
def test_nodes_that_do_not_fit_the_size_are_no_frontier(size: int, nodes: list[bytes]) -> None:
    with pytest.raises(ValueError, match="cannot be the frontier"):
        Frontier(size, nodes)


def every_inclusion(most: int) -> None:
    leaves = hashes(most)
    for size in range(1, most + 1):
        root = tree.root(leaves[:size])
        for index in range(size):
            proof = tree.inclusion_proof(leaves[:size], index)
            assert tree.includes(size, root, index, leaves[index], proof)
            assert not tree.includes(size, root, index, leaf_hash(b"another"), proof)
            assert not tree.includes(size, root, (index + 1) % (size + 1), leaves[index], proof)
            assert not tree.includes(size, root, index, leaves[index], [*proof, root])
            assert not proof or not tree.includes(size, root, index, leaves[index], proof[:-1])


def every_consistency(most: int) -> None:
    leaves = hashes(most)
    roots = [tree.root(leaves[:size]) for size in range(most + 1)]
    for size in range(most + 1):
        for old in range(size + 1):
            proof = tree.consistency_proof(leaves[:size], old)
            assert tree.extends(old, roots[old], size, roots[size], proof)
            if old:
                assert not tree.extends(old, leaf_hash(b"x"), size, roots[size], proof)
                assert not tree.extends(old, roots[old], size, leaf_hash(b"x"), proof)
            assert not tree.extends(old, roots[old], size, roots[size], [*proof, leaf_hash(b"x")])
            assert not proof or not tree.extends(old, roots[old], size, roots[size], proof[:-1])


def test_every_inclusion_proof_of_small_trees_holds_and_no_other() -> None:
    every_inclusion(EXHAUSTIVE)


def test_every_consistency_proof_of_small_trees_holds_and_no_other() -> None:
    every_consistency(EXHAUSTIVE)


@pytest.mark.soak
def test_every_proof_up_to_256_holds_and_no_other() -> None:
    every_inclusion(256)
    every_consistency(256)


@pytest.mark.parametrize("seed", range(3))
def test_proofs_of_large_trees_hold(seed: int) -> None:
    rng = random.Random(seed)
    size = rng.randrange(10_000, 40_000)
    leaves = hashes(size)
    root = tree.root(leaves)
    old, index = rng.randrange(1, size), rng.randrange(size)
    assert tree.extends(old, tree.root(leaves[:old]), size, root, tree.consistency_proof(leaves, old))
    assert tree.includes(size, root, index, leaves[index], tree.inclusion_proof(leaves, index))


def test_a_proof_from_a_rewritten_past_does_not_hold() -> None:
    leaves = hashes(100)
    old_root = tree.root(leaves[:40])
    leaves[17] = leaf_hash(b"rewritten")
    assert not tree.extends(40, old_root, 100, tree.root(leaves), tree.consistency_proof(leaves, 40))


@pytest.mark.parametrize(("old", "size"), [(0, 5), (5, 5), (0, 0)])
def test_trees_without_steps_between_them_need_an_empty_proof(old: int, size: int) -> None:
    leaves = hashes(5)
    roots = (tree.root(leaves[:old]), tree.root(leaves[:size]))
    assert tree.extends(old, roots[0], size, roots[1], [])
    assert not tree.extends(old, roots[0], size, roots[1], [leaves[0]])
    assert not tree.extends(size + 1, roots[1], size, roots[1], [])


def test_positions_outside_of_the_tree_are_refused() -> None:
    leaves = hashes(3)
    with pytest.raises(ValueError, match="leaf 3"):
        tree.inclusion_proof(leaves, 3)
    with pytest.raises(ValueError, match="cannot extend"):
        tree.consistency_proof(leaves, 4)
    assert not tree.includes(3, tree.root(leaves), 3, leaves[0], [])
    assert not tree.includes(3, tree.root(leaves), -1, leaves[0], [])
