"""The commands whose fields hold namespaces, conditions or code, each read in full.

https://www.mongodb.com/docs/manual/reference/command/. A field that is not known to a reader makes the
command unclear: a newer server may take something from it that nobody looked for.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.model.classification import Named
from gateway.protocols.mongodb import defining, stages, writing
from gateway.protocols.mongodb.effects import Effects
from gateway.protocols.mongodb.fields import (
    DoubtError,
    Fields,
    order,
    projection,
    query,
)
from gateway.protocols.mongodb.parts import Command, let, value
from gateway.protocols.mongodb.pipeline import Pipeline

GENERIC: Final = frozenset(
    {
        "$db", "$readPreference", "$clusterTime", "$queryOptions", "lsid", "txnNumber", "autocommit",
        "startTransaction", "stmtId", "stmtIds", "apiVersion", "apiStrict", "apiDeprecationErrors",
        "maxTimeMS", "readConcern", "writeConcern", "comment", "recoveryToken",
    }
)  # fmt: skip
"""Fields of every command that name nothing and run nothing."""

Reader: TypeAlias = Callable[[Command, Effects], None]


def read(name: str, command: Command, effects: Effects) -> None:
    """Collect the effects of the command that is called *name*.

    Raises:
        DoubtError: part of it is not understood; what was collected so far stands.
    """
    reader, known = READERS[name]
    first = next(iter(command))
    unknown = [field for field in command if field not in GENERIC and field != first and field not in known]
    reader(command, effects)
    if unknown:
        raise DoubtError("unknown_field")


def _number(value: Any) -> int | None:
    return abs(int(value)) or None if isinstance(value, int | float) and abs(value) < 2**31 else None


def _find(command: Command, effects: Effects) -> None:
    fields = Fields()
    query(command.get("filter", {}), fields)
    has_where = bool(fields.paths) or fields.whole
    if isinstance(command.get("sort"), dict):
        order(command["sort"], fields)
    for bound in ("min", "max"):
        order(command.get(bound, {}), fields)
    let(command, fields)
    shown = command.get("projection")
    if not shown or not projection(shown, fields):
        fields.whole = True
    if command.get("returnKey"):
        fields.whole = True
    effects.code(fields)
    effects.of_collection(
        "select", value(command), fields, has_where=has_where, limit=_number(command.get("limit"))
    )


def _aggregate(command: Command, effects: Effects) -> None:
    name = value(command)
    if isinstance(name, int | float) and not isinstance(name, bool) and name == 1:
        name = None
    elif not isinstance(name, str):
        raise DoubtError("no_collection_name")
    pipe = Pipeline(effects, name)
    let(command, pipe.fields)
    steps = command.get("pipeline")
    try:
        stages.read(pipe, steps)
    except DoubtError:
        if name is not None:  # the collection is read whatever else happens
            effects.of_collection("select", name, Fields(whole=True))
        raise
    if name is None and not effects.found:
        effects.of_session("select")  # of documents that stand in the command
    if command.get("explain"):
        effects.of_session("explain")


def _count(command: Command, effects: Effects) -> None:
    fields = Fields()
    query(command.get("query") or {}, fields)
    effects.code(fields)
    effects.of_collection("select", value(command), fields, has_where=bool(fields.paths) or fields.whole)


def _distinct(command: Command, effects: Effects) -> None:
    fields = Fields()
    query(command.get("query") or {}, fields)
    has_where = bool(fields.paths) or fields.whole
    key = command.get("key")
    if not isinstance(key, str):
        raise DoubtError("no_field_name")
    fields.add(key)
    effects.code(fields)
    effects.of_collection("select", value(command), fields, has_where=has_where)


def _map_reduce(command: Command, effects: Effects) -> None:
    effects.functions["mapReduce"] = Named("mapReduce")
    fields = Fields(whole=True)
    query(command.get("query") or {}, fields)
    effects.code(fields)
    effects.of_collection("select", value(command), fields, has_where=bool(command.get("query")))
    out = command.get("out")
    if isinstance(out, str):
        out = {"replace": out}
    if not isinstance(out, dict) or not set(out) <= {"inline", "replace", "merge", "reduce", "db", "sharded",
                                                     "nonAtomic"}:  # fmt: skip
        raise DoubtError("output_not_clear")
    for key, operations in (("replace", ("truncate", "insert")), ("merge", ("insert", "update")),
                            ("reduce", ("insert", "update"))):  # fmt: skip
        for operation in operations if key in out else ():
            effects.of_collection(operation, out[key], Fields(whole=True), database=out.get("db"))


def _explain(command: Command, effects: Effects) -> None:
    inner = value(command)
    if not isinstance(inner, dict) or not inner:
        raise DoubtError("not_a_document")
    name = next(iter(inner))
    if name not in _EXPLAINED:
        raise DoubtError("unknown_command")
    if "$db" in inner and inner["$db"] != effects.database:
        raise DoubtError("other_database")
    effects.of_session("explain")
    fields = {key: value for key, value in inner.items() if key != "$db"}
    read(_EXPLAINED[name], fields, effects)


def _kill_cursors(command: Command, effects: Effects) -> None:
    """Whose they are was looked up by the conversation; letting go of one's own needs no right."""
    effects.of_collection("close", value(command))


def _geo_search(command: Command, effects: Effects) -> None:
    effects.of_collection("select", value(command), Fields(whole=True), has_where=True)


def _geo_near(command: Command, effects: Effects) -> None:
    fields = Fields(whole=True)
    query(command.get("query") or {}, fields)
    effects.code(fields)
    effects.of_collection("select", value(command), fields, has_where=True)


def _group_command(command: Command, effects: Effects) -> None:
    given = value(command)
    effects.functions["group"] = Named("group")
    effects.of_collection("select", given.get("ns") if isinstance(given, dict) else None, Fields(whole=True))


_SHAPE: Final = frozenset({"collation", "hint", "let", "bypassDocumentValidation", "ordered"})
READERS: Final[Mapping[str, tuple[Reader, frozenset[str]]]] = {
    "find": (_find, frozenset(
        {"filter", "sort", "projection", "hint", "skip", "limit", "batchSize", "singleBatch", "min", "max",
         "returnKey", "showRecordId", "tailable", "oplogReplay", "noCursorTimeout", "awaitData",
         "allowPartialResults", "collation", "allowDiskUse", "let", "ntoreturn"})),
    "aggregate": (_aggregate, frozenset(
        {"pipeline", "explain", "allowDiskUse", "cursor", "bypassDocumentValidation", "collation", "hint",
         "let"})),
    "count": (_count, frozenset({"query", "limit", "skip", "hint", "collation", "fields"})),
    "distinct": (_distinct, frozenset({"key", "query", "collation", "hint"})),
    "insert": (writing.insert, _SHAPE | {"documents", "maxTimeMS"}),
    "update": (writing.update, _SHAPE | {"updates"}),
    "delete": (writing.delete, _SHAPE | {"deletes"}),
    "findAndModify": (writing.find_and_modify, _SHAPE | {
        "query", "sort", "remove", "update", "new", "fields", "upsert", "arrayFilters"}),
    "mapReduce": (_map_reduce, frozenset(
        {"map", "reduce", "out", "query", "sort", "limit", "finalize", "scope", "jsMode", "verbose",
         "collation", "bypassDocumentValidation"})),
    "bulkWrite": (writing.bulk_write, _SHAPE | {"ops", "nsInfo", "errorsOnly", "cursor"}),
    "explain": (_explain, frozenset({"verbosity"})),
    "create": (defining.create, frozenset(
        {"capped", "timeseries", "expireAfterSeconds", "clusteredIndex", "changeStreamPreAndPostImages",
         "autoIndexId", "size", "max", "storageEngine", "validator", "validationLevel", "validationAction",
         "indexOptionDefaults", "viewOn", "pipeline", "collation", "encryptedFields", "idIndex"})),
    "collMod": (defining.coll_mod, frozenset(
        {"index", "validator", "validationLevel", "validationAction", "viewOn", "pipeline", "cappedSize",
         "cappedMax", "changeStreamPreAndPostImages", "expireAfterSeconds", "timeseries", "dryRun"})),
    "renameCollection": (defining.rename, frozenset({"to", "dropTarget"})),
    "listDatabases": (defining.list_databases, frozenset({"filter", "nameOnly", "authorizedDatabases"})),
    "listCollections": (defining.list_collections, frozenset(
        {"filter", "nameOnly", "authorizedCollections", "cursor"})),
    "createIndexes": (defining.create_indexes, frozenset({"indexes", "commitQuorum"})),
    "dropIndexes": (defining.drop_indexes, frozenset({"index"})),
    "killCursors": (_kill_cursors, frozenset({"cursors"})),
    "geoNear": (_geo_near, frozenset(
        {"near", "query", "limit", "num", "minDistance", "maxDistance", "spherical", "distanceMultiplier",
         "includeLocs", "uniqueDocs"})),
    "geoSearch": (_geo_search, frozenset({"search", "near", "maxDistance", "limit"})),
    "cloneCollectionAsCapped": (defining.clone_as_capped, frozenset({"toCollection", "size"})),
    "convertToCapped": (defining.to_capped, frozenset({"size"})),
    "group": (_group_command, frozenset()),
}  # fmt: skip
"""How each command of the rule ``own`` is read, and which fields of its own it may have."""
_EXPLAINED: Final = {
    **{name: name for name in ("find", "aggregate", "count", "distinct", "update", "delete")},
    "findAndModify": "findAndModify", "findandmodify": "findAndModify",
    "mapReduce": "mapReduce", "mapreduce": "mapReduce",
}  # fmt: skip
