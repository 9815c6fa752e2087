import json
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.errors import PolicyError
from gateway.policy import publish
from gateway.policy.data import build_data
from gateway.schema import data_dir
from tests.policy import documents

pytestmark = pytest.mark.opa

GUARD = """package gateway.guards.schema.no_drop

deny contains {"code": "drop_refused"} if {
	some statement in input.request.statements
	some effect in statement.effects
	effect.operation == "drop"
}
"""


def _team(folder: Path, text: str) -> Path:
    (folder / "team" / "guards").mkdir(parents=True, exist_ok=True)
    (folder / "team" / "guards" / "guard.rego").write_text(text)
    return folder / "team"


def _names(bundle: publish.Bundle) -> list[str]:
    with tarfile.open(bundle.path) as archive:
        return [member.name for member in archive.getmembers()]


def test_a_bundle_is_signed_and_carries_its_revision(bundle: publish.Bundle) -> None:
    names = _names(bundle)
    assert any(name.endswith(".signatures.json") for name in names)
    with tarfile.open(bundle.path) as archive:
        manifest = archive.extractfile("/.manifest")
        assert manifest is not None
        content = json.load(manifest)
    assert content["roots"] == ["gateway"]
    assert content["revision"] == bundle.revision == f"{bundle.number}-{bundle.revision.partition('-')[2]}"


def test_tests_stay_at_home(bundle: publish.Bundle) -> None:
    names = _names(bundle)
    assert any(name.endswith("connect.rego") for name in names)
    assert not [name for name in names if "_test" in name]


def test_the_number_rises_with_the_content_and_only_with_it(
    opa: Path, bundle_key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    shipped, folder = data_dir("policies"), tmp_path / "state"

    def number(team: Path | None) -> int:
        return publish.publish(opa, shipped, team, folder, bundle_key).number

    assert number(None) == 1
    assert number(None) == 1
    assert number(_team(tmp_path, GUARD)) == 2
    assert number(_team(tmp_path, GUARD.replace("drop", "grant"))) == 3
    # Back to what was there before: still another step forward.
    assert number(None) == 4


def test_a_number_that_cannot_be_read_is_not_started_again(
    opa: Path, bundle_key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(PolicyError, match="cannot be read"):
        publish.publish(opa, data_dir("policies"), None, tmp_path, bundle_key)


BAD = {
    "it changes a shipped package": ("package gateway.query\n\nallow := true\n", "package gateway.query"),
    "it adds an entry point": ("package gateway.mine\n\nx := 1\n", "package gateway.mine"),
    "it is outside": ("package system.authz\n\nallow := true\n", "package system.authz"),
    "it is the guards' own package": ("package gateway.guards\n\nx := 1\n", "package gateway.guards"),
    "it does not parse": ("package gateway.guards.a.b\n\ndeny contains\n", "opa"),
    "it does not compile": ("package gateway.guards.a.b\n\ndeny contains x if y\n", "unsafe"),
    "it asks the network": (
        'package gateway.guards.a.b\n\ndeny contains x if x := http.send({"method": "get", "url": "http://x"})\n',
        "http.send",
    ),
    "it asks the clock": (
        "package gateway.guards.a.b\n\ndeny contains x if x := time.now_ns()\n",
        "time.now_ns",
    ),
    "it asks itself": (
        "package gateway.guards.a.b\n\ndeny contains x if x := data.gateway.query.decision\n",
        "recursive",
    ),
}


@pytest.mark.parametrize("why", BAD)
def test_a_teams_policy_is_not_published_when(
    why: str, opa: Path, bundle_key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    text, words = BAD[why]
    with pytest.raises(PolicyError) as caught:
        publish.publish(opa, data_dir("policies"), _team(tmp_path, text), tmp_path / "state", bundle_key)
    assert words in str(caught.value)
    # Nothing was published, so the number is still free.
    good = publish.publish(opa, data_dir("policies"), None, tmp_path / "state", bundle_key)
    assert good.number == 1


def test_data_leaves_out_what_is_no_business_of_the_policy() -> None:
    user = documents.user("alice", "db-access", logins=["root"])
    user["spec"]["password_hash"] = "secret"
    database = {
        "kind": "db",
        "metadata": {"name": "d", "labels": {"env": "dev"}},
        "spec": {"protocol": "postgres", "uri": "host:5432"},
    }
    data = build_data(documents.ROLES, [user], [], [database], 3)
    assert data["users"] == {
        "alice": {"roles": ["db-access"], "traits": {"logins": ["root"]}, "locked": False}
    }
    assert data["databases"] == {"d": {"protocol": "postgres", "labels": {"env": "dev"}}}
    assert data["data_revision"] == 3
    assert list(data["roles"]) == ["db-access", "analyst", "editor"]
