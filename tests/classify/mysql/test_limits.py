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
    "select 1 from " + " join ".join(f"t{i}" for i in range(61)),
    "with " + ", ".join(f"c{i} as (select 1)" for i in range(500)) + " select 1 from c1",
]


MANY = {
    "one alias for many": ("select " + "a.x," * 399 + "a.x", ",".join(["t a"] * 400)),
    "columns of nobody": ("select " + "x," * 699 + "x", ",".join(["t"] * 1_000)),
    "qualifiers of nobody": ("select " + "q.x," * 399 + "q.x", ",".join(["t"] * 1_000)),
    "stars": ("select " + "*," * 999 + "*", ",".join(["t"] * 1_000)),
    "targets": ("delete " + "t," * 499 + "t", ",".join(["t"] * 500)),
    "outputs": (
        "select " + ",".join(f"x as a{i}" for i in range(200)),
        ",".join(["t"] * 300) + " order by " + ",".join(f"a{i}" for i in range(200)),
    ),
    "one in the other": (
        "select 1 from t where a = " + "(select q,r from t,t,t,t,t,t,t,t where q=" * 60 + "1",
        "t)" * 60,
    ),
}


@pytest.mark.parametrize("parts", MANY.values(), ids=MANY.keys())
def test_a_short_text_cannot_hold_up_an_event_loop(parts: tuple[str, str]) -> None:
    head, tail = parts
    text = f"{head} from {tail}"[:4_096]
    started = time.process_time()
    facts = resolve(parse_uncached(text, "mariadb", "10.11.19-MariaDB"), NAMES)
    assert time.process_time() - started < 0.5
    assert not all(item.complete for item in facts)


def test_as_many_tables_as_a_server_joins_are_read() -> None:
    names = [f"t{i}" for i in range(61)]
    (facts,) = facts_of("select " + ",".join(f"{name}.a" for name in names) + " from " + ",".join(names))
    assert facts.complete
    assert len(facts.effects) == 61


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
