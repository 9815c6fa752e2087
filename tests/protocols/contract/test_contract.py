"""What holds for every protocol in the registry, whatever its bytes look like."""

import ast
import inspect
import itertools
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.model.decision import Denied, Reason, Revisions
from gateway.model.identity import Identity, Use
from gateway.protocols import REGISTRY
from gateway.sansio.conversation import Conversation
from gateway.sansio.exchange import (
    Answered,
    Housekeeping,
    Outcome,
    Request,
    Settle,
)
from gateway.sansio.flow import Flow, Read, StartTls, Write
from gateway.sansio.protocol import Hello, Protocol
from gateway.sansio.protocol import Startup as StartupValue
from tests.protocols.contract.samples import CANARY, SAMPLES, Sample

ROOT = Path(__file__).parents[3]
DENIAL = Denied("01CONTRACT", (Reason("not_yours", "it is not yours"),), Revisions("p", 1))
NO_IO = {"asyncio", "socket", "ssl", "select", "selectors", "threading", "subprocess", "os", "time"}

each = pytest.mark.parametrize("name", REGISTRY)


def of(name: str) -> tuple[Protocol, Sample]:
    return REGISTRY[name], SAMPLES[name]


def start(name: str) -> Conversation:
    protocol, sample = of(name)
    return protocol.converse(sample.startup, sample.ready, sample.route)


def feed(flow: Flow[StartupValue], data: bytes) -> tuple[StartupValue, int]:
    """Run *flow* over *data*; its result and how many bytes it took."""
    at = 0
    try:
        action = next(flow)
        while True:
            answer = b""
            if isinstance(action, Read):
                if at + action.size > len(data):
                    raise EOFError
                answer = data[at : at + action.size]
                at += action.size
            else:
                assert isinstance(action, Write | StartTls)
            action = flow.send(answer)
    except StopIteration as stop:
        result: StartupValue = stop.value
        return result, at


def talk(
    name: str, conversation: Conversation, chunks: Iterable[bytes], *, admit: bool = True
) -> list[object]:
    """Put *chunks* through as the session would; what was judged, and all that goes to the server, in one."""
    protocol = REGISTRY[name]
    items: list[Housekeeping | Request] = []
    for chunk in chunks:
        for item in conversation.from_client(chunk):
            assert not isinstance(item, Settle), "nothing here has to wait"
            if not isinstance(item, Answered):  # none of it goes on
                items.append(item)
    seen: list[object] = []
    out = b""
    for item in items:
        if isinstance(item, Housekeeping):
            out += item.raw
            continue
        facts = tuple(fact for statement in item.statements for fact in protocol.classify(statement))
        conversation.must_settle(item, facts)
        seen.append((item.phase, item.statements, item.raw, item.name, item.bind_types))
        if admit:
            sent = conversation.admit(item, facts)
            assert sent.startswith(item.raw), "what was judged is what is sent"
            out += sent
        else:
            refusal = conversation.refuse(item, facts, DENIAL)
            out += refusal.to_backend
    return [*seen, out]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges) if a != b]


@each
def test_a_protocol_has_its_page_its_tests_and_its_name(name: str) -> None:
    assert REGISTRY[name].name == name
    assert (ROOT / "docs" / "protocols" / f"{name}.md").is_file()
    assert list((ROOT / "tests" / "protocols" / name).glob("test_*.py"))
    assert name in SAMPLES, "the contract suite needs bytes to try it with"


@each
def test_its_modules_do_no_io(name: str) -> None:
    package = inspect.getfile(inspect.getmodule(REGISTRY[name].converse) or type(name))
    for path in Path(package).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & NO_IO, f"{path.name} reaches for the outside"


@each
def test_a_start_is_read_to_its_last_byte_and_no_further(name: str) -> None:
    protocol, sample = of(name)
    behind = b"\x16\x03\x01bytes that belong to somebody else"
    found, taken = feed(protocol.accept(Hello(encrypted=True)), sample.start + behind)
    assert taken == len(sample.start)
    assert found.kind == "session"
    if sample.startup.db_user:
        assert (found.db_user, found.db_name) == ("alice", "mydb")
    for length in range(len(sample.start)):
        with pytest.raises(EOFError):
            feed(protocol.accept(Hello(encrypted=True)), sample.start[:length])


@each
def test_a_session_does_not_start_in_clear_where_tls_is_required(name: str) -> None:
    protocol, sample = of(name)
    with pytest.raises(ProtocolError):
        feed(protocol.accept(Hello(encrypted=False, tls_required=True)), sample.start)


@pytest.mark.parametrize("name", [name for name in REGISTRY if SAMPLES[name].cancel])
def test_a_cancel_is_told_from_a_session(name: str) -> None:
    protocol, sample = of(name)
    found, _ = feed(protocol.accept(Hello(encrypted=True)), sample.cancel)
    assert found.kind == "cancel"
    assert found.cancel_key


@given(st.data())
@settings(max_examples=200, deadline=None)
@each
def test_a_start_of_any_bytes_ends_in_a_start_or_a_protocol_error(name: str, data: st.DataObject) -> None:
    protocol, sample = of(name)
    junk = data.draw(st.one_of(st.binary(max_size=200), st.just(sample.start)))
    flips = data.draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
    changed = bytearray(junk)
    for place, value in flips:
        if changed:
            changed[place % len(changed)] = value
    with suppress(ProtocolError, EOFError):
        feed(protocol.accept(Hello(encrypted=True)), bytes(changed))


@each
def test_the_client_gets_the_gateway_s_cancel_key_and_never_the_server_s(name: str) -> None:
    protocol, sample = of(name)
    keys = {protocol.new_cancel_key(sample.startup) for _ in range(20)}
    assert len(keys) == 20
    key = keys.pop()
    greeting = protocol.greet(sample.startup, sample.ready, key)
    assert not sample.cancel or key in greeting
    assert sample.ready.cancel_key not in greeting


@each
def test_a_contradiction_to_the_certificate_names_both_sides(name: str) -> None:
    protocol, sample = of(name)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    identity = Identity("ada", (), {}, "cluster", Use.DATABASE, now, now, "1", sample.route)
    assert protocol.route_conflict(sample.startup, identity) == ""
    said = protocol.route_conflict(replace(sample.startup, db_user="mallory"), identity)
    assert "mallory" in said
    assert sample.route.db_user in said
    assert protocol.route_conflict(sample.startup, replace(identity, route=None))


@each
def test_every_no_says_why_and_which_decision(name: str) -> None:
    protocol, sample = of(name)
    for data in (protocol.refuse_startup(sample.startup, DENIAL), start(name).farewell(DENIAL)):
        assert b"it is not yours" in data
        assert b"01CONTRACT" in data


@each
def test_a_client_s_bytes_mean_the_same_one_by_one(name: str) -> None:
    _, sample = of(name)
    data = sample.commands
    assert talk(name, start(name), [data[i : i + 1] for i in range(len(data))]) == talk(
        name, start(name), [data]
    )


@given(st.data())
@settings(max_examples=60, deadline=None)
@each
def test_a_client_s_bytes_mean_the_same_however_they_are_cut(name: str, data: st.DataObject) -> None:
    _, sample = of(name)
    places = data.draw(st.lists(st.integers(0, len(sample.commands)), max_size=10))
    whole = talk(name, start(name), [sample.commands])
    assert talk(name, start(name), cut(sample.commands, places)) == whole


def answered(name: str, chunks: Iterable[bytes]) -> tuple[bytes, list[tuple[int | None, int, str, bool]]]:
    _, sample = of(name)
    conversation = start(name)
    talk(name, conversation, [sample.commands])
    to_client, outcomes = b"", list[Outcome]()
    for chunk in chunks:
        relay = conversation.from_backend(chunk)
        to_client += relay.to_client
        outcomes += relay.outcomes
    assert conversation.abandon() == ()
    return to_client, [(o.rows, o.bytes, o.error_code, o.executed) for o in outcomes]


@given(st.data())
@settings(max_examples=60, deadline=None)
@each
def test_a_server_s_bytes_mean_the_same_however_they_are_cut(name: str, data: st.DataObject) -> None:
    _, sample = of(name)
    places = data.draw(st.lists(st.integers(0, len(sample.answers)), max_size=10))
    whole = answered(name, [sample.answers])
    assert whole[0] == sample.answers
    assert answered(name, cut(sample.answers, places)) == whole


@each
def test_every_record_that_was_admitted_ends_once(name: str) -> None:
    _, sample = of(name)
    conversation = start(name)
    requests = [item for item in conversation.from_client(sample.commands) if isinstance(item, Request)]
    classify = REGISTRY[name].classify
    for request in requests:
        conversation.admit(request, tuple(fact for s in request.statements for fact in classify(s)))
    ends = conversation.abandon()
    recorded = [request for request in requests if request.covered_by is None]
    assert sorted(id(outcome.request) for outcome in ends) == sorted(map(id, recorded))
    assert all(outcome.error_code or not outcome.executed for outcome in ends), "nobody saw them end well"
    assert conversation.abandon() == ()


@each
def test_no_byte_of_a_refused_statement_reaches_the_server(name: str) -> None:
    _, sample = of(name)
    *seen, out = talk(name, start(name), [sample.statement(CANARY)], admit=False)
    assert len(seen) == 1
    assert isinstance(out, bytes)
    assert CANARY.encode() not in out


@each
def test_what_no_client_may_send_ends_the_session(name: str) -> None:
    _, sample = of(name)
    for data in sample.unwelcome:
        with pytest.raises(ProtocolError):
            talk(name, start(name), [data])


@each
def test_what_nobody_asked_the_server_ends_the_session(name: str) -> None:
    _, sample = of(name)
    for data in sample.out_of_step:
        conversation = start(name)
        with pytest.raises(ProtocolError):
            conversation.from_backend(data)


@given(st.data())
@settings(max_examples=150, deadline=None)
@each
def test_nothing_but_a_protocol_error_escapes(name: str, data: st.DataObject) -> None:
    _, sample = of(name)
    conversation = start(name)
    source = data.draw(st.sampled_from([sample.commands, sample.answers, b"".join(sample.unwelcome)]))
    changed = bytearray(source)
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=6)):
        changed[place % len(changed)] = value
    try:
        talk(name, conversation, [sample.commands])
        if data.draw(st.booleans()):
            conversation.from_backend(bytes(changed))
        else:
            for _ in conversation.from_client(bytes(changed)):
                pass
    except ProtocolError:
        pass
    conversation.abandon()


@each
def test_a_conversation_knows_its_names_and_asks_for_the_catalogue(name: str) -> None:
    _, sample = of(name)
    conversation = start(name)
    assert conversation.names().db_user == sample.route.db_user
    assert conversation.names() is conversation.names()
    assert conversation.is_settled()
    conversation.set_catalog(None)
    assert not conversation.wants_catalog()


_FOR_NOW = {"postgres": b"C53300\0", "mysql": b"#42000", "mariadb": b"#42000", "mongodb": b"", "redis": b"-"}


@each
@pytest.mark.parametrize("code", ["rate_limited", "too_many_connections", "database_full"])
def test_who_opens_too_many_connections_reads_so_in_the_protocols_own_words(name: str, code: str) -> None:
    """And reads it from a limit of the gateway's as from one of the policy's."""
    protocol, sample = of(name)
    for revisions in (None, Revisions("p", 1)):
        denial = Denied("01CONTRACT", (Reason(code, "too many; try again in a moment"),), revisions)
        said = protocol.refuse_startup(sample.startup, denial)
        assert b"too many; try again in a moment (decision 01CONTRACT)" in said
        assert _FOR_NOW[name] in said
