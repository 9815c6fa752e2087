"""Every statement of the corpus for MySQL and MariaDB comes out as it must, under its reference policy."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.classify.mysql.judge import facts_of, objections, relations

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
LOADED: list[dict[str, Any]] = yaml.safe_load((CORPUS / "mysql.yaml").read_text())
VARIANTS: list[dict[str, Any]] = yaml.safe_load((CORPUS / "mysql-variants.yaml").read_text())
ENTRIES = [entry for entry in (*LOADED, *VARIANTS) if entry["kind"] == "sql"]
# Judged by the protocol, whose tests hold them.
NOT_HERE = {"wire", "scenario"}


def test_what_is_not_judged_here_is_known() -> None:
    assert len(LOADED) == 88
    assert {entry["kind"] for entry in LOADED} - {"sql"} == NOT_HERE


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["id"]))
def test_verdict(entry: dict[str, Any]) -> None:
    started = time.process_time()
    facts = facts_of(entry["payload"], entry["protocol"])
    assert time.process_time() - started < 0.5  # 100 ms on a machine that is not shared
    against = objections(facts)
    assert (against == []) == (entry["must"] == "parse"), against


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: str(entry["id"]))
def test_what_nobody_may_understand_is_not_understood(entry: dict[str, Any]) -> None:
    if entry["must"] == "fail_closed":
        assert not all(item.complete for item in facts_of(entry["payload"], entry["protocol"]))


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.get("expect")], ids=lambda entry: str(entry["id"]))
def test_what_is_expected_is_found(entry: dict[str, Any]) -> None:
    facts, expected = facts_of(entry["payload"], entry["protocol"]), entry["expect"]
    assert all(item.complete for item in facts)
    assert set(expected.get("tables", [])) <= relations(facts)
    verbs = {effect.operation.upper() for item in facts for effect in item.effects}
    assert set(expected.get("verbs", [])) <= verbs | {item.operation.upper() for item in facts}
    if entry["must"] == "parse" and "tables" in expected:
        assert relations(facts) == set(expected["tables"])
