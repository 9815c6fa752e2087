"""A replay does not wait where it need not."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from gateway.analysis.judgements import Judgement
from gateway.analysis.replaying import Gathered, Kept, Past
from gateway.analysis.world import World
from gateway.cli.client import Api
from gateway.cli.policy import past, replay
from gateway.cli.policy.judging_again import Again
from gateway.errors import AccessError
from gateway.policy import offline
from gateway.policy.client import PolicyClient
from gateway.schema import data_dir

MINUTE_NS = 60_000_000_000
STATEMENTS = 1_000
YES = {
    "contract": 1,
    "allow": True,
    "reasons": [{"code": "role_permits", "role": "reader"}],
    "policy_revision": "1",
    "data_revision": 1,
}
CONNECT = YES | {"roles": ["reader"], "restricted": True, "limits": {}}
SESSION = {
    "user": "ada",
    "roles": ["reader"],
    "database": {"name": "sales", "protocol": "postgres", "labels": {}},
    "db_user": "ada",
    "db_name": "shop",
    "client_address": "127.0.0.1",
}


class Inputs(dict[tuple[str, str], Mapping[str, Any]]):
    """Counts how many were looked at."""

    looked_at = 0

    def get(self, key: Any, default: Any = None) -> Any:
        self.looked_at += 1
        return super().get(key, default)


class Opa:
    """Says yes, and keeps each batch's time and numbers with how many inputs had been looked at."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.batches: list[tuple[int, list[int], int]] = []

    async def ask_raw(self, path: str, body: bytes, _seconds: float) -> Any:
        if path == "connect/decision":
            return CONNECT
        asked = json.loads(body)["input"]
        numbers = [item["request"]["statements"][0]["n"] for item in asked["items"].values()]
        self.batches.append((asked["time"], numbers, self.inputs.looked_at))
        return dict.fromkeys(asked["items"], YES | {"obligations": {}})


def judged(minute_of_number: list[int]) -> tuple[Opa, list[Judgement | None]]:
    inputs = Inputs(
        {
            ("", f"{number}"): {"session": SESSION, "statements": [{"n": number}]}
            for number in range(len(minute_of_number))
        }
    )
    decisions = [
        Past(f"{number}", "one", minute * MINUTE_NS, False, True, (), f"{number}", {"roles": ["reader"]})
        for number, minute in enumerate(minute_of_number)
    ]
    opa = Opa(inputs)
    again = Again(cast("PolicyClient", opa), Gathered(), inputs, lambda _done, _of: None)
    return opa, asyncio.run(again.judge(decisions))


def test_the_first_statements_are_judged_while_the_last_are_not_yet_encoded() -> None:
    opa, outcomes = judged([1] * STATEMENTS)
    assert opa.batches[0][2] < STATEMENTS
    assert sorted(number for _, numbers, _ in opa.batches for number in numbers) == list(range(STATEMENTS))
    assert all(outcome is not None and outcome.allowed for outcome in outcomes)


def test_statements_of_a_minute_go_together_in_whatever_order_they_come() -> None:
    opa, outcomes = judged([2, 1, 2, 1])
    assert [batch[:2] for batch in opa.batches] == [(MINUTE_NS, [1, 3]), (2 * MINUTE_NS, [0, 2])]
    assert all(outcome is not None and outcome.allowed for outcome in outcomes)


def test_opa_starts_while_the_decisions_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: Future[tuple[Gathered, Kept]] = Future()

    class Sidecar:
        client = Opa(Inputs())

    @asynccontextmanager
    async def started(*_: Any, **__: Any) -> AsyncIterator[Sidecar]:
        fetched.set_result((Gathered(), {}))
        yield Sidecar()

    monkeypatch.setattr(offline, "offline", started)
    world = World(data_dir("policies"), None, ())
    judging = replay._replay(world, fetched, lambda _done, _of: None)
    report = asyncio.run(asyncio.wait_for(judging, 10))
    assert report["summary"]["judged"] == 0


def test_what_fails_while_it_is_fetched_is_told_where_it_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: str) -> None:
        raise AccessError("no")

    monkeypatch.setattr(past, "recorded", refused)
    with pytest.raises(AccessError, match="no"):
        past.fetching(cast("Api", None), "7d").result(10)
