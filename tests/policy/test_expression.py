"""Label expressions: read in Python, decided in Rego; what is none is told, and never stands for one."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import PolicyError
from gateway.model.decision import Allowed
from gateway.policy import expression
from gateway.policy.sidecar.supervisor import Sidecar
from tests.policy import documents

LABELS = {"env": "dev", "team": "red", "project-1": "apollo", "owner": "ada@example.com"}
TRAITS = {
    "teams": ["red", "blue"],
    "projects": ["apollo"],
    "allow-env": ["dev", "test"],
    "mail": ["Ada@x.org"],
}

HOLD = [
    'labels["env"] == "dev"',
    "labels.env == `dev`",
    '"dev" == labels["env"]',
    'labels["env"] != "prod"',
    'labels["absent"] == ""',
    'labels["absent"] != "x"',
    'labels["env"] == "prod" || labels["team"] == "red"',
    'labels["env"] == "dev" && labels["team"] == "red"',
    'labels["env"] == "x" && labels["env"] == "y" || labels["team"] == "red"',
    '(labels["env"] == "x" || labels["env"] == "dev") && !(labels["team"] == "blue")',
    '!(labels["env"] == "prod" || labels["team"] == "blue")',
    '!(labels["env"] == "dev" && labels["team"] == "blue")',
    '!!(labels["env"] == "dev")',
    'contains(user.spec.traits["teams"], labels["team"])',
    "contains(user.spec.traits.teams, labels.team)",
    'contains(user.spec.traits["allow-env"], labels["env"])',
    'contains_any(user.spec.traits["projects"], labels_matching("project-*"))',
    'contains_all(user.spec.traits["teams"], set("red", "blue"))',
    '!contains_all(user.spec.traits["teams"], user.spec.traits["absent"])',
    '!contains(user.spec.traits["absent"], labels["team"])',
    'contains(set("dev", "staging"), labels["env"])',
    'regexp.match(labels["env"], "^d.v$")',
    'regexp.match(user.spec.traits["teams"], "^bl")',
    'regexp.replace(labels["project-1"], "^(.).*$", "$1") == "a"',
    'email.local(labels["owner"]) == "ada"',
    'strings.upper(labels["env"]) == "DEV"',
    'contains(strings.lower(email.local(user.spec.traits["mail"])), email.local(labels["owner"]))',
    'user.metadata.name == "carol"',
    'labels["en\\u0076"] == "dev"',
]
DO_NOT_HOLD = [
    'labels["env"] == "de*"',
    'labels["env"] == "DEV"',
    'labels["env"] != "dev"',
    'labels["absent"] == "dev"',
    'labels["env"] == "dev" && labels["team"] == "blue"',
    'contains(user.spec.traits["absent"], labels["team"])',
    'contains(user.spec.traits["teams"], labels["absent"])',
    'contains_any(user.spec.traits["projects"], labels_matching("nothing-*"))',
    'contains_all(user.spec.traits["teams"], user.spec.traits["absent"])',
    'contains_all(user.spec.traits["teams"], set("red", "green"))',
    'regexp.match(labels["env"], "^x")',
    'email.local(labels["env"]) != "x"',
    'user.metadata.name == "Carol"',
]
NONE = [
    *("", "   ", "true", "labels", 'labels["env"]', 'labels["env"] = "dev"', 'labels["env"] == dev', "("),
    *('labels["env"] == "dev" ||', '&& labels["env"] == "dev"', 'labels["env"] == "dev" labels', "))"),
    *('labels["env" == "dev"', "labels[env] == `dev`", 'labels["env"] == user.spec.traits["x"]', "!"),
    *('contains("dev", labels["env"])', 'contains(user.spec.traits["x"], user.spec.traits["y"])'),
    *('contains(user.spec.traits["x"])', 'lower(labels["env"]) == "dev"', 'labels["env"] == "\\q"'),
    *('labels["env"] == "dev" # why', 'regexp.match(labels["env"], labels["team"])', "labels. == `x`"),
    *("(" * 40 + 'labels.a == "b"' + ")" * 40, "!" * 40 + '(labels.a == "b")', "x" * 5000),
    " && ".join(['(labels.a == "1" || labels.b == "2")'] * 8),
    'strings.upper(strings.upper(strings.upper(strings.upper(labels["env"])))) == "DEV"',
    'labels["env"] == "dev\nx"',
]
UNREADABLE = ['regexp.match(labels["env"], "(")', 'regexp.replace(labels["env"], "(", "") == "x"']


@pytest.mark.parametrize("text", [*HOLD, *DO_NOT_HOLD, *UNREADABLE])
def test_what_is_an_expression_has_a_program(text: str) -> None:
    program = expression.parse(text)
    assert program
    assert all(program)


@pytest.mark.parametrize("text", NONE)
def test_what_is_none_is_told(text: str) -> None:
    with pytest.raises(PolicyError):
        expression.parse(text)


def test_a_mistake_says_where() -> None:
    found = expression.mistakes({"spec": {"deny": {"db_labels_expression": 'labels["env"] = "dev"'}}})
    assert found == {'labels["env"] = "dev"': "character 15: '= \"dev\"' is not understood"}


@given(st.text(alphabet='labelsuser.spctrin["]!=&|(), `x', max_size=40))
@settings(max_examples=300)
def test_nothing_but_a_mistake_leaves_the_reader(text: str) -> None:
    try:
        program = expression.parse(text)
    except PolicyError:
        return
    assert len(program) <= expression.MAX_WAYS


def test_long_and_wide_ones_are_bounded() -> None:
    with pytest.raises(PolicyError, match="too long"):
        expression.parse(" && ".join(['labels.a=="1"'] * 150 + ['(labels.a == "1" || labels.b == "2")'] * 2))


def _role(number: int, text: str, side: str) -> dict[str, Any]:
    allow = {"db_users": ["*"], "db_names": ["*"]}
    if side == "allow":
        return documents.role(f"e{number}", {"allow": {**allow, "db_labels_expression": text}})
    deny = {"db_labels_expression": text}
    return documents.role(f"e{number}", {"allow": {**allow, "db_labels": {"*": "*"}}, "deny": deny})


async def _opened(sidecar: Sidecar, texts: list[str], side: str) -> list[bool]:
    """For each text whether a role with it opens the database."""
    data = documents.data()
    names = [f"e{number}" for number in range(len(texts))]
    roles = [_role(number, text, side) for number, text in enumerate(texts)]
    data["roles"] |= {role["metadata"]["name"]: role for role in roles}
    revision, found = documents.REVISION, []
    database = replace(documents.DATABASE, labels=LABELS)
    for name in names:
        revision += 1
        data["users"] |= {"carol": {"roles": [name], "traits": TRAITS, "locked": False}}
        await sidecar.push(data | {"data_revision": revision}, revision)
        question = documents.connect("carol", name, database=database)
        found.append(isinstance(await sidecar.client.connect(question), Allowed))
    return found


@pytest.mark.opa
async def test_rego_decides_with_the_program(bare_sidecar: Sidecar) -> None:
    texts = [*HOLD, *DO_NOT_HOLD, *UNREADABLE, "no expression"]
    opened = await _opened(bare_sidecar, texts, "allow")
    assert [text for text, is_open in zip(texts, opened, strict=True) if is_open] == HOLD


@pytest.mark.opa
async def test_a_deny_refuses_where_it_holds_or_may(bare_sidecar: Sidecar) -> None:
    texts = [*HOLD, *DO_NOT_HOLD, *UNREADABLE, "no expression"]
    opened = await _opened(bare_sidecar, texts, "deny")
    undecided = 'email.local(labels["env"]) != "x"'
    expected = [text for text in DO_NOT_HOLD if text != undecided]
    assert [text for text, is_open in zip(texts, opened, strict=True) if is_open] == expected


@pytest.mark.opa
async def test_a_mistake_keeps_the_role_from_being_stored(sidecar: Sidecar) -> None:
    role = documents.role("x", {"allow": {"db_labels_expression": 'labels["env"] = "dev"'}})
    (problem,) = await sidecar.client.validate_patterns(role)
    assert (problem.severity, problem.path) == ("error", "spec.allow.db_labels_expression")
    assert problem.message == "character 15: '= \"dev\"' is not understood"
