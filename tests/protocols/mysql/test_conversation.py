"""The command phase: what is judged, what reaches the server, and what the client reads."""

import re
import struct
from pathlib import Path

import pytest

from gateway.errors import ProtocolError
from gateway.model.statement import Phase
from gateway.protocols.mysql import charsets, commands, context
from gateway.protocols.mysql.commands import Fate
from gateway.protocols.mysql.replies import Shape
from gateway.protocols.mysql.server import Server
from gateway.protocols.mysql.state import Running
from tests.protocols.mysql import wire
from tests.protocols.mysql.talk import DENIAL, Talk, conversation, facts_of

LAST = 0xFFFFFFFF


def ok_to_all(_: bytes) -> bytes:
    return wire.ok()


def prepares(answer: bytes) -> bytes:
    """A server that numbers statements from 7 on, each with one parameter."""
    code = answer[4]
    if code == commands.PREPARE:
        return wire.prepared(7, parameters=1, columns=1)
    return b"" if code in {commands.LONG_DATA, commands.CLOSE} else wire.ok()


@pytest.mark.parametrize("new", [True, False])
def test_a_result_passes_as_it_came_and_its_rows_are_counted(new: bool) -> None:  # noqa: FBT001
    reply = wire.rows(b"one", b"two", new=new)
    session = Talk(lambda _: reply, conversation(new=new))
    assert session.send(wire.query("select a from t")) == reply
    assert session.to_server == [wire.query("select a from t")]
    (outcome,) = session.outcomes
    assert (outcome.rows, outcome.bytes, outcome.error_code) == (2, len(reply), "")


@pytest.mark.parametrize("new", [True, False])
def test_several_results_are_one_reply(new: bool) -> None:  # noqa: FBT001
    first = wire.rows(b"one", status=8, new=new)
    reply = first + wire.ok(9, affected=4, status=8) + wire.rows(b"x", b"y", new=new)
    session = Talk(lambda _: reply, conversation(new=new))
    assert session.send(wire.query("select 1; update t set a = 1; select 2")) == reply
    assert session.talk.is_settled()
    assert session.outcomes[0].rows == 7


def test_an_error_is_passed_and_its_number_recorded() -> None:
    session = Talk(lambda _: wire.error(1, 1146, "no such table"))
    assert session.send(wire.query("select a from none")) == wire.error(1, 1146, "no such table")
    assert session.outcomes[0].error_code == "1146"


def test_a_refusal_is_an_error_and_nothing_reaches_the_server() -> None:
    session = Talk(ok_to_all, refuses=("secret",))
    said = session.send(wire.query("select a from secret"))
    assert session.to_server == []
    assert said[3:7] == b"\1\xff\x76\x04"  # packet 1, ERR 1142
    assert b"#42000it is not yours (decision 01DENIED)" in said
    assert session.send(wire.query("select 1")) == wire.ok()


def test_a_command_waits_for_the_one_before() -> None:
    talk = conversation()
    items = talk.from_client(wire.query("select 1") + wire.query("select 2"))
    first = next(items)
    assert type(first).__name__ == "Request"
    assert type(next(items)).__name__ == "Settle"
    assert not talk.is_settled()
    talk.admit(first, facts_of(first))  # type: ignore[arg-type]  # it is a Request
    assert not talk.is_settled()
    talk.from_backend(wire.ok())
    assert talk.is_settled()
    assert type(next(items)).__name__ == "Request"


def test_a_statement_is_judged_when_it_is_prepared_and_when_it_runs() -> None:
    session = Talk(prepares)
    session.send(wire.prepare("select ?"))
    session.send(wire.execute(7, values=b"\0\1\x0f\0\x03abc"))
    assert [(each.phase, each.statements[0].text) for each in session.requests] == [
        (Phase.PREPARE, "select ?"),
        (Phase.EXECUTE, "select ?"),
    ]
    assert session.requests[1].bind_types == ("varchar",)
    assert session.outcomes[-1].error_code == ""


def test_types_of_values_are_remembered_where_they_are_not_sent_again() -> None:
    session = Talk(prepares)
    session.send(wire.prepare("select ?"))
    session.send(wire.execute(7, values=b"\0\1\x08\0\x01\0\0\0\0\0\0\0"))
    session.send(wire.execute(7, values=b"\0\0\x01\0\0\0\0\0\0\0"))
    assert session.requests[-1].bind_types == ("bigint",)


def test_types_that_were_refused_are_not_those_of_the_server() -> None:
    session = Talk(prepares)
    session.send(wire.prepare("select ?"))
    session.send(wire.execute(7, values=b"\0\1\x08\0\x01\0\0\0\0\0\0\0"))
    session.refuses = ("?",)
    assert b"not yours" in session.send(wire.execute(7, values=b"\0\1\xfd\0\3abc"))
    session.refuses = ()
    session.send(wire.execute(7, values=b"\0\0\3abc"))
    assert session.requests[-1].statements[0].unreadable == "unknown_statement"
    assert session.to_server[-1] == wire.packet(b"\x17" + bytes(9)), "the values would be read as numbers"
    session.send(wire.execute(7, values=b"\0\1\xfd\0\3abc"))
    session.send(wire.execute(7, values=b"\0\0\3abd"))
    assert [request.bind_types for request in session.requests[-2:]] == [("varchar",), ("varchar",)]


def test_the_last_prepared_statement_is_named_by_its_number() -> None:
    session = Talk(prepares)
    session.send(wire.prepare("select 111 + ?") + wire.execute(LAST, values=b"\0\0"))
    assert session.to_server[-1] == wire.execute(7, values=b"\0\0")
    assert session.requests[-1].statements[0].text == "select 111 + ?"


def test_after_a_refused_prepare_there_is_no_last_statement() -> None:
    session = Talk(prepares, refuses=("secret",))
    session.send(wire.prepare("select 111 + ?"))
    session.send(wire.prepare("select secret") + wire.execute(LAST, values=b"\0\0"))
    assert session.requests[-1].statements[0].unreadable == "unknown_statement"
    assert session.to_server[-1] == wire.packet(b"\x17" + bytes(9))  # statement 0: no server has it


def test_after_a_prepare_that_failed_there_is_no_last_statement() -> None:
    failing = [wire.prepared(7, parameters=0), wire.error(1, 1064), wire.error(1, 1243)]
    session = Talk(lambda _: failing.pop(0))
    session.send(wire.prepare("select 1"))
    session.send(wire.prepare("selct 1") + wire.execute(LAST))
    assert session.to_server[-1] == wire.packet(b"\x17" + bytes(9))


def test_a_closed_statement_cannot_be_run() -> None:
    session = Talk(prepares)
    session.send(wire.prepare("select ?"))
    session.send(wire.command(commands.CLOSE, struct.pack("<I", LAST)))
    assert session.to_server[-1] == wire.command(commands.CLOSE, b"\7\0\0\0")
    session.send(wire.execute(7, values=b"\0\0"))
    assert session.requests[-1].statements[0].unreadable == "unknown_statement"


def test_a_fetch_is_judged_as_the_statement_whose_cursor_it_reads() -> None:
    cursor = wire.packet(b"\1", 1) + wire.column(2) + wire.end(3, status=0x42, new=False)
    row = wire.packet(b"\0\0\3abc", 1) + wire.end(2, status=0x82, new=False)
    replies = [wire.prepared(7, columns=1, new=False), cursor, row]
    session = Talk(lambda _: replies.pop(0), conversation(new=False))
    session.send(wire.prepare("select a from t"))
    assert session.send(wire.execute(7, flags=1)) == cursor
    assert session.send(wire.command(commands.FETCH, struct.pack("<II", 7, 100))) == row
    assert session.requests[-1].statements[0].text == "select a from t"
    assert session.outcomes[-1].rows == 1


def test_long_data_belongs_to_a_statement_and_has_no_answer() -> None:
    session = Talk(prepares)
    session.send(wire.prepare("select ?"))
    session.send(wire.command(commands.LONG_DATA, b"\7\0\0\0\0\0" + b"v" * 100))
    assert session.talk.is_settled()
    session.send(wire.command(commands.LONG_DATA, b"\x09\0\0\0\0\0" + b"v" * 100))
    assert b"\x09" not in session.to_server[-1][:9], "what belongs to no statement stays here"


def test_a_connection_that_is_reset_has_no_statements_and_asks_anew() -> None:
    session = Talk(prepares)
    session.send(wire.prepare("select ?"))
    session.send(wire.command(commands.RESET_CONNECTION))
    assert session.to_server[-1] == context.QUESTION
    session.send(wire.execute(7, values=b"\0\0"))
    assert session.requests[-1].statements[0].unreadable == "unknown_statement"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (wire.command(commands.INIT_DB, b"other"), "USE `other`"),
        (wire.command(commands.INIT_DB, b"a`b"), "USE `a``b`"),
        (wire.command(commands.FIELD_LIST, b"pay\0%"), "SHOW COLUMNS FROM `pay` LIKE '%'"),
        (wire.command(commands.FIELD_LIST, b"pay\0"), "SHOW COLUMNS FROM `pay`"),
        (wire.command(commands.PROCESS_KILL, b"\xf4\1\0\0"), "KILL 500"),
        (wire.command(commands.PROCESS_INFO), "SHOW PROCESSLIST"),
        (wire.command(commands.SHUTDOWN, b"\0"), "SHUTDOWN"),
    ],
)
def test_a_command_is_judged_in_sqls_words_and_sent_as_it_is(data: bytes, text: str) -> None:
    reply = wire.end(1, new=False) if data[4] == commands.FIELD_LIST else wire.ok()
    session = Talk(lambda _: reply)
    session.send(data)
    assert session.requests[0].statements[0].text == text
    assert session.to_server[0] == data


@pytest.mark.parametrize(
    "code", [code for code, kind in commands.COMMANDS.items() if kind.fate is Fate.NEVER] + [0x55]
)
def test_what_is_never_forwarded_is_asked_about_and_replaced(code: int) -> None:
    session = Talk(lambda _: wire.error(1, 1047, "Unknown command"))
    said = session.send(wire.command(code, b"mallory\0\0\0"))
    assert session.to_server == [wire.packet(b"\0")]
    assert said == wire.error(1, 1047, "Unknown command")
    assert session.requests[0].statements[0].unreadable.startswith("com_")


@pytest.mark.parametrize("code", [commands.PING, 0x09])
def test_what_asks_for_nothing_passes(code: int) -> None:
    answer = wire.packet(b"Uptime: 1", 1) if code == 0x09 else wire.ok()
    session = Talk(lambda _: answer)
    assert session.send(wire.command(code)) == answer
    assert session.requests == []


def test_the_page_says_of_every_command_what_becomes_of_it() -> None:
    page = (Path(__file__).parents[3] / "docs" / "protocols" / "mysql.md").read_text()
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| COM_")]
    said = {name: FATES[fate.split()[0].rstrip(",")] for names, fate in rows for name in named(names)}
    assert said.keys() == {kind.name for kind in commands.COMMANDS.values()}
    for kind in commands.COMMANDS.values():
        assert kind.fate in said[kind.name], kind.name


FATES = {
    "judged": {Fate.JUDGED, Fate.KEPT},
    "passed": {Fate.PASSED, Fate.KEPT},
    "never": {Fate.NEVER},
    "the": {Fate.NEVER},  # same
}


def named(cell: str) -> list[str]:
    return re.findall(r"COM_\w+", cell)


def test_a_statement_that_steers_is_followed_by_the_gateways_own_question() -> None:
    session = Talk(ok_to_all)
    asked: list[bytes] = []

    def answers(data: bytes) -> bytes:
        asked.append(data)
        return wire.ok()

    session.answers = answers
    talk = session.talk
    for item in talk.from_client(wire.query("use other")):
        talk.admit(item, facts_of(item))  # type: ignore[arg-type]  # it is a Request
    relay = talk.from_backend(wire.ok())
    assert (relay.to_client, relay.to_backend) == (wire.ok(), context.QUESTION)
    assert not talk.is_settled()
    answer = wire.context(b"other", b"ANSI_QUOTES,PIPES_AS_CONCAT", b"latin1")
    assert talk.from_backend(answer).to_client == b""
    assert talk.is_settled()
    assert talk.names().search_path == ("other",)
    (request,) = talk.from_client(wire.command(3, b"select 'caf\xe9'"))
    assert request.statements[0].text == "select 'café'"  # type: ignore[union-attr]  # it is a Request
    assert request.statements[0].modes == {  # type: ignore[union-attr]  # it is a Request
        "ANSI_QUOTES", "PIPES_AS_CONCAT", "LOWER_CASE_TABLE_NAMES=0",
    }  # fmt: skip


def test_a_name_context_stays_the_same_object_while_nothing_changed() -> None:
    session = Talk(ok_to_all)
    before = session.talk.names()
    session.send(wire.query("set names utf8mb4"))
    assert session.talk.names() is before


@pytest.mark.parametrize("cut", [0, 5, 30, 60])
def test_the_gateways_question_is_swallowed_however_it_is_cut(cut: int) -> None:
    talk = conversation(new=False)
    for item in talk.from_client(wire.query("use other")):
        talk.admit(item, facts_of(item))  # type: ignore[arg-type]  # it is a Request
    answer = wire.ok() + wire.context(None, new=False)
    edge = len(wire.ok()) + cut
    assert talk.from_backend(answer[: len(wire.ok())]).to_client == wire.ok()
    assert talk.from_backend(answer[len(wire.ok()) : edge]).to_client == b""
    assert talk.from_backend(answer[edge:]).to_client == b""
    assert talk.names().search_path == ()


def test_a_server_that_asks_for_a_file_gets_an_empty_one_and_the_client_an_error() -> None:
    talk = conversation()
    for item in talk.from_client(wire.query("load data local infile 'x' into table t")):
        talk.admit(item, facts_of(item))  # type: ignore[arg-type]  # it is a Request
    relay = talk.from_backend(wire.packet(b"\xfb/etc/passwd", 1))
    assert (relay.to_client, relay.to_backend) == (b"", wire.packet(b"", 2))
    relay = talk.from_backend(wire.ok(3))
    assert b"/etc/passwd" not in relay.to_client
    assert relay.to_client[3:7] == b"\1\xff\x7c\x04"  # packet 1, ERR 1148
    assert talk.is_settled()
    assert relay.outcomes[0].executed is False


@pytest.mark.parametrize("size", [0xFFFFFE, 0xFFFFFF, 0x1000000, 2 * 0xFFFFFF])
def test_long_texts_are_joined_before_they_are_judged(size: int) -> None:
    text = b"select '" + b"x" * (size - 10) + b"'"
    payload = b"\3" + text
    raw, sequence = b"", 0
    for at in range(0, len(payload) + 1, 0xFFFFFF):
        raw += wire.packet(payload[at : at + 0xFFFFFF], sequence)
        sequence += 1
    session = Talk(ok_to_all, refuses=("select",))
    said = session.send(raw)
    assert len(session.requests[0].statements[0].text) == size - 1
    assert session.requests[0].raw == raw
    assert said[3] == sequence, "the refusal is numbered behind the last part"


@pytest.mark.parametrize("first", [b"\xfe", b"\0"])
def test_rows_of_sixteen_mebibytes_pass_unread(first: bytes) -> None:
    row = first + b"x" * (0xFFFFFF - 1)
    parts = wire.packet(row, 3) + wire.packet(b"\xfe tail", 4) + wire.packet(row, 5) + wire.packet(b"", 6)
    reply = wire.packet(b"\1", 1) + wire.column(2) + parts + wire.end(7)
    session = Talk(lambda _: reply)
    assert session.send(wire.query("select 1")) == reply
    assert session.talk.is_settled()
    assert session.outcomes[0].rows == 2


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
@pytest.mark.parametrize(
    ("text", "modes", "unreadable"),
    [
        ('select "salary" from staff', "", ""),
        ('select "salary" from staff', "STRICT_TRANS_TABLES", ""),
        ('select "salary" from staff', "ANSI_QUOTES", "sql_mode"),
        ('select "salary" from staff', "POSTGRESQL", "sql_mode"),
        ("select '\\' or 1=1 -- '", "NO_BACKSLASH_ESCAPES", "sql_mode"),
        ("select salary from staff", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", ""),
    ],
)
def test_a_prepared_text_is_read_as_it_was_judged_or_not_at_all(
    dialect: str, text: str, modes: str, unreadable: str
) -> None:
    # MySQL reads it again once a table has changed, with the sql_mode of that moment.
    session = Talk(lambda _: wire.prepared(7))
    session.send(wire.prepare(text))
    talk, state = session.talk, session.talk._state
    state.dialect, state.modes = dialect, frozenset(modes.split(",")) - {""}
    (request,) = talk.from_client(wire.execute(7))
    assert request.statements[0].unreadable == unreadable  # type: ignore[union-attr]  # it is a Request
    state.asked, state.is_known = None, False
    (request,) = talk.from_client(wire.execute(7))
    known = "" if text.startswith("select salary") else "sql_mode"
    assert request.statements[0].unreadable == known  # type: ignore[union-attr]  # it is a Request


def test_the_answer_to_the_gateways_own_question_has_an_end() -> None:
    state = Talk(ok_to_all).talk._state
    server = Server(state)
    state.begin(Running(commands.QUERY, Shape.RESULT, is_own=True))
    server.receive(wire.packet(b"\1", 1) + wire.column(2))
    server.receive(wire.packet(b"x" * 60_000, 3))
    with pytest.raises(ProtocolError, match="does not say"):
        server.receive(wire.packet(b"x" * 6_000, 4))


def test_text_in_another_character_set_is_read_only_where_it_is_ascii() -> None:
    session = Talk(ok_to_all)
    session.send(wire.query("set names gbk"))
    talk = session.talk
    talk._state.charset = "gbk"
    (request,) = talk.from_client(wire.command(3, b"select '\xbf\x5c' or 1=1"))
    assert request.statements[0].unreadable == "character_set"  # type: ignore[union-attr]  # it is a Request
    assert request.statements[0].text == ""  # type: ignore[union-attr]  # it is a Request


def test_a_prepared_text_that_is_not_ascii_is_read_in_the_character_set_it_came_in_or_not_at_all() -> None:
    # The server reads it again once a table has changed, in the character set of that moment.
    numbers = iter((7, 8))
    session = Talk(lambda _: wire.prepared(next(numbers)))
    session.send(wire.prepare("select '你\\' or 1=1 -- '") + wire.prepare("select 1"))
    talk = session.talk
    state = talk._state
    for charset, known, unreadable in (
        ("utf8mb4", True, ""),
        ("gbk", True, "character_set"),
        ("utf8mb4", False, "character_set"),
    ):
        state.charset, state.is_known, state.asked = charset, known, None
        (request,) = talk.from_client(wire.execute(7))
        assert request.statements[0].unreadable == unreadable  # type: ignore[union-attr]  # it is a Request
    state.asked = None
    (request,) = talk.from_client(wire.execute(8))
    assert request.statements[0].text == "select 1"  # type: ignore[union-attr]  # it is a Request


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("latin1", b"`\x8a\xe9\x81`", "`Šé\x81`"),
        ("ascii", b"`\xe9`", None),
        ("swe7", b"select 1", None),
        ("gbk", b"select 1", "select 1"),
    ],
)
def test_text_is_read_as_the_server_reads_its_character_set(
    charset: str, data: bytes, text: str | None
) -> None:
    assert charsets.read(data, charset) == text


def test_a_time_limit_that_is_up_is_told_in_the_policys_words() -> None:
    talk = conversation()
    (request,) = talk.from_client(wire.query("select sleep(100)"))
    talk.admit(request, facts_of(request))  # type: ignore[arg-type]  # it is a Request
    assert talk.overdue(request, DENIAL)  # type: ignore[arg-type]  # it is a Request
    said = talk.from_backend(wire.rows()[:-11] + wire.error(3, 1317, "interrupted"))
    assert b"it is not yours (decision 01DENIED)" in said.to_client
    assert b"interrupted" not in said.to_client
    assert said.outcomes[0].error_code == "1317"


def test_a_server_may_say_why_it_closes_and_nothing_else() -> None:
    talk = conversation()
    bye = wire.error(0, 1927, "killed")
    assert talk.from_backend(bye).to_client == bye
    with pytest.raises(ProtocolError):
        conversation().from_backend(wire.ok())


def test_the_farewell_takes_the_place_of_the_next_packet() -> None:
    talk = conversation()
    assert talk.farewell(DENIAL)[3] == 1
    for item in talk.from_client(wire.query("select 1")):
        talk.admit(item, facts_of(item))  # type: ignore[arg-type]  # it is a Request
    talk.from_backend(wire.rows(b"a")[:30])
    assert talk.farewell(DENIAL)[3] == 3


def test_the_gateways_question_is_asked_again_where_it_was_interrupted() -> None:
    talk = conversation()
    for item in talk.from_client(wire.query("use other")):
        talk.admit(item, facts_of(item))  # type: ignore[arg-type]  # it is a Request
    assert talk.from_backend(wire.ok()).to_backend == context.QUESTION
    for _ in range(2):
        relay = talk.from_backend(wire.error(1, 1317, "interrupted"))
        assert (relay.to_client, relay.to_backend) == (b"", context.QUESTION)
        assert not talk.is_settled()
    assert talk.from_backend(wire.error(1, 1317, "interrupted")).to_backend == b""
    assert talk.is_settled()
    (request,) = talk.from_client(wire.query("select 1"))
    assert request.statements[0].unreadable  # type: ignore[union-attr]  # it is a Request
    assert talk.names().search_path is None


def test_a_session_keeps_a_thousand_prepared_statements_and_is_told_of_the_next() -> None:
    numbers = iter(range(1, 2_000))
    answers = {0x16: lambda: wire.prepared(next(numbers)), 0x17: wire.ok, 0x19: bytes}
    session = Talk(lambda data: answers[data[4]]())
    for _ in range(1_000):
        session.send(wire.prepare("select 1"))
    said = session.send(wire.prepare("select 2") + wire.execute(LAST))
    assert said[3:7] == b"\1\xff\xb5\x05"  # packet 1, ERR 1461
    assert session.requests[-1].statements[0].unreadable == "unknown_statement"
    assert sum(data[4] == 0x16 for data in session.to_server) == 1_000
    session.send(wire.command(0x19, struct.pack("<I", 7)))
    assert session.send(wire.prepare("select 2")) == wire.prepared(1_001)


def test_texts_of_prepared_statements_are_bounded_together() -> None:
    numbers = iter(range(1, 100))
    session = Talk(lambda _: wire.prepared(next(numbers)))
    for _ in range(20):
        session.send(wire.prepare("select '" + "x" * (1 << 20) + "'"))
    assert len(session.to_server) == 16
