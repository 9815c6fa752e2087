"""Commands that differ in plain values get the facts that reading each by itself would give."""

from typing import Any

import bson
import pytest
from bson.int64 import Int64
from bson.objectid import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.statement import NameContext, Statement
from gateway.protocols.mongodb import commands, redact, shapes

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["", "plain", "password=hunter2", 'a"b', "back\\slash", "1907340817", "$out", "x" * 127, "x" * 129,
         "a\0b", "-----BEGIN PRIVATE KEY-----", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
         "postgres://u:pw@h/d"]
    ),
)  # fmt: skip
VALUES = st.one_of(
    TEXTS,
    st.integers(-(2**31), 2**31 - 1),
    st.sampled_from([1_907_340_817, 1_907_340_818, 0, -1]),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.booleans(), st.none(), st.floats(allow_nan=False),
    st.fixed_dictionaries({"$gt": st.integers(0, 9)}), st.lists(st.integers(0, 9), max_size=2),
)  # fmt: skip
NAMES = st.sampled_from(
    ["_id", "a", "b.c", "password", "token", "field", "ssn", "$comment", "$where", "key", "é"]
)
FILTERS = st.dictionaries(NAMES, VALUES, max_size=9)


def read(body: dict[str, Any]) -> tuple[Any, Any]:
    """By shape, and by itself."""
    arguments = (next(iter(body)).encode(), bson.encode(body))
    statement = Statement("", "mongodb", NameContext("app", "a"), arguments=arguments)
    against = commands.against(arguments, "app")
    return (commands.classify(statement), against), commands._facts(arguments, "app")


@settings(deadline=None)
@given(
    st.lists(FILTERS, min_size=1, max_size=3),
    st.sampled_from(["find", "count", "distinct"]),
    st.sampled_from([{}, {"limit": 1}, {"sort": {"a": 1}}, {"comment": "password=1"}, {"filter2": 1}]),
)
def test_a_command_of_a_known_shape_is_what_it_is_by_itself(
    filters: list[dict[str, Any]], name: str, more: dict[str, Any]
) -> None:
    condition = "filter" if name == "find" else "query"
    for each in filters:
        body = {
            name: "o",
            condition: each,
            **({"key": "a"} if name == "distinct" else {}),
            **more,
            "$db": "app",
        }
        by_shape, by_itself = read(body)
        assert by_shape == by_itself


@pytest.mark.parametrize("value", [5, Int64(5), ObjectId(b"x" * 12), "plain"])
def test_the_same_shape_is_read_once(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(value)
    first = {"find": "once", "filter": {"_id": value, "k": kind.__name__}, "$db": "app"}
    read(first)
    asked: list[bytes] = []
    whole = commands._facts

    def counted(given: tuple[bytes, ...], opened: str) -> Any:
        asked.append(given[0])
        return whole(given, opened)

    monkeypatch.setattr(commands, "_facts", counted)
    other: Any = {int: 6, Int64: Int64(6), ObjectId: ObjectId(b"y" * 12), str: "other"}[kind]
    body = bson.encode({**first, "filter": {"_id": other, "k": kind.__name__}})
    statement = Statement("", "mongodb", NameContext("app", "a"), arguments=(b"find", body))
    (facts,) = commands.classify(statement)
    assert asked == []
    assert (str(other) in facts.redacted, str(value) in facts.redacted) == (True, False)
    assert set(facts.effects[0].columns) == {"*", "_id", "k"}


def test_a_secret_is_hidden_in_the_text_of_a_known_shape() -> None:
    for value in ("hunter2", "swordfish", "s3same"):
        by_shape, by_itself = read({"find": "o", "filter": {"name": "x", "password": value}, "$db": "app"})
        assert by_shape == by_itself
        assert value not in by_shape[0][0].redacted
    for told in ("a", "password"):  # the one says that the other is a secret
        by_shape, by_itself = read({"find": "o", "filter": {"field": told, "value": "hunter2"}, "$db": "app"})
        assert by_shape == by_itself
        assert ("hunter2" in by_shape[0][0].redacted) is (told == "a")


def test_a_text_that_would_be_cut_is_read_by_itself() -> None:
    long = {f"f{number}": "x" * 100 for number in range(8)}
    wide = {"find": "o", "filter": {**long, "b": {"$in": ["y" * 200] * 14}}, "$db": "app"}
    for size in (1, 100, 128):
        by_shape, by_itself = read({**wide, "filter": {**wide["filter"], "f0": "z" * size}})  # type: ignore[dict-item]
        assert by_shape == by_itself
        assert len(by_shape[0][0].redacted) <= redact.MAX_TEXT + 40
    assert shapes.slots((b"find", bson.encode({"find": "o", "filter": {"a": "x" * 3000}}))) is None
