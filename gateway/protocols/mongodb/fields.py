"""Which fields a query, an expression, a projection or an update looks at. It never guesses.

What is only compared with is data, whatever it looks like: the text ``$out`` in a condition is a text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson.code import Code
from bson.dbref import DBRef
from bson.decimal128 import Decimal128

from gateway.protocols.mongodb import operators


class DoubtError(Exception):
    """Part of a command is not understood; the message is a stable code."""


@dataclass(slots=True)
class Fields:
    """Dotted paths without the numbers of list elements; ``whole`` says that all may be looked at."""

    paths: set[str] = field(default_factory=set)
    whole: bool = False
    code: set[str] = field(default_factory=set)

    def add(self, path: str) -> None:
        """*path* is looked at."""
        if not path or "\0" in path:
            raise DoubtError("strange_name")
        plain = normal(path)
        if plain:
            self.paths.add(plain)
        else:
            self.whole = True

    def touches(self, path: str) -> bool:
        """True when something in *path*, or something that it is in, is looked at."""
        plain = normal(path)
        return self.whole or any(not plain or overlap(plain, mine) for mine in self.paths)

    @property
    def columns(self) -> tuple[str, ...]:
        """The top-level fields, for policies that name columns."""
        found = sorted({path.partition(".")[0] for path in self.paths})
        return (*found, "*") if self.whole else tuple(found)


def normal(path: str) -> str:
    """A path as masks write it: without the numbers and marks that choose elements of lists."""
    return ".".join(part for part in path.split(".") if not _chooses(part))


def _chooses(part: str) -> bool:
    return part.startswith("$") or (part.isascii() and part.isdigit())


def overlap(left: str, right: str) -> bool:
    """True when one path is the other, or leads to it."""
    return left == right or left.startswith(right + ".") or right.startswith(left + ".")


def document(value: Any) -> Mapping[str, Any]:
    """*value*, which must be a document."""
    if not isinstance(value, dict):
        raise DoubtError("not_a_document")
    return value


def documents(value: Any) -> Sequence[Mapping[str, Any]]:
    """*value*, which must be a list of documents."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise DoubtError("not_a_list")
    return value


def query(condition: Any, found: Fields, prefix: str = "") -> None:
    """A condition as ``find`` takes it."""
    for key, value in document(condition).items():
        if not key.startswith("$"):
            _of_field(prefix + key, value, found)
        elif key in operators.LOGIC:
            for part in documents(value):
                query(part, found, prefix)
        elif key == "$expr":
            expression(value, found)
        elif key in operators.CODE:
            found.code.add(key)
            found.whole = True
        elif key in {"$text", "$jsonSchema"}:
            found.whole = True
        elif key not in {"$comment", "$alwaysTrue", "$alwaysFalse", "$sampleRate"}:
            raise DoubtError("unknown_operator")


def _of_field(path: str, value: Any, found: Fields) -> None:
    found.add(path)
    if isinstance(value, Code):
        found.code.add("$where")
    if not isinstance(value, dict) or not any(key.startswith("$") for key in value):
        return
    for key, inner in value.items():
        if key == "$not":
            _of_field(path, inner, found)
        elif key == "$elemMatch":
            _of_element(path, document(inner), found)
        elif key == "$all":
            for item in inner if isinstance(inner, list) else ():
                if isinstance(item, dict) and "$elemMatch" in item:
                    _of_field(path, item, found)
        elif key not in operators.COMPARISONS:
            raise DoubtError("unknown_operator")


def _of_element(path: str, condition: Mapping[str, Any], found: Fields) -> None:
    """Of elements that are documents a query, of others comparisons."""
    for key, value in condition.items():
        is_comparison = key.startswith("$") and key not in operators.LOGIC | operators.CODE | {"$expr"}
        if is_comparison:
            _of_field(path, {key: value}, found)
        else:
            query({key: value}, found, path + ".")


def expression(value: Any, found: Fields) -> None:
    """An expression of the aggregation language."""
    if isinstance(
        value, Code | DBRef
    ):  # code is a text to Python; a reference's other fields would go unseen
        raise DoubtError("unknown_operator")
    if isinstance(value, str):
        _reference(value, found)
    elif isinstance(value, list):
        for item in value:
            expression(item, found)
    elif isinstance(value, dict):
        named = [key for key in value if key.startswith("$")]
        if not named:
            for inner in value.values():
                expression(inner, found)
        elif len(value) == 1:
            _operator(named[0], value[named[0]], found)
        else:
            raise DoubtError("unknown_operator")


def _reference(text: str, found: Fields) -> None:
    if text.startswith("$$"):
        name, _, path = text[2:].partition(".")
        if name in operators.ROOTS:
            if path:
                found.add(path)
            else:
                found.whole = True
        # What another variable holds was looked at where it was given.
    elif text.startswith("$") and len(text) > 1:
        found.add(text[1:])


def _operator(name: str, value: Any, found: Fields) -> None:
    if name in {"$literal", "$const"}:  # the same by two names
        return
    if name == "$meta" and isinstance(value, str):
        found.whole = found.whole or value not in operators.SCORES
        return
    if name in operators.CODE and name != "$where":
        found.code.add(name)
        found.whole = True
    elif name == "$getField":
        _get_field(value, found)
    elif name in operators.EXPRESSIONS:
        expression(value, found)
        if name in operators.ORDERED and isinstance(value, dict):
            order(value.get("sortBy", {}), found)  # its names are fields
    else:
        raise DoubtError("unknown_operator")


def _get_field(value: Any, found: Fields) -> None:
    """``$getField``: a name, or a name and what it is taken from; a name may itself be computed."""
    if isinstance(value, dict) and "field" in value:
        if "input" in value:
            expression(value["input"], found)
            expression(value["field"], found)
            return
        value = value["field"]
    if isinstance(value, dict) and set(value) == {"$literal"}:
        value = value["$literal"]
    if isinstance(value, str) and value and "." not in value and not value.startswith("$"):
        found.add(value)
    else:
        found.whole = True
        expression(value, found)


def projection(value: Any, found: Fields) -> bool:
    """The fields of a projection; True when it lets only those through that it names."""
    includes = False
    for key, inner in document(value).items():
        if isinstance(inner, bool | int | float):
            includes = includes or (bool(inner) and key != "_id")
            if inner:
                found.add(key)
        elif isinstance(inner, dict) and set(inner) == {"$elemMatch"}:
            includes = True
            found.add(key)
            query(inner["$elemMatch"], found, key + ".")
        elif isinstance(inner, dict) and set(inner) in ({"$slice"}, {"$meta"}):
            _beside_all(inner, found)
        elif inner is None or isinstance(inner, Decimal128):  # a number too, and a zero leaves out
            found.add(key)
            found.whole = True
        elif isinstance(inner, dict) and not any(name.startswith("$") for name in inner):
            includes = (
                projection({f"{key}.{name}": below for name, below in inner.items()}, found) or includes
            )
        else:
            includes = True
            expression(inner, found)
    if includes and document(value).get("_id", True):
        found.add("_id")
    return includes


def _beside_all(value: Mapping[str, Any], found: Fields) -> None:
    """What a projection may hold without leaving out the fields that it does not name."""
    if "$slice" in value:
        found.whole = True
    if "$meta" in value or not slices_in_place(value["$slice"]):
        expression(value, found)


def slices_in_place(value: Any) -> bool:
    """True for find's ``$slice``, which shortens a list where it is; the other is an expression."""
    return isinstance(value, int | float) or (
        isinstance(value, list) and len(value) == 2 and all(isinstance(each, int | float) for each in value)
    )


def order(value: Any, found: Fields) -> None:
    """The fields of a sort, of an index's keys, of bounds."""
    for key, inner in document(value).items():
        if isinstance(inner, dict):
            if set(inner) != {"$meta"}:
                raise DoubtError("unknown_operator")
        elif isinstance(inner, list):
            raise DoubtError("unknown_operator")  # no direction, and what is in it was not looked at
        else:
            found.add(key)


def update(value: Any, found: Fields, read: Fields) -> None:
    """The fields that a change writes, and those that it reads for it; a pipeline is read elsewhere."""
    changes = document(value)
    if not any(key.startswith("$") for key in changes):
        for key in changes:
            found.add(key)
        found.whole = True  # the document becomes another
        return
    for name, inner in changes.items():
        if name not in operators.UPDATES:
            raise DoubtError("unknown_operator")
        for key, operand in document(inner).items():
            found.add(key)
            if name == "$rename":
                found.add(str(operand))
                read.add(key)
            elif name == "$pull" and isinstance(operand, dict):
                _of_element(key, operand, read)
