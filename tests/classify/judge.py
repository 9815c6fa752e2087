"""The corpus's reference policy as a few lines of Python, and the names its statements stand in."""

from pathlib import Path
from typing import Any

import yaml

from gateway.classify.sql import classify
from gateway.model.classification import Classification
from gateway.model.statement import Catalog, NameContext, Relation, Statement
from tests.classify import reference

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
SETTABLE = {"application_name", "datestyle", "timezone"}
FREE = {"begin", "commit", "rollback", "savepoint", "release", "set", "reset"}

CATALOG = Catalog(
    {
        ("app", "orders"): Relation("table", ("id", "customer_id", "amount", "note")),
        ("app", "customers"): Relation("table", ("id", "name", "email")),
        ("app", "salaries"): Relation("table", ("id", "amount")),
        ("app", "events"): Relation("table", ("id",)),
        ("app", "v_pay"): Relation("view", ("id", "who", "amount")),
        ("secret", "pay"): Relation("table", ("id", "who", "amount")),
    },
    functions=frozenset({("app", "leak"), ("app", "get_pay"), ("app", "count"), ("app", "proc")}),
    operators=frozenset({("app", "@@@")}),
    types=frozenset({("app", "mood")}),
)
NAMES = NameContext("appdb", "analyst", ("app",), CATALOG)


def objections(facts: tuple[Classification, ...]) -> list[str]:
    """Why the reference policy refuses; empty when it allows."""
    return reference.objections(facts, free=FREE, settable=SETTABLE)


def entries(name: str) -> list[dict[str, Any]]:
    """The entries of a corpus file that are statements."""
    loaded = yaml.safe_load((CORPUS / name).read_text())
    return [entry for entry in loaded if entry["kind"] == "sql"]


def relations(facts: tuple[Classification, ...]) -> set[str]:
    """Every relation of every effect, as ``schema.name``."""
    kinds = {"table", "view", "materialized_view"}
    effects = [effect for item in facts for effect in item.effects]
    return {f"{e.object.schema}.{e.object.name}" for e in effects if e.object and e.object.kind in kinds}


def facts_of(text: str, names: NameContext = NAMES) -> tuple[Classification, ...]:
    """The facts of *text*."""
    return classify(Statement(text, "postgres", names))
