"""Several records of one session that differ in little, as one value: what a pipeline leaves behind.

For the log it is a sequence like any other, of events and lines without their index; those are only made when
somebody asks for one. The writer takes all lines at once, and they become bytes there and nowhere before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, overload

from gateway.audit.encode import Body
from gateway.model.event import Event, Kind

_INDEX = '","index":'  # what stands between a record's id and its index


class Briefs(NamedTuple):  # two for every pipeline: a tuple is made in a third of the time
    """The records without their texts, by their *ids*; *fields* has for each what whoever closes it needs.

    Records of ends have in *closes*, each, the id of the record that it ends; all are of the same session.
    """

    kind: Kind
    time_ns: int
    ids: Sequence[str]
    fields: Sequence[Mapping[str, object]]
    closes: Sequence[str] = ()

    def at(self, index: int) -> Event:
        """One of them; negative numbers count from the end."""
        fields = self.fields[index]
        if self.closes:
            fields = {**fields, "query_id": self.closes[index]}
        return Event(self.kind, self.ids[index], self.time_ns, fields)

    def of(self, id_: str) -> Event:
        """The one with that id."""
        return self.at(self.ids.index(id_))


Stretch: TypeAlias = tuple[str, str, int]
"""So many lines in a row that differ in ids alone: what stands before the id of what they close, and behind.

Where they close nothing, the first is all that stands in front of a line's own id.
"""


@dataclass(slots=True, eq=False)
class Lines(Sequence[tuple[Event, Body]]):
    """*stretches* in front of each line's id, *tail* behind all of them: ASCII, canonical JSON."""

    briefs: Briefs
    stretches: Sequence[Stretch]
    tail: str

    def lines(self, first: int) -> list[bytes]:
        """All of them, from index *first* on."""
        heads, tail = self._heads(), self.tail
        return [f"{head}{index}{tail}".encode("ascii") for index, head in enumerate(heads, first)]

    def __len__(self) -> int:
        return len(self.briefs.ids)

    @overload
    def __getitem__(self, index: int) -> tuple[Event, Body]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[tuple[Event, Body]]: ...

    def __getitem__(self, index: int | slice) -> tuple[Event, Body] | Sequence[tuple[Event, Body]]:
        return list(self)[index]

    def __iter__(self) -> Iterator[tuple[Event, Body]]:
        tail = self.tail.encode("ascii")
        for at, head in enumerate(self._heads()):
            yield self.briefs.at(at), Body(head.encode("ascii"), tail)

    def _heads(self) -> list[str]:
        """What stands in front of the indexes."""
        ids, closes = self.briefs.ids, self.briefs.closes
        heads: list[str] = []
        for before, behind, times in self.stretches:
            at = len(heads)
            few = ids[at : at + times]
            if closes:
                pairs = zip(closes[at : at + times], few, strict=True)
                heads += [f"{before}{closed}{behind}{id_}{_INDEX}" for closed, id_ in pairs]
            else:
                heads += [f"{before}{id_}{_INDEX}" for id_ in few]
        return heads

    def __reversed__(self) -> Iterator[tuple[Event, Body]]:
        return reversed(list(self))
