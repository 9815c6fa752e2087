"""What a yes is tied to: things that must be done with a statement, or it does not run."""

from dataclasses import dataclass
from enum import StrEnum


class Conceal(StrEnum):
    """How a masked column is shown, in rising order of what it conceals."""

    PARTIAL = "partial"  # the last four characters of a long enough text
    HASH = "hash"  # the same value gives the same text, and nobody can compute it
    FULL = "full"  # one constant of the column's type
    NULL = "null"


CONCEALING: tuple[Conceal, ...] = tuple(Conceal)


@dataclass(frozen=True, slots=True, order=True)
class Mask:
    """One column of one relation, by its exact names, and how it is shown."""

    schema: str
    table: str
    column: str
    how: Conceal


@dataclass(frozen=True, slots=True, order=True)
class RowFilter:
    """Of one relation the rows may be seen that a guard includes; ``guard`` is ``category/name``."""

    schema: str
    table: str
    guard: str


@dataclass(frozen=True, slots=True, order=True)
class Hold:
    """A second person must agree within ``seconds``; ``reason`` is a sentence for both."""

    seconds: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Obligations:
    """All that one decision asks for; None and empty mean nothing of that kind."""

    masks: tuple[Mask, ...] = ()
    row_filters: tuple[RowFilter, ...] = ()
    max_rows: int | None = None
    timeout_ms: int | None = None
    hold: Hold | None = None

    @property
    def kinds(self) -> frozenset[str]:
        """The words of the kinds that are asked for, as policies and docs call them."""
        found = {
            "mask": self.masks,
            "row_filter": self.row_filters,
            "max_rows": self.max_rows is not None,
            "timeout_ms": self.timeout_ms is not None,
            "hold": self.hold is not None,
        }
        return frozenset(kind for kind, is_asked in found.items() if is_asked)


NONE = Obligations()

KINDS: tuple[str, ...] = ("mask", "row_filter", "max_rows", "timeout_ms", "hold")
"""Every obligation there is; a policy that asks for another gets a refusal."""
