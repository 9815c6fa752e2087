"""A policy repository as data: the roles, users, databases and locks in its files, and its policies.

Any folder will do. Every YAML file in it that holds a resource (``kind`` role, user, db or lock) counts;
files about other things and hidden folders do not. Rego counts where ``gateway.policy.publish`` takes it
from.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway.auth.databases import to_database
from gateway.auth.resources import Loaded, load
from gateway.auth.store import Resource
from gateway.errors import ConfigError
from gateway.model.resource import Database
from gateway.policy.data import build_data
from gateway.schema import data_dir

KINDS: Final = ("role", "user", "db", "lock", "guard")
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_RESOURCE: Final = re.compile(
    r"^[\"']?kind[\"']?\s*:\s*[\"']?(?:role|user|db|lock|token|guard)\b", re.MULTILINE
)
_JSON_RESOURCE: Final = re.compile(r'"kind"\s*:\s*"(?:role|user|db|lock|token|guard)"')


@dataclass(frozen=True, slots=True)
class Placed:
    """A resource, and where it stands: a file, or a name for what a cluster holds (then *source* is None)."""

    filename: str
    kind: str
    name: str
    document: Mapping[str, Any]
    source: Loaded | None = None

    def where(self, path: str = "") -> str:
        """``file:line`` of a dotted path in the document, or of the nearest thing around it."""
        if self.source is None:
            return self.filename
        return f"{self.filename}:{self.source.problem(path, '').line}"


@dataclass(frozen=True, slots=True)
class World:
    """What a policy is asked about: resources, and where its Rego is.

    ``is_live``: it is what a cluster has in force, not what a repository holds.
    """

    shipped: Path
    team: Path | None
    placed: tuple[Placed, ...]
    is_live: bool = False

    def of(self, kind: str) -> list[Placed]:
        """The resources of *kind*, in the order of the files."""
        return [item for item in self.placed if item.kind == kind]

    def documents(self, kind: str) -> list[Mapping[str, Any]]:
        """The documents of *kind*."""
        return [item.document for item in self.of(kind)]

    def named(self, kind: str, name: str) -> Placed | None:
        """The resource of this kind and name."""
        return next((item for item in self.of(kind) if item.name == name), None)

    def users(self) -> dict[str, tuple[str, ...]]:
        """The roles of each user, by name."""
        return {item.name: tuple(item.document["spec"].get("roles") or ()) for item in self.of("user")}

    def databases(self) -> dict[str, Database]:
        """The databases, by name."""
        return {item.name: to_database(resource(item)) for item in self.of("db")}

    def changed(self, *documents: Mapping[str, Any]) -> "World":
        """The same with these resources in the place of those of their names, or beside them."""
        fresh = stored(documents)
        names = {(item.kind, item.name) for item in fresh}
        kept = tuple(item for item in self.placed if (item.kind, item.name) not in names)
        return replace(self, placed=(*kept, *fresh))

    def data(self, revision: int = 1) -> dict[str, Any]:
        """The data document for OPA."""
        roles, users = self.documents("role"), self.documents("user")
        locks, guards = self.documents("lock"), self.documents("guard")
        return build_data(roles, users, locks, self.documents("db"), revision, guards)


def resource(item: Placed) -> Resource:
    """The resource of *item*, as the store has it."""
    return Resource(item.kind, item.name, str(item.document.get("version", "")), item.document)


def read(folder: Path) -> World:
    """The repository in *folder*; a ConfigError lists the mistakes of its files.

    A folder that holds the whole library (``gateway/connect``) replaces the shipped one.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    placed = _once(placed for path in resource_files(folder) for placed in read_file(path))
    is_library = (folder / "gateway" / "connect").is_dir()
    shipped = folder if is_library else data_dir("policies")
    return World(shipped, None if is_library else folder, tuple(placed))


def resource_files(folder: Path) -> Iterator[Path]:
    """The files below *folder* that hold resources, in the order of their names."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
        if not hidden and path.suffix in _SUFFIXES and path.is_file() and _holds_resources(path):
            yield path


def read_file(path: Path) -> list[Placed]:
    """The resources of one file."""
    found = load(_text(path), str(path))
    return [
        Placed(str(path), item.resource.kind, item.resource.name, item.resource.document, item)
        for item in found
    ]


def stored(documents: Iterable[Mapping[str, Any]]) -> tuple[Placed, ...]:
    """Resources as a cluster holds them."""
    return tuple(
        Placed(f"{item['kind']}/{item['metadata']['name']}", item["kind"], item["metadata"]["name"], item)
        for item in documents
    )


def _holds_resources(path: Path) -> bool:
    text = _text(path)
    return bool(_RESOURCE.search(text)) or (path.suffix == ".json" and bool(_JSON_RESOURCE.search(text)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text") from error


def _once(found: Iterable[Placed]) -> list[Placed]:
    """All of *found*; a ConfigError when a name is given twice, for then it is not known which one counts."""
    seen: dict[tuple[str, str], Placed] = {}
    for item in found:
        key = (item.kind, item.name)
        if key in seen:
            raise ConfigError(
                f"{item.where()}: the {key[0]} {key[1]!r} stands in {seen[key].where()} already"
            )
        seen[key] = item
    return list(seen.values())
