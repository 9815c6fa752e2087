"""What the policy benchmark asks about: many roles and databases, and a rule that decides nothing.

The rule stands in the same bundle as the policies, on the same socket, and is let through by the same rule of
OPA's own authorization: what it takes is what any question costs.
"""

import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.classify import sql
from gateway.clock import SystemClock
from gateway.model.identity import Identity, Use
from gateway.model.resource import Database
from gateway.model.statement import NameContext, Statement
from gateway.policy import install, publish
from gateway.policy.data import build_data
from gateway.policy.document import ConnectQuestion, SessionQuestion
from gateway.policy.sidecar import authorization
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.sansio.exchange import Facts
from gateway.schema import data_dir

EMPTY = "team/empty/answers"
_EMPTY_RULE = "package gateway.team.empty\n\nanswers := {}\n"
_JUDGED = '["v1", "data", "gateway", "query_batch", "answers"]'
_TOKEN = (
    "benchmark-" + "0" * 32
)  # of an OPA that lives as long as the benchmark, on a socket that nobody else reaches
_READS = "SELECT count(*), lower(note) FROM app.orders WHERE id = 1"
_DATABASES_A_TEAM = 20
_ENVIRONMENTS = ("dev", "staging", "production")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who asks, the roles that they have, and those that open the database for them."""

    name: str
    roles: tuple[str, ...]
    granting: tuple[str, ...]


# Each takes another way through the policy: no restriction, permissions, some taken away, masks.
PEOPLE = (
    Person("unrestricted", ("role-0", "role-1", "wide"), ("wide",)),
    Person("restricted", ("role-0", "role-1", "role-2"), ("role-0",)),
    Person("denied", ("role-0", "role-1", "taking"), ("role-0",)),
    Person("obliged", ("role-0", "role-1", "masking"), ("role-0",)),
)


@dataclass(frozen=True, slots=True)
class Size:
    """A cluster of so many roles, users and databases, as documents."""

    number: int
    data: Mapping[str, Any]
    databases: tuple[Database, ...]


def size(number: int) -> Size:
    """A team has its role, which sees its databases of two environments; those of the first are asked."""
    listed = databases(number)
    documents = [
        {"metadata": {"name": item.name, "labels": dict(item.labels)}, "spec": {"protocol": item.protocol}}
        for item in listed
    ]
    users = [_resource("user", person.name, {"roles": list(person.roles)}) for person in PEOPLE]
    users += [_resource("user", f"user-{index}", {"roles": [f"role-{index}"]}) for index in range(number)]
    roles = [*_special(), *(_role(f"role-{index}", _team(index)) for index in range(number))]
    return Size(number, build_data(roles, users, [], documents, number), listed)


def databases(number: int) -> tuple[Database, ...]:
    """So many databases, no two labelled alike."""
    return tuple(_database(index) for index in range(number))


def facts() -> Facts:
    """What the classifier finds in a short read."""
    return sql.classify(Statement(_READS, "postgres", NameContext("shop", "reader", ("app",))))


def connect(person: Person, database: Database, now_ns: int) -> ConnectQuestion:
    """May *person* open *database*."""
    return ConnectQuestion(identity(person), database, "reader", "shop", "127.0.0.1:50000", "session", now_ns)


def session(person: Person, database: Database, revision: int) -> SessionQuestion:
    """The session of *person* on *database*."""
    return SessionQuestion(
        person.name, person.granting, revision, database, "reader", "shop", "session", "127.0.0.1:50000"
    )


def identity(person: Person) -> Identity:
    """What the certificate of *person* says."""
    end = datetime.now(UTC) + timedelta(hours=1)
    return Identity(person.name, person.roles, {}, "cluster", Use.DATABASE, end, end, "1")


@asynccontextmanager
async def running() -> AsyncIterator[Sidecar]:
    """OPA with the shipped policies and the empty rule; it has no data yet."""
    opa, key = install.ensure_opa(), ec.generate_private_key(ec.SECP256R1())
    with tempfile.TemporaryDirectory() as name:
        bundle = _bundle(opa, Path(name), key)
        made = Sidecar(
            opa=opa, bundle=bundle, key=key, clock=SystemClock(), deadline_seconds=5.0, token=_TOKEN
        )
        with patch.object(authorization, "build", _opened):
            async with made as sidecar:
                yield sidecar


def _bundle(opa: Path, folder: Path, key: ec.EllipticCurvePrivateKey) -> publish.Bundle:
    team = folder / "team"
    team.mkdir()
    (team / "empty.rego").write_text(_EMPTY_RULE, encoding="utf-8")
    return publish.publish(opa, data_dir("policies"), team, folder / "bundle", key)


def _opened(opa: Path, token: str, key: ec.EllipticCurvePrivateKey, out: Path) -> None:
    """An authorization that lets the empty rule be asked as well, at the same place."""
    with tempfile.TemporaryDirectory() as name:
        staging = Path(name)
        rules = (data_dir("opa") / "authz" / "authz.rego").read_text(encoding="utf-8")
        head, judged, tail = rules.partition(_JUDGED)
        path = json.dumps(["v1", "data", "gateway", *EMPTY.split("/")])
        rule = head[head.rindex("allow if") :] + path
        end = tail.index("\n}\n") + 3
        (staging / "authz.rego").write_text(
            f"{head}{judged}{tail[:end]}\n{rule}{tail[:end]}{tail[end:]}", encoding="utf-8"
        )
        digest = {"token_sha256": hashlib.sha256(token.encode()).hexdigest()}
        data = {"system": {"authz": {"supervisor": digest}}}
        (staging / "data.json").write_text(json.dumps(data), encoding="utf-8")
        manifest = {"roots": ["system/authz"], "rego_version": 1}
        (staging / ".manifest").write_text(json.dumps(manifest), encoding="utf-8")
        publish.sign(opa, staging, out, key)


def _database(index: int) -> Database:
    labels = {
        "env": _ENVIRONMENTS[index % len(_ENVIRONMENTS)],
        "team": f"team-{index // _DATABASES_A_TEAM}",
        "serial": str(index),  # no two are labelled alike
    }
    return Database(f"db-{index:05}", "postgres", f"db-{index}.example.com:5432", labels=labels)


def _team(index: int) -> dict[str, Any]:
    tables = {"object_kind": "table", "schema": "app", "name": ["orders", "customers"]}
    return {
        "allow": {
            "db_labels": {"env": ["dev", "staging"], "team": f"team-{index}"},
            "db_users": ["reader"],
            "db_names": ["shop"],
            "db_permissions": [{"match": tables, "permissions": ["SELECT"]}],
        },
        "deny": {},
    }


def _special() -> Sequence[dict[str, Any]]:
    everything = {"db_labels": {"*": "*"}, "db_users": ["*"], "db_names": ["*"]}
    secrets = {"match": {"object_kind": "table", "schema": "app", "name": "secrets*"}, "permissions": ["*"]}
    mask = {"schema": "app", "table": "people", "columns": {"ssn": "full"}}
    return (
        _role("wide", {"allow": everything, "deny": {}}),
        _role("taking", {"allow": {}, "deny": {"db_permissions": [secrets]}}),
        _role("masking", {"allow": {}, "deny": {}, "options": {"mask": [mask]}}, "regate/v1"),
    )


def _role(name: str, spec: Mapping[str, Any], version: str = "v7") -> dict[str, Any]:
    return {**_resource("role", name, spec), "version": version}


def _resource(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name}, "spec": dict(spec)}
