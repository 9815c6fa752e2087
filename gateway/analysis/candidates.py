"""What is asked about when access is enumerated: names and objects by equivalence class.

Each literal that a role names is one class, and one fresh name stands for all that nobody names. Patterns and
regular expressions give a sample or their words; what that may miss is said in ``not_listed``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.analysis.world import World
from gateway.classify.operations import CLASS_OF
from gateway.model.classification import Class, Classification, Effect, Named, ObjectRef

FRESH: Final = "any-other"  # a name that no role names; told as "any other"
_MOST_OBJECTS: Final = 1_000
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_WITHOUT_WHERE: Final = ("delete", "update")
_USED: Final = frozenset({"function", "operator", "type"})  # by a statement that does something else
_NO_OPERATIONS: Final = frozenset({Class.SESSION, Class.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Act:
    """One thing a user might do: an operation on an object, as facts that can be judged."""

    operation: str
    object: ObjectRef | None
    has_where: bool = True

    def text(self) -> str:
        """``delete without WHERE on table app.orders``."""
        if self.object is None:
            return self.operation
        without = " without WHERE" if not self.has_where else ""
        return f"{self.operation}{without} on {self.object.kind} {named(self.object)}"

    def facts(self) -> tuple[Classification, ...]:
        """What the classifier would find in such a statement."""
        if self.object is None:
            unknown = Effect("unknown", Class.UNKNOWN)
            return (
                Classification("unknown", Class.UNKNOWN, (unknown,), complete=False, unknown_reason="any"),
            )
        named = (Named(self.object.name, self.object.schema),)
        match self.object.kind:
            case "function":
                return (Classification("select", Class.READ, (), functions=named),)
            case "operator":
                return (Classification("select", Class.READ, (), operators=named),)
            case "type":
                return (Classification("select", Class.READ, (), casts=named),)
        cls = CLASS_OF[self.operation]
        effect = Effect(self.operation, cls, self.object, has_where=self.has_where)
        return (Classification(self.operation, cls, (effect,)),)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The classes: database users, database names and acts; and what could not be listed."""

    db_users: tuple[str, ...]
    db_names: tuple[str, ...]
    acts: tuple[Act, ...]
    not_listed: tuple[str, ...]


def candidates(worlds: Sequence[World]) -> Candidates:
    """The classes that the roles and users of all *worlds* make."""
    notes: dict[str, None] = {}
    roles = [document for world in worlds for document in world.documents("role")]
    traits = _traits(worlds)
    db_users = _names(_listed(roles, "db_users"), traits, notes)
    db_names = _names(_listed(roles, "db_names"), traits, notes)
    acts = _acts(list(_permissions(roles)), notes)
    return Candidates(db_users, db_names, acts, tuple(notes))


def object_classes(parts: Iterable[Mapping[str, Any]], key: str, notes: dict[str, None]) -> list[str]:
    """The literals that permissions name under *key*."""
    return [name for part in parts for name in _samples_of(part.get(key), notes)]


def _names(values: Iterable[str], traits: tuple[str, ...], notes: dict[str, None]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for value in values:
        if "{{" in value:
            found |= dict.fromkeys(traits)
            notes["templates are asked about with the values of all traits, and their parts before an @"] = (
                None
            )
        else:
            found |= dict.fromkeys(_samples(value, notes))
    return (*(name for name in found if name != FRESH), FRESH)


def _samples(value: str, notes: dict[str, None]) -> Iterator[str]:
    """Names that *value* is about: itself, or for patterns what tells them apart."""
    if value.startswith("^") and value.endswith("$"):
        notes[f"{value!r} is asked about by the words in it, not by all that it matches"] = None
        yield from _WORD.findall(value)
    elif value != "*" and "*" in value:
        notes[f"{value!r} is asked about by two names that it matches"] = None
        yield value.replace("*", "")
        yield value.replace("*", FRESH)
    elif value != "*":
        yield value


def _samples_of(value: Any, notes: dict[str, None]) -> list[str]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    return [sample for item in values if isinstance(item, str) for sample in _samples(item, notes)]


def _listed(roles: Iterable[Mapping[str, Any]], field: str) -> Iterator[str]:
    for part in _parts(roles):
        yield from (value for value in part.get(field) or () if isinstance(value, str))


def _permissions(roles: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for part in _parts(roles):
        yield from part.get("db_permissions") or ()


def _parts(roles: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for role in roles:
        for side in ("allow", "deny"):
            yield role["spec"].get(side) or {}


def _traits(worlds: Iterable[World]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for world in worlds:
        for user in world.documents("user"):
            for values in (user["spec"].get("traits") or {}).values():
                for value in values or ():
                    found[value] = None
                    if "@" in value:
                        found[value.partition("@")[0]] = None
    return tuple(found)


def _acts(permissions: Sequence[Mapping[str, Any]], notes: dict[str, None]) -> tuple[Act, ...]:
    operations = [name for name, cls in CLASS_OF.items() if cls not in _NO_OPERATIONS]
    found = [Act("not understood", None)]
    for thing in _objects(permissions, notes):
        if thing.kind in _USED:
            found.append(Act("execute", thing))
            continue
        for operation in operations:
            found.append(Act(operation, thing))
            if operation in _WITHOUT_WHERE:
                found.append(Act(operation, thing, has_where=False))
    return tuple(found)


def _objects(permissions: Sequence[Mapping[str, Any]], notes: dict[str, None]) -> list[ObjectRef]:
    matches = [permission.get("match") or {} for permission in permissions]
    kinds = dict.fromkeys(["table", *object_classes(matches, "object_kind", notes)])
    schemas = dict.fromkeys([*object_classes(matches, "schema", notes), FRESH])
    names = dict.fromkeys([*object_classes(matches, "name", notes), FRESH])
    if len(kinds) * len(schemas) * len(names) <= _MOST_OBJECTS:
        return [ObjectRef(kind, name, schema) for kind in kinds for schema in schemas for name in names]
    notes["objects are those that one permission names, not every schema with every name"] = None
    found: dict[ObjectRef, None] = {}
    for match in [*matches, {}]:
        for kind in _samples_of(match.get("object_kind"), {}) or ["table"]:
            for schema in [*_samples_of(match.get("schema"), {}), FRESH]:
                for name in [*_samples_of(match.get("name"), {}), FRESH]:
                    found[ObjectRef(kind, name, schema)] = None
    return list(found)


def named(thing: ObjectRef) -> str:
    """``app.orders``, for people."""
    return ".".join(_told(name) for name in (thing.schema, thing.name) if name)


def _told(name: str) -> str:
    return "(any other)" if name == FRESH else name
