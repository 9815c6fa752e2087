"""Names mean what the server would take them for, and every candidate counts where nobody knows."""

from dataclasses import replace

import pytest

from gateway.classify.sql import classify
from gateway.model.classification import Named
from gateway.model.statement import Catalog, NameContext, Relation, Statement
from tests.classify.judge import CATALOG, NAMES, facts_of, relations

BARE = NameContext("appdb", "analyst", ("app", "secret"))


@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        (NAMES, "SELECT * FROM orders", {"app.orders"}),
        (BARE, "SELECT * FROM pay", {"app.pay", "secret.pay"}),
        (replace(BARE, catalog=CATALOG), "SELECT * FROM pay", {"secret.pay"}),
        (replace(BARE, catalog=CATALOG), "SELECT * FROM nowhere", {"app.nowhere", "secret.nowhere"}),
        (replace(NAMES, has_temporary=True), "SELECT * FROM orders", {"pg_temp.orders", "app.orders"}),
        (NAMES, "SELECT * FROM pg_class", {"pg_catalog.pg_class"}),
        (NAMES, "SELECT * FROM pg_added_later", {"pg_catalog.pg_added_later", "app.pg_added_later"}),
        (replace(BARE, search_path=("$user",)), "SELECT * FROM t", {"analyst.t"}),
        (NAMES, "SELECT * FROM ORDERS", {"app.orders"}),
        (NAMES, 'SELECT * FROM "ORDERS"', {"app.ORDERS"}),
        (NAMES, "SELECT * FROM app." + "x" * 70, {"app." + "x" * 63}),
        (NAMES, 'SELECT * FROM app."' + "é" * 40 + '"', {"app." + "é" * 31}),
        (NAMES, "WITH orders AS (SELECT 1) SELECT * FROM orders", set()),
        (NAMES, "WITH orders AS (SELECT * FROM orders) SELECT * FROM orders", {"app.orders"}),
        (NAMES, "WITH RECURSIVE t AS (SELECT 1 UNION SELECT * FROM t) SELECT * FROM t", set()),
        (NAMES, "SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM t) x, t", {"app.t"}),
        (NAMES, "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a", {"app.b"}),
        (NAMES, "WITH t AS (SELECT 1) INSERT INTO t SELECT * FROM t", {"app.t"}),
    ],
)
def test_relations(names: NameContext, text: str, expected: set[str]) -> None:
    assert relations(facts_of(text, names)) == expected


def test_a_view_is_called_a_view() -> None:
    (item,) = facts_of("SELECT * FROM v_pay")
    assert item.effects[0].object is not None
    assert item.effects[0].object.kind == "view"


def functions(text: str, names: NameContext = NAMES) -> set[Named]:
    return set(facts_of(text, names)[0].functions)


def test_a_column_that_is_none_may_be_a_call() -> None:
    assert functions("SELECT o.id, (o).note FROM app.orders o") == set()
    assert functions("SELECT o.leak FROM app.orders o") == {
        Named("leak", "app", builtin=False, attribute=True)
    }
    without = NameContext("appdb", "analyst", ("app",))
    assert functions("SELECT o.id FROM app.orders o", without) == {
        Named("id", "", builtin=False, attribute=True)
    }


@pytest.mark.parametrize(
    "text",
    [
        "SELECT leak.leak FROM unnest(ARRAY(SELECT o FROM app.orders o)) AS leak",
        "SELECT (leak).leak FROM coalesce((SELECT o FROM app.orders o)) AS leak",
        "SELECT x.leak FROM (SELECT * FROM unnest(ARRAY(SELECT o FROM app.orders o)) AS leak) x",
    ],
)
def test_an_alias_is_no_column_of_a_function_s_rows(text: str) -> None:
    assert Named("leak", "app", builtin=False, attribute=True) in functions(text)


def test_a_renamed_column_is_gone() -> None:
    assert functions("SELECT s.first FROM app.orders s(first)") == set()
    assert functions("SELECT s.id FROM app.orders s(first)") != set()


def test_an_overload_counts_as_a_candidate() -> None:
    catalog = Catalog(CATALOG.relations, functions=frozenset({("app", "lower"), ("app", "now")}))
    names = replace(NAMES, catalog=catalog)
    assert Named("lower", "app", builtin=False) in functions("SELECT lower('x')", names)
    assert functions("SELECT now()", names) == {Named("now", "pg_catalog", builtin=True)}
    assert functions("SELECT pg_catalog.lower('x')", names) == {Named("lower", "pg_catalog", builtin=True)}


def test_a_schema_ahead_of_pg_catalog_comes_first() -> None:
    names = NameContext("appdb", "analyst", ("app", "pg_catalog"))
    assert Named("now", "app", builtin=False) in functions("SELECT now()", names)
    operators = set(facts_of("SELECT 1 = 1", names)[0].operators)
    assert Named("=", "app", builtin=False) in operators


def test_a_relation_elsewhere_does_not_count() -> None:
    catalog = Catalog({("other", "orders"): Relation("table", ("id",))})
    assert relations(facts_of("SELECT * FROM orders", replace(NAMES, catalog=catalog))) == {"app.orders"}


CONVERTING = replace(
    CATALOG,
    numbers={16_400: ("app", "mood")},
    casts={
        ("pg_catalog", "int4"): frozenset({("app", "as_int")}),
        ("pg_catalog", "timestamptz"): frozenset({("app", "as_time")}),
    },
)


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("SELECT o::int FROM app.orders o", {"as_int"}),
        ("SELECT CAST(o AS integer) FROM app.orders o", {"as_int"}),
        ('SELECT o::pg_catalog."int4" FROM app.orders o', {"as_int"}),
        ("SELECT ARRAY[o]::int[] FROM app.orders o", {"as_int"}),
        ("SELECT ARRAY[o]::_int4 FROM app.orders o", {"as_int"}),
        ("SELECT o::timestamp(3) with time zone FROM app.orders o", {"as_time"}),
        ("SELECT o::text FROM app.orders o", set()),
    ],
)
def test_a_cast_may_run_a_function_of_a_user(text: str, called: set[str]) -> None:
    names = replace(NAMES, catalog=CONVERTING)
    assert functions(text, names) == {Named(name, "app", builtin=False) for name in called}
    assert functions(text) == set()


def test_an_implicit_cast_may_run_wherever_there_is_a_value() -> None:
    names = replace(NAMES, catalog=replace(CONVERTING, implicit=frozenset({("app", "as_int")})))
    call = Named("as_int", "app", builtin=False)
    for text in ("SELECT id FROM app.orders", "SELECT 'a'::text || $1", "SELECT lower($1)"):
        assert call in functions(text, names)
    assert functions("SELECT 1", names) == set()


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("SELECT CASE o WHEN 1 THEN 2 END FROM app.orders o", "="),
        ("SELECT nullif(o, 1) FROM app.orders o", "="),
        ("SELECT o NOT IN (1) FROM app.orders o", "<>"),
        ("SELECT o NOT LIKE 'a' FROM app.orders o", "!~~"),
        ("SELECT o NOT ILIKE 'a' FROM app.orders o", "!~~*"),
        ("SELECT o NOT SIMILAR TO 'a' FROM app.orders o", "!~"),
        ("SELECT o NOT BETWEEN 1 AND 2 FROM app.orders o", "<"),
        ("SELECT o NOT BETWEEN SYMMETRIC 1 AND 2 FROM app.orders o", ">"),
    ],
)
def test_a_word_uses_the_operator_of_that_name_whoever_made_it(text: str, sign: str) -> None:
    names = replace(NAMES, catalog=replace(CATALOG, operators=frozenset({("app", sign)})))
    assert Named(sign, "app", builtin=False) in facts_of(text, names)[0].operators
    assert all(operator.builtin for operator in facts_of(text)[0].operators)


def test_a_parameter_s_type_is_a_cast() -> None:
    statement = Statement("SELECT $1", "postgres", NAMES, parameters=(16_400, 16_401))
    unknown = Named("oid 16401", "", builtin=False)
    facts = classify(statement)
    assert facts[0].casts == (Named("oid 16400", "", builtin=False), unknown)
    known = replace(statement, names=replace(NAMES, catalog=CONVERTING))
    assert classify(known)[0].casts == (Named("mood", "app", builtin=False), unknown)
    assert classify(known) is classify(known)
    assert classify(replace(statement, parameters=()))[0].casts == ()
