"""Many acts in few words: what may be done on which objects, for people. Pure."""

from collections.abc import Collection, Iterable
from typing import TypeAlias

from gateway.analysis.candidates import Act, named
from gateway.model.classification import ObjectRef

_Words: TypeAlias = frozenset[str]
_FEW = 6  # operations that are left out rather than all others listed
EVERYTHING = "everything"
NOTHING = "nothing"


def summary(acts: Collection[Act], every: Collection[Act]) -> list[str]:
    """*acts* out of *every* one that was asked about: one line for the objects with the same operations."""
    if not acts:
        return [NOTHING]
    if len(acts) == len(every):
        return [EVERYTHING]
    whole, allowed = _by_object(every), _by_object(acts)
    groups: dict[str, list[ObjectRef | None]] = {}
    for thing, words in allowed.items():
        groups.setdefault(_operations(words, whole[thing]), []).append(thing)
    return [f"{said}{_objects(things, whole)}" for said, things in sorted(groups.items())]


def _by_object(acts: Iterable[Act]) -> dict[ObjectRef | None, _Words]:
    found: dict[ObjectRef | None, set[str]] = {}
    for act in acts:
        without = "" if act.has_where else " without WHERE"
        found.setdefault(act.object, set()).add(f"{act.operation}{without}")
    return {thing: frozenset(words) for thing, words in found.items()}


def _operations(words: _Words, whole: _Words) -> str:
    missing = whole - words
    if not missing and len(whole) > 1:
        return EVERYTHING
    if len(missing) <= _FEW and len(words) > _FEW:
        return f"{EVERYTHING} but {', '.join(sorted(missing))}"
    return ", ".join(sorted(words))


def _objects(things: list[ObjectRef | None], whole: Collection[ObjectRef | None]) -> str:
    """``on table app.orders, app.notes``, or ``on every table``; nothing for what is about no object."""
    kinds: dict[str, list[ObjectRef]] = {}
    for thing in things:
        if thing is not None:
            kinds.setdefault(thing.kind, []).append(thing)
    parts = []
    for kind, some in sorted(kinds.items()):
        of_kind = [thing for thing in whole if thing is not None and thing.kind == kind]
        names = sorted(map(named, some))
        parts.append(f"every {kind}" if len(some) == len(of_kind) > 1 else f"{kind} {', '.join(names)}")
    return f" on {' and '.join(parts)}" if parts else ""
