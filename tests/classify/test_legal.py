# ruff: noqa: E501 - a statement is a line
"""What PostgreSQL 15 takes is read: its grammar, production by production, against the server itself."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gateway.classify.postgres.lexer import tokenize
from gateway.model.statement import Catalog, NameContext, Relation
from tests.classify.judge import facts_of
from tests.servers.postgres import Postgres

SCHEMA = """
create schema app;
create type app.duo as (a int, b int);
create table app.orders (id int primary key, customer_id int, amount numeric, note text);
create table app.customers (id int primary key, name text, email text);
create table app.tree (id serial primary key, parent int, name text);
create unique index on app.tree (lower(name) collate "C" text_ops) where id > 5;
create unique index on app.tree ((id + 1));
create table app.other_tree (id int, parent int, name text);
create table app.docs (id int primary key, body xml, data jsonb, tags text[], grid int[][], during int4range, at timestamptz, day date);
create table app.typed (pair app.duo, pairs app.duo[]);
create table app.numbered (n int generated always as identity, t text);
create table app.words (type int, value int, name int, level int, key int, data int, first int, rows int, filter int,
  partition int, range int, groups int, matched int, over int, within int, share int, skip int, zone int,
  depth int, breadth int, search int, cycle int, path int, columns int, passing int, ref int, document int, content int);
"""
TABLES = {
    "orders": "id customer_id amount note",
    "customers": "id name email",
    "tree": "id parent name",
    "other_tree": "id parent name",
    "docs": "id body data tags grid during at day",
    "typed": "pair pairs",
    "numbered": "n t",
    "words": "type value name level key data first rows filter partition range groups matched over within share "
    "skip zone depth breadth search cycle path columns passing ref document content",
}
CATALOG = Catalog(
    {("app", name): Relation("table", tuple(columns.split())) for name, columns in TABLES.items()},
    types=frozenset({("app", "duo")}),
)
NAMES = NameContext("legal", "analyst", ("app",), CATALOG)
LEGAL = [
    line
    for line in (Path(__file__).parent / "data/legal15.sql").read_text().splitlines()
    if not line.startswith("--")
]
# Taken by the server and refused here: nobody writes them, and what they read is not known for sure.
NOT_READ = [
    "SELECT * FROM CAST(1 AS int) AS c",
    "SELECT TREAT(id AS text) FROM orders",
    "SELECT bpchar(3) 'abc'",
    "INSERT INTO docs (id, tags[1], tags[2]) VALUES (5, 'a', 'b')",
    "INSERT INTO typed (pair.a, pair.b) VALUES (1, 2)",
    'INSERT INTO tree (id) VALUES (1) ON CONFLICT (lower(name) COLLATE "C" text_ops) WHERE id > 5 DO NOTHING',
    "UPDATE tree * SET name = 'x'",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SEARCH DEPTH FIRST BY n SET o SELECT * FROM r AS x (a)",
]


@pytest.fixture(scope="module")
def server(bare_postgres: Postgres) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    bare_postgres.psql("create database legal")
    bare_postgres.psql(SCHEMA, "legal")
    conninfo = f"host={bare_postgres.socket} port={bare_postgres.port} user=postgres dbname=legal"
    with psycopg.connect(conninfo, autocommit=True, prepare_threshold=None) as opened:
        opened.execute("set search_path to app")
        yield opened
    bare_postgres.psql("drop database legal")


def objection(connection: psycopg.Connection[tuple[object, ...]], text: str) -> str:
    """What the server has against the form of *text*; that it cannot run now (no such row …) is none."""
    connection.execute("begin")
    connection.execute("declare cur cursor for select * from tree for update")
    connection.execute("fetch cur")
    try:
        if text.startswith("COPY"):
            with connection.cursor().copy(text.encode()) as copy:
                list(copy)
        else:
            prefix = "prepare p_ as " if "$1" in text and not text.startswith("PREPARE") else ""
            connection.execute((prefix + text).encode())
    except psycopg.Error as error:
        state = error.diag.sqlstate or ""
        return f"{state} {error.diag.message_primary}" if state[:2] in {"42", "0A", "3F"} else ""
    finally:
        connection.execute("rollback")
        connection.execute("deallocate all")
    return ""


@pytest.mark.db
def test_the_server_takes_every_one(server: psycopg.Connection[tuple[object, ...]]) -> None:
    assert len(LEGAL) > 390
    told = [(text, found) for text in (*LEGAL, *NOT_READ) if (found := objection(server, text))]
    assert told == []


@pytest.mark.parametrize("text", LEGAL)
def test_what_the_server_takes_is_read_as_a_whole(text: str) -> None:
    (item,) = facts_of(text, NAMES)
    assert item.unknown_reason == ""
    named = (*item.functions, *item.operators, *item.casts)
    assert [thing for thing in named if not thing.builtin and thing.name != "duo"] == []


@pytest.mark.parametrize("text", NOT_READ)
def test_what_is_not_read_is_known(text: str) -> None:
    assert not all(item.complete for item in facts_of(text, NAMES))


@pytest.mark.parametrize("text", [text for text in LEGAL if "XML" in text or " CYCLE " in text])
def test_a_statement_that_breaks_off_raises_nothing(text: str) -> None:
    for token in tokenize(text):
        for behind in ("", ")", "))"):
            assert len(facts_of(text[: token.end] + behind, NAMES)) == 1
