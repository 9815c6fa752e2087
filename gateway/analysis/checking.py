"""What is wrong, or of no use, in resources: mistakes, and names that nothing can match.

Whether a role's selectors match a database is the policy's to say; ``Finding`` only says where it was found.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.analysis.world import Placed, World

_TRAIT: Final = re.compile(r"\b(?:internal|external)(?:\.([A-Za-z0-9_-]+)|\[\"([^\"]+)\"\])")
_TEMPLATE: Final = re.compile(r"\{\{(.*?)\}\}")
_SIDES: Final = ("allow", "deny")
# What a lock's target may name -> the kind of resource that it is.
_TARGETS: Final = {"user": "user", "role": "role", "database": "db"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found: an error keeps a resource from being stored, a warning does not."""

    is_error: bool
    where: str
    path: str
    sentence: str

    @property
    def order(self) -> tuple[str, int, bool, str]:
        """By file, line, errors first."""
        file, _, line = self.where.rpartition(":")
        return file, int(line) if line.isdigit() else 0, not self.is_error, self.sentence

    def text(self) -> str:
        """``file:line: error: path: sentence``."""
        kind = "error" if self.is_error else "warning"
        path = f"{self.path}: " if self.path else ""
        return f"{self.where}: {kind}: {path}{self.sentence}"


def at(item: Placed, path: str, sentence: str, *, is_error: bool = False) -> Finding:
    """A finding about a part of *item*."""
    return Finding(is_error, item.where(path), path, sentence)


def unmatched(checked: Iterable[Placed], world: World) -> Iterator[Finding]:
    """Names in *checked* that nothing in *world* has; only where *world* has any of the kind."""
    for item in checked:
        match item.kind:
            case "role":
                yield from _role(item, world)
            case "user":
                yield from _user(item, world)
            case "lock":
                yield from _lock(item, world)


def _role(role: Placed, world: World) -> Iterator[Finding]:
    users = world.users()
    if users and not any(role.name in held for held in users.values()):
        yield at(role, "metadata.name", f"nobody has the role {role.name}")
    traits = {trait for user in world.documents("user") for trait in user["spec"].get("traits") or {}}
    for path, text in _texts(role.document["spec"], "spec"):
        for trait in _traits(text):
            if users and trait not in traits:
                yield at(role, path, f"nobody has the trait {trait}")
    yield from _labels(role, world)


def _labels(role: Placed, world: World) -> Iterator[Finding]:
    """Labels that no database carries, by name: no pattern can match what is not there."""
    databases = world.documents("db")
    carried = {key for database in databases for key in database["metadata"].get("labels") or {}}
    for side in _SIDES:
        for key in (role.document["spec"].get(side) or {}).get("db_labels") or {}:
            if databases and key != "*" and key not in carried:
                yield at(role, f"spec.{side}.db_labels.{key}", f"no database carries the label {key}")


def _user(user: Placed, world: World) -> Iterator[Finding]:
    known = {role.name for role in world.of("role")}
    for name in user.document["spec"].get("roles") or ():
        if known and name not in known:
            yield at(user, "spec.roles", f"there is no role {name}", is_error=True)


def _lock(lock: Placed, world: World) -> Iterator[Finding]:
    for field, name in (lock.document["spec"].get("target") or {}).items():
        kind = _TARGETS.get(field)
        if kind is not None and world.of(kind) and world.named(kind, name) is None:
            yield at(lock, f"spec.target.{field}", f"there is no {field} {name}")


def _traits(text: str) -> Iterator[str]:
    for inside in _TEMPLATE.findall(text):
        for plain, quoted in _TRAIT.findall(inside):
            yield plain or quoted


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in *value*, with the dotted path of the nearest mapping entry."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path)
    elif isinstance(value, str):
        yield path, value
