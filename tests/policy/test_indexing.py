"""The index made of parts is the index made at once; and what is pushed as a patch decides like the whole."""

import random
from typing import Any

import pytest

from gateway.errors import PolicyError
from gateway.policy import document, indexing, patching
from gateway.policy.client import PolicyClient
from gateway.policy.indexing import Index
from gateway.policy.sidecar.supervisor import Sidecar
from tests.policy import documents
from tests.policy.documents import code_of

pytestmark = pytest.mark.opa

_GUARD = {"kind": "guard", "metadata": {"name": "g"}, "spec": {"guard": "writes/where-required"}}
_DENYING = {"allow": {}, "deny": {"db_permissions": [{"match": {"*": "*"}, "permissions": ["DELETE"]}]}}
_MASKING = {
    "allow": documents.DB_ACCESS["allow"],
    "options": {"mask": [{"schema": "app", "table": "people", "columns": {"ssn": "full"}}]},
}
_EXPRESSING = {"allow": {"db_labels_expression": 'labels.env == "dev"', "db_users": ["*"], "db_names": ["*"]}}
_BROKEN = {"allow": {"db_labels": {"env": "^(dev$"}, "db_users": ["*"]}}
_SPECS: list[tuple[dict[str, Any], str]] = [
    (documents.DB_ACCESS, "v7"),
    (documents.ANALYST, "v7"),
    (documents.EDITOR, "v7"),
    (_DENYING, "v7"),
    (_MASKING, "regate/v1"),
    (_EXPRESSING, "v7"),
    (_BROKEN, "v7"),
    ({}, "v9"),
]


class _Asks:
    """Counts the roles that the policy is asked to prepare."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.asked = 0
        child = sidecar._child
        assert child is not None
        self._client = PolicyClient(child.socket, sidecar._token, clock=sidecar._clock)

    async def index(self, roles: Any, locks: Any, guards: Any) -> dict[str, Any]:
        self.asked += len(roles)
        return await self._client.index(roles, locks, guards)

    async def whole(self, data: dict[str, Any]) -> dict[str, Any]:
        """All in one question, as the policy has it."""
        asked = document.question(document.index(data["roles"], data["locks"], data["guards"]))
        found: dict[str, Any] = await self._client._exchange.result(
            "/v1/data/gateway/prepare/index", asked, 60.0, even_if_unavailable=True
        )
        return found

    def close(self) -> None:
        self._client.close()


async def test_after_any_change_the_index_is_that_of_the_whole(
    bare_sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "PORTION", 3)
    asks, draw = _Asks(bare_sidecar), random.Random(7)
    known: Index | None = None
    roles: dict[str, Any] = {}
    told: list[tuple[int, int]] = []
    try:
        for _ in range(30):
            for name in draw.sample(["a", "b", "c", "d/e", "f~g", "h", "i", "j"], draw.randint(0, 4)):
                spec, version = draw.choice([*_SPECS, ({}, "")])
                roles = {key: role for key, role in roles.items() if key != name}
                if version:
                    roles[name] = documents.role(name, spec, version)
            locks = [documents.lock(user="alice")] if draw.random() < 0.3 else []
            guards = [_GUARD] if draw.random() < 0.3 else []
            data = {"roles": roles, "locks": locks, "guards": guards}
            changed = sum(known is None or known.roles.get(name) != roles[name] for name in roles)
            asks.asked = 0
            known = await indexing.indexed(asks, "1", data, known, lambda done, of: told.append((done, of)))
            assert asks.asked == changed, "what did not change is not prepared again"
            assert known.value == await asks.whole(data)
        assert any(1 < done < of for done, of in told), "portions are told of"
        asks.asked = 0
        await indexing.indexed(asks, "2", data, known, lambda *_: None)
        assert asks.asked == len(roles), "another policy may prepare them otherwise"
    finally:
        asks.close()


async def test_changes_are_in_force_after_a_patch(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int | None] = []
    patch = patching.patch

    def seen(old: Any, new: Any) -> Any:
        operations = patch(old, new)
        made.append(None if operations is None else len(operations))
        return operations

    monkeypatch.setattr(patching, "patch", seen)
    client, question = sidecar.client, documents.connect("bob", "analyst")
    assert code_of(await client.connect(question)) == "allowed"
    changed = documents.role("analyst", {**documents.ANALYST, "deny": {"db_users": ["analyst"]}})
    odd = documents.role("a/b~c", documents.DB_ACCESS)
    await sidecar.push(documents.data(revision=8, more=(changed, odd)), 8)
    assert code_of(await client.connect(question)) == "denied_by_role"
    # OPA reads paths as addresses: what is taken away here is not the role that bob has.
    like = documents.role("%61nalyst", documents.DB_ACCESS)
    await sidecar.push(documents.data(revision=8, more=(changed, odd, like)), 8)
    await sidecar.push(documents.data(revision=8, more=(changed, odd)), 8)
    assert code_of(await client.connect(question)) == "denied_by_role"
    await sidecar.push(documents.data((documents.lock(user="bob"),), 9), 9)
    assert code_of(await client.connect(question)) == "locked"
    await sidecar.push(documents.data(revision=10), 10)
    assert code_of(await client.connect(question)) == "allowed"
    assert client.revisions.data == 10
    assert len(made) == 5
    assert all(made), "each was sent as a patch"


async def test_a_patch_that_opa_does_not_take_allows_nothing_until_the_whole_is_sent(
    sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patching, "patch", lambda *_: [{"op": "remove", "path": "/nothing/there"}])
    with pytest.raises(PolicyError, match="did not take the data"):
        await sidecar.push(documents.data(revision=8), 8)
    assert not sidecar.ready
    await sidecar.push(documents.data(revision=8), 8)
    assert sidecar.ready
    assert code_of(await sidecar.client.connect(documents.connect("bob", "analyst"))) == "allowed"
