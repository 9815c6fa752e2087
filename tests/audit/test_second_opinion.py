"""Proofs against an implementation that nobody here wrote: the Go library of public transparency logs.

Every proof there is for small trees, and some for large ones, must be accepted there; of proofs with a hash
changed, dropped, added or swapped, both must think the same.
"""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import tree
from gateway.audit.tree import EMPTY_ROOT, leaf_hash

SOURCE = Path(__file__).parent / "second"
EVERY = 256
LARGE = (2**20, 2**20 - 1, 2**17 + 3, 99_991)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

Case = dict[str, Any]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built from the module proxy; its go.sum names every byte of what it uses."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go here to build the second implementation with")
    built = tmp_path_factory.mktemp("second") / "second"
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    done = subprocess.run(
        [go, "build", "-o", built, "."],
        cwd=SOURCE,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return built


def asked(program: Path, cases: list[Case]) -> list[bool]:
    text = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    answers = done.stdout.split()
    assert len(answers) == len(cases)
    return [{"true": True, "false": False}[answer] for answer in answers]


def inclusion(index: int, size: int, leaf: bytes, root: bytes, proof: list[bytes]) -> Case:
    steps = [step.hex() for step in proof]
    about = {"kind": "inclusion", "index": index, "size": size, "leaf": leaf.hex()}
    return {**about, "root": root.hex(), "proof": steps}


def consistency(old: int, size: int, old_root: bytes, root: bytes, proof: list[bytes]) -> Case:
    steps = [step.hex() for step in proof]
    about = {"kind": "consistency", "old": old, "size": size, "old_root": old_root.hex()}
    return {**about, "root": root.hex(), "proof": steps}


def ours(case: Case) -> bool:
    root, proof = bytes.fromhex(case["root"]), [bytes.fromhex(step) for step in case["proof"]]
    if case["kind"] == "inclusion":
        return tree.includes(case["size"], root, case["index"], bytes.fromhex(case["leaf"]), proof)
    return tree.extends(case["old"], bytes.fromhex(case["old_root"]), case["size"], root, proof)


def hashes(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def every(most: int) -> Iterator[Case]:
    """All proofs of all trees up to that size."""
    leaves = hashes(most)
    roots = [tree.root(leaves[:size]) for size in range(most + 1)]
    for size in range(1, most + 1):
        for at in range(size):
            yield inclusion(at, size, leaves[at], roots[size], tree.inclusion_proof(leaves[:size], at))
            proof = tree.consistency_proof(leaves[:size], at + 1)
            yield consistency(at + 1, size, roots[at + 1], roots[size], proof)


def spoilt(case: Case, rng: random.Random) -> Case:
    """The case with one thing changed."""
    proof = list(case["proof"])
    what = rng.randrange(6)
    if what == 0:
        return {**case, "root": rng.randbytes(32).hex()}
    if what == 1 and case["size"] < EVERY:
        return {**case, "size": case["size"] + 1}
    if what == 2 and case["kind"] == "inclusion":
        return {**case, "index": (case["index"] + 1) % case["size"]}
    if what == 3 and proof:
        proof[rng.randrange(len(proof))] = rng.randbytes(32).hex()
    elif what == 4 and proof:
        del proof[rng.randrange(len(proof))]
    elif what == 5 and len(proof) > 1:
        proof[0], proof[1] = proof[1], proof[0]
    else:
        proof.append(rng.randbytes(32).hex())
    return {**case, "proof": proof}


def test_hashes_are_the_same(program: Path) -> None:
    rng = random.Random(0)
    data = [b"", *(rng.randbytes(rng.randrange(200)) for _ in range(200))]
    cases: list[Case] = [{"kind": "leaf", "leaf": item.hex(), "root": leaf_hash(item).hex()} for item in data]
    cases.append({"kind": "empty", "root": EMPTY_ROOT.hex()})
    assert all(asked(program, cases))


def test_every_proof_of_small_trees_is_accepted(program: Path) -> None:
    cases = list(every(EVERY))
    assert len(cases) == EVERY * (EVERY + 1)
    answers = asked(program, cases)
    assert [case for case, answer in zip(cases, answers, strict=True) if not answer] == []


def test_proofs_of_large_trees_are_accepted(program: Path) -> None:
    rng = random.Random(1)
    leaves = hashes(max(LARGE))
    cases = []
    for size in LARGE:
        some, root = leaves[:size], tree.root(leaves[:size])
        for _ in range(3):
            at, old = rng.randrange(size), rng.randrange(1, size)
            cases.append(inclusion(at, size, leaves[at], root, tree.inclusion_proof(some, at)))
            proof = tree.consistency_proof(some, old)
            cases.append(consistency(old, size, tree.root(leaves[:old]), root, proof))
    assert all(asked(program, cases))


def test_both_think_the_same_of_proofs_that_were_spoilt(program: Path) -> None:
    rng = random.Random(2)
    cases = [spoilt(case, rng) for case in every(EVERY)]
    answers = asked(program, cases)
    # Some fit none the less: a proof does not prove the tree's size, which a checkpoint signs with the root.
    assert answers.count(False) > len(answers) // 2
    different = [case for case, answer in zip(cases, answers, strict=True) if ours(case) is not answer]
    assert different == []
