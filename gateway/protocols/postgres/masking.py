"""What stands in the place of a relation from which something is concealed: a subquery that shows less.

Whatever the rest of the statement does with its columns, it does with what is shown: nothing can be inferred
from it. Each name is qualified and each operator is the server's own, whatever the search path says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.classify.postgres.reduced import quote
from gateway.model.obligation import Conceal
from gateway.model.statement import Relation

ALIAS: Final = "regate_row"
"""What the relation is called inside; a statement that uses the name itself is not rewritten."""

_SHOWN: Final = 4  # characters that a partial mask leaves
_LONG_ENOUGH: Final = 8  # a shorter text would be shown in large part
_STARS: Final = "****"
_TEXT: Final = re.compile(r"(?:text|character varying|character)(?:\([0-9]+\))?")
_NUMBER: Final = re.compile(
    r"(?:smallint|integer|bigint|real|double precision|numeric)(?:\([0-9]+(?:,-?[0-9]+)?\))?"
)
_MOMENT: Final = re.compile(r"(?:date|timestamp(?:\([0-9]\))? with(?:out)? time zone)")


@dataclass(frozen=True, slots=True)
class Concealed:
    """What is concealed of one relation: columns with how they are shown, and rows.

    ``conditions`` are SQL expressions over ``ALIAS`` that all hold for a row that is shown.
    """

    schema: str
    name: str
    relation: Relation
    masks: Mapping[str, Conceal] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        """All conditions as one, ``""`` for all rows."""
        return " AND ".join(self.conditions)

    def instead(self, columns: frozenset[str], salt: str) -> str:
        """The subquery, in brackets and without an alias, with those of its *columns* that are needed."""
        types = self.relation.types or ("",) * len(self.relation.columns)
        items = [
            self._item(column, of_type, salt)
            for column, of_type in zip(self.relation.columns, types, strict=True)
            if column in columns
        ]
        listed = ", ".join(items) or f"NULL AS {quote(ALIAS)}"
        place = f"{quote(self.schema)}.{quote(self.name)} AS {ALIAS}"
        return f"(SELECT {listed} FROM {place}{self._rows()})"  # noqa: S608 - every part is quoted or our own

    def _rows(self) -> str:
        """OFFSET keeps the server from running conditions of the query ahead of this one."""
        return f" WHERE ({self.condition}) OFFSET 0" if self.condition else ""

    def _item(self, column: str, of_type: str, salt: str) -> str:
        value = f"{ALIAS}.{quote(column)}"
        how = self.masks.get(column)
        return value if how is None else f"{shown(how, value, of_type, salt)} AS {quote(column)}"

    def numbers(self) -> frozenset[tuple[int, int]]:
        """The masked columns as a result's description would name them."""
        relation = self.relation
        pairs = zip(relation.columns, relation.numbers, strict=True)
        return frozenset((relation.oid, number) for column, number in pairs if column in self.masks)


def shown(how: Conceal, value: str, of_type: str, salt: str) -> str:
    """The SQL expression that *value*, of a type as the server writes it, is shown as.

    A type that has no constant of its own here is shown as NULL.
    """
    if _TEXT.fullmatch(of_type) is not None and how is not Conceal.NULL:
        return f"CAST({_text(how, value, salt)} AS {of_type})"
    if how is not Conceal.NULL:
        for pattern, constant in ((_NUMBER, "0"), (_MOMENT, "'1970-01-01'")):
            if pattern.fullmatch(of_type) is not None:
                return f"CAST({constant} AS {of_type})"
    return f"CASE WHEN false THEN {value} END"  # NULL, and of the column's type whatever that is


def _text(how: Conceal, value: str, salt: str) -> str:
    text = f"CAST({value} AS pg_catalog.text)"
    if how is Conceal.PARTIAL:
        is_long = f"pg_catalog.length({text}) OPERATOR(pg_catalog.>=) {_LONG_ENOUGH}"
        tail = f"pg_catalog.right({text}, {_SHOWN})"
        return (
            f"CASE WHEN {is_long} THEN pg_catalog.concat('{_STARS}', {tail}) "
            f"WHEN {value} IS NULL THEN NULL ELSE '{_STARS}' END"
        )
    if how is Conceal.HASH:
        salted = f"pg_catalog.convert_to(pg_catalog.concat('{salt}', {text}), 'UTF8')"
        digest = f"pg_catalog.encode(pg_catalog.sha256({salted}), 'hex')"
        return f"CASE WHEN {value} IS NULL THEN NULL ELSE {digest} END"
    return f"'{_STARS}'"
