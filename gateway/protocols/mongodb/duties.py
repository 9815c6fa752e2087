"""What may be asked where fields are masked, and how long a command may run.

A masked field may only be shown, at its place. Whoever compares, orders, groups or computes with it would
learn it by asking often enough; whoever moves it to another name would see it. Such commands are refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.model.obligation import Mask
from gateway.protocols.mongodb import documents as bson
from gateway.protocols.mongodb import messages, stages, table, taking
from gateway.protocols.mongodb.documents import UnreadableError
from gateway.protocols.mongodb.effects import Effects
from gateway.protocols.mongodb.fields import (
    DoubtError,
    Fields,
    document,
    documents,
    order,
    projection,
    query,
    slices_in_place,
    update,
)
from gateway.protocols.mongodb.messages import Message
from gateway.protocols.mongodb.pipeline import Pipeline
from gateway.sansio.exchange import Facts

_UNTIMED: Final = frozenset({"getMore", "killCursors", "commitTransaction", "abortTransaction"})
_STAGES: Final = frozenset(
    {
        "$match", "$sort", "$limit", "$skip", "$count", "$sample", "$project", "$unset", "$group",
        "$addFields", "$set",         "$unwind", "$sortByCount", "$bucket", "$bucketAuto",
    }
)  # fmt: skip


_INNER: Final = frozenset({"local", "config"})  # the server's log of changes, images of documents
_TELLING: Final = frozenset(
    {"currentOp", "aggregate", "getLog", "filemd5"}
)  # others' commands with their values; ``aggregate`` stands for stages about the server


def relevant(facts: Facts, masks: Iterable[Mask]) -> tuple[Mask, ...]:
    """The masks on collections that the command reads or changes."""
    things = {effect.object for item in facts for effect in item.effects if effect.object is not None}
    places = {(thing.schema, thing.name) for thing in things}
    return tuple(mask for mask in masks if (mask.schema, mask.table) in places)


def beside(facts: Facts, masks: Iterable[Mask]) -> str:
    """Why a command that reads more than collections cannot be answered; empty when it can.

    A stream of a whole database shows every collection, a server's own collections (buckets of a time series,
    profiles of queries) hold what was in others, under other names.
    """
    databases = {mask.schema for mask in masks}
    for thing in [effect.object for item in facts for effect in item.effects if effect.object is not None]:
        is_stream = thing.kind == "command" and thing.name == "changeStream"
        if databases and thing.schema in _INNER - databases:
            return f"{thing.schema}.{thing.name} may show what is concealed here"
        if databases and thing.kind == "command" and thing.name in _TELLING:
            return f"{thing.name} may show what is concealed here"
        if databases and (is_stream or (thing.kind == "system" and thing.schema in databases)):
            return f"{thing.name} may show what is concealed here"
        if thing.kind == "database" and thing.name in databases and _reads_all(facts):
            return f"database {thing.name} as a whole cannot be read where something in it is concealed"
    return ""


def _reads_all(facts: Facts) -> bool:
    return any(
        effect.operation == "select" and effect.object is not None and effect.object.kind == "database"
        for item in facts
        for effect in item.effects
    )


def refused(arguments: Sequence[bytes], masks: Sequence[Mask]) -> str:
    """Why a command cannot be answered with *masks* in force; empty when it can."""
    if not masks:
        return ""
    try:
        command = taking.take(arguments)
        fields = _looked_at(command.name, command.fields)
    except (UnreadableError, DoubtError):
        return "it was not understood, and something that it reads is concealed"
    if fields is None:
        return f"{command.name} cannot be answered where something is concealed"
    _hinted(command.fields, fields)
    for mask in masks:
        if fields.touches(mask.column):
            return (
                f"{mask.column} of {mask.schema}.{mask.table} is concealed: it can be shown, and nothing else"
            )
    return ""


def _looked_at(  # noqa: C901 # one case for each command reads better than a table of functions
    name: str, command: Mapping[str, Any]
) -> Fields | None:
    """The fields that a command does more with than show them; None when nobody can tell."""
    known = table.commands().get(name)
    if known is None:
        return None
    found = Fields()
    match known.reader:
        case "insert" | "killCursors":
            pass
        case "find":
            _found(command, "filter", "projection", found)
        case "count" | "distinct":
            query(command.get("query") or {}, found)
            if isinstance(command.get("key"), str):
                found.add(command["key"])
        case "findAndModify":
            _found(command, "query", "fields", found)
            _changes(command.get("update"), found)
            found.whole = found.whole or bool(command.get("arrayFilters"))
        case "update":
            for each in documents(command.get("updates", [])):
                query(each.get("q", {}), found)
                order(each.get("sort") or {}, found)
                _changes(each.get("u"), found)
                found.whole = found.whole or bool(each.get("arrayFilters")) or bool(command.get("let"))
                _hinted(each, found)
        case "delete":
            for each in documents(command.get("deletes", [])):
                query(each.get("q", {}), found)
                found.whole = found.whole or bool(command.get("let"))
                _hinted(each, found)
        case "aggregate":
            return _pipeline(command, found)
        case _:
            return found if known.on == "collection" and known.operation != "administer" else None
    return found


def _hinted(command: Mapping[str, Any], found: Fields) -> None:
    """Documents come in the order of the index that is to be used; its name does not say which fields."""
    hint = command.get("hint")
    if isinstance(hint, dict):
        order(dict.fromkeys((key for key in hint if key != "$natural"), 1), found)
    elif hint is not None and hint != "_id_":
        found.whole = True


def _found(command: Mapping[str, Any], condition: str, shown: str, found: Fields) -> None:
    query(command.get(condition) or {}, found)
    for name in ("sort", "min", "max"):
        if isinstance(command.get(name), dict):
            order(command[name], found)
    found.whole = found.whole or bool(command.get("returnKey")) or bool(command.get("let"))
    _projected(command.get(shown) or {}, found)


def _projected(value: Mapping[str, Any], found: Fields) -> None:
    """What a projection computes; what it only lets through stays at its place."""
    computed = {
        key: inner for key, inner in document(value).items() if not isinstance(inner, bool | int | float)
    }
    for key, inner in computed.items():
        if isinstance(inner, dict) and set(inner) == {"$slice"} and slices_in_place(inner["$slice"]):
            continue
        if isinstance(inner, dict) and not any(name.startswith("$") for name in inner):
            _projected({f"{key}.{name}": below for name, below in inner.items()}, found)
        else:
            projection({key: inner, "_id": 0}, found)


def _changes(value: Any, found: Fields) -> None:
    if value is None:
        return
    if isinstance(value, list):
        stages.change(Effects("", ""), value, found)
    else:
        written = Fields()
        update(value, written, found)
        found.paths |= written.paths  # how many documents changed would tell what was there


def _pipeline(command: Mapping[str, Any], found: Fields) -> Fields | None:
    for stage in documents(command.get("pipeline", [])):
        if len(stage) != 1:
            return None
        ((name, value),) = stage.items()
        if name not in _STAGES or command.get("explain"):
            return None
        if name == "$project":
            _projected(value, found)
        else:
            stages.STAGES[name](Pipeline(Effects("", ""), None, found), value)
    found.whole = found.whole or bool(command.get("let"))
    return found


def timed(message: Message, name: str, limit_ms: int | None) -> bytes:
    """The message with ``maxTimeMS``, by which the server ends it: the client's or the policy's."""
    if limit_ms is None or name in _UNTIMED:
        return message.plain()
    body, parts = message.body, []
    for field, kind, start, value, end in bson.elements(body):
        if field != "maxTimeMS":
            parts.append(body[start:end])
        elif kind in {bson.INT32, bson.INT64}:
            asked = int.from_bytes(body[value:end], "little", signed=True)
            limit_ms = min(limit_ms, asked) if asked > 0 else limit_ms
    parts.append(bson.encode({"maxTimeMS": limit_ms})[4:-1])
    return messages.with_body(message.head, bson.joined(parts), message.sequences)
