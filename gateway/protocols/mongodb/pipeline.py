"""One pipeline while it is read, and the stages that read nothing but its own documents."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from gateway.protocols.mongodb.effects import Effects
from gateway.protocols.mongodb.fields import (
    DoubtError,
    Fields,
    document,
    expression,
    order,
    projection,
    query,
)


@dataclass(slots=True)
class Pipeline:
    """One pipeline while it is read. ``collection`` is None where it starts with no documents of its own."""

    effects: Effects
    collection: str | None
    fields: Fields = field(default_factory=Fields)
    is_narrow: bool = False  # a stage lets only those fields on that it names
    has_where: bool = False
    limit: int | None = None
    writes: bool = False


Stage: TypeAlias = Callable[[Pipeline, Any], None]


def _match(pipe: Pipeline, value: Any) -> None:
    query(value, pipe.fields)


def _project(pipe: Pipeline, value: Any) -> None:
    if projection(value, pipe.fields):
        pipe.is_narrow = True


def each_expression(pipe: Pipeline, value: Any) -> None:
    """Every value of a document is an expression."""
    for inner in document(value).values():
        expression(inner, pipe.fields)


def _narrow_expressions(pipe: Pipeline, value: Any) -> None:
    expression(value, pipe.fields)
    pipe.is_narrow = True


def _group(pipe: Pipeline, value: Any) -> None:
    each_expression(pipe, value)
    pipe.is_narrow = True


def _nothing(pipe: Pipeline, value: Any) -> None:
    del pipe, value


def _narrow(pipe: Pipeline, value: Any) -> None:
    del value
    pipe.is_narrow = True


def _limit(pipe: Pipeline, value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        pipe.limit = value if pipe.limit is None else min(pipe.limit, value)


def _unwind(pipe: Pipeline, value: Any) -> None:
    path = value.get("path") if isinstance(value, dict) else value
    if not isinstance(path, str) or not path.startswith("$") or path.startswith("$$"):
        raise DoubtError("stage_not_clear")
    pipe.fields.add(path[1:])


def _bucket(pipe: Pipeline, value: Any) -> None:
    given = document(value)
    for key in ("groupBy", "boundaries", "default"):
        expression(given.get(key), pipe.fields)
    each_expression(pipe, given.get("output", {}))
    pipe.is_narrow = True


def _geo_near(pipe: Pipeline, value: Any) -> None:
    given = document(value)
    query(given.get("query", {}), pipe.fields)
    for key, inner in given.items():
        if key not in {"query", "key"}:
            expression(inner, pipe.fields)
    if isinstance(given.get("key"), str):
        pipe.fields.add(given["key"])
    else:
        pipe.fields.whole = True  # the index says which field
    pipe.has_where = True


def _window(pipe: Pipeline, value: Any) -> None:
    given = document(value)
    only(given, {"partitionBy", "sortBy", "output"})
    expression(given.get("partitionBy"), pipe.fields)
    order(given.get("sortBy", {}), pipe.fields)
    for output in document(given.get("output", {})).values():
        expression({key: inner for key, inner in document(output).items() if key != "window"}, pipe.fields)


def _fill(pipe: Pipeline, value: Any) -> None:
    given = document(value)
    only(given, {"partitionBy", "partitionByFields", "sortBy", "output"})
    expression(given.get("partitionBy"), pipe.fields)
    for output in document(given.get("output", {})).values():
        expression(document(output).get("value"), pipe.fields)
    pipe.fields.whole = True


def _whole(pipe: Pipeline, value: Any) -> None:
    """Search, and what finds gaps: any field may be looked at."""
    del value
    pipe.fields.whole = True


def _documents(pipe: Pipeline, value: Any) -> None:
    expression(value, pipe.fields)


def _unset(pipe: Pipeline, value: Any) -> None:
    del pipe
    if not isinstance(value, str | list):
        raise DoubtError("stage_not_clear")


def only(given: Mapping[str, Any], known: set[str]) -> None:
    """A DoubtError where a stage has more fields than are *known*."""
    if not set(given) <= known:
        raise DoubtError("unknown_field")


OWN: Final[Mapping[str, Stage]] = {
    "$match": _match,
    "$project": _project,
    "$set": each_expression,
    "$addFields": each_expression,
    "$unset": _unset,
    "$group": _group,
    "$sort": lambda pipe, value: order(value, pipe.fields),
    "$limit": _limit,
    "$skip": _nothing,
    "$unwind": _unwind,
    "$count": _narrow,
    "$sample": _nothing,
    "$sortByCount": _narrow_expressions,
    "$bucket": _bucket,
    "$bucketAuto": _bucket,
    "$replaceRoot": lambda pipe, value: _narrow_expressions(pipe, document(value).get("newRoot")),
    "$replaceWith": _narrow_expressions,
    "$redact": _documents,
    "$geoNear": _geo_near,
    "$densify": _whole,
    "$fill": _fill,
    "$setWindowFields": _window,
    "$search": _whole,
    "$searchMeta": _whole,
    "$vectorSearch": _whole,
    "$documents": _documents,
    "$changeStreamSplitLargeEvent": _nothing,
}
"""Stages by their names."""
