"""The smallest changes that could turn a refusal: proposals, until the policy was asked about them.

Nothing here decides what a role matches. A remedy is a set of changed resources; whoever tries it gives them
to OPA and asks the same question again.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.analysis.access import Route
from gateway.analysis.world import Placed, World
from gateway.model.classification import Classification
from gateway.model.resource import Database

NEW_ROLE: Final = "new-role"
# The word of db_permissions for an operation where it is not the operation's own.
_WORDS: Final = {"copy_in": "INSERT", "copy_out": "SELECT"}
_SPECIAL: Final = {"file": "FILE", "program": "PROGRAM"}
_USED: Final = (("functions", "function"), ("operators", "operator"), ("casts", "type"))


@dataclass(frozen=True, slots=True)
class Remedy:
    """One proposal: ``kind`` is request, grant, role or blocker; ``changed`` are resources in their new form.

    ``removed`` are resources (kind, name) that would be gone. ``document`` is what to store, where that
    helps.
    """

    kind: str
    sentence: str
    changed: tuple[Mapping[str, Any], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    document: Mapping[str, Any] | None = None

    def applied(self, world: World) -> World:
        """*world* with the proposal carried out."""
        kept = tuple(item for item in world.placed if (item.kind, item.name) not in self.removed)
        return World(world.shipped, world.team, kept).changed(*self.changed)


def requests(world: World, user: Placed) -> Iterator[Remedy]:
    """One more role that exists already; what an access request would ask for."""
    held = user.document["spec"].get("roles") or ()
    for role in world.of("role"):
        if role.name not in held:
            yield Remedy("request", f"the role {role.name}", (_with_role(user, role.name),))


def grants(
    world: World, user: Placed, route: Route, facts: Sequence[Classification], granting: Sequence[str]
) -> Iterator[Remedy]:
    """More in a role that the user has, the smallest first: a name, then both, then permissions."""
    wanted = permissions(facts)
    for name in user.document["spec"].get("roles") or ():
        role = world.named("role", name)
        if role is None:
            continue
        for db_user, db_name in ((True, False), (False, True), (True, True)):
            if not granting and (not db_name or route.db_name):
                yield _grown(role, route, db_user=db_user, db_name=db_name, wanted=())
        if wanted and name in granting:
            yield _grown(role, route, db_user=False, db_name=False, wanted=wanted)


def new_role(
    user: Placed, route: Route, database: Database, facts: Sequence[Classification]
) -> Iterator[Remedy]:
    """A role of its own that grants exactly this."""
    labels = {key: value for key, value in database.labels.items() if "*" not in value} or {"*": "*"}
    allow: dict[str, Any] = {
        "db_labels": labels,
        "db_users": [route.db_user],
        "db_names": [route.db_name or "*"],
    }
    wanted = permissions(facts)
    if wanted:
        allow["db_permissions"] = list(wanted)
    role = {
        "kind": "role",
        "version": "v7",
        "metadata": {"name": NEW_ROLE},
        "spec": {"allow": allow, "deny": {}},
    }
    yield Remedy("role", "a new role that grants exactly this", (role, _with_role(user, NEW_ROLE)), (), role)


def blockers(world: World, user: Placed) -> Iterator[Remedy]:
    """What takes away: the denies of the user's roles, and locks. Each is left out alone."""
    for name in user.document["spec"].get("roles") or ():
        role = world.named("role", name)
        if role is not None and role.document["spec"].get("deny"):
            document = copy.deepcopy(dict(role.document))
            document["spec"]["deny"] = {}
            yield Remedy("blocker", f"the deny of role {name} ({role.where('spec.deny')})", (document,))
    for lock in world.of("lock"):
        yield Remedy("blocker", f"the lock {lock.name} ({lock.where()})", (), (("lock", lock.name),))
    if user.document["spec"].get("locked"):
        document = copy.deepcopy(dict(user.document))
        document["spec"]["locked"] = False
        yield Remedy("blocker", f"the lock on the user {user.name}", (document,))


def without_roles(world: World, user: Placed) -> Iterator[tuple[str, World]]:
    """For each role of the user, the world in which the user lacks it."""
    roles = list(user.document["spec"].get("roles") or ())
    for name in roles:
        document = copy.deepcopy(dict(user.document))
        document["spec"]["roles"] = [other for other in roles if other != name]
        yield name, world.changed(document)


def permissions(facts: Sequence[Classification]) -> tuple[dict[str, Any], ...]:
    """``db_permissions`` that name each thing in *facts* and nothing else."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for item in facts:
        for effect in item.effects:
            thing = effect.object
            if thing is not None:
                word = _SPECIAL.get(thing.kind) or _WORDS.get(effect.operation, effect.operation.upper())
                found.setdefault((thing.kind, thing.schema, thing.name), {})[word] = None
        for part, kind in _USED:
            for named in getattr(item, part):
                if not named.builtin:
                    found.setdefault((kind, named.schema, named.name), {})["EXECUTE"] = None
    return tuple(
        {
            "match": {
                key: _literal(value)
                for key, value in (("object_kind", kind), ("schema", schema), ("name", name))
                if value
            },
            "permissions": list(words),
        }
        for (kind, schema, name), words in found.items()
    )


def _literal(name: str) -> str:
    """A name as a pattern that matches only it."""
    return name if "*" not in name and not name.startswith("^") else f"^{re.escape(name)}$"


def _grown(
    role: Placed, route: Route, *, db_user: bool, db_name: bool, wanted: Sequence[Mapping[str, Any]]
) -> Remedy:
    document = copy.deepcopy(dict(role.document))
    allow = document["spec"]["allow"] = dict(document["spec"].get("allow") or {})
    told: list[str] = []
    if db_user:
        allow["db_users"] = [*(allow.get("db_users") or ()), route.db_user]
        told.append(f"{route.db_user} in db_users")
    if db_name:
        allow["db_names"] = [*(allow.get("db_names") or ()), route.db_name]
        told.append(f"{route.db_name} in db_names")
    if wanted:
        allow["db_permissions"] = [*(allow.get("db_permissions") or ()), *wanted]
        told += [_permission(item) for item in wanted]
    sentence = f"in role {role.name} ({role.where('spec.allow')}): {', '.join(told)}"
    return Remedy("grant", sentence, (document,), (), document)


def _permission(item: Mapping[str, Any]) -> str:
    match = item["match"]
    name = ".".join(match[key] for key in ("schema", "name") if match.get(key))
    return f"{', '.join(item['permissions'])} on {match.get('object_kind', 'anything')} {name}"


def _with_role(user: Placed, role: str) -> Mapping[str, Any]:
    document = copy.deepcopy(dict(user.document))
    document["spec"]["roles"] = [*(document["spec"].get("roles") or ()), role]
    return document
