"""What ``regate policy corpus --live`` makes of answers, and of none."""

import socket
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from gateway.analysis.corpus import Entry, Must
from gateway.cli.main import cli
from gateway.cli.policy.line import Answer, Line
from gateway.cli.policy.live import not_sent, read
from gateway.clock import SystemClock
from gateway.errors import AccessError, ProtocolError
from gateway.model.identity import Route
from gateway.protocols.postgres import errors, messages

DECIDED = "no (decision 01JD0000000000000000000000)"
READY = messages.frame(messages.READY_FOR_QUERY, b"T")


def entry(must: Must = Must.DENY, *, protocol: str = "postgres", kind: str = "sql") -> Entry:
    return Entry("A", protocol, kind, "select 1", must, 1, expect={"verbs": ("DELETE",)})


@pytest.mark.parametrize(
    ("answer", "attack", "control"),
    [
        (Answer("E", {"C": "42501", "M": DECIDED}), True, False),
        (Answer("", {"C": "57P01", "M": DECIDED}), True, False),
        (Answer("T"), False, True),
        # The server's own words, whatever they are, come after a yes.
        (Answer("E", {"C": "42501", "M": "permission denied for table orders"}), False, True),
        (Answer("E", {"C": "42501", "M": DECIDED + " said a function"}), False, True),
        (Answer("E", {"C": "57014", "M": DECIDED}), False, True),  # it ran, and for too long
        # Neither: as wrong for the one as for the other.
        (Answer(""), False, False),
        (Answer("", {"C": "57P01", "M": "terminating connection"}), False, False),
    ],
)
def test_an_answer_is_a_refusal_only_by_a_decision(answer: Answer, *, attack: bool, control: bool) -> None:
    assert (not read(entry(Must.DENY), answer).differences) is attack
    assert (not read(entry(Must.FAIL_CLOSED), answer).differences) is attack
    assert (not read(entry(Must.PARSE), answer).differences) is control


def test_an_errors_own_words_are_not_shown() -> None:
    found = read(entry(Must.PARSE), Answer("E", {"C": "23505", "M": "duplicate", "D": "Key (ssn)=(078)"}))
    assert found.ending.sentence == "the server refused it (23505), after the policy allowed it"


def test_only_statements_of_postgresql_are_sent() -> None:
    assert not_sent(entry()) == not_sent(entry(protocol="postgresql")) == ""
    assert "kind sql" in not_sent(entry(kind="wire"))
    assert "speaks postgres" in not_sent(entry(protocol="redis", kind="command"))
    assert "speaks postgres" in not_sent(entry(protocol="mysql"))
    assert "not built" in not_sent(entry(protocol="oracle"))


@pytest.fixture
def pair() -> Iterator[tuple[Line, socket.socket]]:
    ours, theirs = socket.socketpair()
    line = Line(ours, 0.2, SystemClock())
    yield line, theirs
    line.close()
    theirs.close()


def test_rows_are_dropped_and_the_first_error_counts(pair: tuple[Line, socket.socket]) -> None:
    line, server = pair
    row = messages.frame(messages.DATA_ROW, b"\0\0")
    said = [errors.error_response("ERROR", code, code) for code in ("42501", "25P02")]
    server.sendall(row * 3 + messages.frame(messages.COPY_IN_RESPONSE, b"\0\0\0") + b"".join(said) + READY)
    assert (line.run(b"select 1").status, server.recv(1024)[:5]) == ("T", b"Q\0\0\0\r")
    server.sendall(said[0] + READY)
    assert line.run(b"select 1").code == "42501"


def test_no_answer_in_time_is_an_error_also_while_rows_come(pair: tuple[Line, socket.socket]) -> None:
    line, server = pair
    server.sendall(messages.frame(messages.DATA_ROW, b"\0\0") * 10)
    with pytest.raises(TimeoutError):
        line.run(b"select 1")


def test_an_end_in_the_middle_is_an_answer_without_a_status(pair: tuple[Line, socket.socket]) -> None:
    line, server = pair
    server.sendall(errors.error_response("FATAL", "57P01", DECIDED) + READY[:3])
    server.shutdown(socket.SHUT_WR)
    answer = line.run(b"select 1")
    assert (answer.status, answer.code, answer.sentence) == ("", "57P01", DECIDED)


@pytest.mark.parametrize("said", [messages.frame(messages.AUTHENTICATION, messages.u32(3)), b"Z\0\0\0\1"])
def test_a_password_is_never_sent_and_nonsense_ends_it(pair: tuple[Line, socket.socket], said: bytes) -> None:
    line, server = pair
    server.sendall(said)
    with pytest.raises(ProtocolError):
        line.start(Route("db", "postgres", "alice", "mydb"))


def test_a_refused_login_is_told(pair: tuple[Line, socket.socket]) -> None:
    line, server = pair
    server.sendall(errors.error_response("FATAL", "42501", DECIDED))
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(AccessError, match="db opened no session: no "):
        line.start(Route("db", "postgres", "alice", "mydb"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--live=db", "--policy=."], "--policy is not used with --live"),
        (["--live=db", "--user=analyst"], "--user is not used with --live"),
        (["--db-user=alice"], "--db-user is used only with --live"),
        (["--proxy=localhost:3080"], "--proxy is used only with --live"),
    ],
)
def test_options_that_would_be_overlooked_are_refused(options: list[str], sentence: str) -> None:
    done = CliRunner().invoke(cli, ["policy", "corpus", "none.yaml", *options])
    assert sentence in str(done.exception or done.output)
