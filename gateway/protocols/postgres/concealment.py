"""What is concealed from whom in a statement, and which uses of it are refused."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from gateway.classify.doubt import DoubtError
from gateway.classify.postgres import inventory, limits
from gateway.classify.postgres.lexer import tokenize
from gateway.classify.relation import Relation as Used
from gateway.model.obligation import CONCEALING, Conceal, RowFilter
from gateway.model.statement import Catalog, NameContext
from gateway.protocols.postgres.masking import ALIAS, Concealed
from gateway.protocols.postgres.sources import Sources, find
from gateway.sansio.exchange import Duty

Key: TypeAlias = tuple[str, str]
"""(schema, name) of a relation."""

CHANGES: Final = frozenset(("create", "delete", "insert", "merge", "update"))
RELATIONS: Final = frozenset(("foreign_table", "materialized_view", "table", "view"))
_CATALOG: Final = "pg_catalog"


class RefusedError(Exception):
    """The duty cannot be done with this statement; never leaves the protocol."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def of(duty: Duty, names: NameContext) -> dict[Key, Concealed]:
    """The concealed relations that exist here, by their names."""
    masks: dict[Key, dict[str, Conceal]] = {}
    for mask in duty.obligations.masks:
        masks.setdefault((mask.schema, mask.table), {})[mask.column] = mask.how
    conditions: dict[Key, list[str]] = {}
    for row_filter, condition in duty.conditions:
        all_of_them = conditions.setdefault((row_filter.schema, row_filter.table), [])
        if condition != "":
            all_of_them.append("false" if condition is None else checked(row_filter, condition))
    if not masks and not conditions:
        return {}
    if names.catalog is None:
        raise RefusedError("catalog_unavailable", "what the database holds is not known at this moment")
    found: dict[Key, Concealed] = {}
    for key in {*masks, *conditions}:
        relation = names.catalog.relations.get(key)
        if relation is not None and (masks.get(key) or conditions.get(key)):
            found[key] = Concealed(*key, relation, masks.get(key, {}), tuple(conditions.get(key, ())))
    return found


def unknown(duty: Duty, catalog: Catalog | None) -> frozenset[Key]:
    """What is to be concealed and is not there, as far as anybody knows: it may have been made just now."""
    named = {(each.schema, each.table) for each in duty.obligations.masks}
    named.update((each.schema, each.table) for each, _ in duty.conditions)
    return frozenset(key for key in named if catalog is None or key not in catalog.relations)


def covers(mine: Concealed | None, key: Key, other: Concealed, catalog: Catalog) -> bool:
    """True when nothing that is concealed of *other* is shown by *key*, of which *mine* is concealed.

    A view may give columns other names: of those that it has under another, its own masks must be right.
    """
    if not set(other.conditions) <= set(() if mine is None else mine.conditions):
        return False
    relation, masks = catalog.relations.get(key), {} if mine is None else mine.masks
    columns = frozenset(() if relation is None else relation.columns)
    return all(
        column not in columns
        or (column in masks and CONCEALING.index(masks[column]) >= CONCEALING.index(how))
        for column, how in other.masks.items()
    )


def checked(row_filter: RowFilter, condition: str) -> str:
    """*condition* in brackets, if it is one expression over the relation's own columns."""
    probe = f"SELECT 1 FROM {ALIAS} WHERE ({condition}\n)"  # noqa: S608 - it is read here, and runs nowhere
    try:
        tokens = tokenize(probe)
        limits.check(tokens)
        sources = find(tokens)
    except DoubtError as error:
        raise _unfit(row_filter) from error
    alone = len(sources.relations) == 1 and not sources.calls and not sources.rows and not sources.loose
    if not alone or any(token.value == ";" for token in tokens):
        raise _unfit(row_filter)
    return f"({condition})"


def _unfit(row_filter: RowFilter) -> RefusedError:
    return RefusedError(
        "row_filter_unfit", f"the row filter of guard {row_filter.guard} is not one condition over columns"
    )


def resolve(relation: Used, names: NameContext) -> Key:
    """The schema and name of a relation as it was written; refused where that is not certain."""
    if relation.schema:
        return relation.schema, relation.name
    if names.search_path is None or names.catalog is None:
        raise RefusedError(
            "mask_refused", f"it is not certain which {relation.name} is meant; name its schema"
        )
    if names.has_temporary:
        raise _masked(relation.name, "may be a temporary one here; name its schema")
    path = names.search_path
    for schema in path if _CATALOG in path else (_CATALOG, *path):
        if exists(names.catalog, schema, relation.name):
            return schema, relation.name
    return "", relation.name


def exists(catalog: Catalog, schema: str, name: str) -> bool:
    """True for a relation that is known here, a system catalogue included."""
    return (schema, name) in catalog.relations or (schema, name) in inventory.relations()


def shares(key: Key, names: NameContext, concealed: Mapping[Key, Concealed]) -> Key | None:
    """A concealed relation of which *key* shows what it must not, be it through several; None for none."""
    catalog = names.catalog
    if catalog is None:
        return None
    for source in sorted(catalog.family(key) & concealed.keys() - {key}):
        mine = concealed.get(key)
        if mine is None or not covers(mine, key, concealed[source], catalog):
            return source
    return None


def check_uses(sources: Sources, keys: Sequence[Key], concealed: Mapping[Key, Concealed]) -> None:
    """Refuse what would tell of masked columns, and changes of what is not seen as it is.

    Raises:
        RefusedError: there is such a use.
    """
    found = {number: concealed[key] for number, key in enumerate(keys) if key in concealed}
    is_change = any(not CHANGES.isdisjoint(relation.doing) for relation in sources.relations)
    for number, each in found.items():
        _check_relation(sources.relations[number], each, is_change=is_change)
    for use in sources.uses:
        if any(use.name in found[number].masks for number in use.relations if number in found):
            if is_change:
                raise _masked(use.name, "is masked and can be read by no change")
            if not use.is_bare:
                raise _masked(use.name, "is masked and can only be an item of a select list")
    for number, name in sources.rows:
        if number in found and found[number].masks and name not in found[number].relation.columns:
            raise _masked(found[number].name, "has masked columns, so no row of it can be one value")


def _check_relation(relation: Used, each: Concealed, *, is_change: bool) -> None:
    missing = sorted(each.masks.keys() - set(each.relation.columns))
    if missing:  # renamed, perhaps: what the mask was meant for stands under another name now
        raise _masked(each.name, f"has no column {missing[0]}, which a mask names")
    if each.condition and not {"delete", "merge", "update"}.isdisjoint(relation.doing):
        # It would find, or tell of, rows that are not seen.
        raise RefusedError("row_filter_refused", f"rows of {each.name} are filtered and cannot be changed")
    reads_all = "select" in relation.doing and "*" in relation.doing["select"].columns
    if each.masks and is_change and reads_all:
        raise _masked(each.name, "has masked columns, which can be read by no change")


def _masked(name: str, told: str) -> RefusedError:
    return RefusedError("mask_refused", f"{name} {told}")
