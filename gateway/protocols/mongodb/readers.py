"""The commands whose fields hold namespaces, conditions or code, each read in full.

https://www.mongodb.com/docs/manual/reference/command/. A field that is not known to a reader makes the
command unclear: a newer server may take something from it that nobody looked for.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from bson.code import Code
from bson.int64 import Int64

from gateway.model.classification import Named
from gateway.protocols.mongodb import stages
from gateway.protocols.mongodb.effects import Effects
from gateway.protocols.mongodb.fields import (
    DoubtError,
    Fields,
    documents,
    expression,
    order,
    projection,
    query,
    update,
)

GENERIC: Final = frozenset(
    {
        "$db", "$readPreference", "$clusterTime", "$queryOptions", "lsid", "txnNumber", "autocommit",
        "startTransaction", "stmtId", "stmtIds", "apiVersion", "apiStrict", "apiDeprecationErrors",
        "maxTimeMS", "readConcern", "writeConcern", "comment", "recoveryToken",
    }
)  # fmt: skip
"""Fields of every command that name nothing and run nothing."""

Command: TypeAlias = Mapping[str, Any]
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


def _value(command: Command) -> Any:
    return command[next(iter(command))]


def _let(command: Command, fields: Fields) -> None:
    for value in command.get("let", {}).values() if isinstance(command.get("let"), dict) else ():
        expression(value, fields)


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
    _let(command, fields)
    shown = command.get("projection")
    if not shown or not projection(shown, fields):
        fields.whole = True
    if command.get("returnKey"):
        fields.whole = True
    effects.code(fields)
    effects.of_collection(
        "select", _value(command), fields, has_where=has_where, limit=_number(command.get("limit"))
    )


def _aggregate(command: Command, effects: Effects) -> None:
    name = _value(command)
    if isinstance(name, int | float) and not isinstance(name, bool) and name == 1:
        name = None
    elif not isinstance(name, str):
        raise DoubtError("no_collection_name")
    pipe = stages.Pipeline(effects, name)
    _let(command, pipe.fields)
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
    effects.of_collection("select", _value(command), fields, has_where=bool(fields.paths) or fields.whole)


def _distinct(command: Command, effects: Effects) -> None:
    fields = Fields()
    query(command.get("query") or {}, fields)
    has_where = bool(fields.paths) or fields.whole
    key = command.get("key")
    if not isinstance(key, str):
        raise DoubtError("no_field_name")
    fields.add(key)
    effects.code(fields)
    effects.of_collection("select", _value(command), fields, has_where=has_where)


def _insert(command: Command, effects: Effects) -> None:
    effects.of_collection("insert", _value(command), Fields(whole=True))


def _update(command: Command, effects: Effects) -> None:
    _let_in(command, effects)
    for change in documents(command.get("updates", [])):
        _only(change, {"q", "u", "c", "upsert", "multi", "collation", "arrayFilters", "hint", "sort"})
        _changed(effects, _value(command), change, change.get("q", {}), change.get("u"))


def _changed(effects: Effects, name: Any, change: Command, condition: Any, changes: Any) -> None:
    """One change of the documents that a condition chooses."""
    read_fields, written = Fields(), Fields()
    query(condition, read_fields)
    has_where = bool(read_fields.paths) or read_fields.whole
    if isinstance(changes, list):
        stages.change(effects, changes, read_fields)
        written = read_fields
    else:
        update(changes, written, read_fields)
    for value in change["c"].values() if isinstance(change.get("c"), dict) else ():
        expression(value, read_fields)
    for condition_of_element in documents(change.get("arrayFilters", [])):
        inner = Fields()
        query(condition_of_element, inner)
        read_fields.code |= inner.code
        read_fields.whole = True  # it names elements, and not where they are
    if isinstance(change.get("sort"), dict):
        order(change["sort"], read_fields)
    effects.code(read_fields)
    effects.of_collection("update", name, written, has_where=has_where)
    if change.get("upsert"):
        effects.of_collection("insert", name, Fields(whole=True))
    if has_where or read_fields.paths or read_fields.whole:
        effects.of_collection("select", name, read_fields, has_where=has_where)


def _delete(command: Command, effects: Effects) -> None:
    _let_in(command, effects)
    for each in documents(command.get("deletes", [])):
        _only(each, {"q", "limit", "collation", "hint"})
        _deleted(effects, _value(command), each.get("q", {}))


def _deleted(effects: Effects, name: Any, condition: Any) -> None:
    fields = Fields()
    query(condition, fields)
    has_where = bool(fields.paths) or fields.whole
    effects.code(fields)
    effects.of_collection("delete", name, has_where=has_where)
    if has_where:
        effects.of_collection("select", name, fields, has_where=True)


def _let_in(command: Command, effects: Effects) -> None:
    fields = Fields()
    _let(command, fields)
    effects.code(fields)


def _find_and_modify(command: Command, effects: Effects) -> None:
    name, condition = _value(command), command.get("query") or {}
    if command.get("remove"):
        if command.get("update") is not None:  # which of the two it is, the server's truth says
            raise DoubtError("unknown_operation")
        _deleted(effects, name, condition)
    else:
        change = {key: command[key] for key in ("arrayFilters", "upsert", "sort") if command.get(key)}
        _changed(effects, name, change, condition, command.get("update"))
    fields = Fields()
    query(condition, fields)
    if isinstance(command.get("sort"), dict):
        order(command["sort"], fields)
    shown = command.get("fields")
    if not shown or not projection(shown, fields):
        fields.whole = True
    _let(command, fields)
    effects.code(fields)
    effects.of_collection("select", name, fields, has_where=bool(condition))


def _map_reduce(command: Command, effects: Effects) -> None:
    effects.functions["mapReduce"] = Named("mapReduce")
    fields = Fields(whole=True)
    query(command.get("query") or {}, fields)
    effects.code(fields)
    effects.of_collection("select", _value(command), fields, has_where=bool(command.get("query")))
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


def _bulk_write(command: Command, effects: Effects) -> None:
    """Changes of many collections: each names one of ``nsInfo`` by its number."""
    _let_in(command, effects)
    names = [info.get("ns") for info in documents(command.get("nsInfo", []))]
    for info in documents(command.get("nsInfo", [])):
        _only(info, {"ns", "collectionUUID", "encryptionInformation"})
    for each in documents(command.get("ops", [])):
        kind = next(iter(each), "")
        number = each.get(kind)
        if (
            kind not in {"insert", "update", "delete"}
            or not isinstance(number, int)
            or isinstance(number, bool)
        ):
            raise DoubtError("unknown_operation")
        if not 0 <= number < len(names):
            raise DoubtError("no_namespace")
        _bulk_operation(effects, kind, names[number], each)


def _bulk_operation(effects: Effects, kind: str, namespace: Any, each: Command) -> None:
    if type(namespace) is not str or "." not in namespace:
        raise DoubtError("no_namespace")
    database, _, name = namespace.partition(".")
    effects.place(database)
    inner = Effects(database, effects.opened, effects.found, effects.functions)
    if kind == "insert":
        _only(each, {"insert", "document"})
        inner.of_collection("insert", name, Fields(whole=True))
    elif kind == "delete":
        _only(each, {"delete", "filter", "multi", "hint", "collation"})
        _deleted(inner, name, each.get("filter", {}))
    else:
        _only(each, {"update", "filter", "updateMods", "multi", "upsert", "hint", "collation", "arrayFilters",
                     "constants", "sort"})  # fmt: skip
        changes = {"c": each.get("constants"), **each}
        _changed(inner, name, changes, each.get("filter", {}), each.get("updateMods"))


def _explain(command: Command, effects: Effects) -> None:
    inner = _value(command)
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


def _create(command: Command, effects: Effects) -> None:
    effects.of_collection("create", _value(command))
    if "viewOn" in command:
        stages.read(stages.Pipeline(effects, _text(command["viewOn"])), command.get("pipeline", []))
    elif "pipeline" in command:
        raise DoubtError("unknown_field")
    _validator(command, effects)


def _coll_mod(command: Command, effects: Effects) -> None:
    effects.of_collection("alter", _value(command))
    index = command.get("index")
    if _LOSES & set(command) or (isinstance(index, dict) and _LOSES & set(index)):
        effects.of_collection("delete", _value(command))
    if "viewOn" in command or "pipeline" in command:
        source = command.get("viewOn")
        stages.read(stages.Pipeline(effects, _text(source)), command.get("pipeline", []))
    _validator(command, effects)


def _validator(command: Command, effects: Effects) -> None:
    fields = Fields()
    query(command.get("validator") or {}, fields)
    effects.code(fields)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise DoubtError("no_collection_name")
    return value


def _rename(command: Command, effects: Effects) -> None:
    effects.of_namespace("alter", _value(command), Fields(whole=True))
    effects.of_namespace("create", command.get("to"))
    if command.get("dropTarget"):
        effects.of_namespace("drop", command.get("to"))


def _list_databases(command: Command, effects: Effects) -> None:
    _filter(command, effects)
    effects.of_thing("show", "server", "databases")


def _list_collections(command: Command, effects: Effects) -> None:
    _filter(command, effects)
    effects.of_database("show")


def _filter(command: Command, effects: Effects) -> None:
    fields = Fields()
    query(command.get("filter") or {}, fields)
    effects.code(fields)


def _create_indexes(command: Command, effects: Effects) -> None:
    fields = Fields()
    for index in documents(command.get("indexes", [])):
        for key in index.get("key", {}):
            fields.add(key)
        query(index.get("partialFilterExpression") or {}, fields)
        if "expireAfterSeconds" in index:
            effects.of_collection("delete", _value(command))
    effects.code(fields)
    effects.of_collection("alter", _value(command), fields)


def _drop_indexes(command: Command, effects: Effects) -> None:
    effects.of_collection("alter", _value(command))


def _kill_cursors(command: Command, effects: Effects) -> None:
    """Whose they are was looked up by the conversation; letting go of one's own needs no right."""
    effects.of_collection("close", _value(command))


def _geo_search(command: Command, effects: Effects) -> None:
    effects.of_collection("select", _value(command), Fields(whole=True), has_where=True)


def _geo_near(command: Command, effects: Effects) -> None:
    fields = Fields(whole=True)
    query(command.get("query") or {}, fields)
    effects.code(fields)
    effects.of_collection("select", _value(command), fields, has_where=True)


def _clone_as_capped(command: Command, effects: Effects) -> None:
    effects.of_collection("select", _value(command), Fields(whole=True))
    for operation in ("create", "insert"):
        effects.of_collection(operation, command.get("toCollection"))


def _to_capped(command: Command, effects: Effects) -> None:
    for operation in ("alter", "delete"):  # documents beyond the size are lost
        effects.of_collection(operation, _value(command))


def _group_command(command: Command, effects: Effects) -> None:
    given = _value(command)
    effects.functions["group"] = Named("group")
    effects.of_collection("select", given.get("ns") if isinstance(given, dict) else None, Fields(whole=True))


def _only(given: Command, known: set[str]) -> None:
    if not set(given) <= known or any(isinstance(value, Code) for value in given.values()):
        raise DoubtError("unknown_field")


def cursor_of(command: Command) -> int:
    """The number of the cursor that a getMore asks; 0 where there is none."""
    number = _value(command)
    return int(number) if isinstance(number, int | Int64) and not isinstance(number, bool) else 0


_LOSES: Final = frozenset({"expireAfterSeconds", "cappedSize", "cappedMax"})
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
    "insert": (_insert, _SHAPE | {"documents", "maxTimeMS"}),
    "update": (_update, _SHAPE | {"updates"}),
    "delete": (_delete, _SHAPE | {"deletes"}),
    "findAndModify": (_find_and_modify, _SHAPE | {
        "query", "sort", "remove", "update", "new", "fields", "upsert", "arrayFilters"}),
    "mapReduce": (_map_reduce, frozenset(
        {"map", "reduce", "out", "query", "sort", "limit", "finalize", "scope", "jsMode", "verbose",
         "collation", "bypassDocumentValidation"})),
    "bulkWrite": (_bulk_write, _SHAPE | {"ops", "nsInfo", "errorsOnly", "cursor"}),
    "explain": (_explain, frozenset({"verbosity"})),
    "create": (_create, frozenset(
        {"capped", "timeseries", "expireAfterSeconds", "clusteredIndex", "changeStreamPreAndPostImages",
         "autoIndexId", "size", "max", "storageEngine", "validator", "validationLevel", "validationAction",
         "indexOptionDefaults", "viewOn", "pipeline", "collation", "encryptedFields", "idIndex"})),
    "collMod": (_coll_mod, frozenset(
        {"index", "validator", "validationLevel", "validationAction", "viewOn", "pipeline", "cappedSize",
         "cappedMax", "changeStreamPreAndPostImages", "expireAfterSeconds", "timeseries", "dryRun"})),
    "renameCollection": (_rename, frozenset({"to", "dropTarget"})),
    "listDatabases": (_list_databases, frozenset({"filter", "nameOnly", "authorizedDatabases"})),
    "listCollections": (_list_collections, frozenset(
        {"filter", "nameOnly", "authorizedCollections", "cursor"})),
    "createIndexes": (_create_indexes, frozenset({"indexes", "commitQuorum"})),
    "dropIndexes": (_drop_indexes, frozenset({"index"})),
    "killCursors": (_kill_cursors, frozenset({"cursors"})),
    "geoNear": (_geo_near, frozenset(
        {"near", "query", "limit", "num", "minDistance", "maxDistance", "spherical", "distanceMultiplier",
         "includeLocs", "uniqueDocs"})),
    "geoSearch": (_geo_search, frozenset({"search", "near", "maxDistance", "limit"})),
    "cloneCollectionAsCapped": (_clone_as_capped, frozenset({"toCollection", "size"})),
    "convertToCapped": (_to_capped, frozenset({"size"})),
    "group": (_group_command, frozenset()),
}  # fmt: skip
"""How each command of the rule ``own`` is read, and which fields of its own it may have."""
_EXPLAINED: Final = {
    **{name: name for name in ("find", "aggregate", "count", "distinct", "update", "delete")},
    "findAndModify": "findAndModify", "findandmodify": "findAndModify",
    "mapReduce": "mapReduce", "mapreduce": "mapReduce",
}  # fmt: skip
