"""Statements that psql, pg_dump, drivers and GUIs send are understood.

Recorded from a PostgreSQL 15 log: the clients ``psql``, ``pg_dump``, ``driver`` (psycopg, asyncpg, pg8000,
SQLAlchemy). Written by hand after what those programs are known to send, never captured: all the others.
"""

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


def test_the_share_of_what_was_recorded() -> None:
    recorded = {"psql", "pg_dump", "driver"}
    texts = [statement for client, statement in STATEMENTS if client in recorded]
    facts = [item for text in texts for item in facts_of(text, NAMES)]
    assert len(facts) > 200
    assert sum(item.complete for item in facts) / len(facts) > 0.96
