"""Patches: whatever changed, they lead from one document to the other."""

import copy
from typing import Any
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import patching

_NAMES = st.sampled_from(["a", "b", "a/b", "~", "~1", "", "index", "é", "%61"])
_LEAVES = st.one_of(st.integers(0, 3), st.lists(st.integers(0, 2), max_size=2), st.booleans())
_VALUES = st.recursive(_LEAVES, lambda inner: st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12)
_DOCUMENTS = st.dictionaries(_NAMES, _VALUES, max_size=4)


def _patched(document: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """RFC 6902, as far as objects go, with paths as OPA reads them."""
    found = copy.deepcopy(document)
    for operation in operations:
        parts = operation["path"].split("/")[1:]
        *way, last = (unquote(part).replace("~1", "/").replace("~0", "~") for part in parts)
        place = found
        for part in way:
            place = place[part]
        if operation["op"] != "add":
            del place[last]  # a KeyError when it is not there, as OPA has it
        if operation["op"] != "remove":
            place[last] = operation["value"]
    return found


@given(_DOCUMENTS, _DOCUMENTS)
def test_a_patch_leads_from_one_document_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    operations = patching.patch(old, new)
    assert operations is not None
    assert _patched(old, operations) == new


def test_nothing_changed_is_no_operation() -> None:
    assert patching.patch({"roles": {"a": {"x": 1}}}, {"roles": {"a": {"x": 1}}}) == []


def test_one_role_of_many_is_one_operation() -> None:
    old = {"roles": {str(number): {"spec": {"n": number}} for number in range(10_000)}}
    new = {"roles": {**old["roles"], "7": {"spec": {"n": 0}}}}
    assert patching.patch(old, new) == [{"op": "replace", "path": "/roles/7/spec", "value": {"n": 0}}]


def test_too_many_changes_are_no_patch() -> None:
    assert patching.patch({}, {str(number): 1 for number in range(5_000)}) is None
