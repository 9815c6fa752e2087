"""What names stand for in a session: prepared statements, portals, the search path, the catalogue."""

from gateway.model.statement import Catalog
from tests.protocols.postgres import wire
from tests.protocols.postgres.conftest import Open
from tests.protocols.postgres.engine import Engine
from tests.protocols.postgres.wire import bind, close, describe, execute, kinds, parse, query


def text_of(session: Engine, index: int = -1) -> str:
    (statement,) = session.requests[index].statements
    return statement.text or statement.unreadable


def path_of(session: Engine, index: int = -1) -> tuple[str, ...] | None:
    return session.requests[index].statements[0].names.search_path


def test_a_bind_and_its_execute_are_judged_with_the_text_of_their_parse(session: Engine) -> None:
    frames = session.ask(
        parse("select $1::int", "s1", (23,))
        + bind("s1", "p", (b"7",))
        + describe("P", "p")
        + execute("p")
        + wire.SYNC
    )
    assert kinds(frames) == "12TDCZ"
    prepared, bound, run = session.requests
    assert [request.phase.value for request in session.requests] == ["prepare", "bind", "execute"]
    assert prepared.statements[0] is bound.statements[0] is run.statements[0]
    assert bound.bind_types == ("int4",)
    assert run.covered_by is bound
    assert [outcome.request for outcome in session.outcomes] == [prepared, bound]
    assert session.outcomes[1].rows == 1
    assert session.settles == 0


def test_the_same_statement_object_is_used_while_nothing_changes(session: Engine) -> None:
    session.ask(parse("select 1", "s1") + wire.SYNC)
    for _ in range(3):
        session.ask(bind("s1") + execute() + wire.SYNC)
    first = session.requests[0].statements[0]
    assert all(request.statements[0] is first for request in session.requests)


def test_a_second_execute_of_a_portal_has_a_record_of_its_own(session: Engine) -> None:
    frames = session.ask(
        parse("select * from generate_series(1, 5)")
        + bind(portal="p")
        + execute("p", 2)
        + execute("p", 2)
        + execute("p", 2)
        + wire.SYNC
    )
    assert kinds(frames) == "12DDsDDsDCZ"
    assert [request.covered_by is None for request in session.requests] == [True, True, False, True, True]
    assert [outcome.rows for outcome in session.outcomes] == [None, 2, 2, 1]


def test_a_bind_that_never_runs_ends_as_not_executed(session: Engine) -> None:
    session.ask(parse("select 1") + bind(portal="p") + wire.SYNC)
    (parsed, bound) = session.outcomes
    assert parsed.executed
    assert bound.request is session.requests[1]
    assert not bound.executed


def test_a_portal_lives_as_long_as_its_transaction(session: Engine) -> None:
    session.ask(query("begin"))
    session.ask(parse("select * from generate_series(1, 4)") + bind(portal="p") + execute("p", 2) + wire.SYNC)
    frames = session.ask(execute("p", 2) + wire.SYNC)
    assert kinds(frames) == "DDsZ"
    assert text_of(session) == "select * from generate_series(1, 4)"
    session.ask(query("commit"))
    session.ask(execute("p", 2) + wire.SYNC)
    assert text_of(session) == "unknown_portal"


def test_a_failed_parse_keeps_the_old_named_statement(session: Engine) -> None:
    session.ask(parse("select 1", "s1") + wire.SYNC)
    session.ask(parse("select 2", "s1") + wire.SYNC)
    session.ask(bind("s1") + execute() + wire.SYNC)
    assert text_of(session) == "select 1"


def test_a_skipped_parse_and_close_leave_the_names_as_they_were(session: Engine) -> None:
    session.ask(parse("select 1", "s1") + wire.SYNC)
    session.ask(parse("select nonsense(") + close("S", "s1") + parse("select 2", "s1") + wire.SYNC)
    frames = session.ask(bind("s1") + execute() + wire.SYNC)
    assert text_of(session) == "select 1"
    assert kinds(frames) == "2DCZ"


def test_a_bind_behind_a_sync_waits_for_the_parse_in_front_of_it(session: Engine) -> None:
    session.ask(parse("select 1", "s1") + wire.SYNC)
    frames = session.ask(parse("select 2", "s1") + wire.SYNC + bind("s1") + execute() + wire.SYNC, times=2)
    assert session.settles == 1
    assert kinds(frames) == "EZ2DCZ"
    assert text_of(session) == "select 1"


def test_a_closed_statement_is_not_known_any_more(session: Engine) -> None:
    frames = session.ask(parse("select 1", "s1") + close("S", "s1") + bind("s1") + execute() + wire.SYNC)
    assert kinds(frames) == "13EZ"
    assert text_of(session) == "unknown_prepared_statement"


def test_names_are_cut_where_the_server_cuts_them(session: Engine) -> None:
    long = "n" * 63
    session.ask(parse("select 1", long + "a") + wire.SYNC)
    frames = session.ask(bind(long + "b") + execute() + wire.SYNC)
    assert kinds(frames) == "2DCZ"
    assert text_of(session) == "select 1"


def test_a_statement_prepared_in_sql_is_one_nobody_can_read(session: Engine) -> None:
    session.ask(query("prepare s9 as delete from app.orders"))
    frames = session.ask(bind("s9") + execute() + wire.SYNC)
    assert kinds(frames) == "EZ"
    assert text_of(session) == "unknown_prepared_statement"


def test_a_name_that_sql_swaps_is_not_trusted_even_if_the_query_fails(session: Engine) -> None:
    session.ask(parse("select 1", "s1") + wire.SYNC)
    session.ask(query("deallocate s1; prepare s1 as delete from app.orders; select 1/0"))
    session.ask(bind("s1") + execute() + wire.SYNC)
    assert text_of(session) == "unknown_prepared_statement"


def test_a_block_of_code_makes_prepared_statements_unknown(opened: Open) -> None:
    session = opened(lambda *_: True)
    session.ask(parse("select 1", "s1") + wire.SYNC)
    session.ask(query("do $$ begin execute 'deallocate s1'; execute 'prepare s1 as select 666'; end $$"))
    session.ask(bind("s1") + execute() + wire.SYNC)
    assert text_of(session) == "unknown_prepared_statement"


def test_a_cursor_declared_in_sql_is_a_portal_nobody_can_read(session: Engine) -> None:
    session.ask(query("begin"))
    session.ask(query("declare c cursor for select * from secret.pay"))
    frames = session.ask(execute("c") + wire.SYNC)
    assert text_of(session) == "unknown_portal"
    assert kinds(frames) == "EZ"


def test_a_login_knows_the_search_path(session: Engine) -> None:
    assert session.ready.search_path == ("alice", "public")
    assert session.conversation.names().search_path == ("alice", "public")


def test_start_up_settings_reach_the_server(opened: Open) -> None:
    session = opened(search_path='"Odd, name",App')
    assert session.conversation.names().search_path == ("Odd, name", "app")


def test_a_change_of_path_is_read_back_before_the_next_statement_is_judged(session: Engine) -> None:
    frames = session.ask(query("set search_path = app, secret") + query("select 1"), times=2)
    assert kinds(frames) == "CZTDCZ"
    assert path_of(session) == ("app", "secret")
    assert session.quiet() == []


def test_a_path_set_through_prepared_statements_counts_too(session: Engine) -> None:
    frames = session.ask(
        parse("set search_path = app") + bind() + execute() + wire.SYNC + query("select 1"), times=2
    )
    assert kinds(frames) == "12CZTDCZ"
    assert path_of(session) == ("app",)


def test_a_rollback_brings_the_path_back(session: Engine) -> None:
    session.ask(query("begin"))
    session.ask(query("set search_path = secret"))
    session.ask(query("select 1"))
    assert path_of(session) == ("secret",)
    session.ask(query("rollback"))
    session.ask(query("select 1"))
    assert path_of(session) == ("alice", "public")


def test_a_savepoint_brings_the_path_back(session: Engine) -> None:
    session.ask(query("begin"))
    session.ask(query("set search_path = app"))
    session.ask(query("savepoint a"))
    session.ask(query("set local search_path = secret"))
    session.ask(query("rollback to savepoint a"))
    session.ask(query("select 1"))
    assert path_of(session) == ("app",)


def test_a_local_path_ends_with_its_transaction(session: Engine) -> None:
    session.ask(query("begin"))
    session.ask(query("set local search_path = secret"))
    session.ask(query("commit") + query("select 1"), times=2)
    assert path_of(session) == ("alice", "public")


def test_a_path_set_in_a_failed_transaction_is_found_out(session: Engine) -> None:
    session.ask(query("begin"))
    session.ask(query("select 1/0"))
    session.ask(query("set search_path = secret"))
    session.ask(query("select 1"))
    assert path_of(session) is None
    session.ask(query("rollback"))
    session.ask(query("select 1"))
    assert path_of(session) == ("alice", "public")


def test_a_function_that_changes_the_path_is_found_out(session: Engine) -> None:
    frames = session.ask(query("select app.f_path()") + query("select 1"), times=2)
    assert kinds(frames) == "TDCZTDCZ"
    assert path_of(session) == ("secret",)


def test_a_path_in_doubt_inside_a_pipeline_is_unknown_until_its_sync(session: Engine) -> None:
    session.ask(
        parse("set search_path = secret")
        + bind()
        + execute()
        + parse("select 1")
        + bind()
        + execute()
        + wire.SYNC
    )
    assert path_of(session) is None
    session.ask(query("select 1"))
    assert path_of(session) == ("secret",)


def test_reading_the_path_leaves_the_unnamed_statement_and_the_isolation_level_alone(session: Engine) -> None:
    session.ask(parse("select 5") + wire.SYNC)
    session.ask(parse("set search_path = app", "set") + bind("set", "p") + execute("p") + wire.SYNC)
    frames = session.ask(bind() + execute() + wire.SYNC)
    assert ("D", b"\0\x01\0\0\0\x015") in frames
    session.ask(query("begin"))
    session.ask(query("set local search_path = secret"))
    frames = session.ask(query("set transaction isolation level serializable"))
    assert kinds(frames) == "CZ"


def test_the_catalogue_is_stale_after_a_definition(session: Engine) -> None:
    conversation = session.conversation
    assert conversation.wants_catalog()
    conversation.set_catalog(Catalog({}))
    assert not conversation.wants_catalog()
    session.ask(query("create table app.new_one (a int)"))
    assert conversation.names().catalog is None
    assert conversation.wants_catalog()
    conversation.set_catalog(Catalog({}))
    session.ask(query("begin"))
    session.ask(query("drop table app.new_one"))
    assert not conversation.wants_catalog(), "another connection would not see it yet"
    session.ask(query("commit"))
    assert conversation.wants_catalog()


def test_temporary_objects_are_suspected_once_one_may_exist(session: Engine) -> None:
    assert not session.conversation.names().has_temporary
    session.ask(query("create temp table pay (a int)"))
    assert session.conversation.names().has_temporary


def test_no_catalogue_from_outside_counts_inside_a_transaction_with_a_definition(session: Engine) -> None:
    catalog = Catalog({})
    session.conversation.set_catalog(catalog)
    session.ask(query("begin"))
    session.ask(query("create table app.unseen (a int)"))
    session.conversation.set_catalog(catalog)
    assert session.conversation.names().catalog is None
    session.ask(query("rollback"))
    session.conversation.set_catalog(catalog)
    assert session.conversation.names().catalog is catalog


def test_a_function_that_leaves_the_path_alone_leaves_the_very_same_context(session: Engine) -> None:
    session.ask(query("select app.f_one()"))
    session.ask(parse("select app.f_one()", "s1") + wire.SYNC)
    names = session.conversation.names()
    statements = set()
    for _ in range(3):
        frames = session.ask(bind("s1") + execute() + wire.SYNC)
        assert kinds(frames) == "2DCZ"
        session.ask(query("select 1"))
        statements.add(id(session.requests[-3].statements[0]))
        assert session.conversation.names() is names
    assert len(statements) == 1
    assert names.has_temporary


def test_a_flood_of_syncs_and_flushes_gets_one_answer_each(session: Engine) -> None:
    frames = session.ask((wire.SYNC + wire.FLUSH) * 5_000, times=5_000)
    assert kinds(frames) == "Z" * 5_000
    assert session.settles >= 4, "the gateway waits instead of keeping them all"
    assert session.quiet() == []


def test_a_long_pipeline_without_a_sync_is_answered_in_parts(session: Engine) -> None:
    one = bind("s1") + execute()
    frames = session.ask(parse("select 1", "s1") + one * 3_000 + wire.SYNC)
    assert kinds(frames) == "1" + "2DC" * 3_000 + "Z"
    assert session.settles >= 4


def test_many_prepared_statements_push_the_oldest_out_of_memory(session: Engine) -> None:
    for start in range(0, 1100, 100):
        session.ask(b"".join(parse(f"select {n}", f"k{n}") for n in range(start, start + 100)) + wire.SYNC)
    frames = session.ask(bind("k0") + execute() + wire.SYNC)
    assert text_of(session) == "unknown_prepared_statement"
    assert kinds(frames) == "EZ"
    frames = session.ask(bind("k1099") + execute() + wire.SYNC)
    assert kinds(frames) == "2DCZ"
