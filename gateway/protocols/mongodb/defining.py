"""Commands about collections and indexes as such, and those that list them."""

from typing import Any, Final

from gateway.protocols.mongodb import stages
from gateway.protocols.mongodb.effects import Effects
from gateway.protocols.mongodb.fields import DoubtError, Fields, documents, query
from gateway.protocols.mongodb.parts import Command, validator, value
from gateway.protocols.mongodb.pipeline import Pipeline

_LOSES: Final = frozenset({"expireAfterSeconds", "cappedSize", "cappedMax"})


def create(command: Command, effects: Effects) -> None:
    """A collection, or a view with what it reads."""
    effects.of_collection("create", value(command))
    if "viewOn" in command:
        stages.read(Pipeline(effects, _text(command["viewOn"])), command.get("pipeline", []))
    elif "pipeline" in command:
        raise DoubtError("unknown_field")
    validator(command, effects)


def coll_mod(command: Command, effects: Effects) -> None:
    """Another shape; some lose documents."""
    effects.of_collection("alter", value(command))
    index = command.get("index")
    if _LOSES & set(command) or (isinstance(index, dict) and _LOSES & set(index)):
        effects.of_collection("delete", value(command))
    if "viewOn" in command or "pipeline" in command:
        source = command.get("viewOn")
        stages.read(Pipeline(effects, _text(source)), command.get("pipeline", []))
    validator(command, effects)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise DoubtError("no_collection_name")
    return value


def rename(command: Command, effects: Effects) -> None:
    """The old name and the new one, and what was there."""
    effects.of_namespace("alter", value(command), Fields(whole=True))
    effects.of_namespace("create", command.get("to"))
    if command.get("dropTarget"):
        effects.of_namespace("drop", command.get("to"))


def list_databases(command: Command, effects: Effects) -> None:
    """All databases of the server."""
    _filter(command, effects)
    effects.of_thing("show", "server", "databases")


def list_collections(command: Command, effects: Effects) -> None:
    """All collections of the database."""
    _filter(command, effects)
    effects.of_database("show")


def _filter(command: Command, effects: Effects) -> None:
    fields = Fields()
    query(command.get("filter") or {}, fields)
    effects.code(fields)


def create_indexes(command: Command, effects: Effects) -> None:
    """Fields, conditions, and documents that expire."""
    fields = Fields()
    for index in documents(command.get("indexes", [])):
        for key in index.get("key", {}):
            fields.add(key)
        query(index.get("partialFilterExpression") or {}, fields)
        if "expireAfterSeconds" in index:
            effects.of_collection("delete", value(command))
    effects.code(fields)
    effects.of_collection("alter", value(command), fields)


def drop_indexes(command: Command, effects: Effects) -> None:
    """Indexes of a collection."""
    effects.of_collection("alter", value(command))


def clone_as_capped(command: Command, effects: Effects) -> None:
    """A copy."""
    effects.of_collection("select", value(command), Fields(whole=True))
    for operation in ("create", "insert"):
        effects.of_collection(operation, command.get("toCollection"))


def to_capped(command: Command, effects: Effects) -> None:
    """A bound; documents beyond it are lost."""
    for operation in ("alter", "delete"):  # documents beyond the size are lost
        effects.of_collection(operation, value(command))
