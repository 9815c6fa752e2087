"""Changes to commands of MongoDB and Redis that leave what they mean as it is, or take it into another.

A command of MongoDB is extended JSON here and its key order counts; one of Redis is a list of words.
"""

import copy
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

# Around an expression: it is still evaluated, or might be.
_EXPRESSIONS: Final = (
    '{"$cond":[true,X,null]}',
    '{"$ifNull":[X,1]}',
    '{"$let":{"vars":{"v":X},"in":"$$v"}}',
    '{"$let":{"vars":{},"in":X}}',
    '{"$map":{"input":[1],"as":"i","in":X}}',
    '{"$filter":{"input":[1],"cond":X}}',
    '{"$reduce":{"input":[1],"initialValue":X,"in":"$$value"}}',
    '{"$arrayElemAt":[[X],0]}',
    '{"$mergeObjects":[{"a":X}]}',
    '{"$getField":{"field":"a","input":{"a":X}}}',
    '{"$setField":{"field":"a","input":{},"value":X}}',
    '{"$switch":{"branches":[{"case":true,"then":X}],"default":0}}',
    '{"$convert":{"input":1,"to":"string","onError":X}}',
    '{"$sortArray":{"input":[X],"sortBy":1}}',
    '{"$zip":{"inputs":[[X]]}}',
    '{"$concatArrays":[[X],[1]]}',
    '{"a":{"b":[X]}}',
    "[X]",
)  # fmt: skip
# Around a condition; ``X`` is the condition.
_CONDITIONS: Final = (
    '{"$and":[X]}',
    '{"$or":[{"a":1},X]}',
    '{"$nor":[X]}',
    '{"$and":[{"$or":[{"$and":[X]}]}]}',
)
# Around a pipeline; ``X`` is the pipeline.
_PIPELINES: Final = (
    '[{"$facet":{"x":X}}]',
    '[{"$match":{}},{"$facet":{"a":[],"x":X}}]',
    '[{"$lookup":{"from":"orders","pipeline":X,"as":"x"}}]',
    '[{"$lookup":{"from":"customers","localField":"a","foreignField":"b","let":{"v":"$a"},"pipeline":X,"as":"x"}}]',
    '[{"$unionWith":{"coll":"customers","pipeline":X}}]',
    '[{"$limit":1},{"$unionWith":{"pipeline":X,"coll":"orders"}}]',
    '[{"$lookup":{"from":"orders","as":"x","pipeline":[{"$unionWith":{"coll":"orders","pipeline":X}}]}}]',
    '[{"$facet":{"a":[{"$lookup":{"from":"orders","pipeline":X,"as":"x"}}]}}]',
    '[{"$unionWith":{"coll":"orders","pipeline":[{"$facet":{"q":X}}]}}]',
)  # fmt: skip
# Stages that may stand inside any other; those who may not are refused there by the server too.
ANYWHERE: Final = frozenset(
    {
        "$match", "$project", "$addFields", "$set", "$unset", "$group", "$sort", "$limit", "$skip", "$unwind",
        "$count", "$sample", "$sortByCount", "$bucket", "$bucketAuto", "$replaceRoot", "$replaceWith",
        "$redact", "$lookup", "$unionWith", "$graphLookup", "$setWindowFields", "$fill",
    }
)  # fmt: skip
_CODE: Final = ("$function", "$accumulator", "$_internalJsEmit")
_FURTHER: Final[Mapping[str, Any]] = {
    "lsid": {"id": {"$binary": {"base64": "AAECAwQFBgcICQoLDA0ODw==", "subType": "04"}}},
    "$clusterTime": {
        "clusterTime": {"$timestamp": {"t": 1, "i": 1}},
        "signature": {
            "hash": {"$binary": {"base64": "AAAA", "subType": "00"}},
            "keyId": {"$numberLong": "7"},
        },
    },
    "$readPreference": {"mode": "secondaryPreferred"},
    "readConcern": {"level": "local"},
    "comment": "from a report",
    "maxTimeMS": 1000,
    "apiVersion": "1",
}


def same(command: dict[str, Any], rng: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same command otherwise written, by what was done."""
    (name, value), *others = command.items()
    rng.shuffle(others)
    yield "the order of keys", {name: value, **dict(others)}
    for kind in ("$numberLong", "$numberInt", "$numberDouble"):
        yield f"numbers as {kind}", {key: _numbers(inner, kind) for key, inner in command.items()}
    further = {key: inner for key, inner in _FURTHER.items() if key not in command}
    if name in {"find", "aggregate", "count", "distinct"}:
        yield "more fields", {**command, **further}


def _numbers(value: Any, kind: str) -> Any:
    """Every whole number as one of a *kind*; what is extended JSON already stays."""
    if isinstance(value, bool) or (isinstance(value, dict) and any(key in _TYPES for key in value)):
        return value
    if isinstance(value, int):
        return {kind: str(value)}
    if isinstance(value, list):
        return [_numbers(inner, kind) for inner in value]
    if isinstance(value, dict):
        return {key: _numbers(inner, kind) for key, inner in value.items()}
    return value


_TYPES: Final = frozenset(
    {
        "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$oid", "$date", "$binary",
        "$timestamp", "$code", "$regularExpression",
    }
)  # fmt: skip


def around(command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Commands that have what *command* has inside, and what it reads."""
    if isinstance(command.get("pipeline"), list) and isinstance(command.get("aggregate"), str):
        for form in _PIPELINES:
            yield {**command, "pipeline": _filled(form, command["pipeline"])}
        yield {**command, "pipeline": [{"$match": {"a": 1}}, *command["pipeline"]]}
    if isinstance(command.get("filter"), dict) and isinstance(command.get("find"), str):
        yield from _conditions(command["find"], command["filter"], command["$db"])
    yield from _expressions(command)
    yield {"explain": {key: value for key, value in command.items() if key != "$db"}, "$db": command["$db"]}


def _conditions(collection: str, condition: dict[str, Any], database: str) -> Iterator[dict[str, Any]]:
    """Commands that choose by *condition*."""
    for form in _CONDITIONS:
        yield {"find": collection, "filter": _filled(form, condition), "$db": database}
    yield {"count": collection, "query": condition, "$db": database}
    yield {"distinct": collection, "key": "a", "query": condition, "$db": database}
    stage = {"$match": condition}
    yield {"aggregate": collection, "pipeline": [stage], "cursor": {}, "$db": database}
    yield {
        "aggregate": "orders",
        "pipeline": [{"$unionWith": {"coll": collection, "pipeline": [stage]}}],
        "cursor": {},
        "$db": database,
    }


def _expressions(command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """*command* with each piece of JavaScript inside another expression."""
    for place in _places(command):
        for form in _EXPRESSIONS:
            changed = copy.deepcopy(command)
            holder: Any = changed
            for step in place[:-1]:
                holder = holder[step]
            holder[place[-1]] = _filled(form, holder[place[-1]])
            yield changed


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict) and path and any(key in value for key in _CODE):
        yield path
    inner: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, one in inner:
        yield from _places(one, (*path, key))


def _filled(form: str, value: Any) -> Any:
    return json.loads(form.replace("X", json.dumps(value)))


def frames(words: list[bytes], rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """One command of Redis on the wire, by how it is said; those who are innocent stand around some."""
    alone = array(words)
    innocent = array([b"GET", b"app:x"])
    yield "in other letters", array([_letters(words[0], rng), *words[1:]])
    yield "behind another", innocent + alone
    yield "before another", alone + innocent
    yield "behind RESP3", array([b"HELLO", b"3"]) + alone
    yield "behind blank lines", b"\r\n" + alone
    yield "behind an inline one", b"PING\r\n" + alone
    if all(word and b"\0" not in word for word in words):
        yield "inline", b" ".join(map(_plain_or_quoted, words)) + b"\r\n"
        yield "inline in quotes", b"  ".join(_quoted(word, rng) for word in words) + b"\n"


def array(words: Sequence[bytes]) -> bytes:
    """A command as clients send it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _letters(word: bytes, rng: random.Random) -> bytes:
    return "".join(rng.choice((letter.upper(), letter.lower())) for letter in word.decode("latin-1")).encode(
        "latin-1"
    )


def _plain_or_quoted(word: bytes) -> bytes:
    is_plain = all(0x21 <= letter < 0x7F and letter not in b"\"'\\" for letter in word)
    return word if is_plain else _quoted(word, random.Random(0))


def _quoted(word: bytes, rng: random.Random) -> bytes:
    letters = (
        b"\\x%02x" % letter
        if not 0x20 <= letter < 0x7F or letter in b'"\\' or rng.random() < 0.3
        else bytes((letter,))
        for letter in word
    )
    return b'"' + b"".join(letters) + b'"'
