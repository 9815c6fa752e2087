"""Label expressions, parsed when data is published. Pure.

The language is Teleport's for ``db_labels_expression``:
https://goteleport.com/docs/reference/access-controls/predicate-language/#label-expressions. Nothing is
matched here: a text becomes a *program*, a list of ways in which it may hold; one way is a list of tests that
must all hold. ``gateway.lib.expressions`` decides with it. Rego knows no recursion: so the tree is flattened.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from gateway.errors import PolicyError
from gateway.policy.expression_tree import Node, Test, read

MAX_TEXT: Final = 4096
MAX_WAYS: Final = 64  # "or" inside "and" multiplies; nobody reads more than that
MAX_TESTS: Final = 512

Program: TypeAlias = list[list[dict[str, Any]]]


def parse(text: str) -> Program:
    """The program of an expression.

    Raises:
        PolicyError: it is not one; the message says at which character.
    """
    if len(text) > MAX_TEXT:
        raise PolicyError(f"an expression has at most {MAX_TEXT} characters")
    ways = _ways(read(text))
    if sum(map(len, ways)) > MAX_TESTS:
        raise PolicyError("the expression is too long")
    return [[_shown(test) for test in way] for way in ways]


def programs(roles: Mapping[str, Any]) -> dict[str, Program]:
    """The programs of all label expressions in *roles*, by their text; what cannot be read is left out."""
    found: dict[str, Program] = {}
    for text in {text for role in roles.values() for text in _texts(role)}:
        try:
            found[text] = parse(text)
        except PolicyError:
            continue  # the policy refuses what it has no program for
    return found


def mistakes(document: Any) -> dict[str, str]:
    """What is wrong with the expressions of one role, by their text."""
    found = {}
    for text in _texts(document):
        try:
            parse(text)
        except PolicyError as error:
            found[text] = str(error)
    return found


def _texts(role: Any) -> Iterator[str]:
    spec = role.get("spec") if isinstance(role, dict) else None
    for side in ("allow", "deny"):
        part = spec.get(side) if isinstance(spec, dict) else None
        text = part.get("db_labels_expression") if isinstance(part, dict) else None
        if isinstance(text, str) and text:
            yield text


def _ways(node: Node) -> list[list[Test]]:
    """The ways in which *node* holds."""
    if isinstance(node, Test):
        return [[node]]
    if node.word == "or":
        ways = [way for part in node.parts for way in _ways(part)]
    else:
        ways = [[]]
        for part in node.parts:
            ways = [[*way, *more] for way in ways for more in _ways(part)]
            if len(ways) > MAX_WAYS:
                break
    if len(ways) > MAX_WAYS:
        raise PolicyError(f"more than {MAX_WAYS} ways to hold: split the expression over several roles")
    return ways


def _shown(test: Test) -> dict[str, Any]:
    return {"kind": test.kind, "left": test.left, "right": test.right, "holds": test.holds}
