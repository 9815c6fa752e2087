# ruff: noqa: SIM905 - lists of words read best as words
"""Whatever is understood holds all that PostgreSQL's own parser finds; compared over mutated statements."""

import random
import re

import pytest

from gateway.classify.facts import Piece
from gateway.classify.sql import parse_uncached
from tests.classify import oracle
from tests.classify.judge import entries
from tests.classify.test_drivers import STATEMENTS

_TOKEN = re.compile(
    r"'(?:[^']|'')*'|\"[^\"]*\"|[A-Za-z_]\w*|\d+(?:\.\d+)?|::|[-+*/<>=~!@#%^&|?]+|\s+|.", re.DOTALL
)
_SPARE = """
SELECT FROM WHERE ( ) , . ; TABLE ONLY LATERAL WITH AS UNION ALL JOIN ON USING VALUES INTO FOR
UPDATE RETURNING ARRAY [ ] :: text row rows first next key filter over set default do nothing
conflict at time zone a b app.orders secret.pay f( count(*) 1 'x' * = + - || -> @@@
OPERATOR(app.@@@) NOT IN EXISTS ANY CASE WHEN THEN END ELSE order by limit offset fetch window
partition recursive materialized temp current of null is like between escape collate cast( extract(
substring( trim( "q" $1 U&"x" E'y' $$z$$ --
""".split()
_RICH = """
WITH RECURSIVE a(x,y) AS MATERIALIZED (SELECT 1, 2), b AS (DELETE FROM app.t WHERE id = 1 RETURNING
*) SELECT DISTINCT ON (a.x) a.*, b.id, count(*) FILTER (WHERE b.id > 1) OVER (PARTITION BY a.y ORDER
BY b.id) FROM a LEFT JOIN b ON a.x = b.id CROSS JOIN LATERAL (SELECT max(z) FROM app.u WHERE u.id =
a.x) AS l(m) WHERE EXISTS (SELECT 1 FROM app.v) AND a.x IN (1,2) GROUP BY GROUPING SETS ((a.x),
CUBE(a.y)) LIMIT 5
;;
INSERT INTO app.orders AS o (id, note) SELECT id, who FROM secret.pay ON CONFLICT (id) DO UPDATE SET
note = excluded.note, (a, b) = (SELECT 1, 2) WHERE o.id = 1 RETURNING *, o.id AS x
;;
UPDATE ONLY app.orders o SET note = p.who, c[1] = 3 FROM secret.pay p JOIN x USING (a) WHERE p.id =
o.id
;;
MERGE INTO app.orders o USING (SELECT * FROM secret.pay) p ON o.id = p.id WHEN MATCHED THEN DELETE
WHEN NOT MATCHED THEN INSERT (id) VALUES (p.id)
;;
SELECT CAST(a AS numeric(10,2)), a::text[], date '2020-01-01', extract(epoch from now()), trim(both
'x' from a), a at time zone 'utc', (a).b, a[1:2], row(1,2), array[[1],[2]], x ->> 'a' @> '{}', case
a when 1 then 2 end FROM t
;;
SELECT * FROM app.a, ONLY app.b, (app.c NATURAL JOIN app.d) AS j, ROWS FROM (f(1), g(2)) AS r,
generate_series(1, 2) WITH ORDINALITY AS s(n, o), json_to_recordset('[]') AS q(a int, b text)
;;
(SELECT 1 UNION ALL (TABLE app.x EXCEPT SELECT 2) ORDER BY 1) INTERSECT VALUES (1), (2)
;;
COPY (SELECT * FROM app.orders WHERE id = f(1)) TO STDOUT (FORMAT csv)
;;
EXPLAIN (ANALYZE, VERBOSE) SELECT a INTO TEMP TABLE x FROM app.y
""".split("\n;;\n")
SEEDS = [
    *_RICH,
    *(entry["payload"] for entry in entries("postgres.yaml") if len(entry["payload"]) < 600),
    *(entry["payload"] for entry in entries("postgres-variants.yaml") if len(entry["payload"]) < 600),
    *(statement for _, statement in STATEMENTS if len(statement) < 600),
]


def missing(text: str) -> str:
    """What PostgreSQL's parser finds and the classifier, which says it understood everything, does not."""
    pieces = parse_uncached(text, "postgres").pieces
    if any(piece.reason for piece in pieces):
        return ""
    theirs = oracle.read(text)
    if theirs is None:
        return ""
    if len(theirs) != len(pieces):
        return f"{len(theirs)} statements, not {len(pieces)}"
    return "".join(_missing(found, piece) for found, piece in zip(theirs, pieces, strict=True))


def _missing(found: oracle.Found, piece: Piece) -> str:
    if piece.operation == "set":
        return ""  # SET CONSTRAINTS names constraints, which that parser keeps as relations
    relations = {(use.schema, use.name) for use in piece.uses}
    made = {use.name for use in piece.uses if use.is_new}
    names = found.ctes | found.aliases | made
    lost = [f"{r}" for r in found.relations - relations if not (r[0] == "" and r[1] in names)]
    calls = {*piece.calls, *piece.empty_calls}
    calls |= {("pg_catalog", name) for schema, name in calls if not schema}
    implied = {("pg_catalog", name) for name in ("like_escape", "similar_to_escape")}
    lost += [f"{call}" for call in found.functions - calls - implied]
    actions = {action.operation for use in piece.uses for action in use.actions}
    lost += found.kinds - actions
    signs = {"<>" if sign == "!=" else sign for _, sign in piece.operators} | {"=", "<>", "!~~", "!~~*", "!~"}
    stars = (
        {"*"} if piece.operation == "select" else set()
    )  # a star that is taken for all columns is harmless
    lost += found.operators - signs - stars
    types = {name for _, name in piece.casts} | {"bpchar", "bool", "int4"}
    if "$" not in piece.text:  # that parser takes a parameter for a literal, so that any name ahead is a type
        lost += found.types - types
    return " ".join(lost)


def mutate(chance: random.Random) -> str:
    tokens = _TOKEN.findall(chance.choice(SEEDS))
    for _ in range(chance.choice([1, 1, 2, 3])):
        at, kind = chance.randrange(len(tokens) + 1), chance.random()
        spare = chance.choice(_SPARE if chance.random() < 0.6 else _TOKEN.findall(chance.choice(SEEDS)))
        if kind < 0.3:
            tokens.insert(at, f" {spare} ")
        elif kind < 0.5:
            del tokens[at : at + chance.choice([1, 2, 3])]
        elif kind < 0.7 and at < len(tokens):
            tokens[at] = f" {spare} "
        else:
            other = _TOKEN.findall(chance.choice(SEEDS))
            start = chance.randrange(len(other))
            tokens[at:at] = other[start : start + chance.randrange(1, 12)]
        tokens = tokens or ["x"]
    return "".join(tokens)


@pytest.mark.parametrize("text", SEEDS)
def test_nothing_is_missing_in_the_seeds(text: str) -> None:
    assert missing(text) == ""


# What half a million mutations and more brought up, beside what they were meant to find.
FOUND = [
    "select * from app.orders where id *!= 0",
    "select * from app.orders for key share of orders.pay nowait",
]


@pytest.mark.parametrize("text", FOUND)
def test_nothing_is_missing_in_what_was_found_before(text: str) -> None:
    assert missing(text) == ""


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_missing_in_mutations(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(1_500):
        text = mutate(chance)
        assert missing(text) == "", text


@pytest.mark.soak
def test_nothing_is_missing_in_a_million_mutations() -> None:
    chance = random.Random(20)
    for _ in range(1_000_000):
        text = mutate(chance)
        assert missing(text) == "", text
