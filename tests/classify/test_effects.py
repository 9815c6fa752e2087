"""What statements do, to which relations and columns; every effect, wherever it stands."""

from dataclasses import replace

import pytest

from gateway.model.classification import Class
from gateway.model.statement import NameContext
from tests.classify.judge import NAMES, facts_of

ALL = ("*", "amount", "customer_id", "id", "note")


def effects(text: str, names: NameContext = NAMES) -> set[tuple[str, str, tuple[str, ...]]]:
    return {
        (e.operation, f"{e.object.schema}.{e.object.name}" if e.object else "", tuple(sorted(e.columns)))
        for item in facts_of(text, names)
        for e in item.effects
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT id FROM app.orders WHERE note = 'x'", {("select", "app.orders", ("id", "note"))}),
        ("SELECT * FROM app.orders", {("select", "app.orders", ALL)}),
        ("SELECT o FROM app.orders o", {("select", "app.orders", ALL)}),
        ("SELECT count(*) FROM app.orders", {("select", "app.orders", ())}),
        (
            "SELECT name, amount FROM app.orders o JOIN app.customers c ON c.id = o.customer_id",
            {
                ("select", "app.orders", ("amount", "customer_id")),
                ("select", "app.customers", ("id", "name")),
            },
        ),
        (
            "SELECT id FROM app.orders FOR UPDATE",
            {("select", "app.orders", ("id",)), ("lock", "app.orders", ())},
        ),
        ("INSERT INTO app.orders (id) VALUES (1)", {("insert", "app.orders", ("id",))}),
        (
            "INSERT INTO app.orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x'",
            {
                ("insert", "app.orders", ("id",)),
                ("update", "app.orders", ("note",)),
                ("select", "app.orders", ("id",)),
            },
        ),
        (
            "INSERT INTO app.orders (id) VALUES (1) ON CONFLICT DO NOTHING",
            {("insert", "app.orders", ("id",))},
        ),
        (
            "UPDATE app.orders SET note = 'x' WHERE id = 1",
            {("update", "app.orders", ("note",)), ("select", "app.orders", ("id",))},
        ),
        ("DELETE FROM app.orders", {("delete", "app.orders", ())}),
        (
            "DELETE FROM app.orders RETURNING note",
            {("delete", "app.orders", ()), ("select", "app.orders", ("note",))},
        ),
        (
            (
                "MERGE INTO app.orders o USING app.customers c ON true WHEN MATCHED THEN DELETE "
                "WHEN NOT MATCHED THEN INSERT (id) VALUES (c.id)"
            ),
            {
                ("merge", "app.orders", ()),
                ("delete", "app.orders", ()),
                ("insert", "app.orders", ("id",)),
                ("select", "app.customers", ("id",)),
            },
        ),
        (
            "CREATE TABLE app.x AS SELECT id FROM app.orders",
            {("create", "app.x", ()), ("select", "app.orders", ("id",))},
        ),
        (
            "SELECT id INTO app.x FROM app.orders",
            {("create", "app.x", ()), ("select", "app.orders", ("id",))},
        ),
        ("EXPLAIN TABLE app.orders", {("explain", "", ()), ("select", "app.orders", ALL)}),
        ("COPY app.orders (id) TO STDOUT", {("copy_out", "app.orders", ("id",))}),
        (
            "COPY app.orders TO PROGRAM 'x'",
            {("copy_out", "app.orders", ALL), ("copy_out", ".", ())},
        ),
        ("LOCK app.orders, app.customers", {("lock", "app.orders", ()), ("lock", "app.customers", ())}),
        ("BEGIN", {("begin", "", ())}),
        ("NOTIFY c, 'x'", {("notify", ".c", ())}),
        ("SELECT 1", set()),
    ],
)
def test_effects(text: str, expected: set[tuple[str, str, tuple[str, ...]]]) -> None:
    assert effects(text) == expected


def test_where_and_limit() -> None:
    (item,) = facts_of(
        "WITH d AS (DELETE FROM app.orders RETURNING 1) SELECT * FROM app.customers WHERE id = 1 LIMIT 5"
    )
    found = {e.operation: (e.has_where, e.limit) for e in item.effects}
    assert found == {"delete": (False, None), "select": (True, 5)}
    assert item.cls is Class.WRITE


@pytest.mark.parametrize(
    ("text", "cls"),
    [
        ("SELECT 1", Class.READ),
        ("BEGIN", Class.SESSION),
        ("DROP TABLE app.orders", Class.DDL),
        ("GRANT SELECT ON app.orders TO x", Class.DCL),
        ("VACUUM", Class.ADMIN),
        ("CALL app.proc()", Class.UNKNOWN),
        ("SELECT 1 FROM", Class.UNKNOWN),
    ],
)
def test_class(text: str, cls: Class) -> None:
    assert facts_of(text)[0].cls is cls


@pytest.mark.parametrize(
    ("text", "name", "scope", "value"),
    [
        ('SET search_path TO a, "B", \'C d\', "select"', "search_path", "session", 'a, "B", "C d", "select"'),
        ("SET LOCAL DateStyle = ISO, DMY", "datestyle", "local", "iso, dmy"),
        ("SET TIME ZONE -3.5", "timezone", "session", "-3.5"),
        ("SET TIME ZONE INTERVAL '+01:00' HOUR TO MINUTE", "timezone", "session", "+01:00"),
        ("SET NAMES 'x'", "client_encoding", "session", "x"),
        ("SET ROLE NONE", "role", "session", "none"),
        ("SET SESSION AUTHORIZATION DEFAULT", "session_authorization", "session", None),
        ("SET a.b = 'c'", "a.b", "session", "c"),
        ("RESET ALL", "all", "session", None),
        ("DISCARD ALL", "all", "session", None),
        ("SET TRANSACTION READ ONLY", "transaction_read_only", "local", "on"),
        ("ALTER ROLE x IN DATABASE y SET role = z", "role", "role", "z"),
        ("ALTER DATABASE x RESET search_path", "search_path", "database", None),
        ("ALTER SYSTEM SET archive_command = 'x'", "archive_command", "system", "x"),
        ("SELECT set_config('Search_Path', 'a', true)", "search_path", "local", "a"),
    ],
)
def test_settings(text: str, name: str, scope: str, value: str | None) -> None:
    (item,) = facts_of(text)
    assert [(s.name, s.scope, s.value) for s in item.settings] == [(name, scope, value)]
    assert item.complete


@pytest.mark.parametrize(
    "text",
    [
        "SELECT set_config('role', 'x', false) WHERE false",
        "SELECT CASE WHEN false THEN set_config('role', 'x', false) END",
        "SELECT set_config($1, 'x', false)",
        "SELECT set_config('role', note, false) FROM app.orders",
    ],
)
def test_a_setting_that_may_not_happen_is_a_call_that_nobody_allowed(text: str) -> None:
    (item,) = facts_of(text)
    assert any(call.name == "set_config" and not call.builtin for call in item.functions)


def test_transaction_modes_are_settings() -> None:
    (item,) = facts_of("START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY, NOT DEFERRABLE")
    assert [(s.name, s.value) for s in item.settings] == [
        ("transaction_isolation", "repeatable read"),
        ("transaction_read_only", "on"),
        ("transaction_deferrable", "off"),
    ]


@pytest.mark.parametrize(
    "text", ["EXECUTE p(app.leak(1))", "CALL app.proc(app.leak(1))", "EXPLAIN EXECUTE p(app.leak(1))"]
)
def test_arguments_are_read_even_where_the_rest_is_not(text: str) -> None:
    (item,) = facts_of(text)
    assert not item.complete
    assert "leak" in {call.name for call in item.functions}


def test_a_text_in_pieces() -> None:
    assert [item.text for item in facts_of(" SELECT 1 ;; /* x */ SELECT ';' -- y\n; ")] == [
        "SELECT 1",
        "SELECT ';'",
    ]
    assert facts_of("") == facts_of(" ; -- x") == ()


def test_names_need_a_known_path() -> None:
    unknown = replace(NAMES, search_path=None)
    assert not facts_of("SELECT * FROM orders", unknown)[0].complete
    assert not facts_of("SELECT count(*) FROM app.orders", unknown)[0].complete
    assert facts_of("SELECT id FROM app.orders", unknown)[0].complete


def test_a_column_that_a_changed_table_may_own_is_read_from_it_too() -> None:
    for text in (
        "UPDATE app.orders SET id = (SELECT note FROM app.unheard)",
        "DELETE FROM app.orders RETURNING (SELECT note FROM app.unheard)",
    ):
        (item,) = facts_of(text)
        read = {e.object.name: e.columns for e in item.effects if e.operation == "select" and e.object}
        assert "note" in read["orders"]
        assert "note" in read["unheard"]
