"""When a replay may ask about equal statements once, whenever they ran."""

from pathlib import Path

import pytest

from gateway.analysis.replaying import Past, Questions
from gateway.analysis.timeless import is_timeless, of_world
from gateway.analysis.world import World, read
from gateway.schema import data_dir

_HEAD = "package gateway.guards.a.b\n\nimport data.gateway.lib.statements\n\n"
_PLAIN = _HEAD + 'deny contains {"code": "x"} if input.request.statements[_].operation == "drop"\n'

LOOKING = {
    "the time itself": 'deny contains {"code": "x"} if input.time > 5\n',
    "the time by another name": 'deny contains {"code": "x"} if input["time"] > 5\n',
    "all of the question": 'deny contains {"code": "x"} if walk(input, [_, 5])\n',
    "the question under a name": "import input as asked\n",
    "a decision": 'deny contains {"code": "x"} if data.gateway.connect.decision.allow\n',
    "everything there is": 'deny contains {"code": "x"} if data[_].connect\n',
    "another question": 'deny contains {"code": "x"} if statements.x with input.session as {}\n',
}


def guard(path: str, **settings: object) -> dict[str, object]:
    return {"kind": "guard", "metadata": {"name": "g"}, "spec": {"guard": path, "settings": settings}}


@pytest.mark.parametrize("what", LOOKING)
def test_a_policy_that_may_look_at_the_time_is_not_timeless(what: str) -> None:
    assert is_timeless([_PLAIN], [])
    assert not is_timeless([_PLAIN, _HEAD + LOOKING[what]], [])


def test_guards_about_time_are_not_timeless() -> None:
    assert is_timeless([], [guard("schema/no-ddl"), guard("changes/maintenance-freeze")])
    assert not is_timeless([], [guard("time/business-hours", windows=[])])
    assert not is_timeless([], [guard("changes/maintenance-freeze", until="2026-01-31T12:00:00Z")])


def test_a_world_with_another_library_is_not_timeless(tmp_path: Path) -> None:
    (tmp_path / "guards").mkdir()
    (tmp_path / "guards" / "g.rego").write_text(_PLAIN)
    assert of_world(read(tmp_path))
    (tmp_path / "guards" / "g.rego").write_text(_PLAIN + LOOKING["the time itself"])
    assert not of_world(read(tmp_path))
    assert of_world(World(data_dir("policies"), None, ()))
    (tmp_path / "gateway" / "connect").mkdir(parents=True)
    assert not of_world(World(tmp_path, None, ()))


def _past(at_ns: int, digest: str = "d") -> Past:
    return Past(f"{at_ns}", "s", at_ns, is_connect=False, allowed=True, codes=(), digest=digest, who={})


def test_equal_statements_are_one_question_when_time_does_not_matter() -> None:
    given = {"session": {"user": "ann"}, "statements": []}
    minute = 60_000_000_000
    by_time = Questions(1)
    assert by_time.about(_past(0), given, ["r"]) == by_time.about(_past(minute - 1), given, ["r"])
    assert by_time.about(_past(0), given, ["r"]) != by_time.about(_past(minute), given, ["r"])
    at_once = Questions(1, at=7)
    assert at_once.about(_past(0), given, ["r"]) == at_once.about(_past(minute), given, ["r"])
    assert at_once.about(_past(0), given, ["r"]) != at_once.about(_past(0), given, ["q"])
