"""The commands that look at a cluster's policies and its past: explain, replay, diff, who-can, what-can."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.e2e import cluster as clusters
from tests.e2e.cluster import DATABASE, Cluster, eventually
from tests.e2e.conftest import BOB, furnish

pytestmark = pytest.mark.db


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, dict[str, str]]]:
    """A cluster in which bob did a few things, and the ids of the decisions about them."""
    with clusters.running() as cluster:
        furnish(cluster)
        ids: dict[str, str] = {}
        with psycopg.connect(cluster.users["bob"].access("bob", "mydb").conninfo, autocommit=True) as line:
            for _ in range(3):
                line.execute("select id from app.orders")
            line.execute("select count(*) from app.orders where total > 10")
            for name, text in (("notes", "select body from app.notes"), ("drop", "drop table app.orders")):
                with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
                    line.execute(text)
                ids[name] = _decision(str(caught.value))
        for _ in eventually("the inputs are kept"):
            allowed = cluster.audit("--user=bob", "--kind=db.session.query")
            if len(allowed) >= 4:
                break
        ids["allowed"] = allowed[0]["fields"]["decision_id"]
        ids["connect"] = cluster.audit("--user=bob", "--kind=db.session.start")[0]["fields"]["decision_id"]
        yield cluster, ids


def _decision(message: str) -> str:
    found = re.search(r"\(decision ([0-9A-Z]+)\)", message)
    assert found is not None, message
    return found[1]


def _explained(cluster: Cluster, decision_id: str) -> dict[str, Any]:
    for _ in eventually("the input is kept"):
        done = cluster.admin("policy", "explain", decision_id, "--format=json", check=False)
        if done.code == 0:
            break
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_refusal_is_explained_with_what_would_change_it(past: tuple[Cluster, dict[str, str]]) -> None:
    cluster, ids = past
    found = _explained(cluster, ids["notes"])
    assert found["then"]["verdict"] == found["now"]["verdict"] == "denied"
    assert found["then"]["reasons"][0]["code"] == "operation_not_granted"
    assert found["now"]["reasons"][0]["where"] == ["role/reader"]
    assert found["now"]["reasons"][0]["rules"][0].startswith("gateway/query/query.rego:")
    by_kind = {item["kind"]: item for item in found["would_change_it"]}
    grown = by_kind["grant"]["document"]["spec"]["allow"]["db_permissions"]
    assert grown[-1] == {
        "match": {"object_kind": "table", "schema": "app", "name": "notes"},
        "permissions": ["SELECT"],
    }
    assert "role" not in by_kind
    done = cluster.admin("policy", "explain", ids["notes"])
    assert "The smallest grant: in role reader" in done.stdout
    assert "SELECT on table app.notes" in done.stdout
    # The role access is no help: it opens databases as the user's traits say, and bob has none.
    assert "role access" not in done.stdout


def test_the_grant_that_is_proposed_is_enough(past: tuple[Cluster, dict[str, str]]) -> None:
    cluster, ids = past
    grant = next(
        item for item in _explained(cluster, ids["drop"])["would_change_it"] if item["kind"] == "grant"
    )
    cluster.create(grant["document"])
    try:
        assert _explained(cluster, ids["drop"])["now"]["verdict"] == "allowed"
    finally:
        cluster.create(BOB)
    assert _explained(cluster, ids["drop"])["now"]["verdict"] == "denied"


def test_a_yes_is_explained_with_what_holds_it_up(past: tuple[Cluster, dict[str, str]]) -> None:
    cluster, ids = past
    for name in ("allowed", "connect"):
        found = _explained(cluster, ids[name])
        assert found["now"]["verdict"] == "allowed"
        assert [item["sentence"] for item in found["would_change_it"]] == [
            "without the role reader it is refused"
        ]


def test_a_decision_that_nobody_made_is_not_found(past: tuple[Cluster, dict[str, str]]) -> None:
    done = past[0].admin("policy", "explain", "01NOBODY", check=False)
    assert done.code == 4
    assert "there is no decision 01NOBODY" in done.stderr


def _repository(folder: Path, **changes: Any) -> Path:
    """A folder with bob's role in it, changed."""
    role = json.loads(json.dumps(BOB))
    role["spec"]["allow"] |= changes
    (folder / "roles").mkdir(parents=True)
    (folder / "roles" / "reader.yaml").write_text(yaml.safe_dump(role))
    return folder


def test_replay_finds_nothing_where_nothing_changed(
    past: tuple[Cluster, dict[str, str]], tmp_path: Path
) -> None:
    cluster, _ = past
    done = cluster.admin("policy", "replay", "live", "--format=json")
    found = json.loads(done.stdout)
    assert found["changes"] == []
    assert found["summary"]["judged"] >= 7
    assert done.code == 0
    del tmp_path


def test_replay_names_each_verdict_that_would_be_another(
    past: tuple[Cluster, dict[str, str]], tmp_path: Path
) -> None:
    cluster, ids = past
    notes = {"match": {"object_kind": "table", "schema": "app", "name": "notes"}, "permissions": ["SELECT"]}
    only_notes = _repository(tmp_path / "notes", db_permissions=[notes])
    # Nobody but bob has a role in the folder, so that alice's sessions are no part of this.
    done = cluster.admin("policy", "replay", str(only_notes), "--since=1h", "--format=json", check=False)
    assert done.code == 1
    found = json.loads(done.stdout)
    by_text = {change["statement"]: change for change in found["changes"]}
    assert by_text["select body from app.notes"]["decision_id"] == ids["notes"]
    assert by_text["select body from app.notes"]["now"] == "allowed"
    assert by_text["select id from app.orders"]["now_reasons"] == ["operation_not_granted"]
    assert found["summary"]["now_allowed"] == 1
    assert found["summary"]["now_denied"] == 4
    # A connect that is refused takes its statements with it.
    elsewhere = _repository(tmp_path / "elsewhere", db_labels={"env": "prod"})
    done = cluster.admin("policy", "replay", str(elsewhere), "--format=json", check=False)
    changes = json.loads(done.stdout)["changes"]
    assert {change["about"] for change in changes} == {"connect", "statement"}
    assert {reason for change in changes for reason in change["now_reasons"]} == {"database_not_found"}
    text = cluster.admin("policy", "replay", str(elsewhere), check=False).stdout
    assert "allowed -> denied (database_not_found): connect" in text


def test_diff_against_the_cluster(past: tuple[Cluster, dict[str, str]], tmp_path: Path) -> None:
    cluster, _ = past
    same = tmp_path / "same"
    (same / "roles").mkdir(parents=True)
    roles = cluster.admin("get", "roles").stdout
    (same / "roles" / "all.yaml").write_text(roles)
    done = cluster.admin("policy", "diff", "live", str(same), check=False)
    assert done.code == 0, done.said
    assert "0 gained, 0 lost" in done.stdout
    wider = yaml.safe_load_all(roles)
    documents = [document for document in wider if document["metadata"]["name"] != "reader"]
    changed = json.loads(json.dumps(BOB))
    changed["spec"]["allow"]["db_permissions"][0]["permissions"].append("INSERT")
    (same / "roles" / "all.yaml").write_text(yaml.safe_dump_all([*documents, changed]))
    done = cluster.admin("policy", "diff", "live", str(same), "--format=csv", check=False)
    assert done.code == 1
    assert f"gains,bob,{DATABASE},bob,mydb,insert on table app.orders,reader" in done.stdout
    assert "loses" not in done.stdout


GUARD = {
    "kind": "guard",
    "version": "regate/v1",
    "metadata": {"name": "freeze"},
    "spec": {"guard": "reads/bounded-pii", "settings": {"tables": [{"schema": "app", "name": "orders"}]}},
}


def test_diff_says_which_recorded_statements_a_guard_would_refuse(
    past: tuple[Cluster, dict[str, str]], tmp_path: Path
) -> None:
    cluster, _ = past
    (tmp_path / "guard.yaml").write_text(yaml.safe_dump(GUARD))
    arguments = ("policy", "diff", "live", str(tmp_path), "--since=1h", "--user=bob")
    done = cluster.admin(*arguments, "--format=json", check=False)
    assert done.code == 0, done.said
    found = json.loads(done.stdout)
    assert not found["widened"]
    assert found["statements"]["recorded"] >= 7
    recorded = [row for row in found["statements"]["changes"] if row["source"] == "recorded"]
    # The counts above have a condition; the three equal reads are one line.
    assert [(row["statement"], row["times"], row["change"]) for row in recorded] == [
        ("select id from app.orders", 3, "loses")
    ]
    assert recorded[0]["new"]["reasons"] == ["unbounded_read"]
    invented = {row["statement"] for row in found["statements"]["changes"] if row["source"] == "made up"}
    assert "SELECT * FROM app.orders" in invented
    assert not any(" WHERE " in text or " LIMIT " in text for text in invented)
    # The way back widens, and says so.
    back = cluster.admin("policy", "diff", str(tmp_path), "live", "--user=bob", check=False)
    assert back.code == 1
    assert "+ bob gains on my-postgres as bob to mydb: select id from app.orders" in back.stdout
    for form, expected in {
        "text": "my-postgres as bob to mydb: select id from app.orders (unbounded_read; recorded 3 times)",
        "csv": "loses,bob,my-postgres,bob,mydb,select id from app.orders,,recorded,3,unbounded_read",
        "markdown": "| loses | bob | my-postgres | bob | mydb | select id from app.orders | unbounded_read",
    }.items():
        said = cluster.admin(*arguments, f"--format={form}").stdout
        assert expected in said, said


def test_diff_says_what_a_mask_would_conceal(past: tuple[Cluster, dict[str, str]], tmp_path: Path) -> None:
    cluster, _ = past
    roles = list(yaml.safe_load_all(cluster.admin("get", "roles").stdout))
    masking = {
        "kind": "role",
        "version": "regate/v1",
        "metadata": {"name": "reader"},
        "spec": BOB["spec"]
        | {"options": {"mask": [{"schema": "app", "table": "orders", "columns": {"total": "full"}}]}},
    }
    documents = [document for document in roles if document["metadata"]["name"] != "reader"]
    (tmp_path / "roles.yaml").write_text(yaml.safe_dump_all([*documents, masking]))
    arguments = ("--user=bob", "--format=json")
    done = cluster.admin("policy", "diff", "live", str(tmp_path), *arguments, check=False)
    assert done.code == 0, done.said
    changes = json.loads(done.stdout)["statements"]["changes"]
    recorded = next(row for row in changes if row["statement"].startswith("select count(*)"))
    assert (recorded["change"], recorded["why"]) == ("tightens", "mask")
    assert recorded["new"]["obligations"]["mask"][0]["column"] == "total"
    back = cluster.admin("policy", "diff", str(tmp_path), "live", *arguments, check=False)
    assert back.code == 1, "a mask that falls away widens"
    assert {row["change"] for row in json.loads(back.stdout)["statements"]["changes"]} == {"loosens"}


def test_who_can_and_what_can_of_the_cluster(past: tuple[Cluster, dict[str, str]]) -> None:
    cluster, _ = past
    rows = json.loads(
        cluster.admin("policy", "who-can", "delete", "on", f"{DATABASE}/app.orders", "--format=json").stdout
    )
    assert [(row["user"], row["roles"]) for row in rows] == [("alice", ["developer"])]
    rows = json.loads(
        cluster.admin("policy", "who-can", "select", "on", f"{DATABASE}/app.orders", "--format=json").stdout
    )
    assert {row["user"] for row in rows} == {"alice", "bob"}
    text = cluster.admin("policy", "what-can", "bob").stdout
    assert "select on table app.orders" in text
    assert "delete" not in text
    assert cluster.admin("policy", "what-can", "carol", "--format=csv").stdout.count("\n") == 1
    assert cluster.admin("policy", "what-can", "nobody", check=False).code == 4
