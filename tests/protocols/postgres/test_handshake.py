"""The client's side of a start: what is asked for, what is answered, what ends the connection."""

import struct
from datetime import UTC, datetime

import pytest

from gateway.errors import ProtocolError
from gateway.model.decision import Denied, Reason, Revisions
from gateway.model.identity import Identity, Route, Use
from gateway.protocols.postgres import POSTGRES, options
from gateway.sansio.flow import Action, Read, StartTls, Write
from gateway.sansio.protocol import Hello, Ready, Startup
from tests.protocols.postgres import wire
from tests.protocols.postgres.wire import GSSENC_REQUEST, SSL_REQUEST, error_fields, kinds, startup

DENIAL = Denied("01ABC", (Reason("not_yours", "the database is not yours"),), Revisions("p", 1))


def accept(
    data: bytes, *, encrypted: bool = False, tls_required: bool = True, at_once: bool = False
) -> tuple[Startup, list[Action]]:
    """Run the flow over *data*; every read must be satisfied by it, and nothing may be left."""
    flow = POSTGRES.accept(Hello(encrypted, tls_required))
    done: list[Action] = []
    at, action = 0, next(flow)
    try:
        while True:
            if isinstance(action, Read):
                if at + action.size > len(data):
                    raise EOFError(f"wants {action.size} bytes at {at} of {len(data)}")
                at += action.size
                action = flow.send(data[at - action.size : at])
            else:
                done.append(action)
                if at_once and isinstance(action, StartTls) and at < len(data):
                    raise ProtocolError("bytes ahead of the handshake")  # as the session's driver does
                action = flow.send(b"")
    except StopIteration as stop:
        assert at == len(data), "the flow leaves bytes behind"
        result: Startup = stop.value
        return result, done


PLAIN = startup(user="ada", database="sales")


def test_tls_starts_before_the_user_is_read() -> None:
    found, actions = accept(SSL_REQUEST + PLAIN)
    assert (found.db_user, found.db_name, found.version) == ("ada", "sales", 0x30000)
    assert actions == [Write(b"S"), StartTls()]


def test_gssapi_is_declined_and_tls_still_offered() -> None:
    assert accept(GSSENC_REQUEST + SSL_REQUEST + PLAIN)[1] == [Write(b"N"), Write(b"S"), StartTls()]


def test_a_connection_that_is_encrypted_already_declines_to_be_so_twice() -> None:
    assert accept(SSL_REQUEST + PLAIN, encrypted=True)[1] == [Write(b"N")]
    assert accept(PLAIN, encrypted=True)[1] == []


def test_reads_never_reach_beyond_the_request_for_tls() -> None:
    flow = POSTGRES.accept(Hello(encrypted=False))
    read = next(flow)
    taken = 0
    data = SSL_REQUEST + b"\x16\x03\x01 the client hello"
    while isinstance(read, Read):
        taken += read.size
        read = flow.send(data[taken - read.size : taken])
    assert taken == len(SSL_REQUEST)
    assert read == Write(b"S")


def test_a_cancel_request_needs_no_tls() -> None:
    key = struct.pack(">ii", 4242, 99)
    found, actions = accept(wire.cancel(key))
    assert found == Startup(kind="cancel", cancel_key=key)
    assert actions == []
    long = struct.pack(">i", 4242) + b"k" * 32
    assert accept(SSL_REQUEST + wire.cancel(long))[0].cancel_key == long


BAD = {
    "shorter than its own length": "00000004",
    "negative length": "ffffffff00030000",
    "too long": (10_001).to_bytes(4, "big").hex() + "00030000",
    "a TLS record": "160301020001",
    "tls twice": (SSL_REQUEST + SSL_REQUEST).hex(),
    "gssapi twice": (GSSENC_REQUEST + GSSENC_REQUEST).hex(),
    "no tls": PLAIN.hex(),
    "a short cancel": "0000000c04d2162e00001092",
    "a long cancel": wire.cancel(b"k" * 261).hex(),
    "a request that carries more": "0000000904d2162f00",
    "protocol 2": (SSL_REQUEST + startup(0x20000, user="a")).hex(),
    "protocol 4": (SSL_REQUEST + startup(0x40000, user="a")).hex(),
    "no user": (SSL_REQUEST + startup(database="appdb")).hex(),
    "user twice": (SSL_REQUEST + bytes.fromhex(
        "00000030000300007573657200616e616c79737400757365720061646d696e0064617461626173650061707064620000"
    )).hex(),
    "a name twice in other letters": (SSL_REQUEST + startup(user="a", role="x", ROLE="y")).hex(),
    "no terminator": (SSL_REQUEST + bytes.fromhex(
        "00000024000300007573657200616e616c79737400646174616261736500617070646200"
    )).hex(),
    "logical replication": (SSL_REQUEST + startup(user="a", replication="database")).hex(),
    "replication": (SSL_REQUEST + startup(user="a", replication="1")).hex(),
    "a switch that is no setting": (SSL_REQUEST + startup(user="a", options="-d 5")).hex(),
    "a user as a setting": (SSL_REQUEST + startup(user="a", options="-c user=postgres")).hex(),
    "a database as a setting": (SSL_REQUEST + startup(user="a", options="--DataBase=x")).hex(),
    "replication as a setting": (SSL_REQUEST + startup(user="a", options="-c replication=1")).hex(),
    "options as a setting": (SSL_REQUEST + startup(user="a", options="-c options=-crole=x")).hex(),
    "a protocol option as a setting": (SSL_REQUEST + startup(user="a", options="-c _pq_.x=1")).hex(),
    "a switch without a value": (SSL_REQUEST + startup(user="a", options="-c role")).hex(),
    "not utf-8": (SSL_REQUEST + startup(user="a?").replace(b"?", b"\xff")).hex(),
}  # fmt: skip


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_a_start_that_is_not_understood_ends_the_connection(data: str) -> None:
    with pytest.raises(ProtocolError):
        accept(bytes.fromhex(data))


def test_false_spellings_of_replication_are_no_replication() -> None:
    assert accept(SSL_REQUEST + startup(user="a", replication="off"))[0].settings == {}


SETTINGS = {
    "-c search_path=secret": {"search_path": "secret"},
    r"-csearch_path=secret\ ,app -c standard_conforming_strings=off": {
        "search_path": "secret ,app",
        "standard_conforming_strings": "off",
    },
    "--search-path=a  --Role=b": {"search_path": "a", "role": "b"},
    r"-c a.b=x\\y\ z": {"a.b": "x\\y z"},
    "-c x=1 -c x=2": {"x": "2"},
    "-c x=": {"x": ""},
    "": {},
    "   ": {},
}


@pytest.mark.parametrize(("given", "expected"), SETTINGS.items())
def test_options_become_settings(given: str, expected: dict[str, str]) -> None:
    assert options.settings(given) == expected
    found, _ = accept(SSL_REQUEST + startup(user="a", options=given))
    assert found.settings == expected


def test_parameters_become_settings_and_their_own_fields() -> None:
    found, _ = accept(
        SSL_REQUEST
        + startup(user="a", database="d", application_name="psql", search_path="secret", Role="admin")
    )
    assert found.settings == {"search_path": "secret", "role": "admin"}
    assert found.application == "psql"


@pytest.mark.parametrize("spelling", ["UTF8", "utf-8", "Unicode", "SQL_ASCII"])
def test_encodings_that_are_utf8_are_pinned(spelling: str) -> None:
    assert accept(SSL_REQUEST + startup(user="a", client_encoding=spelling))[0].settings == {}


def test_another_encoding_stays_to_be_judged() -> None:
    found, _ = accept(SSL_REQUEST + startup(user="a", client_encoding="LATIN1"))
    assert found.settings == {"client_encoding": "LATIN1"}
    statement = POSTGRES.startup_statement(found, Route("d", "postgres", "a", "n"))
    assert statement.settings == {"client_encoding": "LATIN1"}
    assert statement.text == ""


READY = Ready("15.1", {"server_version": "15.1", "TimeZone": "UTC"}, b"backends", ("public",))


def greeted(data: bytes) -> list[tuple[str, bytes]]:
    found, _ = accept(SSL_REQUEST + data)
    key = POSTGRES.new_cancel_key(found)
    greeting = POSTGRES.greet(found, READY, key)
    frames, at = [], 0
    while at < len(greeting):
        stop = at + 1 + int.from_bytes(greeting[at + 1 : at + 5], "big")
        frames.append((chr(greeting[at]), greeting[at + 5 : stop]))
        at = stop
    assert b"backends" not in greeting
    return frames


def test_a_greeting_holds_the_gateway_s_key() -> None:
    frames = greeted(PLAIN)
    assert kinds(frames) == "RSSKZ"
    assert len(dict(frames)["K"]) == 8
    assert greeted(PLAIN) != frames, "keys are random"


def test_protocol_3_2_gets_a_long_key_and_no_negotiation() -> None:
    frames = greeted(startup(0x30002, user="ada"))
    assert kinds(frames) == "RSSKZ"
    assert len(dict(frames)["K"]) == 36


@pytest.mark.parametrize(("asked", "given"), [(0x30001, 0x30000), (0x30003, 0x30002), (0x3270F, 0x30002)])
def test_other_minor_versions_are_negotiated(asked: int, given: int) -> None:
    frames = greeted(startup(asked, user="ada"))
    assert frames[0] == ("v", struct.pack(">ii", given, 0))


def test_protocol_options_that_are_not_known_are_named() -> None:
    frames = greeted(startup(0x30000, user="ada", **{"_pq_.future": "1"}))
    assert frames[0] == ("v", struct.pack(">ii", 0x30000, 1) + b"_pq_.future\0")


def identity(route: Route | None) -> Identity:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Identity("alice", (), {}, "c", Use.DATABASE, now, now, "1", route)


ROUTE = Route("my-postgres", "postgres", "ada", "sales")


def test_a_start_that_contradicts_the_certificate_is_told_both_names() -> None:
    conflict = POSTGRES.route_conflict
    assert conflict(Startup(db_user="ada", db_name="sales"), identity(ROUTE)) == ""
    assert conflict(Startup(db_user="ada"), identity(ROUTE)) == ""
    said = conflict(Startup(db_user="admin", db_name="sales"), identity(ROUTE))
    assert "'admin'" in said
    assert "'ada'" in said
    said = conflict(Startup(db_user="ada", db_name="other"), identity(ROUTE))
    assert "'other'" in said
    assert "'sales'" in said
    assert conflict(Startup(db_user="ada "), identity(ROUTE))
    assert conflict(Startup(), identity(None))


def test_a_refused_start_gets_a_native_error() -> None:
    data = POSTGRES.refuse_startup(Startup(), DENIAL)
    fields = error_fields(data[5:])
    assert data[:1] == b"E"
    assert (fields["S"], fields["C"]) == ("FATAL", "42501")
    assert fields["M"] == "the database is not yours (decision 01ABC)"
    nobody = Denied("01ABC", (Reason("certificate_expired"),))
    assert error_fields(POSTGRES.refuse_startup(None, nobody)[5:])["C"] == "28000"
    assert POSTGRES.refuse_startup(Startup(kind="cancel"), DENIAL) == b""


def test_a_farewell_says_why_in_one_clean_line() -> None:
    conversation = POSTGRES.converse(Startup(), READY, ROUTE)
    denial = Denied("01ABC", (Reason("locked", "locked:\r\n\x1b[31m\udcff"),))
    fields = error_fields(conversation.farewell(denial)[5:])
    assert fields["C"] == "57P01"
    assert fields["M"].isprintable()
