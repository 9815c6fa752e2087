"""Aggregation pipelines, stage by stage, however deep they are nested: what they read and where they write.

https://www.mongodb.com/docs/manual/reference/operator/aggregation-pipeline/. A stage that is not here makes
the command unclear.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from gateway.protocols.mongodb.effects import Effects
from gateway.protocols.mongodb.fields import (
    DoubtError,
    Fields,
    document,
    documents,
    expression,
    order,
    projection,
    query,
)

MOST: Final = 1_000  # stages of one pipeline, as servers have it


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


_Stage: TypeAlias = Callable[[Pipeline, Any], None]


def read(pipe: Pipeline, stages: Any) -> None:
    """Every stage, and the effect on the collection that the documents come from."""
    if isinstance(stages, list) and len(stages) > MOST:
        raise DoubtError("too_long")
    for place, stage in enumerate(documents(stages)):
        if len(stage) != 1:
            raise DoubtError("stage_not_clear")
        ((name, value),) = stage.items()
        reader = STAGES.get(name)
        if reader is None:
            raise DoubtError("unknown_stage")
        if name in _FIRST and place:
            raise DoubtError("stage_not_clear")
        reader(pipe, value)
        if name == "$match" and not place:
            pipe.has_where = looks_at_a_field(value)
    pipe.effects.code(pipe.fields)
    if pipe.collection is not None:
        pipe.fields.whole = pipe.fields.whole or not pipe.is_narrow
        pipe.effects.of_collection(
            "select", pipe.collection, pipe.fields, has_where=pipe.has_where, limit=pipe.limit
        )


def _inner(pipe: Pipeline, collection: str | None, stages: Any, database: Any = None) -> Pipeline:
    """A pipeline inside another, over *collection*."""
    effects = pipe.effects
    if database is not None:
        effects.place(database)
        if database != effects.database:
            raise DoubtError("other_database")
    inner = Pipeline(effects, collection)
    read(inner, stages)
    if inner.writes:
        raise DoubtError("stage_not_clear")
    return inner


def _match(pipe: Pipeline, value: Any) -> None:
    query(value, pipe.fields)


def _project(pipe: Pipeline, value: Any) -> None:
    if projection(value, pipe.fields):
        pipe.is_narrow = True


def _expressions(pipe: Pipeline, value: Any) -> None:
    for inner in document(value).values():
        expression(inner, pipe.fields)


def _narrow_expressions(pipe: Pipeline, value: Any) -> None:
    expression(value, pipe.fields)
    pipe.is_narrow = True


def _group(pipe: Pipeline, value: Any) -> None:
    _expressions(pipe, value)
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
    _expressions(pipe, given.get("output", {}))
    pipe.is_narrow = True


def _facet(pipe: Pipeline, value: Any) -> None:
    for stages in document(value).values():
        inner = Pipeline(pipe.effects, pipe.collection, is_narrow=pipe.is_narrow)
        read(inner, stages)
        if inner.writes:
            raise DoubtError("stage_not_clear")
        pipe.fields.paths |= inner.fields.paths
        pipe.fields.whole = pipe.fields.whole or inner.fields.whole
    pipe.is_narrow = True


def _source(value: Any) -> tuple[Any, Any]:
    """A collection as a stage names it: its name, and its database where that stands there too."""
    if isinstance(value, dict):
        if not set(value) <= {"db", "coll", "timeseries"}:
            raise DoubtError("stage_not_clear")
        return value.get("coll"), value.get("db")
    return value, None


def _lookup(pipe: Pipeline, value: Any) -> None:
    given = document(value)
    _only(given, {"from", "localField", "foreignField", "as", "let", "pipeline", "_internalUnwind"})
    _expressions(pipe, given.get("let", {}))
    if isinstance(given.get("localField"), str):
        pipe.fields.add(given["localField"])
    if "from" in given:
        name, database = _source(given["from"])
        pipe.effects.of_collection("select", name, Fields(whole=True), database=database)
        _inner(pipe, name, given.get("pipeline", []), database)
    else:
        _documents_first(given.get("pipeline"))
        _inner(pipe, None, given.get("pipeline"))


def _graph_lookup(pipe: Pipeline, value: Any) -> None:
    given = document(value)
    _only(given, {"from", "startWith", "connectFromField", "connectToField", "as", "maxDepth", "depthField",
                  "restrictSearchWithMatch"})  # fmt: skip
    expression(given.get("startWith"), pipe.fields)
    inner = Fields(whole=True)
    query(given.get("restrictSearchWithMatch", {}), inner)
    pipe.effects.code(inner)
    name, database = _source(given.get("from"))
    pipe.effects.of_collection("select", name, inner, database=database)


def _union(pipe: Pipeline, value: Any) -> None:
    if isinstance(value, str):
        pipe.effects.of_collection("select", value, Fields(whole=True))
        return
    given = document(value)
    _only(given, {"coll", "db", "pipeline"})
    if "coll" in given:
        _inner(pipe, given["coll"], given.get("pipeline", []), given.get("db"))
    else:
        _documents_first(given.get("pipeline"))
        _inner(pipe, None, given.get("pipeline"))


def _out(pipe: Pipeline, value: Any) -> None:
    name, database = _source(value)
    for operation in ("truncate", "insert"):  # what was there before is gone
        pipe.effects.of_collection(operation, name, Fields(whole=True), database=database)
    pipe.writes = True


def _merge(pipe: Pipeline, value: Any) -> None:
    given = {"into": value} if isinstance(value, str) else document(value)
    _only(given, {"into", "on", "let", "whenMatched", "whenNotMatched"})
    name, database = _source(given.get("into"))
    for operation in ("insert", "update"):
        pipe.effects.of_collection(operation, name, Fields(whole=True), database=database)
    _expressions(pipe, given.get("let", {}))
    if isinstance(given.get("whenMatched"), list):
        change(pipe.effects, given["whenMatched"], pipe.fields)
    pipe.writes = True


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


def looks_at_a_field(condition: Any) -> bool:
    """True for a condition that chooses by what documents hold."""
    found = Fields()
    query(condition, found)
    return found.whole or bool(found.paths)


def _window(pipe: Pipeline, value: Any) -> None:
    given = document(value)
    _only(given, {"partitionBy", "sortBy", "output"})
    expression(given.get("partitionBy"), pipe.fields)
    order(given.get("sortBy", {}), pipe.fields)
    for output in document(given.get("output", {})).values():
        expression({key: inner for key, inner in document(output).items() if key != "window"}, pipe.fields)


def _fill(pipe: Pipeline, value: Any) -> None:
    given = document(value)
    _only(given, {"partitionBy", "partitionByFields", "sortBy", "output"})
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


def _changes(pipe: Pipeline, value: Any) -> None:
    """A stream of changes shows all documents that are written from now on."""
    given = document(value)
    if given.get("allChangesForCluster"):
        pipe.effects.of_thing("administer", "command", "changeStream")
    elif pipe.collection is None:
        pipe.effects.of_database("select")
    pipe.fields.whole = True


def _about_collection(pipe: Pipeline, value: Any) -> None:
    del value
    if pipe.collection is None:
        raise DoubtError("stage_not_clear")
    pipe.effects.of_collection("show", pipe.collection)
    pipe.is_narrow = True


def _about_server(pipe: Pipeline, value: Any) -> None:
    del value
    pipe.effects.of_thing("administer", "command", "aggregate")
    pipe.is_narrow = True


def _documents_first(stages: Any) -> None:
    if not isinstance(stages, list) or not stages or set(document(stages[0])) != {"$documents"}:
        raise DoubtError("stage_not_clear")


def _only(given: Mapping[str, Any], known: set[str]) -> None:
    if not set(given) <= known:
        raise DoubtError("unknown_field")


def change(effects: Effects, stages: Any, fields: Fields) -> None:
    """A pipeline that changes one document at a time."""
    pipe = Pipeline(effects, None, fields)
    for stage in documents(stages):
        if len(stage) != 1 or not set(stage) <= _CHANGES:
            raise DoubtError("unknown_stage")
        ((name, value),) = stage.items()
        for key in value if name in {"$set", "$addFields"} and isinstance(value, dict) else ():
            fields.add(key)
        for key in (value if isinstance(value, list) else [value]) if name == "$unset" else ():
            fields.add(str(key))
        if name in {"$project", "$replaceRoot", "$replaceWith"}:
            fields.whole = True  # the document becomes another
        STAGES[name](pipe, value)
    effects.code(fields)


def _unset(pipe: Pipeline, value: Any) -> None:
    del pipe
    if not isinstance(value, str | list):
        raise DoubtError("stage_not_clear")


STAGES: Final[Mapping[str, _Stage]] = {
    "$match": _match, "$project": _project, "$set": _expressions, "$addFields": _expressions,
    "$unset": _unset, "$group": _group, "$sort": lambda pipe, value: order(value, pipe.fields),
    "$limit": _limit, "$skip": _nothing, "$unwind": _unwind, "$count": _narrow, "$sample": _nothing,
    "$sortByCount": _narrow_expressions, "$bucket": _bucket, "$bucketAuto": _bucket,
    "$replaceRoot": lambda pipe, value: _narrow_expressions(pipe, document(value).get("newRoot")),
    "$replaceWith": _narrow_expressions, "$redact": _documents, "$facet": _facet,
    "$lookup": _lookup, "$graphLookup": _graph_lookup, "$unionWith": _union, "$out": _out, "$merge": _merge,
    "$geoNear": _geo_near, "$densify": _whole, "$fill": _fill, "$setWindowFields": _window,
    "$search": _whole, "$searchMeta": _whole, "$vectorSearch": _whole, "$documents": _documents,
    "$changeStream": _changes, "$changeStreamSplitLargeEvent": _nothing,
    "$collStats": _about_collection, "$indexStats": _about_collection,
    "$listSearchIndexes": _about_collection,
    "$planCacheStats": _about_server, "$currentOp": _about_server, "$listSessions": _about_server,
    "$listLocalSessions": _about_server, "$listSampledQueries": _about_server,
    "$querySettings": _about_server,
    "$queryStats": _about_server, "$shardedDataDistribution": _about_server, "$listCatalog": _about_server,
    "$listClusterCatalog": _about_server,
}  # fmt: skip
"""Every stage that is understood."""
_FIRST: Final = frozenset(
    {
        "$changeStream", "$collStats", "$currentOp", "$documents", "$geoNear", "$indexStats",
        "$listSessions", "$listLocalSessions", "$listSearchIndexes", "$planCacheStats",
    }
)  # fmt: skip
_CHANGES: Final = frozenset({"$set", "$addFields", "$unset", "$project", "$replaceRoot", "$replaceWith"})
