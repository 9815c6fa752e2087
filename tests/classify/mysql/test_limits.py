"""A text that would cost too much is refused at once, and nothing takes long."""

import time

import pytest

from gateway.classify.sql import parse_uncached, resolve
from tests.classify.mysql.judge import NAMES, facts_of

BOMBS = [
    "select " + "(" * 200 + "1" + ")" * 200,
    "select " + "f(" * 40 + "1" + ")" * 40,
    "select " + "-" * 100 + " 1",
    "select " + "not " * 1_000 + "1",
    "select " + "case when 1 then " * 100 + "1" + " end" * 100,
    "select 1," * 30_000 + "1",
    "select " + ",".join(f"a{i}" for i in range(2_000)) + " from " + ",".join(f"t{i}" for i in range(2_000)),
    "x" * (1 << 21),
    "/*" * 100_000,
    "'" + "\\" * 200_000,
]
LONG = [
    "select 1" + " + 1" * 9_000,
    "select 1 where " + " and ".join("a = 1" for _ in range(5_000)),
    "insert into orders values " + ", ".join("(1, 'x')" for _ in range(4_000)),
    " union all ".join("select 1" for _ in range(5_000)),
    "select 1 from " + " join ".join(f"t{i}" for i in range(300)),
    "with " + ", ".join(f"c{i} as (select 1)" for i in range(500)) + " select 1 from c1",
]


@pytest.mark.parametrize("text", BOMBS, ids=lambda text: str(text)[:20])
def test_bombs_are_refused_soon(text: str) -> None:
    started = time.process_time()
    facts = facts_of(text)
    assert time.process_time() - started < 2
    assert not all(item.complete for item in facts)


@pytest.mark.parametrize("text", LONG, ids=lambda text: str(text)[:20])
def test_long_texts_cost_what_they_are_long(text: str) -> None:
    started = time.process_time()
    parsed = parse_uncached(text, "mariadb", "10.11.19-MariaDB")
    facts = resolve(parsed, NAMES)
    assert time.process_time() - started < 2
    assert all(item.complete for item in facts)


def test_nothing_is_raised_for_any_prefix() -> None:
    text = "select a.*, 'x', `b`, @c, @@d, case when 1 then 2 end from (select 1) a join b on a.id = b.id"
    for end in range(len(text)):
        facts_of(text[:end])
