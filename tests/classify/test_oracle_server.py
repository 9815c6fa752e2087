"""What the reference policy allows shows no secret and changes nothing, even run by a superuser."""

import random
from collections.abc import Iterator

import psycopg
import pytest

from tests.classify.judge import entries, facts_of, objections
from tests.classify.test_differential import mutate
from tests.servers.postgres import Postgres

CANARY = "canary-7f3a"
SCHEMA = f"""
create schema app; create schema secret;
create table app.orders (id int primary key, customer_id int, amount numeric, note text);
create table app.customers (id int primary key, name text, email text);
create table app.salaries (id int, amount int); create table secret.pay (id int, who text, amount int);
create table app.events (id int); create view app.v_pay as select * from secret.pay;
insert into app.orders values (1, 1, 10, 'x'), (2, 1, 20, 'y');
insert into app.customers values (1, 'ann', 'a@b');
insert into secret.pay values (1, '{CANARY}', 1); insert into app.salaries values (1, 424242);
create function app.leak(app.orders) returns text language sql as 'select who from secret.pay';
create function app.get_pay(int) returns text language sql as 'select who from secret.pay';
create function app.bad(int, int) returns text language sql as 'select who from secret.pay';
create operator app.@@@ (leftarg = int, rightarg = int, function = app.bad);
create type app.mood as enum ('a');
"""
SUMS = "select md5(string_agg(t::text, ',' order by t::text)) from {} t"
TABLES = ["app.orders", "app.customers", "app.salaries", "secret.pay"]


@pytest.fixture(scope="module")
def connection(bare_postgres: Postgres) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    bare_postgres.psql("create database oracle")
    bare_postgres.psql(SCHEMA, "oracle")
    conninfo = f"host={bare_postgres.socket} port={bare_postgres.port} user=postgres dbname=oracle"
    with psycopg.connect(conninfo, autocommit=True) as opened:
        opened.execute("set search_path to app")
        opened.execute("set statement_timeout to 2000")
        yield opened
    bare_postgres.psql("drop database oracle")


def sums(connection: psycopg.Connection[tuple[object, ...]]) -> list[object]:
    return [connection.execute(SUMS.format(table).encode()).fetchall() for table in TABLES]


def run(connection: psycopg.Connection[tuple[object, ...]], text: str) -> str:
    """All that comes back, errors included, as text."""
    shown = []
    try:
        cursor = connection.execute(text.encode())
        while True:
            if cursor.description is not None:
                shown.append(str(cursor.fetchmany(200)))
            if not cursor.nextset():
                break
    except psycopg.Error as error:
        shown.append(str(error))
    return " ".join(shown)


@pytest.mark.db
def test_what_is_allowed_harms_nothing(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    before, chance = sums(connection), random.Random(5)
    texts = [e["payload"] for e in [*entries("postgres.yaml"), *entries("postgres-variants.yaml")]]
    texts += [mutate(chance) for _ in range(12_000)]
    allowed = [text for text in dict.fromkeys(texts) if text.isprintable() and not objections(facts_of(text))]
    assert len(allowed) > 200
    for text in allowed:
        shown = run(connection, text)
        assert CANARY not in shown, text
        assert "424242" not in shown, text
        connection.execute("rollback")
        connection.execute("set search_path to app")
    assert sums(connection) == before


@pytest.mark.db
@pytest.mark.parametrize(
    "entry", [e for e in entries("postgres.yaml") if e["must"] == "parse"], ids=lambda e: str(e["id"])
)
def test_controls_run(connection: psycopg.Connection[tuple[object, ...]], entry: dict[str, str]) -> None:
    assert "syntax error" not in run(connection, entry["payload"])
    connection.execute("rollback")
