"""What a change tells of concealed values by way of keys and checks: whether it succeeds is an answer, too.

A value that must be unique is refused where it is there already, a reference where it is not, a check
compares two columns of a row that is not shown. None of that is in the text, so what the catalogue knows is
held against what a statement changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model.classification import Classification, Effect
from gateway.model.statement import Catalog, ForeignKey
from gateway.protocols.postgres.concealment import Key, RefusedError
from gateway.protocols.postgres.masking import Concealed

_ADDS: Final = frozenset(("copy_in", "insert", "merge", "update"))
_ALTERS: Final = frozenset(("merge", "update"))
_TAKES_AWAY: Final = frozenset(("delete", "merge", "truncate", "update"))


@dataclass(frozen=True, slots=True)
class _Change:
    """What is done to one relation, and which of its columns get values."""

    operation: str
    key: Key
    written: frozenset[str]


def check(item: Classification, catalog: Catalog, concealed: Mapping[Key, Concealed]) -> None:
    """Refuse a change that would tell of what is concealed.

    Raises:
        RefusedError: there is such a change.
    """
    for effect in item.effects:
        if effect.object is None or effect.operation not in _ADDS | _TAKES_AWAY:
            continue
        for key in catalog.family((effect.object.schema, effect.object.name)):
            change = _Change(effect.operation, key, _written(effect, key, catalog))
            if effect.operation in _ADDS:
                _check_own(change, catalog, concealed)
                _check_referred(change, catalog, concealed)
            if effect.operation in _TAKES_AWAY:
                _check_referring(change, catalog, concealed)


def _written(effect: Effect, key: Key, catalog: Catalog) -> frozenset[str]:
    """The columns of *key* that get values; all of them where the statement does not name its own."""
    relation = catalog.relations.get(key)
    everything = frozenset(() if relation is None else relation.columns)
    assert effect.object is not None
    own = catalog.relations.get((effect.object.schema, effect.object.name))
    # A view may call the columns of its table by other names.
    is_view = own is None or own.kind not in {"table", "foreign_table"}
    if effect.operation == "delete" or is_view or "*" in effect.columns:
        return everything
    return frozenset(effect.columns) & everything


def _check_own(change: _Change, catalog: Catalog, concealed: Mapping[Key, Concealed]) -> None:
    key, written = change.key, change.written
    found = concealed.get(key)
    if found is None or not found.masks:
        return
    masked = frozenset(found.masks)
    is_alteration = change.operation in _ALTERS
    for group in catalog.ties.unique.get(key, ()):
        # Of a new row only what is given can meet what is there; of an old one the rest stays, unseen.
        met = group & masked
        if met & written or (is_alteration and met and group & written):
            raise _refused(
                key, min(met), "is masked and unique: whether a value is there already would be told"
            )
    for group in catalog.ties.checked.get(key, ()):
        if is_alteration and group & masked and group & written:
            column = min(group & masked)
            raise _refused(key, column, "is masked and checked against another column that is written here")


def _check_referred(change: _Change, catalog: Catalog, concealed: Mapping[Key, Concealed]) -> None:
    """What is written must be in a masked column of another relation, or the server refuses it."""
    for tie in catalog.ties.foreign_keys:
        target = concealed.get(tie.target)
        if tie.relation != change.key or target is None or not tie.columns & change.written:
            continue
        met = tie.referred & frozenset(target.masks)
        if met:
            raise _refused(tie.target, min(met), "is masked, and what is written here must stand in it")


def _check_referring(change: _Change, catalog: Catalog, concealed: Mapping[Key, Concealed]) -> None:
    """Rows of others refer to what is taken away here: that tells of them, or changes them."""
    for tie in _referring(change.key, catalog):
        found = concealed.get(tie.relation)
        keeps_keys = change.operation == "update" and not tie.referred & change.written
        if found is None or (keeps_keys and tie.target == change.key):
            continue
        name = ".".join(tie.relation)
        if found.condition:
            message = f"rows of {name}, which are filtered, may refer to what is changed here"
            raise RefusedError("row_filter_refused", message)
        if tie.columns & frozenset(found.masks):
            raise _refused(tie.relation, min(tie.columns), "is masked, and may refer to what is changed here")


def _referring(key: Key, catalog: Catalog) -> Iterator[ForeignKey]:
    """The foreign keys that notice a change of *key*, be it through others that it changes."""
    seen, ahead = {key}, [key]
    while ahead:
        target = ahead.pop()
        for tie in catalog.ties.foreign_keys:
            if tie.target != target:
                continue
            yield tie
            if tie.spreads and tie.relation not in seen:
                seen.add(tie.relation)
                ahead.append(tie.relation)


def _refused(key: Key, column: str, told: str) -> RefusedError:
    return RefusedError("mask_refused", f"{column} of {'.'.join(key)} {told}")
