"""What the reference policy of the corpus says about facts of MySQL and MariaDB, in a few lines of Python."""

from gateway.classify.sql import classify
from gateway.model.classification import Classification
from gateway.model.statement import Catalog, NameContext, Relation, Statement
from tests.classify import reference

SETTABLE = {"autocommit", "time_zone", "transaction_isolation", "transaction_read_only"}
FREE = {"begin", "commit", "rollback", "savepoint", "release", "set", "select"}
CATALOG = Catalog(
    {
        ("app", "orders"): Relation("table", ("id", "customer_id", "amount", "note")),
        ("app", "customers"): Relation("table", ("id", "Name", "email")),
        ("app", "salaries"): Relation("table", ("id", "amount")),
        ("app", "v_pay"): Relation("view", ("id", "who", "amount")),
        ("app", "seq1"): Relation("sequence"),
        ("secret", "pay"): Relation("table", ("id", "who", "amount")),
    },
    functions=frozenset({("app", "leak")}),
)
NAMES = NameContext("", "analyst", ("app",))
CASE_COUNTS = frozenset({"LOWER_CASE_TABLE_NAMES=0"})
VERSIONS = {"mysql": "8.0.31", "mariadb": "10.11.19-MariaDB"}


def facts_of(
    text: str,
    dialect: str = "mysql",
    *,
    names: NameContext = NAMES,
    modes: frozenset[str] | None = CASE_COUNTS,
    version: str | None = None,
) -> tuple[Classification, ...]:
    """The facts of *text*."""
    known = VERSIONS[dialect] if version is None else version
    return classify(Statement(text, dialect, names, server_version=known, modes=modes))


def objections(facts: tuple[Classification, ...]) -> list[str]:
    """Why the reference policy refuses; empty when it allows."""
    return reference.objections(facts, free=FREE, settable=SETTABLE)


def relations(facts: tuple[Classification, ...]) -> set[str]:
    """Every relation of every effect, as ``schema.name``."""
    kinds = {"table", "view", "sequence"}
    effects = [effect for item in facts for effect in item.effects]
    return {f"{e.object.schema}.{e.object.name}" for e in effects if e.object and e.object.kind in kinds}


def shown(text: str, dialect: str = "mysql", **given: object) -> list[tuple[str, str, tuple[str, ...]]]:
    """(operation, schema.name, columns) of every effect, in order."""
    facts = facts_of(text, dialect, **given)  # type: ignore[arg-type] # passed on as they are
    return [
        (
            effect.operation,
            f"{effect.object.schema}.{effect.object.name}" if effect.object else "",
            effect.columns,
        )
        for item in facts
        for effect in item.effects
    ]
