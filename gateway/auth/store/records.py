"""What the store hands out: resources, and one consistent picture of them for the policy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS: tuple[str, ...] = ("role", "user", "token", "db", "lock", "guard")


@dataclass(frozen=True, slots=True)
class Resource:
    """A document that an operator wrote (or that was made for one).

    ``revision`` is the store's data revision at which it last changed, so it never comes back, even when
    a resource is deleted and made again; 0 means it was not stored yet.
    """

    kind: str
    name: str
    version: str
    document: Mapping[str, Any]
    revision: int = 0


@dataclass(frozen=True, slots=True)
class OpenToken:
    """A token that is not used up: whose it is, when it ends (seconds), its uses left (None: any)."""

    owner: str
    expires_at: int
    uses_left: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the policy may know, as of one revision; no hash and no secret is in it."""

    revision: int
    roles: list[dict[str, Any]]
    users: list[dict[str, Any]]
    locks: list[dict[str, Any]]
    databases: list[dict[str, Any]]
    guards: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user logs in with; ``password_hash`` is empty until the user has chosen a password."""

    password_hash: str = field(repr=False)
    totp_secret: str = field(default="", repr=False)
