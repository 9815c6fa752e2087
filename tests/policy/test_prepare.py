"""Whatever stands in a document spoils no other: OPA fails the whole index for one value it cannot read."""

from typing import Any

import pytest

from gateway.policy.sidecar.supervisor import Sidecar

pytestmark = pytest.mark.opa

TIMES = ["9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-02-31T00:00:00Z", "2026-01-01T00:00:00+99:99"]
VALUES: list[Any] = [
    *(5, None, True, "", "x", "{{", "*", "^("),
    *([], {}, [5], [None], {"a": 5}, [[1]], [{"a": 1}], {"*": [5]}),
    *("9999999h", "99999999999h1h", "-1h"),
    *TIMES,
]
GOOD = {"kind": "role", "version": "v7", "spec": {"allow": {"db_users": ["ada"]}}}


def _sides(value: Any) -> list[Any]:
    fields = ("db_labels", "db_users", "db_names", "db_permissions", "rules", "db_x", "db_labels_expression")
    inner = [{name: value} for name in (*fields, "time_windows", "source_networks")]
    inner += [{"time_windows": [{name: value}]} for name in ("days", "from", "to", "zone")]
    inner += [{"db_permissions": [{"match": {"columns": value}, "permissions": ["SELECT"]}]}]
    inner += [{"db_permissions": [{name: value}]} for name in ("match", "permissions", "x")]
    inner += [{"rules": [{name: value}]} for name in ("resources", "verbs", "where")]
    inner += [{"db_permissions": [value]}, {"rules": [value]}, {"db_labels": {"env": value}}]
    return [*inner, {"db_permissions": [{"match": {"schema": value}}]}, value]


def _roles(value: Any) -> list[dict[str, Any]]:
    options = ("max_session_ttl", "client_idle_timeout", "max_db_connections", "pin_source_ip", "zz")
    specs = [{side: found} for found in _sides(value) for side in ("allow", "deny")]
    specs += [{"options": {name: value}} for name in options]
    return [
        {"kind": "role", "version": version, "spec": spec}
        for spec in [*specs, {"options": value}, value]
        for version in ("v7", "regate/v1")
    ]


def _locks(value: Any) -> list[dict[str, Any]]:
    specs = [{"target": {"user": "ada"}, name: value} for name in ("target", "expires", "message")]
    specs += [{"target": {name: value}} for name in ("user", "mfa_device")]
    return [{"kind": "lock", "version": "v2", "spec": spec} for spec in [*specs, value]]


async def test_no_document_breaks_the_index_of_the_others(sidecar: Sidecar) -> None:
    roles = {f"r{n}": role for n, role in enumerate(role for value in VALUES for role in _roles(value))}
    locks = [lock for value in VALUES for lock in _locks(value)]
    index = await sidecar.client.index({**roles, "good": GOOD}, locks)
    assert index["roles"]["good"]["grants"] is True
    assert all(lock["target"].keys() <= {"user"} and lock["target"] for lock in index["locks"])


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_every_document_has_an_answer_to_what_is_wrong_with_it(sidecar: Sidecar, value: Any) -> None:
    for found in [*_locks(value), {"kind": "role", "version": value, "spec": {}}]:
        await sidecar.client.validate_patterns(found)
    for role in _roles(value)[::3]:
        await sidecar.client.validate_patterns(role)


@pytest.mark.parametrize("expires", TIMES)
async def test_a_lock_whose_end_is_far_or_none_does_not_end(sidecar: Sidecar, expires: str) -> None:
    lock = {"kind": "lock", "version": "v2", "spec": {"target": {"user": "ada"}, "expires": expires}}
    index = await sidecar.client.index({}, [lock])
    assert index["locks"] == [{"target": {"user": "ada"}, "message": ""}]


def _guards(value: Any) -> list[dict[str, Any]]:
    settings = [{name: value} for name in ("windows", "max_rows", "tables", "from", "until", "zz")]
    settings += [{"windows": [{name: value}]} for name in ("days", "from", "to", "zone")]
    settings += [{"tables": [{name: value}]} for name in ("schema", "name", "column")]
    specs = [{"settings": found} for found in (*settings, {"tables": [value], "windows": [value]}, value)]
    specs += [{"except": value}, {"except": {"env": value}}]
    return [{"kind": "guard", "spec": {"guard": "schema/no-ddl", **spec}} for spec in specs]


async def test_no_value_switches_a_guard_off(sidecar: Sidecar) -> None:
    guards = [guard for value in VALUES for guard in _guards(value)]
    odd = [{"kind": "guard", "spec": spec} for value in VALUES for spec in (value, {"guard": value})]
    index = await sidecar.client.index({}, [], [*odd, *guards])
    assert len(index["guards"]["schema/no-ddl"]) == len(guards)
    assert index["asleep"] is False


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_every_guard_has_an_answer_to_what_is_wrong_with_it(sidecar: Sidecar, value: Any) -> None:
    for found in [
        *_guards(value),
        {"kind": "guard", "spec": value},
        {"kind": "guard", "spec": {"guard": value}},
    ]:
        await sidecar.client.validate_patterns(found)


async def test_without_guards_they_are_asleep(sidecar: Sidecar) -> None:
    assert (await sidecar.client.index({}, []))["asleep"] is True
