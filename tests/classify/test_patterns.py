"""What no regular expression of the package may use."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "gateway"
# Before Python 3.11.5 a possessive quantifier behind a group goes on at the place where the group's last try
# failed: (?:(?!/\*)[*/])++ takes all of */* (https://github.com/python/cpython/issues/106052).
_POSSESSIVE_GROUP = re.compile(r"(?<!\\)\)(?:[*+?]|\{[0-9,]+\})\+")


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")


@pytest.mark.parametrize("text", ["(?:a|b)++", "(?:a)*+'", "(a)?+", "(?:a){0,3}+"])
def test_a_possessive_group_is_recognised(text: str) -> None:
    assert _POSSESSIVE_GROUP.search(text) is not None


@pytest.mark.parametrize("text", [r"\(a\)++", "[a-z]++", "[0-9]{1,2}+", "(?:a|b)+"])
def test_a_possessive_character_is_none(text: str) -> None:
    assert _POSSESSIVE_GROUP.search(text) is None


def test_no_pattern_has_a_possessive_group() -> None:
    found = [
        (str(path.relative_to(PACKAGE)), text)
        for path in sorted(PACKAGE.rglob("*.py"))
        for text in _texts(path)
        if _POSSESSIVE_GROUP.search(text)
    ]
    assert found == []
