"""Aggregation pipelines, stage by stage, however deep they are nested: what they read and where they write.

https://www.mongodb.com/docs/manual/reference/operator/aggregation-pipeline/. A stage that is not here makes
the command unclear.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.protocols.mongodb.effects import Effects
from gateway.protocols.mongodb.fields import DoubtError, Fields, document, documents, expression, query
from gateway.protocols.mongodb.pipeline import OWN, Pipeline, Stage, each_expression, only

MOST: Final = 1_000  # stages of one pipeline, as servers have it


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
    only(given, {"from", "localField", "foreignField", "as", "let", "pipeline", "_internalUnwind"})
    each_expression(pipe, given.get("let", {}))
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
    only(given, {"from", "startWith", "connectFromField", "connectToField", "as", "maxDepth", "depthField",
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
    only(given, {"coll", "db", "pipeline"})
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
    only(given, {"into", "on", "let", "whenMatched", "whenNotMatched"})
    name, database = _source(given.get("into"))
    for operation in ("insert", "update"):
        pipe.effects.of_collection(operation, name, Fields(whole=True), database=database)
    each_expression(pipe, given.get("let", {}))
    if isinstance(given.get("whenMatched"), list):
        change(pipe.effects, given["whenMatched"], pipe.fields)
    pipe.writes = True


def looks_at_a_field(condition: Any) -> bool:
    """True for a condition that chooses by what documents hold."""
    found = Fields()
    query(condition, found)
    return found.whole or bool(found.paths)


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


STAGES: Final[Mapping[str, Stage]] = {
    **OWN,
    "$facet": _facet, "$lookup": _lookup, "$graphLookup": _graph_lookup, "$unionWith": _union, "$out": _out,
    "$merge": _merge, "$changeStream": _changes,
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
