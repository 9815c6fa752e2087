"""What the names in a query refer to while it is read: sources and scopes, settled at its end.

A column may stand before the FROM that says what it belongs to, so references are kept until all is read.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.classify.doubt import Doubt, DoubtError

Environment: TypeAlias = dict[str, bool]
"""The common table expressions in sight; False where the name may mean a table all the same."""


MOST_SOURCES: Final = 122  # no server joins more than 61 tables; a name that may be two things stands twice


@dataclass(slots=True)
class Source:
    """An item of a FROM list: ``relation`` is its number among the relations, or -1."""

    alias: str
    schema: str = ""
    relation: int = -1


@dataclass(slots=True)
class Scope:
    """The sources of one query and those of the queries around it.

    ``is_derived``: the query stands in a FROM list, and may not see what stands beside it there. ``also``
    are names of outputs that a bare name may mean.
    """

    environment: Environment
    outer: "Scope | None" = None
    is_derived: bool = False
    sources: list[Source] = field(default_factory=list)
    also: set[str] = field(default_factory=set)
    looked_at: int = 0  # columns referred to from here so far
    start: int | None = None  # how many relations were noted before its query began

    def add(self, source: Source) -> None:
        """One more; DoubtError beyond what any server would run, so that searches stay short."""
        self.sources.append(source)
        if len(self.sources) > MOST_SOURCES:
            raise DoubtError(Doubt.TOO_DEEP)

    def relations(self) -> tuple[int, ...]:
        """The numbers of the relations that stand here."""
        return tuple(source.relation for source in self.sources if source.relation >= 0)

    def has_others(self) -> bool:
        """True when a source is no relation: its columns have names that nobody collects."""
        return any(source.relation < 0 for source in self.sources)


@dataclass(frozen=True, slots=True)
class Reference:
    """A column as it was written, and where; the name is ``*`` for all."""

    scope: Scope
    schema: str
    table: str
    name: str
