"""Open cursors, and who opened them: a getMore is for whoever was allowed to open what it reads.

A driver asks on over any connection of its pool, so cursors are kept beside the sessions: by person, database
and database user. They are this process's; a session in another one does not find them.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.model.obligation import Mask

MAX_OPEN: Final = 10_000  # in one process
MAX_OF_ONE: Final = 1_000  # of one person on one database
MAX_OPENER: Final = 256 << 10  # bytes of a command that is kept with its cursor


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a cursor is."""

    user: str
    database: str
    db_user: str
    db_name: str


@dataclass(slots=True)
class Cursor:
    """One open cursor: the command that opened it, the masks on what it reads, how many documents came."""

    opener: tuple[bytes, ...]
    masks: tuple[Mask, ...] = ()
    passed: int = 0


_Key: TypeAlias = tuple[Owner, int]


class Cursors:
    """The open cursors of one process; the oldest is forgotten where there are too many."""

    def __init__(self) -> None:
        self._open: OrderedDict[_Key, Cursor] = OrderedDict()
        self._count: dict[Owner, int] = {}

    def opened(self, owner: Owner, number: int, cursor: Cursor) -> None:
        """The server answered with a cursor that stays open."""
        if sum(map(len, cursor.opener)) > MAX_OPENER:
            return
        self.closed(owner, number)
        if self._count.get(owner, 0) >= MAX_OF_ONE:
            self.closed(owner, next(each for of, each in self._open if of == owner))
        elif len(self._open) >= MAX_OPEN:
            self.closed(*next(iter(self._open)))
        self._open[owner, number] = cursor
        self._count[owner] = self._count.get(owner, 0) + 1

    def get(self, owner: Owner, number: int) -> Cursor | None:
        """The cursor with that number, if *owner* opened it."""
        return self._open.get((owner, number))

    def all_of(self, owner: Owner, numbers: Sequence[object]) -> bool:
        """True when *owner* opened every one."""
        return all(isinstance(number, int) and (owner, number) in self._open for number in numbers)

    def closed(self, owner: Owner, number: int) -> None:
        """The cursor is read to its end, or was let go of."""
        if self._open.pop((owner, number), None) is None:
            return
        left = self._count[owner] - 1
        if left:
            self._count[owner] = left
        else:
            del self._count[owner]
