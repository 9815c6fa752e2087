"""Where a reason comes from: the rule that writes its code, and the part of a role that it speaks of."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gateway.analysis.world import World
from gateway.model.decision import Reason

# Which part of the role in a reason decided.
_PARTS: Final = {
    "role_permits": "spec.allow",
    "denied_by_role": "spec.deny",
    "db_user_not_granted": "spec.allow.db_users",
    "db_name_not_granted": "spec.allow.db_names",
    "template_unresolved": "spec.deny",
}
# Codes of which every role that granted the session is to be looked at, and in which part.
_ALL_GRANTING: Final = {
    "operation_not_granted": "spec.allow.db_permissions",
    "function_not_granted": "spec.allow.db_permissions",
    "operator_not_granted": "spec.allow.db_permissions",
    "type_not_granted": "spec.allow.db_permissions",
    "not_understood": "spec.allow.db_permissions",
    "setting_refused": "spec.allow.db_permissions",
}


def rules(world: World, code: str, entry: str) -> list[str]:
    """``file:line`` of each rule that gives this code when *entry* (connect, query) is asked.

    Codes are literals in Rego, or the end of one that is put together.
    """
    found = [place for root in _roots(world) for place in _lines(root, f'"{code}"', entry)]
    if not found and "_" in code:
        tail = f'%s_{code.partition("_")[2]}"'
        found = [place for root in _roots(world) for place in _lines(root, tail, entry)]
    return found


def parts(world: World, reason: Reason, entry: str, granting: Sequence[str], user: str) -> list[str]:
    """``file:line`` of the parts of roles that *reason* is about."""
    if reason.role:
        path = _PARTS.get(reason.code, "spec")
        deeper = ".db_permissions" if entry == "query" and path == "spec.allow" else ""
        return list(_places(world, [reason.role], path + deeper))
    if reason.code in _ALL_GRANTING:
        return list(_places(world, granting, _ALL_GRANTING[reason.code]))
    if reason.code == "operation_denied":
        return list(_places(world, world.users().get(user, ()), "spec.deny.db_permissions", needed=True))
    return []


def lifts(world: World, granting: Sequence[str]) -> list[str]:
    """The granting roles without ``db_permissions``, where another has some: they lift its restriction."""
    restricted = {name: bool(_permissions(world, name)) for name in granting}
    if not any(restricted.values()):
        return []
    return [name for name, is_restricted in restricted.items() if not is_restricted]


def _permissions(world: World, name: str) -> object:
    role = world.named("role", name)
    return role and (role.document["spec"].get("allow") or {}).get("db_permissions")


def _places(world: World, names: Sequence[str], path: str, *, needed: bool = False) -> Iterator[str]:
    for name in names:
        role = world.named("role", name)
        if role is None:
            continue
        if needed and not (role.document["spec"].get("deny") or {}).get("db_permissions"):
            continue
        yield role.where(path)


def _roots(world: World) -> list[Path]:
    return [root for root in (world.team, world.shipped / "gateway") if root is not None]


def _lines(root: Path, text: str, entry: str) -> Iterator[str]:
    is_library = root.name == "gateway"
    base = root.parent if is_library else root
    wanted = re.compile(re.escape(text))
    for path in sorted(root.rglob("*.rego")):
        if path.name.endswith("_test.rego"):
            continue
        if is_library and path.relative_to(root).parts[0] not in {entry, "lib", "guards"}:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if wanted.search(line):
                yield f"{path.relative_to(base)}:{number}"
