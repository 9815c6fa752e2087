# ruff: noqa: E501 - a statement is a line
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
SELECT p.to_jsonb FROM people p
SELECT people.row_to_json FROM people
SELECT id FROM people p WHERE p.quote_literal LIKE '%x%'
SELECT count(app.people.to_json) FROM app.people
SELECT l.to_jsonb FROM log l JOIN people p ON p.hash_record = 1
UPDATE people SET name = 'x' WHERE people.to_jsonb ->> 'ssn' = 'y'
DELETE FROM people WHERE people.row_to_json IS NULL
INSERT INTO people AS p (id) VALUES (1) RETURNING p.to_jsonb
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
SELECT (SELECT ssn FROM json_each('{"a":1}') AS ssn LIMIT 1) FROM people
SELECT (SELECT ssn FROM (SELECT * FROM json_each('{"a":1}') AS ssn) x LIMIT 1) FROM people
SELECT (SELECT ssn FROM (SELECT * FROM unnest(ARRAY(SELECT l FROM log l)) AS ssn) x LIMIT 1) FROM people
SELECT (SELECT ssn FROM (SELECT ssn.* FROM unnest(ARRAY(SELECT l FROM log l)) AS ssn) x LIMIT 1) FROM people
SELECT (SELECT ssn FROM (log CROSS JOIN json_each('{"a":1}') AS ssn) x LIMIT 1) FROM people
SELECT (SELECT ssn FROM (SELECT * FROM ROWS FROM (json_each('{"a":1}')) AS ssn) x LIMIT 1) FROM people
SELECT (SELECT ssn FROM (SELECT * FROM coalesce((SELECT l FROM log l)) AS ssn) x LIMIT 1) FROM people
SELECT (SELECT ssn FROM (SELECT * FROM jsonb_populate_record(NULL::log, '{}') AS ssn) x LIMIT 1) FROM people
WITH x AS (SELECT * FROM json_each('{"a":1}') AS ssn) SELECT (SELECT ssn FROM x LIMIT 1) FROM people
SELECT (SELECT ssn FROM (SELECT * FROM (SELECT 1, 2) v(a) JOIN (SELECT 1, 3) w(a, ssn) USING (a)) k(a, b, c)) FROM people
SELECT (SELECT ssn FROM (SELECT * FROM (SELECT 1) v(a) NATURAL JOIN (SELECT 1, 3) w(a, ssn)) k(a, b)) FROM people
WITH RECURSIVE r AS (SELECT id, pay_id FROM people UNION ALL SELECT p.id, p.pay_id FROM people p, r WHERE p.ssn = 'x') SEARCH DEPTH FIRST BY id SET ord SELECT id FROM r ORDER BY ord
WITH RECURSIVE r AS (SELECT id, ssn FROM people UNION ALL SELECT p.id, 'x' FROM people p, r WHERE p.id = r.id) SEARCH DEPTH FIRST BY ssn SET ord SELECT ord FROM r
WITH RECURSIVE r AS (SELECT id, ssn FROM people UNION ALL SELECT p.id, 'x' FROM people p, r WHERE p.id = r.id) CYCLE ssn SET is_cycle USING path SELECT path FROM r
WITH RECURSIVE r AS (SELECT * FROM people UNION ALL SELECT p.* FROM people p, r WHERE p.id = r.id) CYCLE id SET is_cycle USING path SELECT path FROM r
WITH RECURSIVE r AS (SELECT id FROM log UNION ALL SELECT l.id FROM log l, r WHERE l.id = r.id) SEARCH DEPTH FIRST BY id SET ssn SELECT (SELECT ssn FROM (SELECT * FROM r) s LIMIT 1) FROM people
WITH RECURSIVE r AS (SELECT id FROM log UNION ALL SELECT l.id FROM log l, r WHERE l.id = r.id) SEARCH DEPTH FIRST BY id SET ssn, s AS (SELECT * FROM r) SELECT (SELECT ssn FROM s LIMIT 1) FROM people
WITH RECURSIVE r AS (SELECT id FROM log UNION ALL SELECT l.id FROM log l, r WHERE l.id = r.id) SEARCH DEPTH FIRST BY id SET ssn SELECT (SELECT ssn FROM (SELECT r.* FROM r) s LIMIT 1) FROM people
WITH RECURSIVE r AS (SELECT id FROM log UNION ALL SELECT l.id FROM log l, r WHERE l.id = r.id) SEARCH DEPTH FIRST BY id SET ssn SELECT (SELECT ssn FROM (TABLE r) s LIMIT 1) FROM people
WITH RECURSIVE r AS (SELECT id FROM log UNION ALL SELECT l.id FROM log l, r WHERE (SELECT max(ssn) FROM people) = 'x') CYCLE id SET c USING y SELECT 1 FROM r
SELECT XMLELEMENT(NAME ssn, ssn) FROM people
SELECT XMLELEMENT(NAME x, XMLATTRIBUTES(ssn AS id)) FROM people
SELECT XMLELEMENT(NAME x, XMLATTRIBUTES(id, ssn), name) FROM people
SELECT XMLELEMENT(NAME x, XMLATTRIBUTES(id), people) FROM people
SELECT XMLELEMENT(NAME x, p.*) FROM people p
SELECT XMLFOREST(id AS a, ssn) FROM people
SELECT XMLFOREST(p AS ssn) FROM people p
SELECT XMLPI(NAME php, ssn) FROM people
SELECT XMLROOT(XMLPARSE(DOCUMENT ssn), VERSION '1.0') FROM people
SELECT XMLROOT('<a/>', VERSION ssn, STANDALONE YES) FROM people
SELECT XMLROOT('<a/>'::xml, VERSION (SELECT max(ssn) FROM people))
SELECT XMLPARSE(CONTENT ssn) FROM people
SELECT XMLPARSE(DOCUMENT ssn STRIP WHITESPACE) FROM people
SELECT XMLSERIALIZE(CONTENT XMLELEMENT(NAME a, ssn) AS text) FROM people
SELECT XMLEXISTS('//a' PASSING XMLPARSE(CONTENT ssn)) FROM people
SELECT XMLEXISTS(ssn PASSING '<a/>') FROM people
SELECT XMLEXISTS('//a' PASSING BY REF (SELECT XMLPARSE(CONTENT max(ssn)) FROM people) BY REF)
SELECT XMLAGG(XMLPARSE(CONTENT name) ORDER BY ssn) FROM people
SELECT 1 FROM people, XMLTABLE('/a' PASSING XMLPARSE(CONTENT ssn) COLUMNS x int PATH 'b') t
SELECT 1 FROM people, XMLTABLE(ssn PASSING '<a/>' COLUMNS x int PATH 'b') t
SELECT 1 FROM people, XMLTABLE('/a' PASSING '<a/>' COLUMNS x int PATH ssn) t
SELECT 1 FROM people, XMLTABLE('/a' PASSING '<a/>' COLUMNS x text PATH 'b' DEFAULT ssn NOT NULL, y int) t
SELECT 1 FROM people, XMLTABLE('/a' PASSING '<a/>' COLUMNS x text DEFAULT 'b' || ssn PATH 'a') t
SELECT 1 FROM people, XMLTABLE(XMLNAMESPACES(ssn AS n), '/a' PASSING '<a/>' COLUMNS x int) t
SELECT 1 FROM people, XMLTABLE(XMLNAMESPACES(DEFAULT ssn), '/a' PASSING '<a/>' COLUMNS x int) t
SELECT 1 FROM XMLTABLE('/a' PASSING (SELECT XMLPARSE(CONTENT max(ssn)) FROM people) COLUMNS x int) t
SELECT (SELECT ssn FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS x int) AS ssn LIMIT 1) FROM people
SELECT (SELECT ssn FROM (SELECT * FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS x int) AS ssn) y LIMIT 1) FROM people
SELECT (SELECT ssn FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS ssn int) AS y(x) LIMIT 1) FROM people
SELECT (SELECT x FROM XMLTABLE('/a' PASSING XMLPARSE(CONTENT ssn) COLUMNS x int)) FROM people
SELECT 1 FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS x int) t JOIN people ON ssn = 'x'
SELECT j.id FROM people JOIN log USING (id) AS j WHERE ssn = 'x'
SELECT j FROM people JOIN log USING (id) AS j JOIN pay ON amount = j.id
SELECT (SELECT ssn FROM (SELECT 1) a(id) JOIN (SELECT 2, 3) b(id, x) USING (id) AS ssn) FROM people
SELECT (SELECT ssn FROM (SELECT j.* FROM (SELECT 1, 2) a(id, ssn) JOIN (SELECT 2, 3) b(id, x) USING (id) AS j) k) FROM people
SELECT 1 FROM people JOIN people q USING (ssn) AS j
SELECT j.ssn FROM people JOIN (SELECT 'x') q(ssn) USING (ssn) AS j
SELECT j.to_jsonb FROM people JOIN people q USING (ssn) AS j
SELECT ssn FROM ONLY (people)
SELECT o.ssn FROM ONLY (app.people) o
UPDATE ONLY (people) SET name = ssn
DELETE FROM ONLY (people) WHERE ssn = 'x'
SELECT * FROM log TABLESAMPLE SYSTEM ((SELECT max(amount) FROM pay))
SELECT * FROM log TABLESAMPLE SYSTEM (1) REPEATABLE ((SELECT max(amount) FROM pay) + 1)
SELECT id FROM people ORDER BY ssn USING OPERATOR(pg_catalog.<)
SELECT ssn FROM people FOR READ ONLY
SELECT COLLATION FOR (ssn) FROM people
SELECT sum(id) OVER (ORDER BY ssn ROWS 1 PRECEDING) FROM people
SELECT x.c FROM people, LATERAL ROWS FROM (regexp_matches(ssn, 'x')) AS x(c)
SELECT * FROM json_to_record((SELECT to_json(max(ssn)) FROM people)) AS x(a text COLLATE "C")
UPDATE log SET (word) = (SELECT ssn FROM people LIMIT 1)
UPDATE log SET (word) = ROW((SELECT ssn FROM people LIMIT 1))
INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET (name) = ROW(people.ssn)
SELECT ssn INTO LOCAL TEMP made FROM people
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
SELECT s.s, x.s FROM people, generate_series(1, 3) s, (SELECT * FROM generate_series(1, 3) s) x
SELECT e.key, f.ssn FROM people, (SELECT * FROM json_each('{"a":1}')) e, json_each('{"a":1}') f(ssn)
SELECT u, v.ssn FROM people, unnest(ARRAY[1, 2]) u, unnest(ARRAY[1, 2]) WITH ORDINALITY AS v(ssn, n)
SELECT w.x FROM people, LATERAL (SELECT name AS x) w
SELECT id FROM people WHERE EXISTS (SELECT FROM pay WHERE pay.id = people.pay_id)
SELECT rank() OVER (PARTITION BY name ORDER BY id) FROM people
SELECT * FROM (SELECT id, name FROM people) x
SELECT DISTINCT ON (name) name, id FROM people ORDER BY name, id
INSERT INTO people (id, ssn) VALUES (1, 'x') RETURNING id
INSERT INTO people (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET ssn = excluded.name
UPDATE people SET ssn = 'x' WHERE id = 1
DELETE FROM people WHERE id = 1 RETURNING name
WITH RECURSIVE r AS (SELECT id FROM log UNION ALL SELECT l.id FROM log l, r WHERE l.id = r.id) SEARCH DEPTH FIRST BY id SET ssn SELECT (SELECT ssn FROM r LIMIT 1) FROM people
WITH RECURSIVE r AS (SELECT id FROM log UNION ALL SELECT l.id FROM log l, r WHERE l.id = r.id) SEARCH DEPTH FIRST BY id SET ssn SELECT (SELECT (r).ssn FROM r LIMIT 1) FROM people
SELECT (SELECT ssn FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS ssn int) AS y LIMIT 1) FROM people
SELECT XMLELEMENT(NAME ssn, XMLATTRIBUTES(id AS ssn), XMLFOREST(name AS ssn)) FROM people
SELECT x.ssn FROM people, XMLTABLE('/a' PASSING XMLPARSE(CONTENT name) COLUMNS ssn int PATH 'b' DEFAULT id) x
SELECT ssn.id FROM people JOIN log USING (id) AS ssn
WITH RECURSIVE r AS (SELECT id FROM people UNION ALL SELECT p.id FROM people p, r WHERE p.pay_id = r.id) CYCLE id SET ssn USING amount SELECT ssn, amount FROM r
""".strip().split("\n")
_WORDS = """
ssn amount id name note word people pay log p q app.people * , ( ) . WHERE ORDER BY GROUP FROM JOIN ON USING
NATURAL LATERAL AS (SELECT WITH x UNION RETURNING true = 'x' LIMIT 1 AND , pay , people , log ssn) r
RECURSIVE CYCLE SEARCH SET ssn=1 TABLE XMLFOREST( XMLTABLE( PASSING COLUMNS ONLY ROWS json_each('{}') unnest( r.* p.*
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
