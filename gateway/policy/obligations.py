"""A decision's obligations: read strictly, merged to the strictest. Pure.

The policy lists what its roles and guards ask for; where two ask for the same, the smallest limit and the
most concealing mask win. Whatever is not exactly an obligation is a refusal of the whole decision.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from gateway.errors import PolicyError
from gateway.model.obligation import CONCEALING, NONE, Conceal, Hold, Mask, Obligations, RowFilter

MAX_MASKS: Final = 1_000  # columns; a list beyond this is somebody's mistake
MAX_HOLD_SECONDS: Final = 24 * 3600
MAX_TIMEOUT_MS: Final = 24 * 3600 * 1000
_NAME_BYTES: Final = 63  # what every database here takes for a name
_KEYS: Final = frozenset({"mask", "row_filter", "max_rows", "timeout_ms", "hold"})

_T = TypeVar("_T")


def parse(value: Any) -> Obligations:
    """The obligations in a decision; the same object for all that have none.

    Raises:
        PolicyError: one of them is unknown or malformed.
    """
    if type(value) is not dict:
        raise PolicyError("the obligations are not an object")
    if not value:
        return NONE
    if not value.keys() <= _KEYS:
        raise PolicyError("the decision has an obligation that nobody here knows")
    return Obligations(
        masks=_most_concealing(_each(value, "mask", _mask)),
        row_filters=tuple(sorted(set(_each(value, "row_filter", _row_filter)))),
        max_rows=_smallest(value, "max_rows", 2**31 - 2),
        timeout_ms=_smallest(value, "timeout_ms", MAX_TIMEOUT_MS),
        hold=min(_each(value, "hold", _hold), default=None),
    )


def merge(left: Obligations, right: Obligations) -> Obligations:
    """What holds when both are asked for."""
    return Obligations(
        masks=_most_concealing((*left.masks, *right.masks)),
        row_filters=tuple(sorted({*left.row_filters, *right.row_filters})),
        max_rows=_least(left.max_rows, right.max_rows),
        timeout_ms=_least(left.timeout_ms, right.timeout_ms),
        hold=min((hold for hold in (left.hold, right.hold) if hold is not None), default=None),
    )


def to_json(obligations: Obligations) -> dict[str, Any]:
    """The obligations as they are recorded and shown; a kind that is not asked for is left out."""
    found: dict[str, Any] = {}
    if obligations.masks:
        found["mask"] = [
            {"schema": mask.schema, "table": mask.table, "column": mask.column, "how": mask.how.value}
            for mask in obligations.masks
        ]
    if obligations.row_filters:
        found["row_filter"] = [
            {"schema": each.schema, "table": each.table, "guard": each.guard}
            for each in obligations.row_filters
        ]
    if obligations.max_rows is not None:
        found["max_rows"] = obligations.max_rows
    if obligations.timeout_ms is not None:
        found["timeout_ms"] = obligations.timeout_ms
    if obligations.hold is not None:
        found["hold"] = {"seconds": obligations.hold.seconds, "reason": obligations.hold.reason}
    return found


def _most_concealing(masks: tuple[Mask, ...]) -> tuple[Mask, ...]:
    chosen: dict[tuple[str, str, str], Mask] = {}
    for mask in masks:
        key = (mask.schema, mask.table, mask.column)
        known = chosen.get(key)
        if known is None or CONCEALING.index(mask.how) > CONCEALING.index(known.how):
            chosen[key] = mask
    return tuple(sorted(chosen.values()))


def _least(left: int | None, right: int | None) -> int | None:
    return min((bound for bound in (left, right) if bound is not None), default=None)


def _each(value: Mapping[str, Any], kind: str, read: Callable[[Any], _T]) -> tuple[_T, ...]:
    if kind not in value:
        return ()
    entries = value[kind]
    if type(entries) is not list or not 0 < len(entries) <= MAX_MASKS:
        raise PolicyError(f"the obligations of kind {kind} are not a list, or too long a one")
    return tuple(read(entry) for entry in entries)


def _smallest(value: Mapping[str, Any], kind: str, most: int) -> int | None:
    return min(_each(value, kind, lambda bound: _number(bound, most)), default=None)


def _number(value: Any, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise PolicyError("the bound of an obligation is not a positive number")
    return value


def _mask(value: Any) -> Mask:
    schema, table, column, how = _names(value, ("schema", "table", "column", "how"))
    if how not in CONCEALING:
        raise PolicyError("a mask conceals in a way that nobody here knows")
    return Mask(schema, table, column, Conceal(how))


def _row_filter(value: Any) -> RowFilter:
    schema, table, guard = _names(value, ("schema", "table", "guard"), longest=200)
    return RowFilter(schema, table, guard)


def _hold(value: Any) -> Hold:
    if type(value) is not dict or value.keys() != {"seconds", "reason"} or type(value["reason"]) is not str:
        raise PolicyError("a hold is not a number of seconds and a reason")
    return Hold(_number(value["seconds"], MAX_HOLD_SECONDS), value["reason"][:500])


def _names(value: Any, keys: tuple[str, ...], longest: int = _NAME_BYTES) -> tuple[str, ...]:
    if type(value) is not dict or value.keys() != set(keys):
        raise PolicyError("an obligation has other keys than its schema")
    names = tuple(value[key] for key in keys)
    for name in names:
        if type(name) is not str or not name or "\0" in name or len(name.encode()) > longest:
            raise PolicyError("an obligation names something that has no such name")
    return names
