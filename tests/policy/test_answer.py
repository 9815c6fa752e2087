import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import schema
from gateway.errors import PolicyError
from gateway.model.decision import Allowed, Denied, Limits, Reason, Revisions
from gateway.policy import answer
from gateway.policy.answer import Verdict

BASE: dict[str, Any] = {
    "contract": 1,
    "allow": True,
    "reasons": [{"code": "role_permits", "role": "reader"}],
    "policy_revision": "4-abc",
    "data_revision": 7,
}
QUERY = {**BASE, "obligations": {}}
MASK = {"schema": "app", "table": "people", "column": "ssn", "how": "hash"}
OBLIGED = {
    **BASE,
    "obligations": {
        "mask": [MASK],
        "row_filter": [{"schema": "app", "table": "people", "guard": "rows/eu"}],
        "max_rows": [10],
        "timeout_ms": [500],
        "hold": [{"seconds": 60, "reason": ""}],
    },
}
CONNECT = {**BASE, "roles": ["reader"], "restricted": False, "limits": {"idle_seconds": 60}}
LOGIN = {**BASE, "limits": {"max_session_seconds": 3600}}
JOIN = {**BASE, "databases": ["a"]}
REFUSAL = {**BASE, "allow": False, "reasons": [{"code": "no", "message": "never"}]}

Parse = Callable[[Any], Verdict]
KINDS: list[tuple[str, Parse, dict[str, Any]]] = [
    ("decision.query", answer.query, QUERY),
    ("decision.query", answer.query, OBLIGED),
    ("decision.query", answer.query, {**REFUSAL, "obligations": {}}),
    ("decision.connect", answer.connect, CONNECT),
    ("decision.connect", answer.connect, REFUSAL),
    ("decision.admin", answer.admin, BASE),
    ("decision.admin", answer.admin, REFUSAL),
    ("decision.login", answer.login, LOGIN),
    ("decision.login", answer.login, REFUSAL),
    ("decision.join", lambda value: answer.join(value)[0], JOIN),
    ("decision.join", lambda value: answer.join(value)[0], {**REFUSAL, "databases": []}),
]

JUNK: list[Any] = [None, True, False, 0, 1, -1, 7.5, "", "x", "true", [], [1], {}, {"a": 1}, [{}], [None]]


def test_a_yes_becomes_an_allowed_decision() -> None:
    decision = answer.connect(CONNECT).issue("id", "digest")
    assert decision == Allowed(
        "id",
        Revisions("4-abc", 7),
        "digest",
        ("reader",),
        (Reason("role_permits", "", "reader"),),
        restricted=False,
        limits=Limits(idle_seconds=60),
    )


def test_a_no_becomes_a_denied_decision() -> None:
    decision = answer.query({**REFUSAL, "obligations": {}}).issue("id", "digest")
    assert decision == Denied("id", (Reason("no", "never"),), Revisions("4-abc", 7), "digest")


def _mutations(value: dict[str, Any]) -> list[Any]:
    """Each key left out, each value replaced by something else, and something added, two levels deep."""
    found: list[Any] = list(JUNK)
    for key, present in value.items():
        without = copy.deepcopy(value)
        del without[key]
        found.append(without)
        found += [{**value, key: junk} for junk in JUNK if junk != present or type(junk) is not type(present)]
    found.append({**value, "extra": 1})
    found += [{**value, "reasons": [junk]} for junk in JUNK]
    found += [{**value, "reasons": [{"code": junk}]} for junk in JUNK if junk != "x"]
    found += [
        {**value, "reasons": [{"code": "x", "message": junk}]} for junk in JUNK if type(junk) is not str
    ]
    found.append({**value, "reasons": [{"code": "x", "extra": "y"}]})
    return found


@pytest.mark.parametrize(("name", "parse", "good"), KINDS)
def test_what_the_schema_refuses_is_never_a_yes(name: str, parse: Parse, good: dict[str, Any]) -> None:
    validator = jsonschema.Draft7Validator(schema.load(name))
    validator.validate(good)
    assert parse(good).allow is good["allow"]
    for value in _mutations(good):
        # JSON Schema takes 1.0 for 1; the parser is the stricter one.
        if not validator.is_valid(value):
            assert parse(value) == answer.refused(answer.INVALID), value
        elif parse(value).allow:
            assert value["allow"] is True


@pytest.mark.parametrize(
    "obligations",
    [
        *([], "none", None, 0, {"unheard_of": None}, {"malformed": ["rows/eu"]}, {"mask": []}),
        *({"mask": {}}, {"max_rows": 1}, {"max_rows": [0]}, {"max_rows": [True]}, {"max_rows": [1, False]}),
        *({"timeout_ms": [86_400_001]}, {"hold": [3]}, {"hold": [{"seconds": 1}]}, {"mask": [{}]}),
        {"mask": [{**MASK, "how": "blur"}]},
        {"mask": [{**MASK, "column": ""}]},
        {"mask": [{**MASK, "column": "x" * 64}]},
        {"mask": [{**MASK, "extra": 1}]},
        {"mask": [MASK], "unheard_of": [1]},
    ],
)
def test_an_obligation_that_nobody_knows_refuses(obligations: Any) -> None:
    assert answer.query({**QUERY, "obligations": obligations}) == answer.refused(answer.INVALID)


@pytest.mark.parametrize("bound", [0, -1, 1.5, "60", True, None])
def test_a_limit_is_a_positive_number(bound: Any) -> None:
    assert not answer.connect({**CONNECT, "limits": {"idle_seconds": bound}}).allow


BODIES = [
    (200, b""),
    (200, b"{}"),
    (200, b"null"),
    (200, b"[]"),
    (200, b'{"result": {}'),
    (200, b'{"results": {}}'),
    (200, b'{"result": {}, "warning": {}}'),
    (200, b"\xff\xfe"),
    (200, b"[" * 100_000),
    (500, b'{"result": true}'),
    (404, b'{"result": true}'),
    (204, b""),
    (401, b'{"code": "unauthorized"}'),
]


@pytest.mark.parametrize(("status", "body"), BODIES)
def test_what_is_not_a_result_is_refused(status: int, body: bytes) -> None:
    with pytest.raises(PolicyError):
        answer.result(status, body)


@pytest.mark.parametrize(
    "found", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}, [1, 2], None, "ab"]
)
def test_a_batch_must_answer_exactly_what_was_asked(found: Any) -> None:
    body = json.dumps({"result": found}).encode()
    with pytest.raises(PolicyError):
        answer.results(200, body, {"a": 0, "b": 0})


def test_a_service_that_joins_is_told_which_databases_it_may_serve() -> None:
    verdict, databases = answer.join(JOIN)
    assert (verdict.allow, databases) == (True, ("a",))
    assert answer.join({**REFUSAL, "databases": ["b"]})[1] == ("b",)
    for bad in [*JUNK, BASE, {**JOIN, "databases": "a"}, {**JOIN, "databases": [1]}, {**JOIN, "x": 1}]:
        verdict, databases = answer.join(bad)
        assert (verdict.allow, databases) == (False, ())


def test_a_list_of_databases_is_read_strictly() -> None:
    good = {
        "contract": 1,
        "policy_revision": "",
        "data_revision": 7,
        "databases": [{"name": "a", "db_users": ["x"], "db_names": []}],
    }
    assert answer.visible(good) == [answer.Visible("a", ("x",), ())]
    for bad in [*JUNK, {**good, "databases": {}}, {**good, "databases": [{"name": "a"}]}, {**good, "x": 1}]:
        with pytest.raises(PolicyError):
            answer.visible(bad)


def test_a_list_of_problems_is_read_strictly() -> None:
    assert answer.problems([{"severity": "error", "path": "p", "message": "m"}]) == [
        answer.Problem("error", "p", "m")
    ]
    junk: list[Any] = [{}, None, [1], [{}], [{"severity": 1, "path": "p", "message": "m"}]]
    for bad in junk:
        with pytest.raises(PolicyError):
            answer.problems(bad)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CONNECT, "x"]), inner, max_size=9)
    ),
    max_leaves=12,
)


@given(_json)
@settings(max_examples=300)
def test_whatever_comes_is_a_verdict_and_noise_is_a_refusal(value: Any) -> None:
    for parse, name in ((answer.query, "query"), (answer.connect, "connect"), (answer.login, "login")):
        verdict = parse(value)
        if verdict.allow:
            jsonschema.validate(value, dict(schema.load(f"decision.{name}")))
