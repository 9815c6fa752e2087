"""Reading: either direction, every filter, beside a running writer, without loading it all."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.encode import canonical
from gateway.audit.layout import Segment
from gateway.audit.read import Query, lines, lines_backward, records
from gateway.errors import AuditError
from gateway.model.event import Event, Kind
from tests.audit.rig import event, opened

EVENTS = [
    Event(Kind.USER_LOGIN, "e0", 1_000_000_000, {"user": "ada", "client_address": "192.0.2.1:5"}),
    Event(Kind.SESSION_START, "e1", 2_000_000_000, {"user": "ada", "database": "sales", "session_id": "s1"}),
    Event(
        Kind.SESSION_QUERY,
        "e2",
        3_000_000_000,
        {
            "user": "ada",
            "database": "sales",
            "session_id": "s1",
            "decision_id": "d1",
            "statement": "SELECT * FROM Orders",
            "effects": [{"object": {"name": "orders"}}],
        },
    ),
    Event(Kind.SESSION_QUERY, "e3", 4_000_000_000, {"user": "böb", "database": "hr", "session_id": "s2"}),
    Event(Kind.USER_CREATE, "e4", 5_000_000_000, {"user": "root", "details": {"user": "ada"}}),
    Event(Kind.SESSION_END, "e5", 5_999_999_999, {"user": "ada", "session_id": "s1"}),
]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The events in three segments."""
    for first in (0, 2, 4):
        data = b"".join(canonical(EVENTS[index], index) + b"\n" for index in (first, first + 1))
        Segment(tmp_path, first).log.write_bytes(data)
    return tmp_path


CASES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [5, 4, 3, 2, 1, 0]),
    ({"oldest_first": True}, [0, 1, 2, 3, 4, 5]),
    ({"limit": 2}, [5, 4]),
    ({"limit": 0}, []),
    ({"limit": 2, "oldest_first": True, "user": "ada"}, [0, 1]),
    ({"user": "ada"}, [5, 2, 1, 0]),
    ({"user": "böb"}, [3]),
    ({"user": "nobody"}, []),
    ({"user": 'a"b\\'}, []),
    ({"database": "sales"}, [2, 1]),
    ({"kinds": (Kind.SESSION_QUERY,)}, [3, 2]),
    ({"kinds": (Kind.SESSION_START, Kind.SESSION_END)}, [5, 1]),
    ({"since_ns": 4_000_000_000}, [5, 4, 3]),
    ({"until_ns": 4_000_000_000}, [2, 1, 0]),
    ({"since_ns": 2_000_000_000, "until_ns": 5_000_000_000}, [3, 2, 1]),
    ({"since_ns": -5}, [5, 4, 3, 2, 1, 0]),
    ({"session_id": "s1"}, [5, 2, 1]),
    ({"decision_id": "d1"}, [2]),
    ({"text": "ORDERS"}, [2]),
    ({"text": "from orders"}, [2]),
    ({"text": "BÖB"}, [3]),
    ({"text": "database"}, []),
    ({"text": "192.0.2.1"}, [0]),
    ({"user": "ada", "text": "s1", "kinds": (Kind.SESSION_END,), "limit": 9}, [5]),
]


@pytest.mark.parametrize(("filters", "expected"), CASES, ids=lambda value: str(value)[:60])
def test_filters(directory: Path, filters: dict[str, Any], expected: list[int]) -> None:
    found = list(records(directory, Query(**filters)))
    assert [record.index for record in found] == expected
    assert all(record.event == EVENTS[record.index] for record in found)


@pytest.mark.parametrize("block", [1, 7, 64, 4096])
def test_backwards_is_forwards_turned_round(
    directory: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.audit.read._BLOCK", block)
    Segment(directory, 6).log.write_bytes(b"\n\n" + canonical(EVENTS[0], 8) + b"\nno end")
    Segment(directory, 9).log.write_bytes(b"")
    Segment(directory, 10).log.write_bytes(b"\n")
    forwards = [(line.data, line.whole) for line in lines(directory)]
    backwards = [(line.data, line.whole) for line in lines_backward(directory)]
    assert backwards == forwards[::-1]


def test_what_cannot_be_read_is_left_out(directory: Path) -> None:
    data = (
        canonical(event(), 6)[:-1]
        + b"\nrubbish\n"
        + canonical(EVENTS[0], 8)
        + b"\n"
        + canonical(EVENTS[0], 9)
    )
    Segment(directory, 6).log.write_bytes(data)
    assert [record.index for record in records(directory, Query(limit=2))] == [8, 5]


def test_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="there is no audit log"):
        list(records(tmp_path / "missing", Query()))


async def test_a_running_log_can_be_read(tmp_path: Path) -> None:
    async with opened(tmp_path / "audit") as log:
        await log.append([event(n=1)])
        assert [record.event.fields["n"] for record in records(tmp_path / "audit", Query())] == [1]
        await log.append([event(n=2)])
        assert [record.event.fields["n"] for record in records(tmp_path / "audit", Query())] == [2, 1]


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    line = canonical(Event(Kind.USER_LOGIN, "x", 1, {"user": "ada", "filler": "x" * 900}), 0) + b"\n"
    Segment(tmp_path, 0).log.write_bytes(line * 20_000)
    tracemalloc.start()
    try:
        for oldest_first in (True, False):
            assert list(records(tmp_path, Query(user="bob", oldest_first=oldest_first))) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000


async def test_a_text_is_found_beside_and_in_what_is_nested_deeply(tmp_path: Path) -> None:
    """A service elsewhere nests what it likes; a search that fails at it would fail for every log."""
    nested: Any = "needle"
    for _ in range(25):
        nested = [{"a": nested}]
    async with opened(tmp_path / "audit") as log:
        await log.append([event(n=1, v="needle"), event(n=2, v=nested)])
    found = records(tmp_path / "audit", Query(text="NEEDLE"))
    assert [record.event.fields["n"] for record in found] == [2, 1]
