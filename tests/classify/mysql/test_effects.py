"""What statements do: the operations, objects and columns that are found in them."""

from dataclasses import replace

import pytest

from gateway.model.statement import NameContext, Relation
from tests.classify.mysql.judge import CATALOG, NAMES, facts_of, relations, shown

ORDERS, PAY, CUSTOMERS = "app.orders", "secret.pay", "app.customers"
FOUND: list[tuple[str, list[tuple[str, str, tuple[str, ...]]]]] = [
    ("select id, NOTE from orders", [("select", ORDERS, ("id", "note"))]),
    ("select count(*) from orders", [("select", ORDERS, ())]),
    ("select 1 from dual", []),
    (
        "select * from app.orders o where o.id in (table secret.pay)",
        [("select", ORDERS, ("*", "id")), ("select", PAY, ("*",))],
    ),
    ("select p.who from orders p", [("select", ORDERS, ("who",))]),
    ("with pay as (select 1 a) select a from pay", []),
    ("with pay as (select who from secret.pay) select who from pay", [("select", PAY, ("who",))]),
    ("with a as (select * from b), b as (select 1) select 1 from a", [("select", "app.b", ("*",))]),
    ("select 1 from (select who from secret.pay) as orders", [("select", PAY, ("who",))]),
    ("select next value for seq1", [("update", "app.seq1", ())]),
    ("insert into orders values (1)", [("insert", ORDERS, ("*",))]),
    ("replace into orders (id) values (1)", [("insert", ORDERS, ("id",)), ("delete", ORDERS, ())]),
    ("insert into orders (id) table secret.pay", [("insert", ORDERS, ("id",)), ("select", PAY, ("*",))]),
    (
        "update orders set note = amount where id = 1",
        [("update", ORDERS, ("note",)), ("select", ORDERS, ("amount", "id"))],
    ),
    ("delete from orders limit 5", [("delete", ORDERS, ())]),
    (
        "delete pay from orders, secret.pay",
        [("select", ORDERS, ()), ("select", PAY, ()), ("delete", PAY, ())],
    ),
    (
        "update orders pay, secret.pay orders set orders.who = 1",
        [("select", ORDERS, ()), ("select", PAY, ()), ("update", PAY, ("who",))],
    ),
    ("create table x as select who from secret.pay", [("select", PAY, ("who",)), ("create", "app.x", ())]),
    ("create table x like secret.pay", [("create", "app.x", ()), ("select", PAY, ())]),
    (
        "create definer=user@host view v as select who from secret.pay",
        [("select", PAY, ("who",)), ("create", "app.v", ())],
    ),
    ("drop table if exists orders, secret.pay", [("drop", ORDERS, ()), ("drop", PAY, ())]),
    (
        "rename table orders to secret.x",
        [("alter", ORDERS, ()), ("drop", ORDERS, ()), ("create", "secret.x", ())],
    ),
    ("alter table orders drop partition p0", [("alter", ORDERS, ()), ("truncate", ORDERS, ())]),
    ("truncate orders", [("truncate", ORDERS, ())]),
    ("lock tables orders read, secret.pay as p write", [("lock", ORDERS, ()), ("lock", PAY, ())]),
    ("checksum table secret.pay", [("select", PAY, ())]),
    ("table orders for update", [("select", ORDERS, ("*",)), ("lock", ORDERS, ())]),
    ("(table orders) lock in share mode", [("select", ORDERS, ("*",)), ("lock", ORDERS, ())]),
    (
        "select 1 from (select id from orders) t for update",
        [("select", ORDERS, ("id",)), ("lock", ORDERS, ())],
    ),
    (
        "with t as (select id from orders) select 1 from t for share",
        [("select", ORDERS, ("id",)), ("lock", ORDERS, ())],
    ),
    (
        "select id from orders union (select 1) for update",
        [("select", ORDERS, ("id",)), ("lock", ORDERS, ())],
    ),
    ("handler orders open", [("handler", ".orders", ()), ("select", ORDERS, ("*",))]),
    ("show full columns from pay in secret like 'x'", [("select", PAY, ())]),
    ("show tables where (select 1 from secret.pay)", [("show", ".app", ()), ("select", PAY, ())]),
    ("show open tables", [("show", ".open tables", ())]),
    ("show open tables from secret", [("show", ".secret", ())]),
    (
        "create table t (a int default (nextval(secret.s)), b int default next value for s)",
        [("create", "app.t", ()), ("update", "secret.s", ()), ("update", "app.s", ())],
    ),
    (
        "alter table t alter a set default nextval(secret.s)",
        [("alter", "app.t", ()), ("update", "secret.s", ())],
    ),
    ("desc secret.pay", [("select", PAY, ())]),
    ("explain format=json delete from orders", [("explain", "", ()), ("delete", ORDERS, ())]),
    ("show variables like 'sql_mode'", [("show", ".sql_mode", ())]),
    ("select @@global.version, @@sql_mode", [("show", ".version", ()), ("show", ".sql_mode", ())]),
    ("use secret; select who from pay", [("use", ".secret", ()), ("select", PAY, ("who",))]),
    ("set @a = (select who from secret.pay)", [("set", "", ()), ("select", PAY, ("who",))]),
    ("do (select who from secret.pay)", [("select", PAY, ("who",))]),
    ("grant select on secret.* to x", [("grant", ".secret", ())]),
    ("kill query 5", [("kill", ".5", ())]),
    ("create or replace table x (a int)", [("create", "app.x", ()), ("drop", "app.x", ())]),
    ("create or replace database x", [("create", ".x", ()), ("drop", ".x", ())]),
]
DOUBTED = [
    "call p()",
    "kill (select id from secret.pay)",
    "purge binary logs before (select who from secret.pay)",
    "prepare s from 'select 1'",
    "prepare s from @x",
    "execute s",
    "execute immediate 'select 1'",
    "handler pay read first",
    "create procedure p() begin select 1; delete from orders; end",
    "create event e on schedule every 1 day do delete from orders",
    "create function f returns string soname 'x.so'",
    "create table t (a int) engine=connect table_type=mysql",
    "create table t (a int) engine='FEDERATED'",
    "create table t (a int) engine = `spider`",
    "create table t (a int) connection='mysql://x'",
    "create table t (a int) data directory='/tmp'",
    "create table t (a int) engine=merge union=(secret.pay)",
    "alter table orders union=(secret.pay)",
    "create table t (a int default (select who from secret.pay))",
    "set statement sql_mode='' for select 1",
    "binlog 'x'",
    "begin not atomic select 1; end",
    "if 1 then delete from orders; end if",
    "select * from t procedure analyse()",
    "select * from {oj a left join b on 1}",
    "select count (*) from orders",
    "select * from seq_1_to_5()",
    "select 1 as select from orders",
    "select /*+ set_var(sql_mode='ansi_quotes') */ 1",
    "get diagnostics @a = row_count",
    "explain into @x select 1",
    "select a into b from orders",
]


@pytest.mark.parametrize(("text", "effects"), FOUND)
def test_effects(text: str, effects: list[tuple[str, str, tuple[str, ...]]]) -> None:
    assert all(item.complete for item in facts_of(text, "mariadb"))
    assert shown(text, "mariadb") == effects


@pytest.mark.parametrize("text", DOUBTED)
def test_not_understood(text: str) -> None:
    assert not all(item.complete for item in facts_of(text, "mariadb"))


def test_the_catalogue_tells_views_spells_columns_and_says_whose_they_are() -> None:
    names = NameContext("", "analyst", ("app",), CATALOG)
    (item,) = facts_of("select * from v_pay", names=names)
    assert [(e.object.kind, e.columns) for e in item.effects if e.object] == [
        ("view", ("*", "id", "who", "amount"))
    ]
    assert shown("select email, NAME, note from orders o, customers", names=names) == [
        ("select", ORDERS, ("note",)),
        ("select", CUSTOMERS, ("email", "Name")),
    ]


def test_a_query_in_a_from_list_may_not_see_what_stands_beside_it() -> None:
    names = NameContext("", "analyst", ("app",), CATALOG)
    text = (
        "select (select d.x from orders o, (select amount as x, o.who as y) d) from secret.pay o "
        "where (select 1 from salaries, (select amount z) e)"
    )
    found = dict.fromkeys(
        name for operation, name, columns in shown(text, names=names) if "amount" in columns
    )
    assert set(found) == {ORDERS, "app.salaries", PAY}
    assert any(name == PAY and "who" in columns for _, name, columns in shown(text, names=names))


@pytest.mark.parametrize(
    "text",
    [
        "(WITH pay AS (SELECT 1 AS a) SELECT a FROM pay) UNION SELECT a FROM pay",
        "(WITH pay AS (SELECT 1 AS a) SELECT a FROM pay) ORDER BY (SELECT a FROM pay)",
        "INSERT INTO t (WITH pay AS (SELECT 1 AS a) SELECT a FROM pay) UNION SELECT a FROM pay",
        "SELECT a FROM ((WITH pay AS (SELECT 1 AS a) SELECT a FROM pay) UNION SELECT a FROM pay) AS x",
    ],
)
def test_an_expression_of_a_with_in_brackets_is_not_in_sight_behind_them(text: str) -> None:
    assert "app.pay" in relations(facts_of(text))


def test_a_bare_name_needs_a_database() -> None:
    for path in (None, ()):
        names = NameContext("", "analyst", path)
        assert [item.unknown_reason for item in facts_of("select 1 from orders", names=names)] == [
            "unqualified_name"
        ]
        assert facts_of("select 1 from app.orders", names=names)[0].complete


def test_names_with_capitals_mean_both_where_nobody_knows_whether_case_counts() -> None:
    text = "select 1 from APP.Orders"
    assert {name for _, name, _ in shown(text, modes=frozenset())} == {"APP.Orders", ORDERS}
    assert {name for _, name, _ in shown(text)} == {"APP.Orders"}
    assert {name for _, name, _ in shown(text, modes=frozenset({"LOWER_CASE_TABLE_NAMES=1"}))} == {ORDERS}
    assert {name for _, name, _ in shown("select 1 from Information_Schema.TABLES")} == {
        "information_schema.tables"
    }


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("set names gbk", [("character_set_client", "session", "gbk")]),
        ("set character set latin1", [("character_set_client", "session", "latin1")]),
        ("set @@session.SQL_MODE = ansi", [("sql_mode", "session", "ansi")]),
        (
            "set global `sql_mode` := 'x', @@persist.a = 1",
            [("sql_mode", "global", "x"), ("a", "persist", "1")],
        ),
        ("/*!40101 set sql_mode=@x */", [("sql_mode", "session", None)]),
        (
            "set sql_mode=concat(@@sql_mode,',strict_trans_tables')",
            [("sql_mode", "session", "@@sql_mode,strict_trans_tables")],
        ),
        ("set session transaction read only", [("transaction_read_only", "session", "on")]),
        ("set role all", [("role", "session", "all")]),
        ("set @x = 1", [("@x", "user", None)]),
        ("select @x := note from orders", [("@x", "user", None)]),
    ],
)
def test_settings(text: str, settings: list[tuple[str, str, str | None]]) -> None:
    (item,) = facts_of(text)
    assert item.complete
    assert [(s.name, s.scope, s.value) for s in item.settings] == settings


@pytest.mark.parametrize(
    "change", ["set sql_mode='ansi_quotes'", "set names gbk", "set @@character_set_client=big5", "call p()"]
)
def test_what_stands_behind_a_change_of_reading_is_not_understood(change: str) -> None:
    assert [item.complete for item in facts_of(f"{change}; select 1")][1:] == [False]


def test_a_stored_function_with_the_name_of_a_harmless_one_is_a_stored_function() -> None:
    catalog = replace(CATALOG, functions=frozenset({("app", "BIN_TO_UUID")}))
    facts = facts_of(
        "select bin_to_uuid(note), upper(note) from orders", names=replace(NAMES, catalog=catalog)
    )
    found = [(named.schema, named.name, named.builtin) for named in facts[0].functions]
    assert found == [("app", "bin_to_uuid", False), ("", "upper", True)]


@pytest.mark.parametrize(("name", "column"), [("nöte", "note"), ("grose", "größe")])
def test_a_name_with_accents_that_nobody_has_may_be_any_column(name: str, column: str) -> None:
    catalog = replace(CATALOG, relations={("app", "orders"): Relation("table", ("id", column))})
    found = shown(f"select {name} from orders", names=replace(NAMES, catalog=catalog))
    assert found == [("select", ORDERS, (name, "id", column))]
    plain = shown("select missing from orders")
    assert plain == [("select", ORDERS, ("missing",))]


def test_functions_outside_of_the_list_are_nobodys() -> None:
    text = "select upper(note), load_file('x'), sleep(1), app.leak(1), leak(2), sys.x() from orders"
    found = [(named.schema, named.name, named.builtin) for named in facts_of(text)[0].functions]
    assert found == [
        ("", "upper", True), ("app", "load_file", False), ("app", "sleep", False),
        ("app", "leak", False), ("sys", "x", False),
    ]  # fmt: skip
    assert NAMES.search_path == ("app",)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO app.orders (id) VALUES (1) ON DUPLICATE KEY UPDATE id = (SELECT note FROM secret.more)",
        "UPDATE app.orders SET id = (SELECT note FROM secret.more)",
    ],
)
def test_a_column_that_a_changed_table_may_own_is_read_from_it_too(text: str) -> None:
    (facts,) = facts_of(text)
    read = {(e.object.name, e.columns) for e in facts.effects if e.operation == "select" and e.object}
    assert read == {("orders", ("note",)), ("more", ("note",))}


@pytest.mark.parametrize(
    "value", ["spider", "'CONNECT'", "FEDERATED", "@a", "concat('spi', 'der')", "(select 'spider')"]
)
@pytest.mark.parametrize("name", ["default_storage_engine", "@@session.default_tmp_storage_engine"])
def test_an_engine_that_reads_elsewhere_is_not_chosen_by_a_setting(name: str, value: str) -> None:
    (facts,) = facts_of(f"SET {name} = {value}")
    assert (facts.complete, facts.unknown_reason) == (False, "deferred_body")
    (facts,) = facts_of(f"SET {name} = InnoDB")
    assert facts.complete
