"""The gateway's login, against a real PostgreSQL and against servers that misbehave."""

import base64
import socket

import pytest

from gateway.errors import BackendError, ProtocolError
from gateway.model.identity import Route
from gateway.model.resource import Database
from gateway.protocols.postgres import POSTGRES
from gateway.protocols.postgres.path import parse_path
from gateway.sansio.flow import Read, StartTls, Write
from gateway.sansio.protocol import Login, Startup
from gateway.sansio.scram import Scram
from tests.protocols.postgres import wire
from tests.protocols.postgres.conftest import Open
from tests.protocols.postgres.engine import connect, drive
from tests.protocols.postgres.wire import kinds, query
from tests.servers.postgres import Postgres

ROUTE = Route("test", "postgres", "alice", "mydb")


def dial(uri: str, answers: list[bytes]) -> list[object]:
    flow = POSTGRES.dial(Database("d", "postgres", uri), Startup())
    actions: list[object] = []
    try:
        action = next(flow)
        while True:
            actions.append(action)
            action = flow.send(answers.pop(0) if isinstance(action, Read) else b"")
    except StopIteration:
        return actions


def test_a_server_that_offers_tls_is_dialled_with_it() -> None:
    assert dial("localhost:5432", [b"S"]) == [Write(wire.SSL_REQUEST), Read(1), StartTls()]


def test_a_unix_socket_needs_no_tls() -> None:
    assert dial("unix:/run/postgresql/.s.PGSQL.5432", []) == []


@pytest.mark.parametrize("answer", [b"N", b"E", b"G", b"\x16"])
def test_there_is_no_fallback_to_plaintext(answer: bytes) -> None:
    with pytest.raises(ProtocolError, match="TLS") as caught:
        dial("localhost:5432", [answer])
    assert isinstance(caught.value, BackendError)


@pytest.mark.db
def test_a_login_collects_what_the_server_says_of_itself(opened: Open) -> None:
    ready = opened(application_name="test").ready
    assert ready.server_version.startswith("15")
    assert ready.parameters["client_encoding"] == "UTF8"
    assert ready.parameters["standard_conforming_strings"] == "on"
    assert len(ready.cancel_key) == 8


@pytest.mark.db
def test_a_login_with_scram_proves_both_sides(server: Postgres) -> None:
    route = Route("test", "postgres", "scram", "mydb")
    where = ("127.0.0.1", server.port)
    engine = connect(where, Startup(), route, "Grün & geheim")
    assert kinds(engine.ask(query("select 1"))) == "TDCZ"
    engine.close()
    with pytest.raises(BackendError, match="28P01") as caught:
        connect(where, Startup(), route, "wrong and secret")
    assert "secret" not in str(caught.value)
    with pytest.raises(BackendError, match="has not"):
        connect(where, Startup(), route)


@pytest.mark.db
@pytest.mark.parametrize(("user", "password"), [("md5", "old"), ("clear", "plain")])
def test_a_password_is_never_given_away(server: Postgres, user: str, password: str) -> None:
    with pytest.raises(BackendError, match="gives it away"):
        connect(("127.0.0.1", server.port), Startup(), Route("t", "postgres", user, "mydb"), password)


@pytest.mark.db
def test_what_the_server_refuses_is_told_in_its_words(server: Postgres) -> None:
    with pytest.raises(BackendError, match=r"does not exist \(3D000\)"):
        connect(("127.0.0.1", server.port), Startup(), Route("t", "postgres", "alice", "nowhere"))
    with pytest.raises(BackendError, match="unrecognized configuration parameter"):
        connect(("127.0.0.1", server.port), Startup(settings={"cluster": "a"}), ROUTE)


@pytest.mark.parametrize("settings", [{"client_encoding": "LATIN1"}, {"standard_conforming_strings": "off"}])
def test_what_steers_how_statements_are_read_is_pinned(settings: dict[str, str]) -> None:
    database = Database("d", "postgres", "localhost:1")
    with pytest.raises(ProtocolError, match="the gateway reads"):
        next(POSTGRES.login(Login(Startup(settings=settings), ROUTE, database)))


def test_no_setting_takes_the_place_of_the_route() -> None:
    settings = {"user": "postgres", "database": "other", "client_encoding": "utf8"}
    write = next(POSTGRES.login(Login(Startup(settings=settings), ROUTE, Database("d", "postgres", "h:1"))))
    assert isinstance(write, Write)
    assert b"user\0alice\0" in write.data
    assert b"database\0mydb\0" in write.data
    assert b"postgres" not in write.data
    assert b"other" not in write.data


@pytest.mark.db
def test_a_role_s_own_default_cannot_change_how_statements_are_read(server: Postgres) -> None:
    server.psql("alter role alice set standard_conforming_strings = off")
    try:
        engine = connect(("127.0.0.1", server.port), Startup(), ROUTE)
        assert engine.ready.parameters["standard_conforming_strings"] == "on"
        engine.close()
    finally:
        server.psql("alter role alice reset standard_conforming_strings")


@pytest.mark.db
def test_a_session_ends_when_the_server_reads_literals_differently(opened: Open) -> None:
    for setting in ("standard_conforming_strings = off", "client_encoding = 'LATIN1'"):
        session = opened(lambda *_: True)
        with pytest.raises(ProtocolError, match="read differently"):
            session.ask(query(f"set {setting}"))


def test_scram_agrees_with_the_example_of_its_specification() -> None:
    scram = Scram("pencil", b"")
    scram._nonce = "rOprNGfwEbeRWgbNEkqO"
    scram._bare = "n=user,r=rOprNGfwEbeRWgbNEkqO"
    challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert scram.final(challenge).endswith(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    scram.verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    with pytest.raises(BackendError, match="signature"):
        scram.verify(b"v=" + base64.b64encode(b"0" * 32))


@pytest.mark.parametrize(
    "challenge",
    [
        b"r=other,s=c2FsdA==,i=4096",
        b"r=Tk5O,s=c2FsdA==,i=4096",
        b"r=Tk5Omore,s=c2FsdA==,i=1",
        b"r=Tk5Omore,s=c2FsdA==,i=99999999",
        b"r=Tk5Omore,s=!,i=4096",
        b"r=Tk5Omore,i=4096",
        b"m=x,r=Tk5Omore,s=c2FsdA==,i=4096",
        b"",
        b"\xff",
    ],
)
def test_a_challenge_out_of_order_ends_the_login(challenge: bytes) -> None:
    with pytest.raises(BackendError, match="SCRAM"):
        Scram("secret", b"NNN").final(challenge)


def answered(frames: list[bytes], secret: str | None = None) -> None:
    """Log in to a server that says *frames*, whatever it is told."""
    data = b"".join(frames)
    flow = POSTGRES.login(Login(Startup(), ROUTE, Database("d", "postgres", "h:1"), secret))
    action = next(flow)
    while True:
        answer = b""
        if isinstance(action, Read):
            answer, data = data[: action.size], data[action.size :]
            assert len(answer) == action.size, "the flow waits for more"
        try:
            action = flow.send(answer)
        except StopIteration:
            return


OK = wire.message("R", b"\0\0\0\0")
SASL = wire.message("R", b"\0\0\0\x0aSCRAM-SHA-256\0\0")
MISBEHAVIOUR = {
    "a session before the login": [wire.message("Z", b"I")],
    "scram without a signature": [SASL, wire.message("R", b"\0\0\0\x0c")],
    "ok in the middle of scram": [SASL, OK],
    "another mechanism only": [wire.message("R", b"\0\0\0\x0aSCRAM-SHA-1\0\0")],
    "kerberos": [wire.message("R", b"\0\0\0\x07")],
    "an endless message": [b"S\x7f\xff\xff\xff"],
    "a message shorter than its length": [b"S\0\0\0\1"],
    "copy": [OK, wire.message("G", b"\0\0\0")],
    "another encoding": [
        OK, wire.message("S", b"client_encoding\0LATIN1\0"), wire.message("Z", b"I"), wire.message("Z", b"I")
    ],
    "an error without fields": [wire.message("E", b"\0")],
    "an error without an end": [wire.message("E", b"")],
}  # fmt: skip


@pytest.mark.parametrize("frames", MISBEHAVIOUR.values(), ids=MISBEHAVIOUR.keys())
def test_a_server_that_misbehaves_is_not_logged_in_to(frames: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        answered(frames, "secret")


@pytest.mark.db
def test_a_cancel_reaches_what_runs(opened: Open, server: Postgres) -> None:
    session = opened()
    session.client_sends(query("select pg_sleep(60)"))
    route = Route("d", "postgres", "alice", "")
    details = Login(Startup(), route, Database("d", "postgres", server.uri))
    for _ in range(100):  # a cancel that comes before the statement runs has no effect
        with socket.create_connection(("127.0.0.1", server.port)) as other:
            drive(POSTGRES.cancel(session.ready.cancel_key, details), other)
        if session.backend_sends(0.2):
            break
    frames = session.until_ready()
    assert wire.error_fields(dict(frames)["E"])["C"] == "57014"


@pytest.mark.db
def test_the_catalogue_is_read_as_the_user_sees_it(opened: Open) -> None:
    session = opened(search_path="app")
    catalog = drive(POSTGRES.read_catalog(), session.backend)
    assert catalog.relations[("app", "orders")].kind == "table"
    assert catalog.relations[("app", "orders")].columns == ("id", "amount", "note")
    assert ("secret", "pay") in catalog.relations
    assert ("app", "f_one") in catalog.functions
    assert ("app", "orders") in catalog.types
    assert not any(schema == "pg_catalog" for schema, _ in catalog.relations)


@pytest.mark.db
def test_the_catalogue_cannot_be_fooled_by_a_search_path(opened: Open) -> None:
    session = opened(lambda *_: True)
    session.ask(
        query(
            "create schema evil; create function evil.never(name, name) returns bool language sql as"
            " $$ select false $$; create operator evil.<> (leftarg = name, rightarg = name,"
            " function = evil.never); create function evil.never_oid(oid, oid) returns bool language sql as"
            " $$ select false $$; create operator evil.= (leftarg = oid, rightarg = oid,"
            " function = evil.never_oid)"
        )
    )
    poisoned = opened(search_path="evil, pg_catalog")
    catalog = drive(POSTGRES.read_catalog(), poisoned.backend)
    assert ("app", "orders") in catalog.relations
    assert ("evil", "<>") in catalog.operators
    session.ask(query("drop schema evil cascade"))


PATHS = {
    '"$user", public': ("alice", "public"),
    "a, b": ("a", "b"),
    "A,b": ("a", "b"),
    '"A,""b", c': ('A,"b', "c"),
    '""': (),
    "": (),
    "a b": None,
    "a,,b": None,
    ",": None,
    '"open': None,
    "é": None,
}


@pytest.mark.parametrize(("shown", "expected"), PATHS.items())
def test_a_search_path_is_read_with_certainty_or_not_at_all(
    shown: str, expected: tuple[str, ...] | None
) -> None:
    assert parse_path(shown, "alice") == expected
