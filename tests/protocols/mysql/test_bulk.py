"""Many rows of values in one command: counted, judged as one, and forwarded as they came."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.protocols.mysql import bulk, capabilities
from gateway.protocols.mysql.conversation import MysqlConversation
from gateway.sansio.protocol import Ready
from tests.protocols.mysql import wire
from tests.protocols.mysql.talk import ALL, ROUTE, Talk

LAST = 0xFFFFFFFF
INT, VARCHAR, YEAR = 0x03, 0x0F, 0x0D


def command(number: int, rows: bytes, *kinds: int, flags: int = 0x80) -> bytes:
    types = b"".join(bytes((kind, 0)) for kind in kinds) if flags & 0x80 else b""
    return wire.command(0xFA, struct.pack("<IH", number, flags) + types + rows)


def integer(value: int) -> bytes:
    return b"\0" + struct.pack("<i", value)


def text(value: bytes) -> bytes:
    return b"\0" + bytes((len(value),)) + value


ROWS = b"".join(integer(number) + (text(b"lamp") if number % 2 else b"\1") for number in range(1, 6))


def session(*, agreed: bool = True) -> Talk:
    flags = ALL | (capabilities.BULK_OPERATIONS if agreed else 0)
    extra = {"capabilities": str(flags), "dialect": "mariadb", "modes": "", "charset": "utf8mb4"}
    talk = MysqlConversation(Ready("10.11.6-MariaDB", {}, b"key", ("mydb",), extra), ROUTE)
    made = Talk(lambda data: wire.prepared(7, parameters=2) if data[4] == 0x16 else wire.ok(affected=5), talk)
    made.send(wire.prepare("insert into t values (?, ?)"))
    return made


def test_a_bulk_is_judged_as_the_statement_that_it_runs() -> None:
    talk = session()
    data = command(7, ROWS, INT, VARCHAR)
    assert talk.send(data) == wire.ok(affected=5)
    request = talk.requests[-1]
    assert (request.phase, request.statements[0].text) == ("execute", "insert into t values (?, ?)")
    assert (request.sets, request.bind_types) == (5, ("int", "varchar"))
    assert talk.to_server[-1] == data
    assert (talk.outcomes[-1].rows, talk.outcomes[-1].request) == (5, request)
    talk.send(command(7, ROWS, flags=0))
    assert (talk.requests[-1].sets, talk.requests[-1].bind_types) == (5, ("int", "varchar"))


def test_the_statement_prepared_last_is_named_by_its_number() -> None:
    talk = session()
    talk.send(command(LAST, ROWS, INT, VARCHAR))
    assert talk.to_server[-1] == command(7, ROWS, INT, VARCHAR)
    talk.send(command(9, ROWS, INT, VARCHAR))
    assert talk.requests[-1].statements[0].unreadable == "unknown_statement"
    assert talk.to_server[-1] == wire.packet(b"\x17" + bytes(9))


def test_where_it_was_not_agreed_on_it_goes_nowhere() -> None:
    talk = session(agreed=False)
    talk.send(command(7, ROWS, INT, VARCHAR))
    assert talk.requests[-1].statements[0].unreadable == "com_stmt_bulk_execute"
    assert talk.to_server[-1] == wire.packet(b"\0")


UNREAD = {
    "a flag that nobody knows": command(7, ROWS, INT, VARCHAR, flags=0x180),
    "no types, and none from before": command(7, ROWS, flags=0),
    "a type that servers may take otherwise": command(7, ROWS, INT, YEAR),
}


@pytest.mark.parametrize("data", UNREAD.values(), ids=UNREAD.keys())
def test_what_cannot_be_counted_is_not_understood(data: bytes) -> None:
    talk = session()
    talk.send(data)
    assert talk.requests[-1].statements[0].unreadable == "bulk_values"


def test_types_that_an_execution_may_have_changed_are_not_those_of_the_last_bulk() -> None:
    talk = session()
    talk.send(command(7, ROWS, INT, VARCHAR))
    talk.send(wire.execute(7, values=b"\0\1\x08\0\x08\0" + bytes(16)))
    talk.send(command(7, ROWS, flags=0))
    assert talk.requests[-1].statements[0].unreadable == "bulk_values"


def test_types_of_a_bulk_that_was_refused_are_not_those_of_the_server() -> None:
    talk = session()
    talk.send(command(7, ROWS, INT, VARCHAR))
    talk.refuses = ("insert",)
    talk.send(command(7, b"", 0x08, 0x08))
    talk.refuses = ()
    talk.send(command(7, ROWS, flags=0))
    assert talk.requests[-1].statements[0].unreadable == "unknown_statement"
    talk.send(command(7, ROWS, INT, VARCHAR))
    talk.send(command(7, ROWS, flags=0))
    assert (talk.requests[-1].sets, talk.requests[-1].bind_types) == (5, ("int", "varchar"))


def test_only_so_many_values_are_walked() -> None:
    body = command(7, integer(1) * (bulk.MOST_WALKED + 1), INT)[4:]
    found = bulk.read(body, 1, ())
    assert found is not None
    assert found.rows is None
    found = bulk.read(command(7, integer(1) * bulk.MOST_WALKED, INT)[4:], 1, ())
    assert found is not None
    assert found.rows == bulk.MOST_WALKED


@pytest.mark.parametrize("rows", [integer(1)[:-1], b"\x04", text(b"lamp")[:-1], b"\0\xff"])
def test_values_that_end_early_end_the_session(rows: bytes) -> None:
    kind = INT if rows[:1] == b"\0" and len(rows) == 4 else VARCHAR
    with pytest.raises(ProtocolError):
        bulk.read(command(7, rows, kind)[4:], 1, ())


@given(st.binary(max_size=60), st.integers(1, 4))
def test_nothing_but_a_protocol_error_escapes(junk: bytes, parameters: int) -> None:
    try:
        found = bulk.read(b"\xfa" + junk, parameters, ())
    except ProtocolError:
        return
    assert found is None or len(found.types) == parameters


def test_a_client_and_a_server_agree_on_it_in_words_of_their_own() -> None:
    greeting = (0xF7FE | 0x81FF << 16) & ~1
    assert capabilities.combined(greeting, 4) & capabilities.BULK_OPERATIONS
    assert not capabilities.combined(greeting | 1, 4) & capabilities.BULK_OPERATIONS
