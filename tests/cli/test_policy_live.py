"""What ``regate policy corpus --live`` makes of answers, and of none, in each protocol."""

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.analysis.corpus import Entry, Must
from gateway.cli.live import mongodb
from gateway.cli.live.answer import Answer, Sender
from gateway.cli.live.channel import Channel
from gateway.cli.live.postgres import PostgresSender, Said
from gateway.cli.live.senders import SENDERS
from gateway.cli.main import cli
from gateway.cli.policy.live import not_sent, read
from gateway.clock import SystemClock
from gateway.errors import AccessError, ProtocolError
from gateway.model.identity import Route
from gateway.protocols.mysql.greeting import NATIVE, Greeting
from gateway.protocols.mysql.packets import packet
from gateway.protocols.postgres import errors, messages
from gateway.protocols.redis import resp
from tests.protocols.mongodb import wire

DECIDED = "no (decision 01JD0000000000000000000000)"
READY = messages.frame(messages.READY_FOR_QUERY, b"T")
IDLE = messages.frame(messages.READY_FOR_QUERY, b"I")
ROUTE = Route("db", "postgres", "alice", "mydb")


def entry(must: Must = Must.DENY, *, protocol: str = "postgres", kind: str = "sql") -> Entry:
    return Entry("A", protocol, kind, "select 1", must, 1, expect={"verbs": ("DELETE",)})


@pytest.mark.parametrize(
    ("answer", "attack", "control"),
    [
        (Answer(True, "42501", DECIDED, True), True, False),
        (Answer(False, "57P01", DECIDED), True, False),
        (Answer(True), False, True),
        # The server's own words, whatever they are, come after a yes.
        (Answer(True, "42501", "permission denied for table orders", True), False, True),
        (Answer(True, "42501", DECIDED + " said a function", True), False, True),
        (Answer(True, "57014", DECIDED), False, True),  # it ran, and for too long
        (Answer(True, "13", "'eval' is not offered here: it runs code", True), True, False),
        (Answer(True, "2", "'eval' is not offered here: it runs code"), False, True),
        # Neither: as wrong for the one as for the other.
        (Answer(False), False, False),
        (Answer(False, "57P01", "terminating connection"), False, False),
    ],
)
def test_an_answer_is_a_refusal_only_by_a_decision(answer: Answer, *, attack: bool, control: bool) -> None:
    assert (not read(entry(Must.DENY), answer).differences) is attack
    assert (not read(entry(Must.FAIL_CLOSED), answer).differences) is attack
    assert (not read(entry(Must.PARSE), answer).differences) is control


def test_an_errors_own_words_are_not_shown() -> None:
    said = Said("E", {"C": "23505", "M": "duplicate", "D": "Key (ssn)=(078)"})
    found = read(entry(Must.PARSE), said.answer)
    assert found.ending.sentence == "the server refused it (23505), after the policy allowed it"


def test_only_what_the_database_speaks_is_sent() -> None:
    assert not_sent(entry(), "postgres") == not_sent(entry(protocol="postgresql"), "postgres") == ""
    assert "kind sql" in not_sent(entry(kind="wire"), "postgres")
    assert "speaks postgres" in not_sent(entry(protocol="redis", kind="command"), "postgres")
    assert "speaks redis" in not_sent(entry(), "redis")
    for name, spoken in (("mysql", "mariadb"), ("mariadb", "mysql"), ("mysql", "mysql")):
        assert not_sent(entry(protocol=name), spoken) == ""
    assert "speaks postgres" in not_sent(entry(protocol="mariadb"), "postgres")
    assert not_sent(entry(protocol="redis", kind="command"), "redis") == ""
    assert "not built" in not_sent(entry(protocol="oracle"), "postgres")
    assert "cannot be written as BSON" in not_sent(entry(protocol="mongodb", kind="command"), "mongodb")
    silent = wire.message(1, {"ping": 1, "$db": "app"}, flags=2)
    assert "no answer" in mongodb.unsent(silent)
    assert mongodb.unsent(wire.message(1, {"ping": 1, "$db": "app"})) == mongodb.unsent(b"short") == ""


@pytest.fixture
def pair() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    channel = Channel(ours, 0.2, SystemClock())
    yield channel, theirs
    channel.close()
    theirs.close()


def sender(channel: Channel, theirs: socket.socket) -> PostgresSender:
    """A session of PostgreSQL's that is in its transaction."""
    theirs.sendall(IDLE + READY)
    made = PostgresSender(channel)
    made.open(ROUTE)
    theirs.recv(4096)
    return made


def test_rows_are_dropped_and_the_first_error_counts(pair: tuple[Channel, socket.socket]) -> None:
    line, (_, server) = sender(*pair), pair
    row = messages.frame(messages.DATA_ROW, b"\0\0")
    said = [errors.error_response("ERROR", code, code) for code in ("42501", "25P02")]
    copy = messages.frame(messages.COPY_IN_RESPONSE, b"\0\0\0")
    server.sendall(row * 3 + copy + b"".join(said) + READY + IDLE)
    assert line.send("select 1") == Answer(True, "42501", "42501", True)
    assert server.recv(1024).startswith(b"Q\0\0\0\rselect 1\0f")
    server.sendall(said[0] + IDLE)
    assert line.send(b"select 1").code == "42501"


def test_no_answer_in_time_is_an_error_also_while_rows_come(pair: tuple[Channel, socket.socket]) -> None:
    line, (_, server) = sender(*pair), pair
    server.sendall(messages.frame(messages.DATA_ROW, b"\0\0") * 10)
    with pytest.raises(TimeoutError):
        line.send("select 1")


def test_an_end_in_the_middle_is_an_answer_of_a_dead_connection(pair: tuple[Channel, socket.socket]) -> None:
    line, (_, server) = sender(*pair), pair
    server.sendall(errors.error_response("FATAL", "57P01", DECIDED) + READY[:3])
    server.shutdown(socket.SHUT_WR)
    assert line.send("select 1") == Answer(False, "57P01", DECIDED)


@pytest.mark.parametrize("said", [messages.frame(messages.AUTHENTICATION, messages.u32(3)), b"Z\0\0\0\1"])
def test_a_password_is_never_sent_and_nonsense_ends_it(
    pair: tuple[Channel, socket.socket], said: bytes
) -> None:
    channel, server = pair
    server.sendall(said)
    with pytest.raises(ProtocolError):
        PostgresSender(channel).open(ROUTE)


GREETING = packet(0, Greeting("8.0.36", 1, b"s" * 20, 0xFFFFFFFF, 45, 2, NATIVE, 0).encode())
NO_SQL = b"\xff" + struct.pack("<H", 1142) + b"#42000" + DECIDED.encode()
DENIED: dict[str, bytes] = {
    "postgres": errors.error_response("FATAL", "42501", DECIDED),
    "mysql": packet(0, NO_SQL),
    "mongodb": wire.message(1, {"ok": 0.0, "errmsg": DECIDED, "code": 13}, response_to=2**31 - 1),
    "redis": b"-NOPERM " + DECIDED.encode() + b"\r\n",
}


@pytest.mark.parametrize("protocol", list(DENIED))
def test_a_refused_login_is_told(pair: tuple[Channel, socket.socket], protocol: str) -> None:
    channel, server = pair
    server.sendall(DENIED[protocol])
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(AccessError, match="db opened no session: no "):
        SENDERS[protocol].made(channel).open(ROUTE)


@pytest.mark.parametrize("protocol", list(DENIED))
def test_a_session_that_just_ends_is_none(pair: tuple[Channel, socket.socket], protocol: str) -> None:
    channel, server = pair
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(AccessError, match="the connection ended"):
        SENDERS[protocol].made(channel).open(ROUTE)


def mysql(channel: Channel, server: socket.socket) -> Sender:
    okay = packet(2, b"\0\0\0\2\0\0\0")
    server.sendall(GREETING + okay + packet(1, b"\0\0\0\2\0\0\0"))
    made = SENDERS["mysql"].made(channel)
    made.open(ROUTE)
    return made


def mongo(channel: Channel, server: socket.socket) -> Sender:
    server.sendall(wire.message(1, {"ok": 1.0}, response_to=2**31 - 1))
    made = SENDERS["mongodb"].made(channel)
    made.open(ROUTE)
    return made


MORE = b"\0\0\0\x0a\0\0\0"  # another result follows
DONE = b"\0\0\0\2\0\0\0"
PING = '{"ping": 1, "$db": "app"}'


@pytest.mark.parametrize(
    ("opened", "payload", "said", "answer"),
    [
        (mysql, "select 1", packet(1, DONE) * 2, Answer(True)),
        (
            mysql,
            "a; b",
            packet(1, MORE) + packet(2, NO_SQL) + packet(1, DONE),
            Answer(True, "1142", DECIDED, True),
        ),
        (mysql, "a", packet(1, DONE)[:3], Answer(False)),
        (mongo, PING, wire.message(2, {"ok": 1.0}, response_to=1), Answer(True)),
        (
            mongo,
            PING,
            wire.message(2, {"ok": 0.0, "code": 13, "errmsg": DECIDED}, response_to=1),
            Answer(True, "13", DECIDED, True),
        ),
        (
            mongo,
            b"x" * 20,
            wire.message(2, {"ok": 0.0, "code": 13, "errmsg": DECIDED}),
            Answer(False, "13", DECIDED, True),
        ),
        (mongo, PING, b"", Answer(False)),
    ],
)
def test_answers_are_read_to_their_end(
    pair: tuple[Channel, socket.socket],
    opened: Callable[[Channel, socket.socket], Sender],
    payload: Any,
    said: bytes,
    answer: Answer,
) -> None:
    channel, server = pair
    made = opened(channel, server)
    server.sendall(said)
    server.shutdown(socket.SHUT_WR)
    assert made.send(payload) == answer


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"+QUEUED\r\n+OK\r\n", Answer(True)),
        (b"$3\r\nabc\r\n*1\r\n:1\r\n+OK\r\n", Answer(True)),
        (DENIED["redis"] + b"+OK\r\n", Answer(True, "NOPERM", DECIDED, True)),
        (b"-ERR unknown command\r\n+OK\r\n", Answer(True, "ERR", "unknown command")),
    ],
)
def test_replies_of_redis_are_read_up_to_a_word_of_ones_own(
    pair: tuple[Channel, socket.socket], said: bytes, answer: Answer
) -> None:
    channel, server = pair
    made = SENDERS["redis"].made(channel)
    word = made._word  # type: ignore[attr-defined]
    end = b"$%d\r\n%b\r\n" % (len(word), word)
    server.sendall(end + b"+OK\r\n")
    made.open(ROUTE)
    assert server.recv(4096).endswith(resp.encode(b"MULTI"))
    server.sendall(said + end)
    assert made.send("GET app:x") == answer
    sent = b"".join(resp.encode(*words) for words in ([b"GET", b"app:x"], [b"DISCARD"]))
    assert server.recv(4096).startswith(sent)
    server.sendall(DENIED["redis"])
    server.shutdown(socket.SHUT_WR)
    assert made.send(b"*1\r\n!") == Answer(False, "NOPERM", DECIDED, True)


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
