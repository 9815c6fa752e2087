"""The data that is pushed beside the bundle, made from resources as they are stored. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any


def build_data(
    roles: Iterable[Mapping[str, Any]],
    users: Iterable[Mapping[str, Any]],
    locks: Iterable[Mapping[str, Any]],
    databases: Iterable[Mapping[str, Any]],
    revision: int,
    guards: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The data document, from resources as they are stored. ``Sidecar.push`` adds the index.

    The index is made by the policy itself (``gateway.prepare``): what a role's selectors mean is written in
    Rego and nowhere else.
    """
    return {
        "data_revision": revision,
        "roles": {_name(role): dict(role) for role in roles},
        "users": {_name(user): _user(user) for user in users},
        "locks": [dict(lock) for lock in locks],
        "guards": [dict(guard) for guard in guards],
        "databases": {_name(database): _database(database) for database in databases},
    }


def _name(resource: Mapping[str, Any]) -> str:
    name = resource["metadata"]["name"]
    assert isinstance(name, str)
    return name


def _user(user: Mapping[str, Any]) -> dict[str, Any]:
    spec = user.get("spec", {})
    return {
        "roles": list(spec.get("roles", ())),
        "traits": {trait: list(values) for trait, values in (spec.get("traits") or {}).items()},
        "locked": spec.get("locked", False) is not False,
    }


def _database(database: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "protocol": database.get("spec", {}).get("protocol", ""),
        "labels": dict(database.get("metadata", {}).get("labels") or {}),
    }
