"""The index that decisions read: made by the policy itself, after a change only of the roles that changed.

What stands under a role's name in the index depends on that role alone (a test holds the parts against the
whole), so that of ten thousand roles one is prepared when one changed. Many are prepared in portions, between
which OPA answers other questions.
"""

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PORTION: Final = 250  # roles that are prepared with one question: less than a second of OPA's time
_BY_ROLE: Final = ("denying", "obliging", "roles")


class Asker(typing.Protocol):
    """``PolicyClient``, as far as it is needed."""

    async def index(
        self, roles: Mapping[str, Any], locks: Sequence[Any], guards: Sequence[Any]
    ) -> dict[str, Any]:
        """What the policy prepares of these."""
        ...


Told: typing.TypeAlias = typing.Callable[[int, int], None]
"""Gets how many roles are prepared, of how many."""


@dataclass(frozen=True, slots=True)
class Index:
    """What the policy with the revision ``policy`` made (``value``) of roles, locks and guards."""

    policy: str
    roles: Mapping[str, Any]
    locks: Sequence[Any]
    guards: Sequence[Any]
    value: dict[str, Any]


async def indexed(
    asker: Asker, policy: str, documents: Mapping[str, Any], known: Index | None, told: Told
) -> Index:
    """The index of *documents* (``data.build_data``), of which *known* holds what did not change.

    Raises:
        PolicyError: there was no usable answer.
    """
    roles, locks, guards = documents["roles"], documents["locks"], documents.get("guards", [])
    if known is None or known.policy != policy:
        known = None
    elif (known.roles, known.locks, known.guards) == (roles, locks, guards):
        return known
    fresh = _changed(known, roles)
    found: dict[str, dict[str, Any]] = {key: {} for key in _BY_ROLE}
    told(0, len(fresh))
    for start in range(0, len(fresh), PORTION):
        portion = fresh[start : start + PORTION]
        part = await asker.index({name: roles[name] for name in portion}, [], [])
        for key in _BY_ROLE:
            found[key] |= part[key]
        told(len(found["roles"]), len(fresh))
    rest = await asker.index({}, locks, guards)
    return Index(policy, roles, locks, guards, rest | _merged(known, roles, set(fresh), found))


def _changed(known: Index | None, roles: Mapping[str, Any]) -> list[str]:
    before = {} if known is None else known.roles
    return [name for name, role in roles.items() if before.get(name) != role]


def _merged(
    known: Index | None, roles: Mapping[str, Any], fresh: set[str], found: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """What is known of roles that are the same as before, and what was found of the others."""
    merged: dict[str, Any] = {}
    for key in _BY_ROLE:
        before: dict[str, Any] = {} if known is None else known.value[key]
        kept = {name: value for name, value in before.items() if name in roles and name not in fresh}
        merged[key] = kept | found[key]
    return merged
