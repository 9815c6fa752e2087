"""Roles, users, databases and statements that several tests speak of."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.model.classification import Class, Classification, Effect, Named, ObjectRef, Setting
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.identity import Identity, Use
from gateway.model.resource import Database
from gateway.policy.data import build_data
from gateway.policy.document import ConnectQuestion, SessionQuestion
from gateway.sansio.exchange import Facts

REVISION = 7

# The role of the documentation, as operators write it.
DB_ACCESS = {"allow": {"db_labels": {"*": "*"}, "db_names": ["*"], "db_users": ["*"]}, "deny": {}}
ANALYST = {
    "allow": {
        "db_labels": {"env": "dev"},
        "db_names": ["appdb"],
        "db_users": ["analyst", "{{internal.db_users}}"],
        "db_permissions": [
            {
                "match": {"object_kind": "table", "schema": "app", "name": ["orders", "customers"]},
                "permissions": ["SELECT"],
            }
        ],
    },
    "deny": {},
}
EDITOR = {"allow": {"rules": [{"resources": ["role", "user"], "verbs": ["list", "create", "read"]}]}}

DATABASE = Database("orders-db", "postgres", "localhost:5432", labels={"env": "dev"})


def role(name: str, spec: dict[str, Any], version: str = "v7") -> dict[str, Any]:
    return {"kind": "role", "version": version, "metadata": {"name": name}, "spec": spec}


def user(name: str, *roles: str, **traits: list[str]) -> dict[str, Any]:
    return {"kind": "user", "metadata": {"name": name}, "spec": {"roles": list(roles), "traits": traits}}


def lock(**target: str) -> dict[str, Any]:
    return {"kind": "lock", "metadata": {"name": "l"}, "spec": {"target": target, "message": "audit"}}


ROLES = [role("db-access", DB_ACCESS), role("analyst", ANALYST), role("editor", EDITOR)]
USERS = [
    user("alice", "db-access"),
    user("bob", "analyst", db_users=["bob_rw"]),
    user("eve", "editor"),
]


def data(
    locks: tuple[dict[str, Any], ...] = (), revision: int = REVISION, more: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    return build_data([*ROLES, *more], USERS, locks, [], revision)


def identity(name: str, *roles: str, hours: float = 1) -> Identity:
    end = datetime.now(UTC) + timedelta(hours=hours)
    return Identity(name, roles, {}, "cluster", Use.DATABASE, end, end, "1")


def connect(
    name: str, *roles: str, db_user: str = "analyst", database: Database | None = DATABASE
) -> ConnectQuestion:
    return ConnectQuestion(
        identity(name, *roles),
        database,
        db_user,
        "appdb",
        "127.0.0.1:50000",
        f"session-{name}",
        time.time_ns(),
    )


def session(
    name: str,
    *roles: str,
    revision: int = REVISION,
    number: int = 1,
    labels: dict[str, str] | None = None,
) -> SessionQuestion:
    database = DATABASE if labels is None else replace(DATABASE, labels=labels)
    return SessionQuestion(
        name, roles, revision, database, "analyst", "appdb", f"s{number}", f"127.0.0.1:{40000 + number}"
    )


def reads(table: str, *, fingerprint: str = "") -> Facts:
    target = ObjectRef("table", table, "app", "appdb")
    effect = Effect("select", Class.READ, target, ("id",), has_where=True)
    count = Named("count", "pg_catalog", builtin=True)
    return (Classification("select", Class.READ, (effect,), (count,), fingerprint=fingerprint),)


def deletes(table: str) -> Facts:
    effect = Effect("delete", Class.WRITE, ObjectRef("table", table, "app", "appdb"))
    return (Classification("delete", Class.WRITE, (effect,)),)


def sets(name: str, value: str) -> Facts:
    effect = Effect("set", Class.SESSION)
    return (Classification("set", Class.SESSION, (effect,), settings=(Setting(name, "session", value),)),)


def not_understood() -> Facts:
    return (Classification("unknown", Class.UNKNOWN, (), complete=False, unknown_reason="syntax"),)


def code_of(decision: Decision) -> str:
    """Why not, as a code; ``allowed`` for a yes."""
    match decision:
        case Denied():
            return decision.code
        case Allowed():
            return "allowed"
