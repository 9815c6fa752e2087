"""No column is read unseen: PostgreSQL refuses a reader of everything but one column, and so would the facts.

A role holds every right but reading one column of each table. ``EXPLAIN`` checks rights, runs nothing; what
the server refuses must have that column, or the star, in the facts, or not be understood.
"""

import random
import re
from collections.abc import Iterator

import psycopg
import pytest

from gateway.model.statement import Catalog, NameContext, Relation
from tests.classify.judge import facts_of
from tests.servers.postgres import Postgres

SCHEMA = """
create schema app; create role narrow; grant usage on schema app to narrow;
create table app.people (id int primary key, name text, ssn text, pay_id int);
create table app.pay (id int primary key, note text, amount int);
create table app.log (id int, word text);
grant insert, update, delete on app.people, app.pay to narrow; grant all on app.log to narrow;
grant select (id, name, pay_id) on app.people to narrow; grant select (id, note) on app.pay to narrow;
"""
HIDDEN = {"people": "ssn", "pay": "amount"}
CATALOG = Catalog(
    {
        ("app", "people"): Relation("table", ("id", "name", "ssn", "pay_id")),
        ("app", "pay"): Relation("table", ("id", "note", "amount")),
        ("app", "log"): Relation("table", ("id", "word")),
    }
)
NAMES = NameContext("columns", "narrow", ("app",), CATALOG)
READS = """
SELECT ssn FROM people
SELECT id FROM people WHERE ssn = 'x'
SELECT id FROM people ORDER BY ssn
(SELECT id FROM people) ORDER BY ssn
((SELECT id FROM people) LIMIT 3) ORDER BY ssn
SELECT id FROM people GROUP BY id HAVING max(ssn) > 'a'
SELECT count(*) FROM people GROUP BY ssn
SELECT DISTINCT ON (ssn) id FROM people
SELECT rank() OVER (ORDER BY ssn) FROM people
SELECT id, rank() OVER w FROM people WINDOW w AS (PARTITION BY ssn)
SELECT * FROM people
TABLE people
SELECT people FROM people
SELECT p.* FROM people p
SELECT (p).id FROM people p
SELECT row(p.*) FROM people p
SELECT to_jsonb(p) ->> 'id' FROM people p
SELECT id(p) FROM people p
SELECT count(p) FROM people p
SELECT p IS NULL FROM people p
SELECT c FROM people p(a, b, c, d)
SELECT c FROM people AS p(a, b, c)
SELECT j.c FROM (people CROSS JOIN pay) j(a, b, c)
SELECT c FROM (people CROSS JOIN pay) j(a, b, c)
SELECT j.amount FROM (people p JOIN pay ON pay.id = p.id) j
SELECT amount FROM ((SELECT 1) a JOIN pay ON true)
SELECT pay.amount FROM ((people JOIN log ON true) JOIN pay ON true)
SELECT 1 FROM people JOIN log ON ssn = word
SELECT 1 FROM people NATURAL JOIN people q
SELECT 1 FROM people JOIN people q USING (ssn)
SELECT 1 FROM people, LATERAL (SELECT ssn) l
SELECT l.x FROM people CROSS JOIN LATERAL lower(ssn) AS l(x)
SELECT 1 FROM people, (log JOIN LATERAL lower(ssn) f ON true)
SELECT (SELECT ssn) FROM people
SELECT (SELECT ssn FROM log) FROM people
SELECT (SELECT 1 FROM log a, (log b JOIN log c ON ssn = 'x')) FROM people
SELECT (SELECT 1 FROM log p, log b JOIN log c ON p.ssn = 'x') FROM people p
SELECT id FROM people WHERE EXISTS (SELECT 1 FROM pay WHERE ssn = 'x')
SELECT id FROM log WHERE id IN (SELECT amount FROM pay)
SELECT id FROM log WHERE (id, word) IN (SELECT id, ssn FROM people)
SELECT id FROM people UNION SELECT amount FROM pay
WITH x AS (SELECT * FROM people) SELECT id FROM x
WITH x AS (SELECT ssn AS id FROM people) SELECT id FROM x
WITH RECURSIVE r(a) AS (SELECT ssn FROM people UNION SELECT a FROM r) SELECT a FROM r
VALUES ((SELECT max(ssn) FROM people))
SELECT CASE WHEN ssn = 'x' THEN 1 END FROM people
SELECT id FROM people LIMIT (SELECT max(amount) FROM pay)
SELECT app.people.ssn FROM people
SELECT app.people.ssn FROM app.people
SELECT x.ssn FROM (SELECT p.* FROM people p) x
SELECT coalesce(ssn, '') || name FROM people
SELECT string_agg(ssn, ',') FILTER (WHERE id > 1) FROM people
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY amount) FROM pay
SELECT id FROM people WHERE ssn LIKE 'a%' ESCAPE '!'
SELECT array(SELECT ssn FROM people)
SELECT ssn::text COLLATE "C" FROM people
SELECT cast(amount AS text) FROM pay
SELECT extract(epoch FROM make_interval(days => amount)) FROM pay
INSERT INTO log SELECT id, ssn FROM people
INSERT INTO people (id) VALUES (1) RETURNING ssn
INSERT INTO people (id) VALUES (1) RETURNING *
INSERT INTO people AS p (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = p.ssn
INSERT INTO people AS p (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = 'x' WHERE p.ssn = 'y'
INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = excluded.ssn
UPDATE people SET name = ssn
UPDATE people SET name = 'x' WHERE ssn = 'y'
UPDATE people SET name = 'x' RETURNING ssn
UPDATE log SET word = p.ssn FROM people p WHERE p.id = log.id
UPDATE log SET (id, word) = (SELECT id, ssn FROM people)
DELETE FROM people WHERE ssn = 'x'
DELETE FROM log USING pay WHERE pay.amount = log.id
DELETE FROM people RETURNING ssn
WITH d AS (DELETE FROM people RETURNING *) SELECT 1
MERGE INTO log l USING people p ON l.word = p.ssn WHEN MATCHED THEN DO NOTHING
MERGE INTO log l USING people p ON l.id = p.id WHEN MATCHED AND p.ssn = 'x' THEN DELETE
MERGE INTO log l USING people p ON l.id = p.id WHEN NOT MATCHED THEN INSERT VALUES (p.id, p.ssn)
MERGE INTO people p USING log l ON p.ssn = l.word WHEN MATCHED THEN UPDATE SET name = 'x'
""".strip().split("\n")
INNOCENT = """
SELECT id, name FROM people WHERE name = 'x' ORDER BY id LIMIT 5
SELECT count(*) FROM people
SELECT name AS ssn FROM people ORDER BY ssn
SELECT name AS n, count(*) FROM people GROUP BY n ORDER BY n
SELECT id, count(*) AS amount FROM pay GROUP BY id ORDER BY amount DESC
SELECT x.ssn FROM (SELECT name AS ssn FROM people) x ORDER BY ssn
SELECT ssn FROM log, (SELECT name AS ssn FROM people) x
WITH x(ssn) AS (SELECT name FROM people) SELECT ssn FROM x
SELECT p.name, y.note FROM people p JOIN pay y ON y.id = p.pay_id
SELECT name, note FROM people JOIN pay ON pay.id = pay_id
SELECT p.name FROM people p JOIN pay USING (id)
SELECT (SELECT note FROM pay WHERE pay.id = people.pay_id) FROM people
SELECT s FROM people, generate_series(1, 3) s
SELECT w.x FROM people, LATERAL (SELECT name AS x) w
SELECT id FROM people WHERE EXISTS (SELECT FROM pay WHERE pay.id = people.pay_id)
SELECT rank() OVER (PARTITION BY name ORDER BY id) FROM people
SELECT * FROM (SELECT id, name FROM people) x
SELECT DISTINCT ON (name) name, id FROM people ORDER BY name, id
INSERT INTO people (id, ssn) VALUES (1, 'x') RETURNING id
INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET ssn = excluded.name
UPDATE people SET ssn = 'x' WHERE id = 1
DELETE FROM people WHERE id = 1 RETURNING name
""".strip().split("\n")
_WORDS = """
ssn amount id name note word people pay log p q app.people * , ( ) . WHERE ORDER BY GROUP FROM JOIN ON USING
NATURAL LATERAL AS (SELECT WITH x UNION RETURNING true = 'x' LIMIT 1 AND , pay , people , log ssn)
""".split()  # noqa: SIM905 - a list of words reads best as words
_TOKEN = re.compile(r"'[^']*'|\w+|\s+|.")


@pytest.fixture(scope="module")
def narrow(bare_postgres: Postgres) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    bare_postgres.psql("create database columns")
    bare_postgres.psql(SCHEMA, "columns")
    conninfo = f"host={bare_postgres.socket} port={bare_postgres.port} user=postgres dbname=columns"
    with psycopg.connect(conninfo, autocommit=True) as opened:
        opened.execute("set search_path to app")
        opened.execute("set role narrow")
        yield opened
    bare_postgres.psql("drop database columns")
    bare_postgres.psql("drop role narrow")


def refused(connection: psycopg.Connection[tuple[object, ...]], text: str) -> str | None:
    """The table whose rights are missing, empty for none; None where the server has another objection."""
    try:
        connection.execute(f"EXPLAIN {text}".encode())
    except psycopg.errors.InsufficientPrivilege as error:
        found = re.fullmatch(r"permission denied for table (\w+)", error.diag.message_primary or "")
        return found[1] if found else None
    except psycopg.Error:
        return None
    return ""


def reads(text: str, table: str) -> bool:
    """The facts say that the hidden column of *table* is read, or that they do not know."""
    return any(
        not item.complete
        or any(
            effect.operation == "select"
            and effect.object is not None
            and effect.object.name == table
            and not {"*", HIDDEN.get(table, "*")}.isdisjoint(effect.columns)
            for effect in item.effects
        )
        for item in facts_of(text, NAMES)
    )


def mutate(chance: random.Random) -> str:
    tokens = _TOKEN.findall(chance.choice([*READS, *INNOCENT]))
    for _ in range(chance.choice([1, 1, 2])):
        at, kind = chance.randrange(len(tokens) + 1), chance.random()
        if kind < 0.35:
            tokens.insert(at, f" {chance.choice(_WORDS)} ")
        elif kind < 0.45:
            del tokens[at : at + 1]
        elif kind < 0.8 and at < len(tokens):
            tokens[at] = f" {chance.choice(_WORDS)} "
        else:
            other = _TOKEN.findall(chance.choice([*READS, *INNOCENT]))
            start = chance.randrange(len(other))
            tokens[at:at] = other[start : start + chance.randrange(1, 14)]
    return "".join(tokens)


@pytest.mark.db
@pytest.mark.parametrize("text", READS)
def test_what_reads_the_hidden_column_says_so(
    narrow: psycopg.Connection[tuple[object, ...]], text: str
) -> None:
    table = refused(narrow, text)
    assert table in HIDDEN, "the server takes no offence: the case shows nothing"
    assert reads(text, table)


@pytest.mark.db
@pytest.mark.parametrize("text", INNOCENT)
def test_what_does_not_read_it_does_not_say_so(
    narrow: psycopg.Connection[tuple[object, ...]], text: str
) -> None:
    assert refused(narrow, text) == ""
    assert all(item.complete for item in facts_of(text, NAMES))
    assert not any(reads(text, table) for table in HIDDEN)


def _compare(narrow: psycopg.Connection[tuple[object, ...]], chance: random.Random, count: int) -> None:
    offended = 0
    for _ in range(count):
        text = mutate(chance)
        table = refused(narrow, text)
        if table:
            offended += 1
            assert reads(text, table), text
    assert offended > count // 40


@pytest.mark.db
def test_no_column_is_read_unseen(narrow: psycopg.Connection[tuple[object, ...]]) -> None:
    _compare(narrow, random.Random(11), 6_000)


@pytest.mark.soak
@pytest.mark.db
def test_no_column_is_read_unseen_in_many(narrow: psycopg.Connection[tuple[object, ...]]) -> None:
    _compare(narrow, random.Random(12), 400_000)
