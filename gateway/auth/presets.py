"""The roles every cluster starts with; made once, so that a deleted one stays deleted."""

from typing import Any

from gateway.auth.store import Resource, Store

_MADE = "presets_made"


def _role(name: str, description: str, allow: dict[str, Any], options: dict[str, Any]) -> Resource:
    document = {
        "kind": "role",
        "version": "v7",
        "metadata": {"name": name, "description": description},
        "spec": {"allow": allow, "deny": {}, "options": options},
    }
    return Resource("role", name, "v7", document)


PRESETS: tuple[Resource, ...] = (
    _role(
        "access",
        "Opens databases as the database users and names in the user's traits",
        {
            "db_labels": {"*": "*"},
            "db_users": ["{{internal.db_users}}"],
            "db_names": ["{{internal.db_names}}"],
        },
        {"max_session_ttl": "8h0m0s"},
    ),
    _role(
        "editor",
        "Changes users, roles and everything else that configures the cluster",
        {
            "rules": [
                {
                    "resources": ["user", "role", "token", "lock", "db", "guard"],
                    "verbs": ["list", "create", "read", "update", "delete"],
                },
                {"resources": ["cert_authority", "cluster"], "verbs": ["list", "read"]},
                {"resources": ["database_certificate"], "verbs": ["create"]},
            ]
        },
        {"max_session_ttl": "8h0m0s"},
    ),
    _role(
        "auditor",
        "Reads the audit log and what it is about, and changes nothing",
        {
            "rules": [
                {"resources": ["event", "session"], "verbs": ["list", "read"]},
                {"resources": ["user", "role", "lock", "db", "guard", "cluster"], "verbs": ["list", "read"]},
            ]
        },
        {"max_session_ttl": "8h0m0s"},
    ),
)


async def create(store: Store) -> None:
    """Store the presets unless that was done before; a role that has such a name already is left alone."""
    if await store.counter(_MADE):
        return
    async with store.change() as change:
        for preset in PRESETS:
            if await change.get("role", preset.name) is None:
                await change.create(preset)
        await change.set_counter(_MADE, 1)
