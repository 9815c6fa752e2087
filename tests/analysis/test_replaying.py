"""Recorded decisions of several logs: told apart by their logs, whatever ids a service repeats."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any, cast

import pytest

from gateway.analysis.judgements import Judgement, rows
from gateway.analysis.replaying import Gathered, Kept, connect_of, gather
from gateway.cli.policy.comparing import Recorded, compared
from gateway.cli.policy.judging_again import Again
from gateway.policy.client import PolicyClient

OWN, OTHER = "test/one/audit", "test/two/audit"
STATEMENT = {"session": {"user": "ann", "database": {}, "db_user": "", "db_name": "", "client_address": ""}}


def record(origin: str, decision: Any = "d", kind: str = "db.session.query", **fields: Any) -> dict[str, Any]:
    given = {
        "decision_id": decision,
        "session_id": "s",
        "input_digest": "digest",
        "policy_revision": "p",
        "user": "ann",
        "database": "orders",
        "reasons": [{"code": "granted"}],
        "statement": "select 1",
    }
    return {
        "kind": kind,
        "origin": origin,
        "time": "2026-01-31T12:00:00.000000000Z",
        "fields": {**given, **fields},
    }


def statement_of(user: str) -> dict[str, Any]:
    return {"session": {**STATEMENT["session"], "user": user}, "statements": []}


class Playing:
    """Lets everybody in but *stranger*, with their name as their role, and allows what ``ann`` may."""

    async def ask_raw(self, path: str, body: bytes, _seconds: float) -> Any:
        asked = json.loads(body)["input"]
        if path == "connect/decision":
            return self._said(asked["identity"]["user"] != "stranger", roles=[asked["identity"]["user"]])
        return {
            key: self._said("ann" in item["session"]["roles"], obligations={})
            for key, item in asked["items"].items()
        }

    @staticmethod
    def _said(allow: object, **more: Any) -> dict[str, Any]:
        base = {"allow": allow, "reasons": [{"code": "x"}], "contract": 1}
        base |= {"policy_revision": "p", "data_revision": 1}
        if "roles" in more:
            return base | (more | {"restricted": False, "limits": {}} if allow else {})
        return base | more


def judged(found: Gathered, kept: Kept) -> dict[tuple[str, str], bool | None]:
    """What each decision is now; None where nothing could be asked."""
    again = Again(cast("PolicyClient", Playing()), found, kept, lambda _done, _of: None)
    outcomes = asyncio.run(again.judge(list(found.decisions.values())))
    return {
        key: None if outcome is None else outcome.allowed
        for key, outcome in zip(found.decisions, outcomes, strict=True)
    }


@pytest.mark.parametrize("order", [(OWN, OTHER), (OTHER, OWN)])
def test_an_id_that_two_logs_have_is_two_decisions(order: Iterable[str]) -> None:
    found = gather(record(origin, statement=f"select of {origin}") for origin in order)
    said = {key: (past.statement, past.more) for key, past in found.decisions.items()}
    assert said == {
        (OWN, "d"): (f"select of {OWN}", 0),
        (OTHER, "d"): (f"select of {OTHER}", 0),
    }


def test_no_log_hides_a_decision_of_another_behind_one_that_nobody_can_ask_again() -> None:
    found = gather([record(OTHER, policy_revision=""), record(OWN), record(OTHER, session_id="t")])
    assert set(found.decisions) == {(OWN, "d"), (OTHER, "d")}
    assert found.left_out == {"no policy was asked": 1}


def test_the_statements_of_one_request_are_one_decision() -> None:
    found = gather([record(OWN), record(OWN), record(OTHER)])
    assert [past.more for past in found.decisions.values()] == [1, 0]


@pytest.mark.parametrize("other", [{"session_id": "t"}, {"input_digest": "e"}])
def test_a_log_that_repeats_its_own_id_is_said_to(other: dict[str, str]) -> None:
    found = gather([record(OWN), record(OWN, **other, statement="drop table t")])
    assert [(past.statement, past.more) for past in found.decisions.values()] == [("select 1", 0)]
    assert found.left_out == {"its log has another decision under the same id": 1}


MALFORMED: list[dict[str, Any]] = [
    {"decision": 5},
    {"decision": ["d"]},
    {"decision": ""},
    {"user": {}},
    {"database": ["orders"]},
    {"roles": "all"},
    {"reasons": 5},
    {"reasons": ["granted"]},
    {"reasons": [{"code": []}]},
    {"session_id": None},
    {"input_digest": []},
    {"statement": 1},
]


@pytest.mark.parametrize("fields", MALFORMED)
def test_what_a_service_writes_in_no_form_of_ours_stops_nothing(fields: dict[str, Any]) -> None:
    found = gather([record(OTHER, **fields), record(OWN)])
    assert set(found.decisions) == {(OWN, "d")}
    assert sum(found.left_out.values()) == 1


def test_a_session_that_two_logs_have_is_judged_by_each_logs_own_connect() -> None:
    """Under the hostile log's connect the honest statement would be refused, and the other way round."""
    starts = [
        record(OTHER, "c", "db.session.start", input_digest="their-connect"),
        record(OWN, "c", "db.session.start", input_digest="connect"),
    ]
    found = gather([*starts, record(OTHER, "d"), record(OWN, "d")])
    kept: Kept = {
        (OTHER, "their-connect"): {"identity": {"user": "stranger"}},
        (OWN, "connect"): {"identity": {"user": "ann"}},
        (OTHER, "digest"): statement_of("stranger"),
        (OWN, "digest"): statement_of("ann"),
    }
    assert judged(found, kept) == {
        (OTHER, "c"): False,
        (OWN, "c"): True,
        (OTHER, "d"): False,
        (OWN, "d"): True,
    }


def test_a_log_whose_input_was_not_kept_borrows_that_of_no_other() -> None:
    found = gather([record(OTHER), record(OWN)])
    assert judged(found, {(OTHER, "digest"): statement_of("ann")}) == {(OTHER, "d"): True, (OWN, "d"): None}


def test_an_input_of_another_kind_than_its_record_says_is_no_question() -> None:
    (connect,) = gather([record(OTHER, kind="db.session.start")]).decisions.values()
    (query,) = gather([record(OTHER)]).decisions.values()
    assert connect_of(connect, {(OTHER, "digest"): statement_of("ann")}) is None
    found = gather([record(OTHER)])
    kept: Kept = {(OTHER, "digest"): {"identity": {"user": "ann"}}}
    assert connect_of(query, kept) is None
    assert judged(found, kept) == {(OTHER, "d"): None}


def test_a_comparison_names_the_log_of_each_decision() -> None:
    found = gather([record(OTHER, statement="select 2"), record(OWN)])
    old = {key: Judgement(key[0] == OWN, ()) for key in found.decisions}
    new = {key: Judgement(key[0] != OWN, ()) for key in found.decisions}
    told = list(rows(compared(Recorded(found), (old, new), [], ({}, {}))))
    assert {(row["change"], row["statement"], row["decision_id"], row["origin"]) for row in told} == {
        ("loses", "select 1", "d", OWN),
        ("gains", "select 2", "d", OTHER),
    }
