"""Files that people write, and what they are told about them."""

import re
from pathlib import Path

import pytest

from gateway.auth import resources
from gateway.errors import ConfigError
from tests.seed import SEED_ROLE

DB = "kind: db\nversion: v3\nmetadata:\n  name: pg\nspec:\n  protocol: postgres\n  uri: localhost:5432\n"

LOCK = "kind: lock\nversion: v2\nmetadata: {name: l}\nspec: {target: {user: x}}\n"


def _mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        resources.load(text, "file.yaml")
    return str(refused.value).split("\n")


def test_the_role_of_the_guide_is_read_as_it_stands() -> None:
    (loaded,) = resources.load(SEED_ROLE, "role.yaml")
    assert (loaded.resource.kind, loaded.resource.name, loaded.resource.version) == (
        "role",
        "db-access",
        "v7",
    )
    assert loaded.resource.document["spec"]["allow"] == {
        "db_labels": {"*": "*"},
        "db_names": ["*"],
        "db_users": ["*"],
    }
    assert loaded.warnings == ()


def test_a_mistake_is_told_with_line_and_path_and_what_was_expected() -> None:
    text = SEED_ROLE.replace("    db_labels:\n      '*': '*'\n", "    db_labels: [env, prod]\n")
    assert _mistakes(text) == [
        "file.yaml:7: spec.allow.db_labels: expected a mapping from labels to values, got a list"
    ]


@pytest.mark.parametrize("name", [".regate:canary", ".pg", "pg.", "", "pg\\n", "a b"])
@pytest.mark.parametrize("kind", ["role", "db", "lock"])
def test_a_name_begins_and_ends_with_a_letter_or_digit(kind: str, name: str) -> None:
    """Names with a dot in front are the gateway's own."""
    documents = {"role": (SEED_ROLE, "db-access"), "db": (DB, "pg"), "lock": (LOCK, "l")}
    text, usual = documents[kind]
    (mistake,) = _mistakes(text.replace(f"name: {usual}", f'name: "{name}"'))
    assert "metadata.name: expected a name of letters" in mistake


def test_all_mistakes_of_all_documents_are_told_at_once() -> None:
    text = (
        SEED_ROLE.replace("db_users", "db_user").replace("deny: {}", "deny: none")
        + "---\n"
        + DB.replace("localhost:5432", "localhost:99999").replace("version: v3", "version: v9")
        + "---\nkind: usr\nversion: v2\n"
    )
    assert _mistakes(text) == [
        'file.yaml:11: spec.allow.db_user: unknown field; did you mean "db_users"?',
        "file.yaml:13: spec.deny: expected a mapping, got 'none'",
        'file.yaml:16: version: expected one of "v3", "regate/v1", got \'v9\'',
        (
            "file.yaml:23: kind: expected one of role, user, token, db, lock, guard, got 'usr';"
            ' did you mean "user"?'
        ),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "file.yaml:1: expected a resource, got nothing"),
        ("- a\n", "file.yaml:1: expected a resource with kind, version, metadata, spec"),
        ("kind: role\n", "file.yaml:1: version: expected one of v7, regate/v1, got nothing"),
        (SEED_ROLE.replace("v7", "v6"), "file.yaml:2: version: expected one of v7, regate/v1, got 'v6'"),
        (SEED_ROLE.replace("v7", "[v7]"), "file.yaml:2: version: expected one of v7, regate/v1, got a list"),
        (SEED_ROLE + "kind: user\n", "file.yaml:14: kind: is given twice, first on line 1"),
        (SEED_ROLE + "---\n" + SEED_ROLE, "the role 'db-access' is given twice, first on line 4"),
        (SEED_ROLE.replace("name: db-access", "name: ../etc"), "file.yaml:4: metadata.name: expected a name"),
        (SEED_ROLE.replace("name: db-access", "name: 7"), "file.yaml:4: metadata.name: expected a name"),
        (
            SEED_ROLE.replace("      - '*'\n    db_users", "      - 5\n    db_users"),
            "db_names[0]: expected text",
        ),
        (
            SEED_ROLE.replace("'*': '*'", "env: {a: b}"),
            "file.yaml:8: spec.allow.db_labels.env: expected text",
        ),
        (
            SEED_ROLE.replace("'*': '*'", "env: yes"),
            "db_labels.env: expected text, or a list of texts, got true",
        ),
        (SEED_ROLE + "  options: {max_session_ttl: [1]}\n", "expected a duration such as 8h0m0s"),
        (SEED_ROLE + "  options: {max_sesion_ttl: 1h}\n", 'did you mean "max_session_ttl"?'),
        (SEED_ROLE.replace("v7", "regate/v1").replace("deny: {}", "deny: {logins: [root]}"), "unknown field"),
        (DB.replace("uri: localhost:5432", "uri: localhost"), "file.yaml:7: spec.uri: expected host:port"),
        (
            DB.replace("  uri: localhost:5432\n", ""),
            'spec: expected the field "uri", host:port or unix:/path',
        ),
        (
            DB + "  auth: {method: scram}\n",
            "file.yaml:8: spec.auth: expected one of secret_file and secret_env",
        ),
        (DB + "  auth: {secret_env: X}\n", "spec.auth.secret_env: expected no secret with the method"),
        (DB + "  auth: {method: magic}\n", "spec.auth.method: expected one of"),
        (DB + "  tls: {mode: insecure}\n", 'spec.tls.mode: expected "verify-full"'),
        (DB + "  tls: {ca_cert: nonsense}\n", "spec.tls.ca_cert: expected a certificate in PEM"),
        (
            DB + "  tls:\n    ca_cert: |\n      -----BEGIN CERTIFICATE-----\n      AA==\n",
            "file.yaml:9: spec.tls.ca_cert: expected certificates in PEM, got something unreadable",
        ),
        (
            "kind: lock\nversion: v2\nmetadata: {name: l}\nspec: {target: {}}\n",
            "file.yaml:4: spec.target: expected",
        ),
        (
            "kind: lock\nversion: v2\nmetadata: {name: l}\nspec: {target: {node: x}}\n",
            "file.yaml:4: spec.target.node: unknown field",
        ),
        (
            LOCK.replace("}}", "}, expires: tomorrow}"),
            "spec.expires: expected a time such as 2026-01-31T12:00:00Z",
        ),
        ("kind: user\nversion: v2\nmetadata: {name: a}\nspec: {roles: [a, a]}\n", "each entry only once"),
        (
            LOCK.replace("}}", "}, expires: 9999-01-01T00:00:00Z}"),
            "file.yaml:4: spec.expires: expected a time such as",
        ),
        (
            LOCK.replace("}}", "}, expires: 2026-02-30T00:00:00Z}"),
            "file.yaml:4: spec.expires: expected a time such as",
        ),
        ("kind: user\nversion: v2\nmetadata: {name: a b}\nspec: {}\n", "metadata.name: expected a user name"),
        (
            "kind: token\nversion: v2\nmetadata: {name: t}\nspec: {roles: [Node]}\n",
            "spec.roles[0]: expected one of",
        ),
    ],
)
def test_each_mistake_has_its_sentence(text: str, says: str) -> None:
    assert any(says in mistake for mistake in _mistakes(text)), _mistakes(text)


def test_fields_about_other_resources_are_accepted_and_named() -> None:
    text = SEED_ROLE.replace(
        "    db_labels:", "    logins: [root]\n    node_labels: {'*': '*'}\n    db_labels:"
    )
    text += "  options:\n    forward_agent: true\n"
    (loaded,) = resources.load(text, "role.yaml")
    assert loaded.warnings == (
        "role.yaml:7: spec.allow.logins: is about other resources and has no effect",
        "role.yaml:8: spec.allow.node_labels: is about other resources and has no effect",
        "role.yaml:17: spec.options.forward_agent: is about other resources and has no effect",
    )


def test_what_a_server_wrote_into_a_file_is_left_out() -> None:
    text = SEED_ROLE.replace("  name: db-access", "  name: db-access\n  id: 17\n  revision: abc")
    (loaded,) = resources.load(text, "role.yaml")
    assert loaded.resource.document["metadata"] == {"name": "db-access"}
    assert loaded.warnings == ()


def test_nothing_given_is_nothing() -> None:
    (user,) = resources.load(
        "kind: user\nversion: v2\nmetadata: {name: ada}\nspec: {traits: {x: null}}\n", "u"
    )
    assert user.resource.document["spec"] == {"roles": [], "traits": {"x": []}}
    (role,) = resources.load("kind: role\nversion: v7\nmetadata: {name: r}\nspec: {allow: null}\n", "r")
    assert role.resource.document["spec"] == {"allow": None}


def test_several_documents_and_json_are_read() -> None:
    text = DB + '---\n{"kind": "user", "version": "v2", "metadata": {"name": "ada"}, "spec": {}}\n'
    assert [item.resource.kind for item in resources.load(text, "all.yaml")] == ["db", "user"]


def test_a_problem_of_the_policy_finds_its_line() -> None:
    text = SEED_ROLE.replace("      '*': '*'", "      env: '^(bad$'\n      a.b/c: x")
    (loaded,) = resources.load(text, "role.yaml")
    assert loaded.problem("spec.allow.db_labels.env", "x").line == 8
    assert loaded.problem("spec.allow.db_labels.a.b/c", "x").line == 7  # the nearest thing that has a line
    assert loaded.problem("spec.allow.db_users", "x").line == 12
    assert loaded.problem("nowhere.at.all", "x").line == 1


def test_every_example_of_the_guide_is_accepted_without_a_warning() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "resources.md").read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    loaded = [item for text in examples for item in resources.load(text, "example.yaml")]
    assert [item.resource.kind for item in loaded] == ["role", "user", "db", "lock", "token"]
    assert [item.warnings for item in loaded] == [()] * 5


def test_a_lock_names_a_service_alone() -> None:
    text = "kind: lock\nversion: v2\nmetadata: {name: stolen}\nspec: {target: {agent: db-1%s}}\n"
    assert resources.load(text % "", "l.yaml")[0].resource.document["spec"]["target"] == {"agent": "db-1"}
    with pytest.raises(ConfigError, match="agent alone"):
        resources.load(text % ", user: ada", "l.yaml")
