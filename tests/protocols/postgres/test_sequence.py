"""Several statements in one text are read in what the earlier ones leave."""

import pytest

from gateway.model.classification import Classification
from gateway.model.statement import Catalog, NameContext, Relation, Statement
from gateway.protocols.postgres import POSTGRES

TABLE = Relation("table", ("id",))
CATALOG = Catalog(
    {("app", "orders"): TABLE, ("app", "pay"): TABLE, ("secret", "pay"): TABLE, ("later", "bonus"): TABLE},
    functions=frozenset({("app", "mine")}),
)
NAMES = NameContext("mydb", "alice", ("app", "later"), CATALOG)


def last(sql: str, names: NameContext = NAMES) -> Classification:
    return POSTGRES.classify(Statement(sql, "postgres", names, server_version="15.1"))[-1]


def tables(found: Classification) -> set[str]:
    return {f"{e.object.schema}.{e.object.name}" for e in found.effects if e.object is not None}


@pytest.mark.parametrize(
    "before",
    [
        "set search_path = secret",
        "begin; set local search_path = secret",
        "select set_config('search_path', 'secret', false)",
        "set role admin",
        "select app.mine()",
        "discard all",
        "begin; select 1; reset all",
    ],
)
def test_a_bare_name_behind_a_change_of_path_is_not_known(before: str) -> None:
    assert tables(last("select * from pay")) == {"app.pay"}
    found = last(f"{before}; select * from pay")
    assert not found.complete
    assert "app.pay" not in tables(found)
    assert last(f"{before}; select id from secret.pay").complete, "a qualified name needs no path"


def test_a_bare_name_behind_a_definition_may_be_any_in_the_path() -> None:
    assert tables(last("select * from bonus")) == {"later.bonus"}
    found = last("create table app.bonus (id int); select * from bonus")
    assert tables(found) >= {"app.bonus", "later.bonus"}


def test_a_bare_name_behind_a_temporary_table_may_be_that_one() -> None:
    found = last("create temp table bonus (id int); select * from bonus")
    assert any(name.startswith("pg_temp") for name in tables(found)) or not found.complete


def test_ordinary_sequences_are_read_as_they_stand() -> None:
    found = last("begin; set statement_timeout = 5; select * from bonus")
    assert found.complete
    assert tables(found) == {"later.bonus"}
