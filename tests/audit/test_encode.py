"""Lines: one per event, canonical, ASCII, and the same again after reading."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.encode import (
    MAX_DEPTH,
    body,
    canonical,
    decode,
    encode_fields,
    parse_rfc3339,
    read_fields,
    rfc3339,
)
from gateway.errors import AuditError
from gateway.model.event import Event, Kind

HOSTILE = (
    "\r\n{}",
    "nul \0 byte",
    "\x1b[2J\x1b]0;title\x07",
    "\x7f delete",
    "\x85 next line \x9b CSI",
    "\u2028 line \u2029 paragraph",
    "\u202e right to left \u2066 isolate \u2069",
    "\ud800",
    "\udc00\ud800",
    "\U0001f600",
    '"},"index":99,"x":{"',
    "\\u0000 \\ud800",
    "\ufeff\u200b",
)


def event(fields: dict[str, Any], *, id_: str = "01K") -> Event:
    return Event(Kind.SESSION_QUERY, id_, 1_700_000_000_123_456_789, fields)


def test_a_line_is_what_the_format_says() -> None:
    line = canonical(event({"user": "ada", "b": [1, True, None], "a": {"z": "ä", "y": ""}}), 7)
    assert line == (
        rb'{"fields":{"a":{"y":"","z":"\u00e4"},"b":[1,true,null],"user":"ada"},"id":"01K","index":7,'
        rb'"kind":"db.session.query","time":"2023-11-14T22:13:20.123456789Z"}'
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_one_line_of_printable_ascii(text: str) -> None:
    line = canonical(event({"statement": text, text: [text]}, id_=text), 0)
    assert re.fullmatch(rb"[ -~]+", line)
    assert canonical(decode(line).event, 0) == line
    assert json.loads(line)["index"] == 0


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\U0001f600", "\U0001f600"),
        ("a\ud800b", "a\ufffdb"),
        ("\udc00", "\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_a_lone_surrogate_is_replaced_and_a_pair_is_a_character(text: str, kept: str) -> None:
    assert decode(canonical(event({"statement": text}), 3)).event.fields == {"statement": kept}


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        float("nan"),
        float("inf"),
        [0.0],
        {"a": {"b": 2.0}},
        b"bytes",
        {1: "key"},
        {"a": {None: 1}},
        {1, 2},
    ],
)
def test_what_json_would_bend_is_refused(value: Any) -> None:
    with pytest.raises(AuditError, match=r"event db\.session\.query cannot be recorded"):
        body(event({"value": value}))


def test_a_value_that_is_too_deep_or_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = 0
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(AuditError):
        body(event({"value": deep}))
    with pytest.raises(AuditError):
        body(event({"value": loop}))


def nested(depth: int) -> dict[str, Any]:
    """Fields of so many objects and arrays in each other."""
    inner: Any = 0
    for number in range(depth - 1):
        inner = [inner] if number % 2 else {"a": inner}
    return {"value": inner}


def test_what_is_nested_as_deeply_as_a_record_may_is_read_again_and_no_deeper() -> None:
    line = canonical(event(nested(MAX_DEPTH)), 0)
    assert decode(line).event.fields == nested(MAX_DEPTH)
    with pytest.raises(AuditError, match="more than 64 deep"):
        body(event(nested(MAX_DEPTH + 1)))
    with pytest.raises(AuditError, match="more than 64 deep"):
        decode(line.replace(b'"a":0', b'"a":[0]'))


GOOD = canonical(event({"user": "ada", "n": 1}), 5)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        GOOD + b" ",
        GOOD + b"\n",
        b" " + GOOD,
        GOOD.replace(b'"n":1', b'"n": 1'),
        GOOD.replace(b'"n":1', b'"n":1.0'),
        GOOD.replace(b'"n":1', b'"n":1e0'),
        GOOD.replace(b'"n":1', b'"n":NaN'),
        GOOD.replace(b'"n":1', b'"n":01'),
        GOOD.replace(b'"n":1', b'"n":1,"n":1'),
        GOOD.replace(b'"n":1,"user":"ada"', b'"user":"ada","n":1'),
        GOOD.replace(b'"n":1', b'"n":-0'),
        GOOD.replace(b'"n":1', b'"n":1' + b"0" * 30 + b".0"),
        GOOD.replace(b"ada", b"a\x7fda"),
        GOOD.replace(b"ada", b"ad\\/a"),
        GOOD.replace(b"ada", b"\\u0061da"),
        GOOD.replace(b"ada", "adä".encode()),
        GOOD.replace(b'"index":5', b'"index":-5'),
        GOOD.replace(b'"index":5', b'"index":true'),
        GOOD.replace(b'"index":5', b'"index":"5"'),
        GOOD.replace(b"db.session.query", b"db.session.quarry"),
        GOOD.replace(b"2023-11-14T", b"2023-11-14 "),
        GOOD.replace(b"2023-11-14T", b"2023-13-14T"),
        GOOD.replace(b"22:13:20.", b"22:13:60."),
        GOOD.replace(b"2023-11-14T", b"0041-11-14T"),
        GOOD.replace(b"2023-11-14T22:13:20", b"1969-12-31T23:59:59"),
        GOOD.replace(b'"kind"', b'"kinds"'),
        GOOD[:-1],
        b"[" * 200_000,
    ],
)
def test_a_line_that_is_not_canonical_is_no_record(line: bytes) -> None:
    assert line != GOOD
    with pytest.raises(AuditError):
        decode(line)


def test_readers_get_the_same_event_without_the_proof() -> None:
    assert read_fields(GOOD) == decode(GOOD)
    assert decode(GOOD).event == event({"n": 1, "user": "ada"})


def test_what_was_read_is_written_again_as_it_stood() -> None:
    """Readers by the API get thousands of lines: their fields are not encoded once more."""
    odd = canonical(event({"text": 'a ,"id":"7" \x7f\u2028 \U0001f600', "n": 1}), 6)
    for line in (GOOD, odd):
        found = read_fields(line)
        assert found.event.encoded
        assert canonical(found.event, found.index) == line


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**30])
def test_an_integer_of_any_size_keeps_its_value(number: int) -> None:
    line = canonical(event({"n": number}), 0)
    assert decode(line).event.fields == read_fields(line).event.fields == {"n": number}


WHOLE = st.text(st.characters(max_codepoint=0x80) | st.characters(codec="utf-8"))


@given(st.dictionaries(WHOLE, st.recursive(st.integers() | WHOLE, st.lists, max_leaves=5), max_size=6))
def test_fields_are_written_as_the_standard_library_writes_them(fields: dict[str, Any]) -> None:
    """Most are written by a quicker encoder, which must write the same, and read by a quicker reader."""
    known = json.dumps(fields, sort_keys=True, separators=(",", ":")).replace("\x7f", "\\u007f")
    assert encode_fields(fields) == known
    assert decode(canonical(event(fields), 1)).event.fields == fields


@given(st.dictionaries(st.text(), VALUES, max_size=6), st.integers(0, 2**62), st.integers(0, 2**62))
def test_any_event_reads_back_and_writes_the_same_line_again(
    fields: dict[str, Any], index: int, time_ns: int
) -> None:
    first = Event(Kind.USER_LOGIN, "01K", time_ns, fields)
    line = canonical(first, index)
    record = decode(line)
    assert (record.index, record.event.time_ns) == (index, time_ns)
    assert canonical(record.event, index) == line
    assert re.fullmatch(rb"[ -~]+", line)


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
        (253_402_300_799_999_999_999, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_times_have_one_spelling(time_ns: int, text: str) -> None:
    assert rfc3339(time_ns) == text
    assert parse_rfc3339(text) == time_ns


@pytest.mark.parametrize("time_ns", [-1, 253_402_300_800_000_000_000])
def test_a_time_that_rfc_3339_cannot_say_is_refused(time_ns: int) -> None:
    with pytest.raises(AuditError):
        body(Event(Kind.USER_LOGIN, "01K", time_ns, {}))
