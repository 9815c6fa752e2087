# ruff: noqa: SIM905 - lists of words read best as words
"""The promises of classify: it never raises, remembers by exact text, and gives the same object again."""

import logging
import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.classify import sql
from gateway.model.classification import Class
from gateway.model.statement import Statement
from tests.classify.judge import NAMES, facts_of


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_nothing_is_raised_for_any_text(text: str) -> None:
    facts_of(text)


@given(
    st.lists(
        st.sampled_from(
            "select from ( ) , ; 'a' \"b\" $$ ' 1 . * :: [ ] with as e' /* -- u&\" \x00 \ud800 {".split(" ")
        ),
        max_size=30,
    )
)
@settings(max_examples=500, deadline=None)
def test_nothing_is_raised_for_any_tokens(words: list[str]) -> None:
    facts_of(" ".join(words))


def test_the_same_object_comes_again() -> None:
    statement = Statement("SELECT id FROM orders WHERE id = $1", "postgres", NAMES)
    assert sql.classify(statement) is sql.classify(replace(statement))
    assert sql.classify(statement) is sql.classify(replace(statement, names=replace(NAMES)))
    other = replace(NAMES, search_path=("secret",))
    assert sql.classify(replace(statement, names=other)) != sql.classify(statement)


def test_the_key_is_the_exact_text_the_dialect_and_the_version() -> None:
    first = sql.parse("SELECT 41", "postgres", "15.1")
    assert sql.parse("SELECT 41", "postgres", "15.1") is first
    assert sql.parse("SELECT 41", "postgres", "16.0") is not first
    assert sql.parse("SELECT 42", "postgres", "15.1") is not first


def test_the_cache_is_bounded() -> None:
    for number in range(5_000):
        sql.parse(f"SELECT {number}", "postgres", "bound")
    assert not sql.is_remembered("SELECT 1", "postgres", "bound")
    assert sql.is_remembered("SELECT 4999", "postgres", "bound")
    sql.parse("SELECT 1" + " " * 3_000_000, "postgres", "bound")
    assert not sql.is_remembered("SELECT 1" + " " * 3_000_000, "postgres", "bound")


def test_a_worker_s_facts_travel() -> None:
    text = "SELECT o.id FROM orders o"
    parsed = pickle.loads(pickle.dumps(sql.parse_uncached(text, "postgres")))
    sql.remember(text, "postgres", "pool", parsed)
    assert sql.parse(text, "postgres", "pool") is parsed
    assert sql.resolve(parsed, NAMES) == facts_of(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("SELECT 1", False), ("SELECT 1" + " " * 5_000, True), ("(" * 17 + ")" * 17, True), ("()" * 100, False)],
)
def test_needs_pool(text: str, expected: bool) -> None:  # noqa: FBT001 - a table's column
    assert sql.needs_pool(text) is expected


def test_unreadable_and_unknown() -> None:
    (item,) = sql.classify(Statement("", "postgres", NAMES, unreadable="not_utf8"))
    assert (item.complete, item.unknown_reason, item.cls) == (False, "not_utf8", Class.UNKNOWN)
    (item,) = sql.classify(Statement("SELECT 1", "klingon", NAMES))
    assert not item.complete


def test_start_up_settings_are_judged_as_set() -> None:
    (item,) = sql.classify(
        Statement("", "postgres", NAMES, settings={"Search_Path": "a", "DateStyle": "ISO"})
    )
    assert [(s.name, s.scope, s.value) for s in item.settings] == [
        ("search_path", "startup", "a"),
        ("datestyle", "startup", "ISO"),
    ]
    assert item.complete
    assert not sql.classify(Statement("", "postgres", NAMES, settings={"application_name": "a\nb"}))[
        0
    ].complete


def test_no_log_quotes_a_statement(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for text in (
            "WITH a AS (SHOW x) SELECT 1",
            "SELECT 1; VACUUM secret",
            "WITH a AS (SET x = 'hunter2') SELECT 1",
        ):
            facts_of(text)
    assert not caplog.records
