"""Commands that change documents: what they write, and what they read for it."""

from typing import Any

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
)
from gateway.protocols.mongodb.fields import update as written_by
from gateway.protocols.mongodb.parts import Command, let, only, value


def insert(command: Command, effects: Effects) -> None:
    """Documents are data, whatever is in them."""
    effects.of_collection("insert", value(command), Fields(whole=True))


def update(command: Command, effects: Effects) -> None:
    """Each change, of the documents that its condition chooses."""
    _let_in(command, effects)
    for change in documents(command.get("updates", [])):
        only(change, {"q", "u", "c", "upsert", "multi", "collation", "arrayFilters", "hint", "sort"})
        _changed(effects, value(command), change, change.get("q", {}), change.get("u"))


def _changed(effects: Effects, name: Any, change: Command, condition: Any, changes: Any) -> None:
    """One change of the documents that a condition chooses."""
    read_fields, written = Fields(), Fields()
    query(condition, read_fields)
    has_where = bool(read_fields.paths) or read_fields.whole
    if isinstance(changes, list):
        stages.change(effects, changes, read_fields)
        written = read_fields
    else:
        written_by(changes, written, read_fields)
    for constant in change["c"].values() if isinstance(change.get("c"), dict) else ():
        expression(constant, read_fields)
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


def delete(command: Command, effects: Effects) -> None:
    """Each condition."""
    _let_in(command, effects)
    for each in documents(command.get("deletes", [])):
        only(each, {"q", "limit", "collation", "hint"})
        _deleted(effects, value(command), each.get("q", {}))


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
    let(command, fields)
    effects.code(fields)


def find_and_modify(command: Command, effects: Effects) -> None:
    """One document is changed or removed, and shown."""
    name, condition = value(command), command.get("query") or {}
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
    let(command, fields)
    effects.code(fields)
    effects.of_collection("select", name, fields, has_where=bool(condition))


def bulk_write(command: Command, effects: Effects) -> None:
    """Changes of many collections: each names one of ``nsInfo`` by its number."""
    _let_in(command, effects)
    names = [info.get("ns") for info in documents(command.get("nsInfo", []))]
    for info in documents(command.get("nsInfo", [])):
        only(info, {"ns", "collectionUUID", "encryptionInformation"})
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
        only(each, {"insert", "document"})
        inner.of_collection("insert", name, Fields(whole=True))
    elif kind == "delete":
        only(each, {"delete", "filter", "multi", "hint", "collation"})
        _deleted(inner, name, each.get("filter", {}))
    else:
        only(each, {"update", "filter", "updateMods", "multi", "upsert", "hint", "collation", "arrayFilters",
                     "constants", "sort"})  # fmt: skip
        changes = {"c": each.get("constants"), **each}
        _changed(inner, name, changes, each.get("filter", {}), each.get("updateMods"))
