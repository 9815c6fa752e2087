"""What steers a session, told from the facts that classification really gives."""

import pytest

from gateway.model.identity import Route
from gateway.model.statement import Catalog, NameContext, Phase, Relation, Statement
from gateway.protocols.postgres import POSTGRES
from gateway.protocols.postgres.state import State
from gateway.protocols.postgres.steering import NOTHING, Steer, Steering
from gateway.sansio.exchange import Request
from gateway.sansio.protocol import Ready

CATALOG = Catalog(
    {("public", "orders"): Relation("table", ("id", "note"))}, functions=frozenset({("public", "mine")})
)
NAMES = NameContext("mydb", "alice", ("public",), CATALOG)


def steer(sql: str, phase: Phase = Phase.QUERY) -> Steer:
    statement = Statement(sql, "postgres", NAMES, server_version="15.1")
    request = Request(b"", phase, (statement,))
    return Steering().of(request, POSTGRES.classify(statement))


QUIET = [
    "copy orders to stdout",
    "select 1",
    "SELECT abalance FROM public.orders WHERE id = $1",
    "select * from orders where note = 'x' and id = 5 order by id limit 3",
    "UPDATE public.orders SET note = note || $1 WHERE id = $2",
    "INSERT INTO orders (id, note) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET note = excluded.note",
    "select count(*), max(id), now() from orders",
    "BEGIN",
    "set application_name = 'x'",
    "SET statement_timeout = 5",
    "savepoint a",
]


@pytest.mark.parametrize("sql", QUIET)
def test_ordinary_statements_steer_nothing(sql: str) -> None:
    for phase in (Phase.QUERY, Phase.EXECUTE, Phase.BIND, Phase.PREPARE):
        assert steer(sql, phase) is NOTHING


LOUD = {
    "set search_path = secret": "path",
    "SET LOCAL search_path TO a, b": "path",
    "set schema 'secret'": "path",
    "reset search_path": "path",
    "reset all": "path",
    "discard all": "path statements portals",
    "set role admin": "path",
    "set session authorization admin": "path",
    "select set_config('search_path', 'secret', false)": "path",
    "select set_config($1, $2, false)": "path",
    "select set_config('search' || '_path', 'x', false)": "path",
    "select public.mine()": "path portals temporary",
    "select mine(1)": "path portals temporary",
    "call doit()": "path statements portals temporary",
    "do $$ begin null; end $$": "path statements portals temporary catalog",
    "execute s1": "path portals",
    "fetch all from c": "path",
    "deallocate s1": "statements",
    "select 1; deallocate all": "statements",
    "declare c cursor for select 1": "portals",
    "create table x (a int)": "catalog",
    "alter table orders add b int": "catalog",
    "drop table orders": "catalog",
    "create temp table x (a int)": "catalog temporary",
    "select 1 into temp x": "catalog temporary",
    "create table pg_temp.x (a int)": "catalog temporary",
    "copy orders from stdin": "copy",
    "update pg_settings set setting = 'x' where name = 'search_path'": "path",
    "begin; copy orders from stdin": "copy",
    "rollback": "transaction",
    "rollback to savepoint a": "transaction",
    "commit": "transaction",
    "end": "transaction",
    "abort": "transaction",
    "prepare transaction 'x'": "transaction",
    "this is no sql": "path catalog transaction",
}


@pytest.mark.parametrize(("sql", "expected"), LOUD.items())
def test_what_changes_the_meaning_of_what_follows_is_seen(sql: str, expected: str) -> None:
    found = steer(sql, Phase.EXECUTE)
    missing = [name for name in expected.split() if not getattr(found, name)]
    assert missing == []
    assert steer(sql, Phase.PREPARE) is NOTHING


def test_planning_may_call_a_function_and_nothing_else() -> None:
    assert steer("select public.mine()", Phase.BIND).path
    assert steer("set search_path = secret", Phase.BIND) is NOTHING


def test_the_end_of_a_transaction_matters_only_when_it_changed_the_path() -> None:
    state = State(Ready("15", {}, b"", ("public",)), Route("d", "postgres", "u", "n"))
    assert not state.matters(steer("commit"))
    state.path_is_touched = True
    assert state.matters(steer("commit"))
    assert state.matters(steer("rollback to savepoint a"))
