"""Several records of one session that differ in little, as one value: what a pipeline leaves behind.

For the log it is a sequence like any other, of events and lines without their index; those are only made when
somebody asks for one. The writer takes all lines at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from gateway.audit.encode import Body
from gateway.model.event import Event, Kind


@dataclass(frozen=True, slots=True)
class Briefs:
    """The records without their texts, by their *ids*; *fields* has for each what whoever closes it needs."""

    kind: Kind
    time_ns: int
    ids: Sequence[str]
    fields: Sequence[Mapping[str, object]]

    def at(self, index: int) -> Event:
        """One of them; negative numbers count from the end."""
        return Event(self.kind, self.ids[index], self.time_ns, self.fields[index])

    def of(self, id_: str) -> Event:
        """The one with that id."""
        return self.at(self.ids.index(id_))


@dataclass(frozen=True, slots=True)
class Lines(Sequence[tuple[Event, Body]]):
    """*heads* stand in front of each line's index, *tail* behind all of them, as ``encode.Body`` has it."""

    briefs: Briefs
    heads: Sequence[bytes]
    tail: bytes

    def lines(self, first: int) -> list[bytes]:
        """All of them, from index *first* on."""
        tail = self.tail
        return [b"%b%d%b" % (head, index, tail) for index, head in enumerate(self.heads, first)]

    def __len__(self) -> int:
        return len(self.heads)

    @overload
    def __getitem__(self, index: int) -> tuple[Event, Body]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[Event, Body]]: ...

    def __getitem__(self, index: int | slice) -> tuple[Event, Body] | Sequence[tuple[Event, Body]]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        return self.briefs.at(index), Body(self.heads[index], self.tail)

    def __iter__(self) -> Iterator[tuple[Event, Body]]:
        return (self[at] for at in range(len(self.heads)))
