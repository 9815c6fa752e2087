"""Which cursors a session may know by their DECLARE, and which FETCH reads one of them."""

import pytest

from gateway.model.statement import Catalog, NameContext, Relation, Statement
from gateway.protocols.postgres import POSTGRES
from gateway.protocols.postgres.cursors import Cursor, made
from gateway.protocols.postgres.registry import FIRST_OWN_TYPE, Registry

CATALOG = Catalog({("public", "orders"): Relation("table", ("id", "note"))})
NAMES = NameContext("mydb", "alice", ("public",), CATALOG)


def declared(name: str) -> Cursor | None:
    text = f"declare {name} cursor for select id from orders"
    statement = Statement(text, "postgres", NAMES, server_version="15.1")
    return made(statement, POSTGRES.classify(statement), text)


@pytest.mark.parametrize("name", ["é", '"É"', "a" * 61])
def test_a_name_that_the_server_may_take_for_another_is_not_known(name: str) -> None:
    assert declared("c") is not None
    assert declared(name) is None


def test_fetch_with_a_value_whose_type_runs_code_reads_no_cursor_that_is_known() -> None:
    registry, cursor = Registry(NAMES, "15.1"), declared("c")
    assert cursor is not None
    registry.cursors.declared(cursor)
    for types, known in (((), cursor.facts), ((23,), cursor.facts), ((FIRST_OWN_TYPE,), None)):
        prepared = registry.parse(b"s", b"fetch all from c", types, 0)
        for _ in range(2):
            assert registry.statement_of(prepared).cursor is known
