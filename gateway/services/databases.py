"""Every enrolled database as of the last snapshot, looked up at each connect."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.auth.databases import to_database
from gateway.auth.store import Resource
from gateway.model.resource import Database


class Databases:
    """Taken from each snapshot, so that a change needs no restart; an unchanged one stays the same object."""

    def __init__(self) -> None:
        self._known: dict[str, Database] = {}
        self.documents: Sequence[Mapping[str, Any]] = ()

    def take(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Put these in the place of those before."""
        self.documents = documents
        found = [to_database(_resource(document)) for document in documents]
        self._known = {
            database.name: self._known[database.name]
            if self._known.get(database.name) == database
            else database
            for database in found
        }

    @property
    def has_elsewhere(self) -> bool:
        """True when services elsewhere serve some of them."""
        return any(database.elsewhere for database in self._known.values())

    def get(self, name: str) -> Database | None:
        """One database by name."""
        return self._known.get(name)

    def all(self) -> list[Database]:
        """All databases, by name."""
        return [self._known[name] for name in sorted(self._known)]


def _resource(document: Mapping[str, Any]) -> Resource:
    return Resource("db", document["metadata"]["name"], document.get("version", "v3"), document)
