"""Decisions of a real cluster, evaluated again from what was kept of them."""

import contextlib
import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.analysis.replaying import KINDS
from gateway.policy import document, evidence
from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster, role
from tests.e2e.conftest import furnish

pytestmark = pytest.mark.db

STATEMENTS = [
    ("select id from app.orders", "allowed"),
    ("select * from secret.pay", "denied"),
    ("update app.orders set total = 0 where id = 1", "denied"),
    ("do $$ begin end $$", "denied"),
    ("set app.jwt = 'hunter2-hunter2'", "denied"),
]


@pytest.fixture(scope="module")
def proving() -> Iterator[Cluster]:
    with clusters.running() as running:
        furnish(running)
        granted = {
            "db_labels_expression": 'labels["env"] == "dev"',
            "db_users": ["bob"],
            "db_names": ["mydb"],
        }
        running.create(role("by-expression", allow=granted))
        running.add_user("erin", "by-expression")
        _use(running)
        yield running


def _use(cluster: Cluster) -> None:
    for name, login in (("alice", "alice"), ("bob", "bob"), ("erin", "bob")):
        with psycopg.connect(cluster.users[name].access(login, "mydb").conninfo, autocommit=True) as session:
            for text, _ in STATEMENTS if name == "bob" else STATEMENTS[:1]:
                with contextlib.suppress(psycopg.Error):
                    session.execute(text)


def _records(cluster: Cluster) -> list[dict[str, Any]]:
    lines = cluster.admin("audit", "ls", "--all", "--format=json").stdout.splitlines()
    found = [json.loads(line)["fields"] for line in lines]
    return [fields for fields in found if fields.get("policy_revision") and fields.get("input_digest")]


def test_every_decision_of_the_log_is_proved(proving: Cluster) -> None:
    records = _records(proving)
    assert {(fields["user"], fields["verdict"]) for fields in records} >= {
        ("alice", "allowed"),
        ("erin", "allowed"),
        ("bob", "allowed"),
        ("bob", "denied"),
    }
    withheld = set()
    for decision in {fields["decision_id"] for fields in records}:
        done = proving.admin("audit", "prove", decision, "--format=json")
        found = json.loads(done.stdout)
        assert (done.code, found["proved"], found["findings"]) == (0, True, [])
        withheld.add(found["withheld"])
    assert withheld == {True, False}


def test_every_decision_names_both_revisions_and_its_input(proving: Cluster) -> None:
    loaded = [record["fields"] for record in proving.audit("--kind=policy.load")]
    of_policy = {fields["policy_revision"] for fields in loaded}
    of_data = {record["fields"]["data_revision"] for record in proving.audit("--kind=policy.data")}
    decisions = [
        record["fields"]
        for record in proving.audit()
        if record["kind"] in KINDS and record["fields"].get("decision_id")
    ]
    # Where OPA was too late there is no answer, and so no revision of one.
    decisions = [fields for fields in decisions if fields["reasons"][0]["code"] != "policy_unavailable"]
    assert len(decisions) >= len(STATEMENTS)
    for fields in decisions:
        assert fields["policy_revision"] in of_policy, fields
        assert fields["data_revision"] in of_data, fields
        assert len(fields["input_digest"]) >= 64, fields


def test_no_secret_is_kept(proving: Cluster) -> None:
    with sqlite3.connect(proving.folder / "data" / "audit" / evidence.FILE) as kept:
        digests = [row[0] for row in kept.execute("SELECT digest FROM content")]
    with evidence.Evidence(proving.folder / "data" / "audit", read_only=True) as opened:
        for digest in digests:
            assert b"hunter2" not in opened.content(digest)


@pytest.fixture
def copy(proving: Cluster, tmp_path: Path) -> Path:
    shutil.copytree(proving.folder / "data" / "audit", tmp_path / "audit")
    return tmp_path / "audit"


def _one(cluster: Cluster, verdict: str) -> dict[str, Any]:
    return next(
        fields for fields in _records(cluster) if fields["verdict"] == verdict and "statement" in fields
        and fields["user"] == "bob"
    )  # fmt: skip


def test_a_copy_of_the_log_is_enough(proving: Cluster, copy: Path) -> None:
    decision = _one(proving, "denied")["decision_id"]
    done = proving.admin("audit", "prove", decision, f"--dir={copy}")
    assert "The same verdict came out again." in done.stdout


def _exchange(copy: Path, kind: str, name: str, content: bytes) -> None:
    """Put other content in the place of a revision's, as somebody would who may write the file."""
    digest = document.digest(content)
    with evidence.Evidence(copy) as opened:
        opened.write([evidence.Content(digest, content)], [])
    with sqlite3.connect(copy / evidence.FILE) as kept:
        kept.execute("UPDATE revision SET digest = ? WHERE kind = ? AND name = ?", [digest, kind, name])


def test_exchanged_data_are_found_by_the_log_and_by_the_verdict(proving: Cluster, copy: Path) -> None:
    fields = _one(proving, "denied")
    with evidence.Evidence(copy, read_only=True) as opened:
        documents = opened.data(fields["data_revision"], time.time_ns())
    del documents["roles"]["reader"]["spec"]["allow"]["db_permissions"]
    _exchange(copy, "data", str(fields["data_revision"]), document.encode(documents))
    done = proving.admin(
        "audit", "prove", fields["decision_id"], f"--dir={copy}", "--format=json", check=False
    )
    assert done.code == 10
    findings = json.loads(done.stdout)["findings"]
    assert any("the log says" in line for line in findings)
    assert any(line.startswith("verdict: recorded denied, now allowed") for line in findings)


def test_what_was_not_kept_and_what_no_policy_decided_is_said(proving: Cluster, copy: Path) -> None:
    fields = _one(proving, "allowed")
    with sqlite3.connect(copy / evidence.FILE) as kept:
        kept.execute("DELETE FROM content WHERE digest = ?", [fields["input_digest"]])
    done = proving.admin("audit", "prove", fields["decision_id"], f"--dir={copy}", check=False)
    assert (done.code, "was not kept" in done.stderr) == (4, True)
    done = proving.admin("audit", "prove", "0" * 26, check=False)
    assert (done.code, "there is no decision" in done.stderr) == (4, True)
