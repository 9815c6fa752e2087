"""What the tokens of every SQL dialect have in common: their kinds, and where they stand."""

from enum import IntEnum
from typing import Final, Protocol


class Kind(IntEnum):
    """What a token is."""

    WORD = 1  # unquoted: a keyword or a name
    NAME = 2  # quoted: never a keyword
    STRING = 3  # any literal in quotes
    NUMBER = 4
    PARAMETER = 5
    OPERATOR = 6
    MARK = 7  # brackets, commas, dots and their like: which, the dialect says
    VARIABLE = 8  # MySQL's @name
    SYSTEM = 9  # MySQL's @@scope.name, without its signs


# Members bound to names: looking them up on the class for each token costs more than the comparison.
WORD, NAME, STRING, NUMBER = Kind.WORD, Kind.NAME, Kind.STRING, Kind.NUMBER
PARAMETER, OPERATOR, MARK = Kind.PARAMETER, Kind.OPERATOR, Kind.MARK
VARIABLE, SYSTEM = Kind.VARIABLE, Kind.SYSTEM
NAMES: Final = frozenset((WORD, NAME))
LITERALS: Final = frozenset((STRING, NUMBER))
PLACEHOLDERS: Final = frozenset((STRING, NUMBER, PARAMETER))


class Lexeme(Protocol):
    """One token of any dialect."""

    @property
    def kind(self) -> Kind:
        """What it is."""

    @property
    def value(self) -> str:
        """What it means: a word or name folded, a literal decoded."""

    @property
    def start(self) -> int:
        """Where it begins in the text, in characters."""

    @property
    def end(self) -> int:
        """Where it ends: the place behind it."""
