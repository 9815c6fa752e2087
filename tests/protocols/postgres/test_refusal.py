"""Refusal by substitution, against a real PostgreSQL: every case ends as if the server itself had refused."""

import pytest

from tests.protocols.postgres import wire
from tests.protocols.postgres.conftest import Open
from tests.protocols.postgres.engine import Engine
from tests.protocols.postgres.wire import bind, execute, kinds, parse, query
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.db


def refused(frames: list[tuple[str, bytes]]) -> dict[str, str]:
    (body,) = (body for kind, body in frames if kind == "E")
    return wire.error_fields(body)


def status(frames: list[tuple[str, bytes]]) -> str:
    kind, body = frames[-1]
    assert kind == "Z"
    return body.decode()


def test_a_refused_query_gets_a_native_error_and_nothing_of_it_reaches_the_server(
    session: Engine, server: Postgres
) -> None:
    frames = session.ask(query("select 'denied' from secret.pay"))
    said = refused(frames)
    (denial,) = session.denials.values()
    assert kinds(frames) == "EZ"
    assert status(frames) == "I"
    assert said["C"] == "42501"
    assert said["M"] == f"the test says no (decision {denial.decision_id})"
    assert "P" not in said
    assert b"secret.pay" not in session.to_backend
    assert session.outcomes == []
    logged = [str(record.get("statement", "")) for record in server.log()]
    assert any(denial.decision_id in text for text in logged)


def test_a_refusal_in_a_transaction_turns_its_commit_into_a_rollback(session: Engine) -> None:
    assert status(session.ask(query("begin"))) == "T"
    assert status(session.ask(query("insert into app.loaded values ('kept', 'no')"))) == "T"
    assert status(session.ask(query("select 'denied'"))) == "E"
    frames = session.ask(query("select 1"))
    assert refused(frames)["C"] == "25P02"
    frames = session.ask(query("commit"))
    assert ("C", b"ROLLBACK\0") in frames
    frames = session.ask(query("select count(*) from app.loaded where a = 'kept'"))
    assert frames[1] == ("D", b"\0\x01\0\0\0\x010")


def test_a_failed_transaction_still_shows_the_policy_s_words(session: Engine) -> None:
    session.ask(query("begin"))
    session.ask(query("select 1/0"))
    frames = session.ask(query("select 'denied'"))
    assert refused(frames)["C"] == "42501"
    frames = session.ask(parse("select 'denied'") + bind() + execute() + wire.SYNC)
    assert refused(frames)["C"] == "42501"


def test_a_savepoint_recovers_from_a_refusal(session: Engine) -> None:
    session.ask(query("begin"))
    session.ask(query("savepoint a"))
    assert status(session.ask(query("select 'denied'"))) == "E"
    assert status(session.ask(query("rollback to savepoint a"))) == "T"
    assert kinds(session.ask(query("select 1"))) == "TDCZ"


def test_a_refused_parse_skips_to_sync_and_leaves_one_ready(session: Engine) -> None:
    frames = session.ask(
        parse("delete from app.orders -- denied", "s1")
        + bind("s1")
        + execute()
        + wire.SYNC
        + query("select 1"),
        times=2,
    )
    assert kinds(frames) == "EZTDCZ"
    assert b"delete" not in session.to_backend
    assert session.quiet() == []


def test_messages_behind_a_refused_parse_do_not_run(session: Engine) -> None:
    frames = session.ask(
        parse("delete from app.orders -- denied", "s1")
        + parse("insert into app.loaded values ('x', 'behind')", "s2")
        + bind("s2")
        + execute()
        + wire.SYNC
    )
    assert kinds(frames) == "EZ"
    frames = session.ask(query("select count(*) from app.loaded where b = 'behind'"))
    assert frames[1] == ("D", b"\0\x01\0\0\0\x010")
    skipped = [outcome for outcome in session.outcomes if not outcome.executed]
    assert [outcome.request.phase.value for outcome in skipped] == ["prepare", "bind"]


def test_a_refused_parse_of_the_unnamed_statement_drops_the_one_before(session: Engine) -> None:
    session.ask(parse("select 1") + wire.SYNC)
    session.ask(parse("delete from app.orders -- denied") + wire.SYNC)
    frames = session.ask(bind() + execute() + wire.SYNC)
    assert refused(frames)["C"] == "42501"
    assert session.requests[-2].statements[0].unreadable == "unknown_prepared_statement"


def test_a_refused_parse_of_a_named_statement_leaves_the_one_before(session: Engine) -> None:
    session.ask(parse("select 1", "s1") + wire.SYNC)
    session.ask(parse("delete from app.orders -- denied", "s1") + wire.SYNC)
    frames = session.ask(bind("s1") + execute() + wire.SYNC)
    assert kinds(frames) == "2DCZ"
    assert session.requests[-1].statements[0].text == "select 1"


def test_a_refused_bind_and_its_execute_fail_as_one(opened: Open) -> None:
    session = opened(lambda request, _: request.phase.value == "prepare")
    frames = session.ask(parse("select 1", "s1") + bind("s1", "p1") + execute("p1") + wire.SYNC)
    assert kinds(frames) == "1EZ"
    assert refused(frames)["C"] == "42501"


def test_a_refused_execute_undoes_the_pipeline_s_implicit_transaction(opened: Open) -> None:
    session = opened(
        lambda request, _: request.phase.value != "execute" or "denied" not in request.statements[0].text
    )
    frames = session.ask(
        parse("insert into app.loaded values ('x', 'undone')")
        + bind()
        + execute()
        + parse("select 'denied'")
        + bind()
        + execute()
        + parse("insert into app.loaded values ('y', 'undone')")
        + bind()
        + execute()
        + wire.SYNC
    )
    assert kinds(frames) == "12C12EZ"
    assert refused(frames)["C"] == "42501"
    frames = session.ask(query("select count(*) from app.loaded where b = 'undone'"))
    assert frames[1] == ("D", b"\0\x01\0\0\0\x010")


def test_a_refused_query_while_the_server_skips_to_sync_is_swallowed(session: Engine) -> None:
    frames = session.ask(parse("select nonsense(") + query("select 'denied'") + query("select 1") + wire.SYNC)
    assert kinds(frames) == "EZ"
    assert refused(frames)["C"] == "42601"
    assert kinds(session.ask(query("select 1"))) == "TDCZ"


def test_an_error_known_before_the_rest_of_the_pipeline_arrives_ends_it_too(session: Engine) -> None:
    session.client_sends(parse("select nonsense(") + wire.FLUSH)
    while kinds(session.frames()) != "E":
        assert session.backend_sends()
    session.client_sends(parse("select 1") + bind() + query("select 'denied'"))
    assert session.quiet() == []
    frames = session.ask(wire.SYNC)
    assert kinds(frames) == "Z"


def test_sync_during_an_extended_copy_in_gives_no_extra_ready(session: Engine) -> None:
    session.client_sends(parse("copy app.loaded from stdin") + bind() + execute() + wire.SYNC)
    while "G" not in kinds(session.frames()):
        assert session.backend_sends()
    session.client_sends(wire.SYNC + wire.copy_data(b"x\tcopied\n") + wire.FLUSH + wire.COPY_DONE)
    frames = session.ask(wire.SYNC)
    assert kinds(frames) == "CZ"
    assert session.quiet() == []
    assert session.outcomes[-1].rows == 1


def test_a_query_inside_copy_in_ends_the_session(session: Engine) -> None:
    session.client_sends(query("copy app.loaded from stdin"))
    while kinds(session.frames()) != "G":
        assert session.backend_sends()
    with pytest.raises(Exception, match="COPY"):
        session.client_sends(query("select 1"))


def test_copy_data_behind_a_refused_copy_is_swallowed(session: Engine) -> None:
    session.client_sends(query("copy app.loaded from stdin -- denied"))
    session.client_sends(wire.copy_data(b"x\ty\n") + wire.COPY_DONE)
    assert b"x\ty" not in session.to_backend
    frames = session.ask(query("select 1"), times=2)
    assert kinds(frames) == "EZTDCZ"


def test_copy_data_in_the_same_chunk_as_its_copy_waits_for_the_server(session: Engine) -> None:
    data = wire.copy_data(b"x\tearly\n") + wire.COPY_DONE
    frames = session.ask(query("copy app.loaded from stdin") + data + query("select 1"), times=2)
    assert kinds(frames) == "GCZTDCZ"
    assert session.outcomes[0].rows == 1
    frames = session.ask(query("copy app.nowhere from stdin") + data + query("select 1"), times=2)
    assert kinds(frames) == "EZTDCZ"
    extended = parse("copy app.loaded from stdin") + bind() + execute() + wire.SYNC
    frames = session.ask(extended + data + wire.SYNC)
    assert kinds(frames) == "12GCZ"
    assert session.quiet() == []


def test_a_query_may_hold_several_copies(session: Engine) -> None:
    data = wire.copy_data(b"x\tseveral\n") + wire.COPY_DONE
    frames = session.ask(
        query("copy app.loaded from stdin; copy app.loaded from stdin; select 1") + data + data
    )
    assert kinds(frames) == "GCGCTDCZ"
    session.client_sends(query("copy app.loaded from stdin; copy app.loaded from stdin"))
    while "G" not in kinds(session.frames()):
        assert session.backend_sends()
    session.client_sends(data)
    while "G" not in kinds(session.frames()):
        assert session.backend_sends()
    assert kinds(session.ask(data)) == "CZ"


def test_copy_data_outside_of_a_copy_ends_the_session(session: Engine) -> None:
    with pytest.raises(Exception, match="outside of a COPY"):
        session.client_sends(wire.copy_data(b"x\ty\n"))


def test_a_function_call_message_never_reaches_the_server(session: Engine) -> None:
    call = wire.message("F", b"\0\0\0\x2a\0\0\0\0\0\0")
    frames = session.ask(call)
    assert kinds(frames) == "EZ"
    assert refused(frames)["C"] == "42501"
    assert b"\x2a" not in session.to_backend
    session.judge = lambda _request, _facts: True
    assert refused(session.ask(call))["C"] == "0A000"


def test_a_denial_of_a_whole_batch_by_one_decision_is_told_apart(opened: Open) -> None:
    session = opened(lambda _request, _facts: False)
    frames = session.ask(query("select 1") + query("select 2") + parse("select 3") + wire.SYNC, times=3)
    assert kinds(frames) == "EZEZEZ"
