"""What the names in a query refer to while its tree is walked: sources and scopes."""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.classify.facts import Columns

Output: TypeAlias = tuple["str | tuple[int, int]", ...]
"""A query's columns in order: a name, or all columns of relation *n* but its first *k*, or ``SOME``.

A name in it is surely there. One that is there and not in it costs a refusal; one that is in it and not there
would hide what the name means further out.
"""

SOME: Final = (-1, 0)
"""Columns that nobody knows, neither their names nor their number."""

Added: TypeAlias = tuple[str, ...]
"""Columns that SEARCH and CYCLE add to a common table expression; a star means them in some places only."""

Environment: TypeAlias = dict[str, tuple[Output, Added]]
"""The common table expressions in sight, and their columns."""


@dataclass(slots=True)
class Source:
    """An item of a FROM list: ``relation`` is its number among the relations, or -1.

    ``shown`` are columns that have names and that no star stands for.
    """

    alias: str
    schema: str
    output: Output
    relation: int = -1
    shown: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """It surely has a column of that name."""
        return name in self.output or name in self.shown


@dataclass(slots=True)
class Scope:
    """The sources of one query, those of the queries around it, and the common table expressions.

    ``is_wide`` means that the server may not see all of these sources from here: what is found here may be
    hidden, and then the name means something further out. ``is_merged``: a join made one column of two, and
    nobody knows how many there are. ``also`` are names of outputs that may be meant.
    """

    environment: Environment
    outer: "Scope | None" = None
    sources: list[Source] = field(default_factory=list)
    is_wide: bool = False
    is_merged: bool = False
    also: frozenset[str] = frozenset()

    def find(self, alias: str, schema: str = "") -> list[Source]:
        """The sources that a qualifier may name: the innermost wins where it is surely in sight.

        A relation that was written without its schema may be meant by one that has it.
        """
        found: list[Source] = []
        scope: Scope | None = self
        while scope is not None:
            named = [source for source in scope.sources if source.alias == alias]
            sure = [source for source in named if not schema or source.schema == schema]
            found += sure
            if sure and not scope.is_wide:
                return found
            found += [source for source in named if schema and not source.schema and source.relation >= 0]
            scope = scope.outer
        return found


class Pending:
    """A recursive CTE whose columns its first arm tells."""

    __slots__ = ("columns", "environment", "name")

    def __init__(self, environment: Environment, name: str, columns: list[str]) -> None:
        self.environment = environment
        self.name = name
        self.columns = columns


def columns_of(output: Output) -> Columns:
    """*output* without its order."""
    return Columns(
        frozenset(item for item in output if isinstance(item, str)),
        tuple(item for item in output if not isinstance(item, str) and item != SOME),
    )


def rename(output: Output, names: list[str]) -> Output:
    """``AS x (a, b)``: the first columns get new names, and the old names are gone."""
    if not names:
        return output
    rest = list(output)
    for left in range(len(names), 0, -1):
        if not rest:
            break
        first = rest[0]
        if isinstance(first, str):
            rest.pop(0)
        elif len(rest) == 1 and first != SOME:
            rest = [(first[0], first[1] + left)]
            break
        else:
            rest = []  # several relations behind one another: where the names end is not known
    return (*names, *rest)


def everything(scope: Scope) -> Output:
    """What ``SELECT *`` gives: where a join made one column of two, their order is not known."""
    found = tuple(part for source in scope.sources for part in source.output)
    return (SOME, *found) if scope.is_merged else found
