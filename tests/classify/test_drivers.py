"""Statements that psql, pg_dump, drivers and GUIs send (recorded from a PostgreSQL 15) are understood."""

from collections import Counter
from pathlib import Path

import yaml

from gateway.model.statement import NameContext
from tests.classify.judge import facts_of

NAMES = NameContext("appdb", "alice", ("$user", "public"))
STATEMENTS: list[tuple[str, str]] = [
    (entry["client"], entry["statement"])
    for entry in yaml.safe_load((Path(__file__).parent / "data/drivers.yaml").read_text())
]
# pg_dump prepares by name and reads a cursor: what those run, another statement said.
ELSEWHERE = {"dynamic", "cursor"}


def test_all_are_understood_but_what_another_statement_says() -> None:
    reasons: Counter[str] = Counter()
    for _, statement in STATEMENTS:
        for item in facts_of(statement, NAMES):
            if not item.complete and item.unknown_reason not in ELSEWHERE:
                reasons[f"{item.unknown_reason}: {item.text[:200]}"] += 1
    assert not reasons


def test_the_share_that_is_complete() -> None:
    facts = [item for _, statement in STATEMENTS for item in facts_of(statement, NAMES)]
    complete = sum(item.complete for item in facts)
    assert len(facts) > 250
    assert complete / len(facts) > 0.96
