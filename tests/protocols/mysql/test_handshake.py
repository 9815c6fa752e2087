"""The start of a connection on either side, without sockets."""

import base64
import hashlib
import struct
from collections.abc import Iterable

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.errors import ProtocolError
from gateway.model.decision import Denied, Reason
from gateway.model.identity import Route
from gateway.model.resource import Database
from gateway.protocols.mysql import MYSQL, greeting
from gateway.protocols.mysql.auth import ed25519, native, sha2
from gateway.protocols.mysql.capabilities import (
    COMPRESS,
    DEPRECATE_EOF,
    LOCAL_FILES,
    NO_SCHEMA,
    OFFERED,
    QUERY_ATTRIBUTES,
    SSL,
)
from gateway.protocols.mysql.errors import LoginError
from gateway.protocols.mysql.greeting import Greeting
from gateway.sansio.flow import Flow, Read, StartTls, Write
from gateway.sansio.protocol import (
    Hello,
    Login,
    Ready,
    Startup,
)
from tests.protocols.mysql import wire

SALT = bytes(range(1, 21))
EVERYTHING = 0xFFFFFFFF
SERVER = Greeting("5.5.5-10.11.6-MariaDB-log", 42, SALT, 0x81FFF7FE | SSL)
DATABASE = Database("shop", "mysql", "localhost:3306")
ROUTE = Route("shop", "mysql", "alice", "mydb")


def drive(flow: Flow[object], answers: Iterable[bytes]) -> tuple[object, list[object]]:
    """The flow's result and what it did; *answers* are what the other side sends, in one."""
    waiting, done = b"".join(answers), list[object]()
    try:
        action = next(flow)
        while True:
            done.append(action)
            taken = b""
            if isinstance(action, Read):
                assert len(waiting) >= action.size, "it reads what nobody sent"
                taken, waiting = waiting[: action.size], waiting[action.size :]
            action = flow.send(taken)
    except StopIteration as stop:
        return stop.value, done


def written(done: Iterable[object]) -> list[bytes]:
    return [action.data for action in done if isinstance(action, Write)]


def ssl_request(sequence: int = 1) -> bytes:
    return wire.packet(struct.pack("<IIB", wire.CAPABILITIES | SSL, 1 << 24, 45) + bytes(23), sequence)


def test_a_client_is_greeted_with_its_own_servers_version_and_less_than_it_can() -> None:
    hello = Hello(encrypted=True, said=SERVER.encode())
    _, done = drive(MYSQL.accept(hello), [wire.handshake()])
    told = greeting.decode(written(done)[0][4:])
    assert told.version == SERVER.version
    assert told.plugin == "mysql_native_password"
    assert told.salt != SALT
    assert b"\0" not in told.salt
    assert not told.capabilities & (COMPRESS | LOCAL_FILES | NO_SCHEMA | QUERY_ATTRIBUTES | SSL)


def test_what_a_client_takes_unoffered_is_not_agreed_on() -> None:
    startup, _ = drive(
        MYSQL.accept(Hello(encrypted=True)),
        [wire.handshake(capabilities=wire.CAPABILITIES | LOCAL_FILES | NO_SCHEMA | QUERY_ATTRIBUTES)],
    )
    assert isinstance(startup, Startup)
    assert int(startup.parameters["capabilities"]) & ~OFFERED == 0


def test_tls_starts_with_the_clients_own_first_message() -> None:
    startup, done = drive(MYSQL.accept(Hello(encrypted=False)), [ssl_request(), wire.handshake(sequence=2)])
    assert StartTls(client_begins=True) in done
    assert isinstance(startup, Startup)
    assert (startup.db_user, startup.db_name, startup.application) == ("alice", "mydb", "contract")
    assert MYSQL.greet(startup, Ready("", {}, b""), b"")[3] == 3


def test_a_second_request_for_tls_ends_it() -> None:
    with pytest.raises(ProtocolError, match="twice"):
        drive(MYSQL.accept(Hello(encrypted=True)), [ssl_request()])


@pytest.mark.parametrize(
    ("plugin", "answer", "packets"),
    [
        (b"mysql_native_password", b"x" * 20, 1),
        (b"caching_sha2_password", b"x" * 32, 2),
        (b"caching_sha2_password", b"\0", 1),
        (b"caching_sha2_password", b"", 1),
        (b"mysql_clear_password", b"secret\0", 1),
    ],
)
def test_whatever_a_client_sends_as_a_password_it_is_let_in(
    plugin: bytes, answer: bytes, packets: int
) -> None:
    startup, _ = drive(MYSQL.accept(Hello(encrypted=True)), [wire.handshake(plugin=plugin, answer=answer)])
    assert isinstance(startup, Startup)
    said = MYSQL.greet(startup, Ready("", {}, b"", extra={"ok": "00000002000000"}), b"")
    assert said.count(b"\x01\x03") == packets - 1
    assert said[-8:] == wire.ok(1 + packets)[-8:]
    assert b"secret" not in repr(startup).encode()


@pytest.mark.parametrize("collation", [28, 13, 95, 1, 248])
def test_character_sets_whose_letters_hold_quotes_are_refused(collation: int) -> None:
    with pytest.raises(ProtocolError, match="utf8mb4"):
        drive(MYSQL.accept(Hello(encrypted=True)), [wire.handshake(collation=collation)])


def test_a_packet_without_an_end_is_not_waited_for() -> None:
    with pytest.raises(ProtocolError, match="bytes"):
        drive(MYSQL.accept(Hello(encrypted=True)), [b"\xff\xff\x7f\1"])


def test_who_is_turned_away_reads_a_native_error() -> None:
    startup, _ = drive(MYSQL.accept(Hello(encrypted=True)), [wire.handshake()])
    assert isinstance(startup, Startup)
    said = MYSQL.refuse_startup(startup, Denied("01NO", (Reason("no", "not today"),)))
    assert said[3:7] == b"\2\xff\x15\x04"
    assert b"#28000not today (decision 01NO)" in said


def log_in(
    server: Greeting, answers: list[bytes], *, secret: str | None = None, uri: str = "localhost:3306"
) -> tuple[Ready, list[bytes]]:
    """The gateway's login before a server."""
    startup, _ = drive(MYSQL.accept(Hello(encrypted=True)), [wire.handshake()])
    assert isinstance(startup, Startup)
    database = Database("shop", "mysql", uri)
    said, dialled = drive(MYSQL.dial(database, startup), [wire.packet(server.encode())])
    assert isinstance(said, bytes)
    ready, done = drive(MYSQL.login(Login(startup, ROUTE, database, secret, said)), answers)
    assert isinstance(ready, Ready)
    return ready, written(dialled) + written(done)


def test_a_certificate_is_all_that_the_server_gets() -> None:
    ready, sent = log_in(SERVER, [wire.ok(3), wire.context()])
    assert [data[3] for data in sent] == [1, 2, 0]
    request, response = sent[0][4:], sent[1][4:]
    assert response.startswith(request), "what is said inside TLS is what was said before"
    assert b"alice\0\0mydb\0mysql_native_password\0" in response
    assert (ready.server_version, ready.search_path) == ("10.11.6-MariaDB", ("mydb",))
    assert ready.extra["dialect"] == "mariadb"


def test_what_a_server_is_it_says_inside_tls() -> None:
    # The greeting came before: whoever stands in between could choose which comments the gateway reads.
    ready, _ = log_in(SERVER, [wire.ok(3), wire.context(version=b"8.0.36")])
    assert (ready.server_version, ready.extra["dialect"]) == ("8.0.36", "mysql")
    with pytest.raises(LoginError, match="version"):
        log_in(SERVER, [wire.ok(3), wire.context(version=b"")])


def test_a_secret_answers_the_salt_that_the_server_sends() -> None:
    switch = wire.packet(b"\xfemysql_native_password\0" + SALT[::-1] + b"\0", 3)
    _, sent = log_in(SERVER, [switch, wire.ok(5), wire.context()], secret="s3cret")
    assert sent[2][4:] == native(b"s3cret", SALT[::-1])
    first = hashlib.sha1(b"s3cret").digest()
    proof = bytes(a ^ b for a, b in zip(sent[2][4:], _mask(SALT[::-1], first), strict=True))
    assert proof == first
    assert all(b"s3cret" not in data for data in sent)


def test_a_server_that_wants_its_salt_signed_gets_a_signature() -> None:
    # The public key that MariaDB's own ED25519_PASSWORD('secret') gives.
    public = Ed25519PublicKey.from_public_bytes(
        base64.b64decode("ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY=")
    )
    for salt in (bytes(range(1, 33)), bytes(31) + b"\0", b"\xff" * 32):
        switch = wire.packet(b"\xfeclient_ed25519\0" + salt, 3)
        _, sent = log_in(SERVER, [switch, wire.ok(5), wire.context()], secret="secret")
        public.verify(sent[2][4:], salt)
    long = ed25519(b"a secret that is longer than thirty-two bytes, as secrets may be", salt)
    with pytest.raises(InvalidSignature):
        public.verify(long, salt)


def _mask(salt: bytes, first: bytes) -> bytes:
    return hashlib.sha1(salt + hashlib.sha1(first).digest()).digest()


def test_the_full_exchange_of_caching_sha2_runs_inside_tls() -> None:
    server = Greeting("8.0.36", 7, SALT, SERVER.capabilities | 1, plugin="caching_sha2_password")
    answers = [wire.packet(b"\1\4", 3), wire.ok(5), wire.context(version=b"8.0.36")]
    ready, sent = log_in(server, answers, secret="s3cret")
    assert sha2(b"s3cret", SALT) in sent[1]
    assert sent[2] == wire.packet(b"s3cret\0", 4)
    assert ready.extra["dialect"] == "mysql"


@pytest.mark.parametrize("method", [b"mysql_clear_password", b"dialog", b"mysql_old_password"])
def test_a_server_that_wants_the_secret_in_clear_does_not_get_it(method: bytes) -> None:
    with pytest.raises(LoginError, match="does not give"):
        log_in(SERVER, [wire.packet(b"\xfe" + method + b"\0" + SALT + b"\0", 3)], secret="s3cret")


def test_a_server_without_tls_is_refused() -> None:
    with pytest.raises(LoginError, match="no fallback"):
        log_in(Greeting("8.0.36", 7, SALT, SERVER.capabilities & ~SSL), [])


def test_a_server_that_cannot_do_what_the_client_was_offered_is_refused() -> None:
    with pytest.raises(LoginError, match="was offered"):
        log_in(Greeting("5.6.0", 7, SALT, SERVER.capabilities & ~DEPRECATE_EOF), [])


def test_a_refused_login_says_the_servers_words() -> None:
    with pytest.raises(LoginError, match=r"Access denied.*1045 \(42000\)"):
        log_in(SERVER, [wire.error(3, 1045, "Access denied for user")])


def test_several_servers_share_the_lowest_version_and_what_all_can_do() -> None:
    old = Greeting("5.5.5-10.3.9-MariaDB", 1, SALT, SERVER.capabilities & ~DEPRECATE_EOF)
    speaks_first = MYSQL.speaks_first
    assert speaks_first is not None
    shared = greeting.decode(speaks_first.shared([SERVER.encode(), old.encode()]))
    assert shared.version == old.version
    assert not shared.capabilities & DEPRECATE_EOF
    assert speaks_first.shared([]) == b""


def test_what_a_server_greets_with_reads_back_as_it_was_written() -> None:
    assert greeting.decode(SERVER.encode()) == SERVER
