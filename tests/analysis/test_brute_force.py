"""What ``diff`` and ``replay`` say, against `opa eval` over every single question, on generated policies."""

import asyncio
import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.analysis.access import Access, Route, changes
from gateway.analysis.candidates import FRESH, Act, candidates
from gateway.analysis.replaying import Gathered, Past
from gateway.analysis.world import World, stored
from gateway.cli.policy.asking import Asker, access, asking
from gateway.cli.policy.judging_again import Again
from gateway.clock import SystemClock
from gateway.model.classification import ObjectRef
from gateway.policy import canary, document, install
from gateway.policy.offline import offline
from gateway.schema import data_dir

pytestmark = pytest.mark.opa

LABELS = [{"env": "dev"}, {"env": ["dev", "prod"]}, {"*": "*"}, {"env": "p*"}, {"team": "a", "env": "dev"}]
NAMES = ["ada", "bob", "*", "{{internal.db_users}}"]
DATABASES = {"one": {"env": "dev", "team": "a"}, "two": {"env": "prod"}}
# Names that no role lists must all come out as the one fresh name does.
UNLISTED = ["carl", "ada2", FRESH]
PERMISSIONS = [
    {
        "match": {"object_kind": "table", "schema": "app", "name": "orders"},
        "permissions": ["SELECT", "DELETE"],
    },
    {"match": {"object_kind": "table", "schema": "app", "name": "*"}, "permissions": ["SELECT"]},
    {"match": {"object_kind": "*", "name": "notes"}, "permissions": ["*"]},
]
ACTS = [
    Act(operation, ObjectRef("table", name, schema))
    for operation in ("select", "delete", "drop")
    for schema, name in (("app", "orders"), ("app", "notes"), ("app", FRESH), (FRESH, "notes"))
]

ACTS += [Act("delete", ObjectRef("table", "orders", "app"), has_where=False)]
EXPRESSIONS = [
    'labels["env"] == "dev"',
    'contains(user.spec.traits["db_users"], "ada") && !(labels["team"] == "b")',
    'labels["env"] == "prod" || labels["team"] == "a"',
]
GUARDS: list[dict[str, Any]] = [
    {"guard": "writes/where-required", "except": {"env": "prod"}},
    {"guard": "schema/no-ddl"},
    {"guard": "reads/bounded-pii", "settings": {"tables": [{"schema": "app", "name": "n*"}], "max_rows": 5}},
]

_names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)
_allow = st.fixed_dictionaries(
    {"db_labels": st.sampled_from(LABELS), "db_users": _names, "db_names": _names},
    optional={
        "db_permissions": st.lists(st.sampled_from(PERMISSIONS), min_size=1, max_size=2),
        "db_labels_expression": st.sampled_from(EXPRESSIONS),
    },
)
_deny = st.fixed_dictionaries(
    {},
    optional={
        "db_labels": st.sampled_from(LABELS[:2]),
        "db_labels_expression": st.sampled_from(EXPRESSIONS),
        "db_users": st.sampled_from([["bob"], ["{{internal.db_users}}"]]),
        "db_permissions": st.sampled_from([PERMISSIONS[:1]]),
    },
)
_roles = st.lists(st.tuples(_allow, st.one_of(st.just({}), _deny)), min_size=2, max_size=3)
_held = st.lists(st.sampled_from(["r0", "r1", "r2"]), max_size=2, unique=True)
_guards = st.lists(st.sampled_from(GUARDS), max_size=2, unique_by=lambda guard: guard["guard"])
_worlds = st.tuples(_roles, _held, _held, _guards)


def world_of(made: tuple[list[tuple[Any, Any]], list[str], list[str], list[Any]]) -> World:
    """A world of generated roles and guards, two people and two databases."""
    roles, *held, guards = made
    documents: list[dict[str, Any]] = [
        {
            "kind": "role",
            "version": "v7",
            "metadata": {"name": f"r{n}"},
            "spec": {"allow": allow, "deny": deny},
        }
        for n, (allow, deny) in enumerate(roles)
    ]
    for name, names in zip(("ann", "ben"), held, strict=True):
        known = [role for role in names if int(role[1]) < len(roles)]
        spec = {"roles": known, "traits": {"db_users": ["ada"]} if name == "ann" else {}}
        documents.append({"kind": "user", "version": "v2", "metadata": {"name": name}, "spec": spec})
    for guard in guards:
        metadata = {"name": guard["guard"].replace("/", "-")}
        documents.append({"kind": "guard", "version": "regate/v1", "metadata": metadata, "spec": guard})
    for name, labels in DATABASES.items():
        metadata = {"name": name, "labels": labels}
        spec = {"protocol": "postgres", "uri": "localhost:1"}
        documents.append({"kind": "db", "version": "v3", "metadata": metadata, "spec": spec})
    return World(data_dir("policies"), None, stored(documents))


class Brute:
    """Every question by itself, by `opa eval`."""

    def __init__(self, world: World) -> None:
        whole = canary.with_canary(world.data())
        asked = document.index(whole["roles"], whole["locks"], whole["guards"])
        self._data: dict[str, Any] = {}
        index = self._eval("data.gateway.prepare.index", asked)
        self._data = {"regate": {**whole, "index": index}}

    def _eval(self, query: str, given: Any) -> Any:
        policies = data_dir("policies") / "gateway"
        with TemporaryDirectory() as name:
            data = Path(name, "data.json")
            data.write_text(json.dumps(self._data))
            done = subprocess.run(
                [install.ensure_opa(), "eval", "--format=json", "--stdin-input", "--strict-builtin-errors",
                 "--data", policies, "--data", data, query],
                input=json.dumps(given), capture_output=True, text=True, check=True,
            )  # fmt: skip
        return json.loads(done.stdout)["result"][0]["expressions"][0]["value"]

    def all(self, entry: str, asked: list[Any]) -> list[Any]:
        """The decisions of *entry*, in order."""
        one = f"[d | some q in input.asked; d := data.gateway.{entry}.decision with input as q]"
        found: list[Any] = self._eval(one, {"asked": asked})
        assert len(found) == len(asked)
        return found


def brute_force(world: World) -> tuple[dict[Route, list[str]], set[tuple[Route, Act]]]:
    """The open routes with their granting roles, and the acts allowed on them."""
    brute, asker = Brute(world), Asker.__new__(Asker)
    asker.world = world
    routes = [
        Route(user, database, db_user, db_name)
        for user in ("ann", "ben")
        for database in DATABASES
        for db_user in ("ada", "bob", *UNLISTED)
        for db_name in ("ada", "bob", *UNLISTED)
    ]
    databases = world.databases()
    asked = [asker.question(route, databases[route.database]).to_json() for route in routes]
    decided = brute.all("connect", [{**one, "time": time.time_ns()} for one in asked])
    opened = {route: d["roles"] for route, d in zip(routes, decided, strict=True) if d["allow"]}
    pairs = [(route, act) for route in opened for act in ACTS]
    questions = [
        {
            "contract": 1,
            "time": time.time_ns(),
            "session": json.loads(
                asker.session(route, databases[route.database], tuple(opened[route])).content
            ),
            "request": {"statements": [fact.to_json() for fact in act.facts()]},
        }
        for route, act in pairs
    ]
    decisions = brute.all("query", questions) if questions else []
    return opened, {pair for pair, d in zip(pairs, decisions, strict=True) if d["allow"]}


async def enumerated(world: World, other: World) -> Access:
    """What ``diff`` finds out about one of its two worlds."""
    classes = candidates([world, other])
    async with asking(world) as asker:
        return await access(asker, classes, sorted(world.users()), world.databases())


def classed(name: str, listed: tuple[str, ...]) -> str:
    return name if name in listed else FRESH


def hold(found: Access, world: World, other: World) -> tuple[dict[Route, list[str]], set[tuple[Route, Act]]]:
    """Every brute-force answer stands in *found*, and nothing else does."""
    classes = candidates([world, other])
    opened, allowed = brute_force(world)
    seen = set()
    for user in ("ann", "ben"):
        for database in DATABASES:
            for db_user in ("ada", "bob", *UNLISTED):
                for db_name in ("ada", "bob", *UNLISTED):
                    exact = Route(user, database, db_user, db_name)
                    route = Route(
                        user, database, classed(db_user, classes.db_users), classed(db_name, classes.db_names)
                    )
                    assert (exact in opened) == (route in found.routes), exact
                    if exact in opened:
                        seen.add(route)
                        assert tuple(opened[exact]) == found.routes[route]
                        for act in ACTS:
                            thing = act.object
                            assert thing is not None
                            if act in classes.acts:
                                assert ((exact, act) in allowed) == (act in found.acts[route]), (exact, act)
    assert set(found.routes) == seen
    return opened, allowed


def check_diff(old: World, new: World) -> None:
    has, gets = asyncio.run(enumerated(old, new)), asyncio.run(enumerated(new, old))
    before, after = hold(has, old, new), hold(gets, new, old)
    connects = {(c.gains, c.route) for c in changes(has, gets) if c.act is None}
    classes = candidates([old, new])

    def kept(routes: Mapping[Route, Any]) -> set[Route]:
        return {r for r in routes if r.db_user in classes.db_users and r.db_name in classes.db_names}

    gained, lost = kept(after[0]) - kept(before[0]), kept(before[0]) - kept(after[0])
    assert connects == {(True, route) for route in gained} | {(False, route) for route in lost}


def check_replay(old: World, new: World) -> None:
    """Every decision of the old world, judged again by the new one."""
    opened, allowed = brute_force(old)
    now_opened, now_allowed = brute_force(new)
    found, pairs = Gathered(), list[tuple[Route, Act]]()
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    asker, databases = Asker.__new__(Asker), old.databases()
    asker.world = old
    for route, roles in opened.items():
        content = json.loads(asker.session(route, databases[route.database], tuple(roles)).content)
        for act in ACTS:
            key = f"{len(pairs)}"
            kept["", key] = {"session": content, "statements": [fact.to_json() for fact in act.facts()]}
            past = Past(key, str(route), time.time_ns(), False, (route, act) in allowed, (), key, {
                "roles": ["r0", "r1", "r2"]
            })  # fmt: skip
            found.decisions[past.key] = past
            pairs.append((route, act))

    async def judge() -> list[Any]:
        async with offline(new.shipped, None, new.data(), SystemClock()) as sidecar:
            again = Again(sidecar.client, found, kept, lambda _done, _of: None)
            return await again.judge(list(found.decisions.values()))

    for (route, act), outcome in zip(pairs, asyncio.run(judge()), strict=True):
        assert outcome is not None
        assert outcome[0] == (route in now_opened and (route, act) in now_allowed), (route, act, outcome)


_QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


_BY_LABELS = {"db_labels": LABELS[2], "db_users": ["*"], "db_names": ["ada"]}
_BY_EXPRESSION = _BY_LABELS | {"db_labels_expression": EXPRESSIONS[1]}
_GUARDED: Any = (
    [(_BY_EXPRESSION, {}), (_BY_LABELS, {"db_labels_expression": EXPRESSIONS[2]})], ["r0"], ["r1"], GUARDS[:2]
)  # fmt: skip
_UNGUARDED: Any = ([(_BY_LABELS, {}), (_BY_EXPRESSION, {})], ["r0"], ["r0"], GUARDS[2:])


@settings(max_examples=1, deadline=None, derandomize=True, suppress_health_check=_QUIET)
@example(_GUARDED, _UNGUARDED)
@given(_worlds, _worlds)
def test_diff_and_replay_agree_with_every_single_answer(old: Any, new: Any) -> None:
    check_diff(world_of(old), world_of(new))
    check_replay(world_of(old), world_of(new))


@pytest.mark.soak
@settings(max_examples=100, deadline=None, suppress_health_check=_QUIET)
@given(_worlds, _worlds)
def test_diff_and_replay_agree_with_many_more(old: Any, new: Any) -> None:
    check_diff(world_of(old), world_of(new))
    check_replay(world_of(old), world_of(new))
