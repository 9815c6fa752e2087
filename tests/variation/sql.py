"""Changes to a text of SQL that leave what it means as it is, and sentences that take it into themselves."""

import random
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from tests.variation.texts import Token, joined, regapped, replaced, swapped_case

Change: TypeAlias = Callable[[list[Token], random.Random], str | None]

# Names of the corpora that are names of things wherever they stand, never words of the grammar.
NAMES: Final = frozenset(
    [
        "app",
        "secret",
        "orders",
        "customers",
        "salaries",
        "events",
        "pay",
        "v_pay",
        "id",
        "who",
        "note",
        "amount",
        "customer_id",
        "email",
        "leak",
        "get_pay",
    ]
)
_BLANKS: Final = {
    "postgresql": (
        "\n",
        "\t",
        "\f",
        "\r\n",
        " \t ",
        "/**/",
        "/* a */",
        "/* /* b */ ; */",
        " --c\n",
        " -- ' \r",
        "/*'*/",
        '/*"*/',
        "/*$$*/",
    ),
    "mysql": (
        "\n",
        "\t",
        "\f",
        "\v",
        "\r\n",
        "/**/",
        "/* a */",
        "/*;*/",
        " -- c\n",
        " --\n",
        "#d\n",
        "# ' \n",
        "/*'*/",
        "/*`*/",
        "/* # */",
    ),
}


def same(protocol: str) -> Mapping[str, Change]:
    """What may be done to a text without changing what it means, by its name."""
    family = "postgresql" if protocol == "postgresql" else "mysql"
    blanks, depends = _BLANKS[family], _DEPENDS[family]
    is_free = protocol == "postgresql"  # elsewhere ``count (`` is another call than ``count(``

    def spread(items: list[Token], rng: random.Random, *, everywhere: bool) -> str | None:
        if depends.search(joined(items)):
            return None
        return regapped(items, lambda: rng.choice(blanks), everywhere=everywhere)

    made: dict[str, Change] = {
        "blanks": lambda items, rng: spread(items, rng, everywhere=False),
        "blanks everywhere": lambda items, rng: spread(items, rng, everywhere=True) if is_free else None,
        "around": lambda items, rng: f"{rng.choice(blanks)}{joined(items)}{rng.choice(blanks)}",
        "semicolons": lambda items, _: f";{joined(items)};" if protocol == "postgresql" else None,
    }
    if protocol == "postgresql":
        made |= {
            "case": _case,
            "quotes": lambda items, _: replaced(
                items, lambda item: f'"{item.text.lower()}"' if _is_name(item) else item.text
            ),
            "escapes": lambda items, rng: replaced(
                items, lambda item: _escaped(item.text.lower(), rng) if _is_name(item) else item.text
            ),
            "strings": _respelt,
        }
    else:
        made |= {
            "keywords": lambda items, rng: replaced(
                items,
                lambda item: (
                    swapped_case(item.text, rng)
                    if item.kind == "word" and item.text.lower() in _KEYWORDS
                    else item.text
                ),
            ),
            "quotes": lambda items, _: (
                None  # SHOW EVENTS is about no name
                if items[0].text.lower() == "show"
                else replaced(items, lambda item: f"`{item.text}`" if _is_name(item) else item.text)
            ),
        }
    return made


# Between a literal and its UESCAPE a comment may stand since PostgreSQL 13 only; comments of MySQL whose text
# runs, or that are hints, are no place for comments; what is no blank to a server may be in the way of one.
_DEPENDS: Final = {
    "postgresql": re.compile(r"uescape|[^\x00-\x7f]|\v", re.IGNORECASE),
    "mysql": re.compile(r"/\*(?:M?!|\+)|\*/|[^\x00-\x7f]"),
}
_KEYWORDS: Final = frozenset(
    [
        "select",
        "from",
        "where",
        "and",
        "or",
        "not",
        "in",
        "exists",
        "between",
        "like",
        "is",
        "null",
        "as",
        "join",
        "left",
        "right",
        "inner",
        "outer",
        "cross",
        "natural",
        "on",
        "using",
        "union",
        "distinct",
        "group",
        "by",
        "having",
        "order",
        "limit",
        "offset",
        "with",
        "recursive",
        "values",
        "table",
        "delete",
        "update",
        "insert",
        "into",
        "set",
        "replace",
        "truncate",
        "drop",
        "create",
        "alter",
        "grant",
        "revoke",
        "call",
        "do",
        "handler",
        "load",
        "show",
        "explain",
        "describe",
        "desc",
        "asc",
        "case",
        "when",
        "then",
        "else",
        "end",
        "for",
        "share",
        "lock",
        "begin",
        "commit",
        "rollback",
        "savepoint",
        "prepare",
        "execute",
        "from",
        "use",
        "begin",
        "start",
        "transaction",
    ]
)


def _case(items: list[Token], rng: random.Random) -> str:
    return replaced(items, lambda item: swapped_case(item.text, rng) if item.kind == "word" else item.text)


def _is_name(item: Token) -> bool:
    return item.kind == "word" and item.text.lower() in NAMES


def _escaped(name: str, rng: random.Random) -> str:
    """``U&"…"`` with some letters by their numbers."""
    letters = [rng.choice([letter, f"\\{ord(letter):04x}", f"\\+{ord(letter):06X}"]) for letter in name]
    return 'U&"' + "".join(letters) + '"'


def _respelt(items: list[Token], rng: random.Random) -> str | None:
    """Plain literals in other quotes; an escape character must be a plain one."""
    if any(item.text.lower() == "uescape" for item in items):
        return None
    return replaced(
        items, lambda item: _other_quotes(item.text, rng) if item.kind == "string" and item.gap else item.text
    )


def _other_quotes(literal: str, rng: random.Random) -> str:
    if not literal.startswith("'") or "\\" in literal:
        return literal
    body = literal[1:-1]
    spelt = [f"E'{body}'", f"e'{body}'"]
    if "$" not in body:
        spelt.append("$q$" + body.replace("''", "'") + "$q$")
    return rng.choice(spelt)


# Sentences around a query; what is in it stays all that it was.
QUERIES: Final[Mapping[str, tuple[str, ...]]] = {
    "postgresql": (
        "SELECT * FROM ({}) AS q7",
        "SELECT q7.* FROM ({}) q7",
        "WITH q7 AS ({}) SELECT * FROM q7",
        "WITH q7 AS MATERIALIZED ({}) TABLE q7",
        "WITH RECURSIVE q7 AS NOT MATERIALIZED ({}) SELECT 1 FROM q7",
        "WITH a7 AS (SELECT 1), q7 AS (WITH b7 AS ({}) TABLE b7) SELECT count(*) FROM q7, a7",
        "({})",
        "((({})))",
        "SELECT 1 WHERE EXISTS ({})",
        "SELECT 1 WHERE NOT EXISTS (({}))",
        "SELECT (SELECT count(*) FROM ({}) q7)",
        "SELECT ARRAY(SELECT 1 FROM ({}) q7)",
        "SELECT id FROM app.orders WHERE id IN (SELECT 1 FROM ({}) q7)",
        "SELECT id FROM app.orders WHERE id > ANY (SELECT 1 FROM ({}) q7)",
        "SELECT id FROM app.orders ORDER BY (SELECT count(*) FROM ({}) q7)",
        "SELECT id FROM app.orders LIMIT (SELECT count(*) FROM ({}) q7)",
        "SELECT id FROM app.orders OFFSET (SELECT count(*) FROM ({}) q7) ROWS",
        "SELECT count(*) FROM app.orders GROUP BY id HAVING EXISTS ({})",
        "SELECT CASE WHEN EXISTS ({}) THEN 1 ELSE 0 END",
        "SELECT coalesce((SELECT count(*) FROM ({}) q7), 0)",
        "SELECT o.id FROM app.orders o LEFT JOIN LATERAL ({}) q7 ON true",
        "SELECT o.id FROM app.orders o CROSS JOIN ({}) q7",
        "SELECT o.id FROM app.orders o, LATERAL ({}) AS q7",
        "SELECT o.id FROM app.orders o JOIN app.customers c ON EXISTS ({})",
        "SELECT 1 WHERE false UNION ALL SELECT 1 FROM ({}) q7",
        "SELECT 1 FROM ({}) q7 INTERSECT SELECT 1",
        "(SELECT 2 EXCEPT SELECT 1 FROM ({}) q7) ORDER BY 1",
        "VALUES ((SELECT count(*) FROM ({}) q7)), (1)",
        "SELECT ROW((SELECT count(*) FROM ({}) q7), 1)",
        "SELECT sum(amount) FILTER (WHERE EXISTS ({})) FROM app.orders",
        "SELECT row_number() OVER (ORDER BY (SELECT count(*) FROM ({}) q7)) FROM app.orders",
        "SELECT lower((SELECT 'x' FROM ({}) q7 LIMIT 1))",
        'SELECT (EXISTS ({}))::int::text COLLATE "C"',
        "SELECT g FROM generate_series(1, (SELECT count(*) FROM ({}) q7)) g",
        "SELECT (ARRAY[1,2])[(SELECT count(*)::int FROM ({}) q7)]",
        "SELECT DISTINCT ON ((SELECT count(*) FROM ({}) q7)) id FROM app.orders",
        "SELECT 1 BETWEEN 0 AND (SELECT count(*) FROM ({}) q7)",
        "SELECT 1 IS DISTINCT FROM (SELECT count(*) FROM ({}) q7)",
        "SELECT interval '1 day' * (SELECT count(*) FROM ({}) q7)",
        "SELECT jsonb_build_object('a', (SELECT count(*) FROM ({}) q7)) -> 'a'",
        "SELECT substring('abc' FROM (SELECT count(*)::int FROM ({}) q7) FOR 1)",
        "SELECT o.id FROM (app.orders o CROSS JOIN ({}) q7)",
        "SELECT * FROM ROWS FROM (generate_series(1, (SELECT count(*) FROM ({}) q7))) AS r7",
        "SELECT count(*) FROM app.orders GROUP BY GROUPING SETS ((id), ((SELECT count(*) FROM ({}) q7)))",
        "SELECT count(*) OVER w FROM app.orders WINDOW w AS (PARTITION BY (SELECT count(*) FROM ({}) q7))",
        "SELECT id FROM app.orders TABLESAMPLE BERNOULLI ((SELECT count(*) FROM ({}) q7))",
    ),
    "mysql": (
        "SELECT * FROM ({}) AS q7",
        "SELECT q7.* FROM ({}) q7",
        "WITH q7 AS ({}) SELECT * FROM q7",
        "WITH RECURSIVE q7 AS ({}) SELECT 1 FROM q7",
        "WITH a7 AS (SELECT 1), q7 AS (WITH b7 AS ({}) SELECT * FROM b7) SELECT count(*) FROM q7, a7",
        "({})",
        "SELECT 1 FROM app.orders WHERE EXISTS ({})",
        "SELECT 1 FROM app.orders WHERE NOT EXISTS ({})",
        "SELECT (SELECT count(*) FROM ({}) q7)",
        "SELECT id FROM app.orders WHERE id IN (SELECT 1 FROM ({}) q7)",
        "SELECT id FROM app.orders WHERE id > ANY (SELECT 1 FROM ({}) q7)",
        "SELECT id FROM app.orders ORDER BY (SELECT count(*) FROM ({}) q7)",
        "SELECT count(*) FROM app.orders GROUP BY id HAVING EXISTS ({})",
        "SELECT CASE WHEN EXISTS ({}) THEN 1 ELSE 0 END",
        "SELECT coalesce((SELECT count(*) FROM ({}) q7), 0)",
        "SELECT if(EXISTS ({}), 1, 0)",
        "DO (SELECT count(*) FROM ({}) q7)",
        "SELECT o.id FROM app.orders o CROSS JOIN ({}) q7",
        "SELECT o.id FROM app.orders o STRAIGHT_JOIN ({}) q7",
        "SELECT o.id FROM app.orders o JOIN app.customers c ON EXISTS ({})",
        "SELECT 1 UNION ALL SELECT 1 FROM ({}) q7",
        "(SELECT 1) UNION DISTINCT (SELECT 1 FROM ({}) q7) ORDER BY 1",
        "SELECT row_number() OVER (ORDER BY (SELECT count(*) FROM ({}) q7)) FROM app.orders",
        "SELECT lower((SELECT 'x' FROM ({}) q7 LIMIT 1))",
        "SELECT CAST((SELECT count(*) FROM ({}) q7) AS CHAR)",
        "SELECT 1 BETWEEN 0 AND (SELECT count(*) FROM ({}) q7)",
        "SELECT (1, 2) = (1, (SELECT count(*) FROM ({}) q7))",
        "SELECT now() + INTERVAL (SELECT count(*) FROM ({}) q7) DAY",
        "SELECT json_object('a', (SELECT count(*) FROM ({}) q7)) -> '$.a'",
        "SELECT substring('abc' FROM (SELECT count(*) FROM ({}) q7) FOR 1)",
        "SELECT group_concat((SELECT count(*) FROM ({}) q7) SEPARATOR ',') FROM app.orders",
        "SELECT NOT (SELECT count(*) FROM ({}) q7)",
        "SELECT o.id FROM (app.orders o, ({}) q7)",
        "SELECT id FROM app.orders o USE INDEX (PRIMARY) WHERE (SELECT count(*) FROM ({}) q7) <=> 1",
    ),
}

# Statements around a statement: they are refused by themselves, and must not hide what is in them.
STATEMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "postgresql": (
        "EXPLAIN {}",
        "EXPLAIN ANALYZE {}",
        "EXPLAIN (ANALYZE off, VERBOSE) {}",
        "EXPLAIN (ANALYZE, FORMAT json, BUFFERS on) {}",
        "EXPLAIN VERBOSE {}",
        "PREPARE p7 AS {}",
        "PREPARE p7 (int, text) AS {}",
        "DECLARE c7 CURSOR FOR {}",
        "DECLARE c7 SCROLL CURSOR WITH HOLD FOR {}",
        "DECLARE c7 BINARY INSENSITIVE NO SCROLL CURSOR WITHOUT HOLD FOR {}",
        "COPY ({}) TO STDOUT",
        "COPY ({}) TO STDOUT (FORMAT csv, HEADER)",
        "COPY ({}) TO STDOUT WITH CSV",
        "CREATE VIEW app.v7 AS {}",
        "CREATE OR REPLACE TEMP VIEW v7 AS {}",
        "CREATE MATERIALIZED VIEW app.v7 AS {} WITH NO DATA",
        "CREATE TABLE app.t7 AS {}",
        "CREATE TEMP TABLE t7 AS {} WITH DATA",
        "CREATE RULE r7 AS ON SELECT TO app.orders DO INSTEAD {}",
        "INSERT INTO app.orders {}",
        "INSERT INTO app.orders (id) {} ON CONFLICT DO NOTHING RETURNING id",
        "INSERT INTO app.orders VALUES ((SELECT count(*) FROM ({}) q7))",
        "WITH q7 AS ({}) INSERT INTO app.orders SELECT * FROM q7",
        "UPDATE app.orders SET note = (SELECT 'x' FROM ({}) q7)",
        "UPDATE app.orders SET (id, note) = ({}) WHERE true",
        "UPDATE app.orders o SET id = 1 FROM ({}) q7 WHERE EXISTS (SELECT 1) RETURNING (SELECT 1)",
        "DELETE FROM app.orders WHERE EXISTS ({})",
        "DELETE FROM app.orders USING ({}) q7 RETURNING *",
        "MERGE INTO app.orders o USING ({}) q7 ON true WHEN MATCHED THEN DELETE",
        "WITH w7 AS (DELETE FROM app.orders WHERE EXISTS ({}) RETURNING 1) SELECT 1",
        "WITH w7 AS (INSERT INTO app.orders {} RETURNING id) TABLE w7",
        "INSERT INTO app.orders VALUES (1) ON CONFLICT (id) DO UPDATE SET note = (SELECT 'x' FROM ({}) q7)",
        "INSERT INTO app.orders (id) VALUES (1) RETURNING (SELECT count(*) FROM ({}) q7)",
        "CALL app.proc((SELECT count(*) FROM ({}) q7))",
        "EXECUTE p7((SELECT count(*) FROM ({}) q7))",
        "EXPLAIN (ANALYZE) CREATE TABLE app.t7 AS {}",
        "EXPLAIN DECLARE c7 CURSOR FOR {}",
        "SELECT * INTO app.t7 FROM ({}) q7",
        "CREATE INDEX ON app.orders ((EXISTS ({})))",
        "CREATE POLICY p7 ON app.orders USING (EXISTS ({}))",
        "ALTER TABLE app.orders ADD CHECK (EXISTS ({}))",
        "CREATE FUNCTION app.f7() RETURNS int LANGUAGE sql RETURN (SELECT count(*) FROM ({}) q7)",
    ),
    "mysql": (
        "EXPLAIN {}",
        "EXPLAIN FORMAT=JSON {}",
        "EXPLAIN ANALYZE {}",
        "DESCRIBE {}",
        "DESC FORMAT=TREE {}",
        "EXPLAIN EXTENDED {}",
        "CREATE VIEW app.v7 AS {}",
        "CREATE OR REPLACE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW app.v7 AS ({})",
        "CREATE TABLE app.t7 AS {}",
        "CREATE TABLE app.t7 {}",
        "CREATE TEMPORARY TABLE app.t7 (id int) IGNORE {}",
        "INSERT INTO app.orders {}",
        "INSERT IGNORE INTO app.orders (id) {}",
        "REPLACE INTO app.orders {}",
        "INSERT INTO app.orders VALUES ((SELECT count(*) FROM ({}) q7))",
        "INSERT INTO app.orders SET id = (SELECT count(*) FROM ({}) q7)",
        "INSERT INTO app.orders (id) VALUES (1) ON DUPLICATE KEY UPDATE note = (SELECT 'x' FROM ({}) q7)",
        "UPDATE app.orders SET note = (SELECT 'x' FROM ({}) q7)",
        "UPDATE app.orders o, ({}) q7 SET o.id = 1",
        "DELETE FROM app.orders WHERE EXISTS ({})",
        "DELETE o FROM app.orders o, ({}) q7",
        "DELETE FROM app.orders ORDER BY (SELECT count(*) FROM ({}) q7) LIMIT 1",
        "SET @a = (SELECT count(*) FROM ({}) q7)",
        "SET @@session.sql_select_limit = (SELECT count(*) FROM ({}) q7)",
        "CALL app.p((SELECT count(*) FROM ({}) q7))",
        "SELECT * FROM ({}) q7 INTO @a",
        "SELECT * FROM ({}) q7 INTO OUTFILE '/tmp/x'",
        "SELECT @a := (SELECT count(*) FROM ({}) q7)",
        "SHOW TABLES WHERE EXISTS ({})",
        "SHOW STATUS WHERE (SELECT count(*) FROM ({}) q7)",
        "CREATE TRIGGER app.t7 BEFORE INSERT ON app.orders FOR EACH ROW SET @a = (SELECT 1 FROM ({}) q7)",
        "CREATE PROCEDURE app.p7() {}",
        "CREATE EVENT app.e7 ON SCHEDULE EVERY 1 DAY DO {}",
        "WITH q7 AS ({}) DELETE FROM app.orders WHERE EXISTS (SELECT 1 FROM q7)",
        "WITH q7 AS ({}) UPDATE app.orders SET id = 1 WHERE EXISTS (SELECT 1 FROM q7)",
    ),
}  # fmt: skip

# One statement among others.
AMONG: Final = (
    "SELECT 1; {}",
    "{}; SELECT 1",
    "SELECT id FROM app.orders; {}; SELECT id FROM app.customers",
    "BEGIN; {}; COMMIT",
    "COMMIT; {}",
    "SAVEPOINT s7; {}; RELEASE SAVEPOINT s7",
)
