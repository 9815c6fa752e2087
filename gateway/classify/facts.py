"""What a text means before anybody knows which schema a bare name stands for; small, frozen, picklable."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from gateway.model.classification import Class, Classification, Effect, Setting
from gateway.model.statement import NameContext

Qualified: TypeAlias = tuple[str, str]
"""(schema, name); the schema is empty where none was written."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing done to one relation."""

    operation: str
    cls: Class
    columns: tuple[str, ...] = ()
    has_where: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """A relation as it was written, and what is done to it; ``kind`` as in ``ObjectRef``.

    ``is_new`` means that the name is being made: it goes to the first schema of the path.
    """

    catalog: str
    schema: str
    name: str
    actions: tuple[Action, ...]
    kind: str = "table"
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns something has: some known by name, and those of relations.

    A relation is its number, and how many of its first columns were renamed.
    """

    names: frozenset[str] = frozenset()
    uses: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute:
    """``a.b``: a column if *columns* has it, a call of ``b`` if not."""

    name: str
    columns: Columns


@dataclass(frozen=True, slots=True)
class Loose:
    """A bare column in a query of several relations: it belongs to the first group where one has it.

    ``elsewhere`` means that it may be no column of theirs at all: a subquery's, an output's name, a row.
    """

    name: str
    groups: tuple[tuple[int, ...], ...]
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """One SQL statement: all that its text alone says."""

    text: str
    operation: str
    effects: tuple[Effect, ...] = ()
    uses: tuple[Use, ...] = ()
    calls: tuple[Qualified, ...] = ()
    empty_calls: tuple[Qualified, ...] = ()  # those without an argument, or with a star for it
    trusted: frozenset[str] = frozenset()  # calls that are harmless because of their arguments
    operators: tuple[Qualified, ...] = ()
    casts: tuple[Qualified, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    loose: tuple[Loose, ...] = ()
    settings: tuple[Setting, ...] = ()
    reason: str = ""
    fingerprint: str = ""
    redacted: str = ""
    folds: bool | None = False  # names of relations to small letters; None: either may be meant


@dataclass(slots=True, eq=False)
class Parsed:
    """The statements of one text; ``memo`` remembers what they meant in contexts seen of late.

    ``like`` says the same of a text that differs in what makes no difference: its names mean what these mean.
    """

    dialect: str
    pieces: tuple[Piece, ...]
    like: "Parsed | None" = field(default=None, repr=False)
    memo: dict[int, tuple[NameContext, tuple[Classification, ...]]] = field(default_factory=dict, repr=False)
    by_value: dict[Any, tuple[Any, tuple[Classification, ...]]] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Parsed, (self.dialect, self.pieces)
