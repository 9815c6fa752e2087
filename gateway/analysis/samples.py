"""Statements that somebody might send, made up: what guards and obligations say about them can be compared.

Each form stands for what guards look at: a condition, a bound, a copy, a change inside a query, a block that
nobody can read. The tables are those that roles, masks and row filters name, and one that nobody names.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.analysis.candidates import FRESH, Candidates
from gateway.analysis.world import World
from gateway.classify import sql
from gateway.model.statement import NameContext, Statement
from gateway.policy.publish import policies_in
from gateway.sansio.exchange import Facts

PROTOCOLS: Final = frozenset({"postgres", "mysql", "mariadb"})  # whose databases take SQL
_MOST_TABLES: Final = 20
_OF_A_TABLE: Final = (
    "SELECT * FROM {}",
    "SELECT * FROM {} WHERE id = 1",
    "SELECT * FROM {} LIMIT 10",
    "INSERT INTO {} DEFAULT VALUES",
    "UPDATE {} SET id = 1",
    "UPDATE {} SET id = 1 WHERE id = 2",
    "DELETE FROM {}",
    "DELETE FROM {} WHERE id = 1",
    "WITH gone AS (DELETE FROM {} RETURNING 1) SELECT count(*) FROM gone",
    "TRUNCATE {}",
    "COPY {} TO STDOUT",
    "COPY (SELECT * FROM {}) TO STDOUT",
    "ALTER TABLE {} ADD COLUMN added integer",
    "DROP TABLE {}",
)
_OF_NONE: Final = (
    "DO $$ BEGIN NULL; END $$",
    "CALL made_up()",
    "SELECT now()",
    "CREATE TABLE made_up (id int)",
)
# A mask or a row filter in a team's Rego, written out.
_IN_REGO: Final = re.compile(r'"schema":\s*"([^"]+)",\s*"table":\s*"([^"]+)"')
_NAMES: Final = NameContext("", "", ("public",))  # of no database, as acts are


@dataclass(frozen=True, slots=True)
class Sample:
    """One statement, and what the classifier finds in it."""

    text: str
    facts: Facts


def samples(worlds: Sequence[World], classes: Candidates) -> tuple[Sample, ...]:
    """The statements for *worlds*, whose candidates are *classes*."""
    tables = list(dict.fromkeys([*_obliging(worlds), *_granted(classes), (FRESH, FRESH)]))
    texts = [form.format(_written(*table)) for table in tables[:_MOST_TABLES] for form in _OF_A_TABLE]
    return tuple(
        Sample(text, sql.classify(Statement(text, "postgres", _NAMES))) for text in [*texts, *_OF_NONE]
    )


def _written(schema: str, table: str) -> str:
    return ".".join(_quoted(name) for name in (schema, table))


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def _granted(classes: Candidates) -> Iterator[tuple[str, str]]:
    for act in classes.acts:
        thing = act.object
        if thing is not None and thing.kind == "table" and FRESH not in (thing.schema, thing.name):
            yield thing.schema, thing.name


def _obliging(worlds: Iterable[World]) -> Iterator[tuple[str, str]]:
    """The tables that masks of roles, settings of guards and a team's Rego name."""
    for world in worlds:
        for role in world.documents("role"):
            yield from _tables((role["spec"].get("options") or {}).get("mask"), "table")
        for guard in world.documents("guard"):
            yield from _tables((guard["spec"].get("settings") or {}).get("tables"), "name")
        for path in policies_in(world.team) if world.team is not None else ():
            yield from _IN_REGO.findall(path.read_text(encoding="utf-8"))


def _tables(listed: Any, key: str) -> Iterator[tuple[str, str]]:
    for item in listed if isinstance(listed, list) else ():
        if not isinstance(item, Mapping):
            continue
        names = item.get(key)
        for name in names if isinstance(names, list) else [names]:
            schema = item.get("schema")
            if isinstance(name, str) and isinstance(schema, str):
                yield schema, name.replace("*", "")
