"""An answer that came in one piece is understood as it is in pieces, whatever is in it."""

from typing import Any

import bson
import pytest
from bson.int64 import Int64
from bson.regex import Regex
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.protocols.mongodb.replies import Found, Scan, whole

VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["", "text", 0, 7, Int64(2**40), -1.5, float("inf"), True, None, b"raw", Regex("a", "i"), [], {},
     [1, "two", {"a": []}], {"a": {"b": [{}]}, "ok": 0}, "x" * 5_000]
)  # fmt: skip
BATCH = st.lists(st.dictionaries(st.sampled_from(["_id", "v", "ns"]), VALUES, max_size=3), max_size=4)
CURSOR = st.fixed_dictionaries(
    {},
    optional={
        "firstBatch": BATCH,
        "nextBatch": st.lists(VALUES, max_size=3),
        "id": st.integers(0, 2**62).map(Int64),
        "ns": st.text(max_size=9),
        "other": VALUES,
    },
)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "cursor": st.one_of(CURSOR, VALUES),
        "values": st.one_of(st.lists(VALUES, max_size=4), VALUES),
        "ok": st.one_of(st.sampled_from([0.0, 1.0, 1, True]), VALUES),
        "n": st.one_of(st.integers(0, 9), VALUES),
        "code": st.one_of(st.integers(0, 99), VALUES),
        "codeName": VALUES,
        "errmsg": VALUES,
        "writeErrors": VALUES,
        "writeConcernError": VALUES,
        "x": VALUES,
    },
)


def told(found: Found) -> tuple[Any, ...]:
    return found.error, found.rows, found.cursor_id, found.namespace, found.found


def in_pieces(answer: bytes, cut: int) -> tuple[Any, ...] | None:
    """What is found in an answer that comes *cut* bytes at a time; None where it is none."""
    scan = Scan()
    try:
        for at in range(0, len(answer), cut):
            scan.feed(answer[at : at + cut])
    except ProtocolError:
        return None
    return told(scan) if scan.is_over else None


@settings(deadline=None, max_examples=40)
@given(ANSWERS, st.sampled_from([1, 7, 1 << 20]))
def test_an_answer_is_understood_as_in_pieces(body: dict[str, Any], cut: int) -> None:
    answer = b"\0" + bson.encode(body)
    found = whole(b"head" + answer, 4)
    assert (None if found is None else told(found)) == in_pieces(answer, cut)


@settings(deadline=None, max_examples=40)
@given(ANSWERS, st.data())
def test_a_damaged_answer_is_never_understood_otherwise(body: dict[str, Any], data: st.DataObject) -> None:
    answer = bytearray(b"\0" + bson.encode(body))
    for _ in range(data.draw(st.integers(1, 3))):
        answer[data.draw(st.integers(0, len(answer) - 1))] = data.draw(
            st.sampled_from([0, 1, 2, 3, 4, 16, 255])
        )
    if data.draw(st.booleans()):
        answer = answer[: data.draw(st.integers(0, len(answer)))]
    found = whole(bytes(answer), 0)
    assert found is None or told(found) == in_pieces(bytes(answer), len(answer))


def test_many_documents_are_counted() -> None:
    body = {
        "cursor": {"firstBatch": [{"_id": n} for n in range(3_000)], "id": Int64(5), "ns": "a.b"},
        "ok": 1,
    }
    found = whole(b"\0" + bson.encode(body), 0)
    assert found is not None
    assert (found.rows, found.cursor_id, found.namespace, found.error) == (3_000, 5, "a.b", "")


LEFT = {
    "nothing": b"",
    "no document": b"\0",
    "a list beside it": b"\1" + bson.encode({"ok": 1}),
    "a byte too many": b"\0" + bson.encode({"ok": 1}) + b"\0",
    "a byte too few": b"\0" + bson.encode({"ok": 1})[:-1],
    "a type that nobody knows": b"\0" + bson.encode({"ok": 1}).replace(b"\x10ok", b"\x20ok"),
}


@pytest.mark.parametrize("answer", LEFT.values(), ids=LEFT.keys())
def test_what_is_strange_is_left_to_the_slow_way(answer: bytes) -> None:
    assert whole(answer, 0) is None


@pytest.mark.parametrize("number", [float("inf"), float("nan"), "text"])
def test_a_cursor_without_a_number_is_no_answer(number: object) -> None:
    answer = b"\0" + bson.encode({"cursor": {"id": number}, "ok": 1})
    assert whole(answer, 0) is None
    with pytest.raises(ProtocolError, match="number"):
        Scan().feed(answer)


def test_a_count_that_is_none_is_not_told() -> None:
    found = whole(b"\0" + bson.encode({"n": float("inf"), "ok": 1}), 0)
    assert found is not None
    assert found.rows is None
