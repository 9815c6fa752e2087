"""The prepared statements of a session: what each number stands for.

Numbers are the server's. 0xFFFFFFFF means the statement prepared last (MariaDB); the gateway puts the number
in its place, so that after a PREPARE that was refused it does not mean the one before.
"""

from dataclasses import dataclass
from typing import Final

from gateway.model.statement import Statement
from gateway.sansio.exchange import Facts

LAST: Final = 0xFFFFFFFF
MOST: Final = 1_000  # of one session; drivers keep a few hundred
MOST_TEXT: Final = 16 << 20  # characters of all their texts


@dataclass(slots=True)
class Prepared:
    """A statement as it was prepared; names in it keep the meaning that they had then."""

    number: int
    statement: Statement
    parameters: int
    charset: str = ""  # that its text came in
    bind_types: tuple[str, ...] = ()
    kinds: tuple[int, ...] = ()  # the types of the last bulk, by number; an EXECUTE may have changed them
    lacks_types: bool = False  # those that came last were not let through: the server has not got them
    repeated: tuple[Statement, Facts] | None = None  # as it was allowed to run last, if it may be known again


@dataclass(frozen=True, slots=True)
class Types:
    """Of the values that a command brings: their names and, of a bulk, their numbers and how many rows."""

    names: tuple[str, ...]
    kinds: tuple[int, ...] = ()
    sets: int | None = 1


class Statements:
    """All of one session."""

    __slots__ = ("_by_number", "_characters", "_last")

    def __init__(self) -> None:
        self._characters = 0
        self._by_number: dict[int, Prepared] = {}
        self._last: Prepared | None = None

    def find(self, number: int) -> Prepared | None:
        """What *number* stands for."""
        return self._last if number == LAST else self._by_number.get(number)

    def numbered(self, number: int) -> Prepared | None:
        """What the server's own *number* stands for."""
        return self._by_number.get(number)

    def add(self, prepared: Prepared) -> None:
        """The server prepared one."""
        self._gone(prepared.number)
        self._by_number[prepared.number] = self._last = prepared
        self._characters += len(prepared.statement.text)

    def failed(self) -> None:
        """A PREPARE was refused, here or by the server: there is none that was prepared last."""
        self._last = None

    def close(self, prepared: Prepared) -> None:
        """The client gave one up."""
        self._gone(prepared.number)
        if self._last is prepared:
            self._last = None

    def forget(self) -> None:
        """The session begins anew."""
        self._by_number.clear()
        self._characters = 0
        self._last = None

    @property
    def is_full(self) -> bool:
        """True when no further one is taken."""
        return len(self._by_number) >= MOST or self._characters >= MOST_TEXT

    def _gone(self, number: int) -> None:
        gone = self._by_number.pop(number, None)
        if gone is not None:
            self._characters -= len(gone.statement.text)
