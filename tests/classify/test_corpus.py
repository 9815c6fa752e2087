"""Every statement of the corpus comes out as it must, under the reference policy in its header."""

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.clock import SystemClock
from gateway.model.decision import Allowed
from gateway.model.resource import Database
from gateway.policy import install, publish
from gateway.policy.data import build_data
from gateway.policy.document import SessionQuestion
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.schema import data_dir
from tests.classify.judge import CORPUS, entries, facts_of, objections, relations

ENTRIES = entries("postgres.yaml") + entries("postgres-variants.yaml")
IDS = [entry["id"] for entry in ENTRIES]

# Judged by the protocol, whose tests hold them: what arrives before or around a statement.
NOT_HERE = {"wire", "startup", "scenario"}
# Relations the entry names that no reader of the text can know, or that it describes in words.
TOLD_OTHERWISE = {"app.<odd name>", "orders (resolve)", "pay", "secret.events_2020"}


def test_what_is_not_judged_here_is_known() -> None:
    loaded = yaml.safe_load((CORPUS / "postgres.yaml").read_text())
    assert len(loaded) == 238
    assert {entry["kind"] for entry in loaded} - {"sql"} == NOT_HERE


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_verdict(entry: dict[str, Any]) -> None:
    started = time.process_time()
    facts = facts_of(entry["payload"])
    assert time.process_time() - started < 0.5  # C6 asks for 100 ms on a machine that is not shared
    against = objections(facts)
    assert (against == []) == (entry["must"] == "parse"), against


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e["must"] == "parse"], ids=lambda e: str(e["id"]))
def test_controls_are_understood_exactly(entry: dict[str, Any]) -> None:
    facts, expected = facts_of(entry["payload"]), entry.get("expect", {})
    if "verbs" in expected:
        assert [item.operation.upper() for item in facts] == expected["verbs"]
    if "tables" in expected:
        known = {name for name in expected["tables"] if name not in TOLD_OTHERWISE}
        assert relations(facts) >= known
        assert relations(facts) == known or "orders (resolve)" in expected["tables"]
    if "functions" in expected:
        assert {named.name for item in facts for named in item.functions} == set(expected["functions"])


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.get("expect")], ids=lambda e: str(e["id"]))
def test_what_is_refused_is_named(entry: dict[str, Any]) -> None:
    facts, expected = facts_of(entry["payload"]), entry["expect"]
    if any(not item.complete for item in facts):
        return
    assert set(expected.get("tables", [])) - TOLD_OTHERWISE <= relations(facts)
    names = {named.name for item in facts for named in item.functions}
    assert {name.rpartition(".")[2] for name in expected.get("functions", [])} <= names


@pytest.fixture(scope="module")
def analyst() -> dict[str, Any]:
    permission = {
        "match": {"object_kind": "table", "schema": "app", "name": ["orders", "customers"]},
        "permissions": ["SELECT"],
    }
    allow = {"db_labels": {"*": "*"}, "db_names": ["*"], "db_users": ["*"], "db_permissions": [permission]}
    role = {
        "kind": "role",
        "version": "v7",
        "metadata": {"name": "analyst"},
        "spec": {"allow": allow, "deny": {}},
    }
    user = {"kind": "user", "metadata": {"name": "ann"}, "spec": {"roles": ["analyst"], "traits": {}}}
    return build_data([role], [user], (), [], 7)


@pytest_asyncio.fixture
async def sidecar(
    analyst: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Sidecar]:
    opa, key = install.ensure_opa(), ec.generate_private_key(ec.SECP256R1())
    bundle = publish.publish(opa, data_dir("policies"), None, tmp_path_factory.mktemp("bundle"), key)
    async with Sidecar(opa=opa, bundle=bundle, key=key, clock=SystemClock(), deadline_seconds=5.0) as running:
        await running.push(analyst, 7)
        yield running


@pytest.mark.opa
async def test_the_shipped_policy_says_the_same(sidecar: Sidecar) -> None:
    database = Database("orders-db", "postgres", "localhost:5432")
    session = SessionQuestion("ann", ("analyst",), 7, database, "analyst", "appdb", "s1", "127.0.0.1:4000")
    wrong = []
    for entry in ENTRIES:
        facts = facts_of(entry["payload"])
        decision = await sidecar.client.query(session, facts)
        if isinstance(decision, Allowed) != (entry["must"] == "parse"):
            wrong.append((entry["id"], entry["payload"][:80], decision.reasons))
    assert not wrong
