"""Which arguments of a command are keys, and what it does to each.

https://redis.io/docs/latest/develop/reference/key-specs/. Where a specification says that keys cannot be
told from the arguments, the two commands that have such (SORT, MIGRATE) are read here; keys that depend on
data, as SORT's patterns, cannot be known at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.protocols.redis.table import Command


class UnclearError(Exception):
    """Not all keys can be told; the message is a stable code."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key and the operations on it, in the words of ``classify.operations``."""

    name: bytes
    operations: tuple[str, ...]


_READ: Final = ("select",)
_WRITE: Final = ("update",)
_SORTS: Final = frozenset({"sort", "sort_ro"})


def first(command: Command, arguments: Sequence[bytes]) -> bytes | None:
    """The first key as the server finds it, or None; what is unclear behind it does not matter."""
    try:
        if command.name in _SORTS:
            return arguments[1] if len(arguments) > 1 else None
        places = (
            at for spec in command.keys if "not_key" not in spec["flags"] for at in _places(spec, arguments)
        )
        at = next(places, None)
    except UnclearError:
        return None
    return None if at is None else arguments[at]


def keys(command: Command, arguments: Sequence[bytes]) -> list[Key]:
    """Every key that *command* touches; UnclearError where that cannot be told."""
    if command.name in _SORTS:
        return list(_sort(arguments))
    if command.name == "migrate":
        raise UnclearError("key_not_known")
    specs = [spec for spec in command.keys if "not_key" not in spec["flags"]]
    # XREADGROUP changes the groups of what it reads, and its keys are said to be read alone.
    hidden = _WRITE if "write" in command.categories and all("RO" in spec["flags"] for spec in specs) else ()
    return [
        Key(arguments[at], (*_operations(spec["flags"]), *hidden))
        for spec in specs
        for at in _places(spec, arguments)
    ]


def _operations(flags: Sequence[str]) -> tuple[str, ...]:
    if "RO" in flags:
        return _READ
    found = ["select"] if "access" in flags else []
    if "RM" in flags or "delete" in flags:
        found.append("delete")
    elif "insert" in flags:
        found.append("insert")
    else:
        found.append("update")
    return tuple(found)


def _places(spec: Mapping[str, Any], arguments: Sequence[bytes]) -> Iterator[int]:
    begin, find = spec["begin"], spec["find"]
    first = _first(begin, arguments)
    if first is None:
        return
    match find["type"]:
        case "range":
            yield from _range(find, first, arguments)
        case "keynum":
            at = first + find["keynumidx"]
            if at >= len(arguments) or not arguments[at].isdigit() or len(arguments[at]) > 9:
                raise UnclearError("key_count_not_clear")
            start, count = first + find["firstkey"], int(arguments[at])
            if start + (count - 1) * find["keystep"] >= len(arguments):
                raise UnclearError("key_count_not_clear")
            yield from range(start, start + count * find["keystep"], find["keystep"])
        case _:
            raise UnclearError("key_not_known")


def _first(begin: Mapping[str, Any], arguments: Sequence[bytes]) -> int | None:
    match begin["type"]:
        case "index":
            at: int = begin["index"]
            if at >= len(arguments):
                raise UnclearError("key_missing")
            return at
        case "keyword":
            word, start = begin["keyword"].upper().encode(), begin["startfrom"]
            places = range(start, len(arguments)) if start >= 0 else range(len(arguments) + start, 0, -1)
            found = [at + 1 for at in places if arguments[at].upper() == word]
            if len(found) > 1:
                raise UnclearError(
                    "keyword_twice"
                )  # the server takes the last of GEORADIUS … STORE a STORE b
            return found[0] if found else None
        case _:
            raise UnclearError("key_not_known")


def _range(find: Mapping[str, Any], first: int, arguments: Sequence[bytes]) -> Iterator[int]:
    last, limit = find["lastkey"], find["limit"]
    if last >= 0:
        stop = first + last
    elif last == -1 and limit > 1:
        if (len(arguments) - first) % limit:
            raise UnclearError("key_count_not_clear")
        stop = first + (len(arguments) - first) // limit - 1
    else:
        stop = len(arguments) + last
    if stop >= len(arguments):
        raise UnclearError("key_missing")
    yield from range(first, stop + 1, find["keystep"])


def _sort(arguments: Sequence[bytes]) -> Iterator[Key]:
    """SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC|DESC] [ALPHA] [STORE destination]."""
    yield Key(arguments[1], _READ)
    words = iter(arguments[2:])
    for word in words:
        match word.upper():
            case b"BY" | b"GET":
                pattern = next(words, b"*")
                if b"*" in pattern or (word.upper() == b"GET" and pattern != b"#"):
                    raise UnclearError("key_pattern")  # which keys it reads depends on what is in the list
            case b"LIMIT":
                next(words, None)
                next(words, None)
            case b"STORE":
                if (name := next(words, None)) is None:
                    raise UnclearError("key_missing")
                yield Key(name, _WRITE)
            case b"ASC" | b"DESC" | b"ALPHA":
                pass
            case _:
                raise UnclearError("argument_not_known")
