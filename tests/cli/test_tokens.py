"""``regate tokens``: made, shown once, listed and removed."""

import json
import re

import pytest

from tests.api.rig import Rig
from tests.cli.conftest import Person, sign_up

TOKEN = re.compile(r"\b[0-9a-f]{64}\b")


def test_text_is_the_token_and_nothing_else(admin: Person) -> None:
    said = admin.ok("tokens", "add", "--type=db", "--format=text")
    assert re.fullmatch(r"[0-9a-f]{64}\n", said)


def test_without_a_format_it_says_what_to_do_next(admin: Person, rig: Rig) -> None:
    said = admin.ok("tokens", "add", "--type=db,proxy")
    assert len(TOKEN.findall(said)) == 1 + rig.pin.count(":") * 2  # the token, and the pin for each kind
    assert "regate db configure create --token=FILE" in said
    assert f"--ca-pin={rig.pin}" in said
    assert "once, until" in said


def test_a_list_shows_what_is_left_and_never_the_secret(admin: Person) -> None:
    bounds = ("--labels=env=dev,env=test,team=a", "--databases=my-*", "--uses=3", "--ttl=10m")
    made = json.loads(admin.ok("tokens", "add", "--type=db", "--name=agents", *bounds, "--format=json"))
    assert made["labels"] == {"env": ["dev", "test"], "team": ["a"]}
    listed = admin.ok("tokens", "ls")
    (row,) = [line for line in listed.splitlines() if line.startswith("agents ")]
    assert re.search(r"agents +db +env=dev\|test,team=a +my-\* +3 +20.* UTC \[valid for (9|10)m\]", row)
    (item,) = [
        item for item in json.loads(admin.ok("tokens", "ls", "--format=json")) if item["name"] == "agents"
    ]
    assert (item["uses_left"], item["databases"]) == (3, ["my-*"])
    assert made["token"] not in listed + admin.ok("get", "tokens") + admin.ok("audit", "ls", "--format=json")
    assert admin.ok("tokens", "rm", "agents") == 'Token "agents" has been removed\n'
    assert "agents" not in admin.ok("tokens", "ls")
    gone = admin.run("tokens", "rm", "agents")
    assert (gone.code, "does not exist" in gone.err) == (4, True)


def test_a_token_for_a_bot_says_whose_it_is_and_what_to_run(admin: Person, rig: Rig) -> None:
    admin.ok("bots", "add", "robot", "--roles=access")
    said = admin.ok("tokens", "add", "--type=bot", "--bot=robot")
    assert 'lets the bot "robot" join once, until' in said
    assert f"regate bot start --proxy={rig.proxy} --ca-pin={rig.pin} --token-file=FILE --out=DIR" in said


def test_a_token_for_any_number(admin: Person) -> None:
    admin.ok("tokens", "add", "--type=db", "--multi-use", "--name=many")
    assert re.search(r"many +db +any +any +any ", admin.ok("tokens", "ls"))


WRONG = [
    (("--type=node",), "expected some of db, proxy, bot, got 'node'"),
    (("--type=db", "--ttl=31m"), "within the next 30 minutes"),
    (("--type=db", "--ttl=soon"), "'soon' is no duration"),
    (("--type=db", "--uses=0"), "0 is not in the range"),
    (("--type=db", "--uses=2", "--multi-use"), "not both"),
    (("--type=db", "--labels=production"), "'production' is no label"),
    (("--type=db", "--name=a b"), "a name of letters"),
    (("--type=,db",), "an empty name"),
    (("--type=bot",), "a token of type bot names its bot"),
    ((), "Missing option '--type'"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_a_mistake_is_a_sentence(admin: Person, arguments: tuple[str, ...], said: str) -> None:
    refused = admin.run("tokens", "add", *arguments)
    assert refused.code == 2
    assert said in refused.err
    assert TOKEN.search(refused.out) is None


def test_a_login_without_a_rule_makes_none(admin: Person, person: Person, rig: Rig) -> None:
    sign_up(rig, admin, person, "mallory")
    rig.policy.admins.discard("mallory") if hasattr(rig.policy, "admins") else None
    refused = person.run("tokens", "add", "--type=db")
    assert refused.code == 3
    assert TOKEN.search(refused.out) is None
