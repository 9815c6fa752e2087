"""No short text costs a parser's minute: each of these doubled its work per level, or recursed."""

import time

import pytest

from gateway.classify.sql import parse_uncached
from tests.classify.judge import facts_of

BOMBS = [
    "SELECT " + "ARRAY[" * 30 + "1" + "]" * 30,
    "SELECT " + "date(" * 30 + "1" + ")" * 30,
    "SELECT " + "union(" * 30 + "1" + ")" * 30,
    "SELECT " + "null[" * 30 + "1" + "]" * 30,
    "SELECT " + "a[" * 30 + "1" + "]" * 30,
    "SELECT * FROM a " + "JOIN b " * 40,
    "SELECT * FROM a " + "LEFT JOIN b " * 40 + "ON true " * 40,
    "SELECT * FROM a " + "JOIN (SELECT * FROM b " * 20 + ")" * 20,
    "SELECT * FROM a " + "JOIN (b " * 20 + "JOIN c JOIN d " + ")" * 20,
    "SELECT DISTINCT ON (1) 1 FROM a " + "JOIN b " * 30 + "ORDER BY 1 " + "USING < " * 30,
    "SELECT " + "(" * 100 + "1" + ")" * 100,
    "SELECT " + "NOT " * 5_000 + "true",
    "SELECT " + "- " * 900 + "1",
    "SELECT " + "CASE WHEN true THEN " * 200 + "1" + " END" * 200,
    "SELECT 1" + " + 1" * 20_000,
    "SELECT 1" + " UNION SELECT 1" * 5_000,
    "SELECT " + "f(" * 200 + ")" * 200,
    "/*" * 100_000,
    "SELECT '" + "''" * 200_000,
    "SELECT 'a'" + "\n--'" * 50_000 + "\n'",
    "SELECT E'" + "\\" * 200_001,
    "SELECT $a" * 50_000,
]


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: str(text[:30]))
def test_a_bomb_is_refused_before_it_goes_off(text: str) -> None:
    started = time.process_time()
    parsed = parse_uncached(text, "postgres")
    assert time.process_time() - started < 1.0  # a shared machine; most take a few milliseconds
    assert all(piece.reason for piece in parsed.pieces)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT o.id FROM app.orders o JOIN app.customers c ON true JOIN app.orders p ON true "
        + "LEFT JOIN app.orders q USING (id) " * 12,
        "SELECT 1 FROM app.orders CROSS JOIN app.customers " + "NATURAL JOIN app.orders " * 10,
        "SELECT 1 FROM app.orders JOIN (app.customers JOIN app.orders p ON true) ON true",
        "SELECT ARRAY[[[1]]], (ARRAY[1,2])[1]",
        "SELECT 1" + " + 1" * 500,
        "SELECT id FROM app.orders WHERE id IN (" + ", ".join(map(str, range(5_000))) + ")",
        "SELECT " + "(" * 40 + "1" + ")" * 40,
    ],
    ids=lambda text: str(text[:40]),
)
def test_what_people_write_is_read(text: str) -> None:
    assert all(item.complete for item in facts_of(text))
