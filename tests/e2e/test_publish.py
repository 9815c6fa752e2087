"""A policy repository in force: published, refused, rolled back; and what psycopg is told meanwhile."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.audit.read import Query, records
from gateway.model.event import Kind
from gateway.policy import signing
from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import furnish
from tests.servers.process import temporary_folder

pytestmark = pytest.mark.db

GUARD = """package gateway.guards.schema.{name}

deny contains {{"code": "{name}", "message": "no such thing here"}} if {{
	some statement in input.request.statements
	some effect in statement.effects
	effect.operation == "{operation}"
}}
"""
STRANGE = 'package gateway.guards.schema.bad\n\nobligations contains {"unheard_of": true}\n'
SLOW = """package gateway.guards.schema.slow

deny contains {"code": "slow"} if {
	some statement in input.request.statements
	some effect in statement.effects
	effect.operation == "select"
	span := numbers.range(1, 1000)
	count([1 | some a in span; some b in span; a * b == 7 - b]) == -1
}
"""


@pytest.fixture(scope="module")
def publishing() -> Iterator[Cluster]:
    with temporary_folder("regate-") as folder:
        key = signing.new_key()
        (folder / "team.pem").write_bytes(signing.public_pem(key))
        (folder / "team.key").write_bytes(signing.private_pem(key))
        (folder / "other.key").write_bytes(signing.private_pem(signing.new_key()))
        source = {"dir": str(folder / "fetched"), "file": "policy.tar.gz", "period_seconds": 1}
        policy = {"keys": [str(folder / "team.pem")], "limit_ms": 200, "source": source}
        with clusters.running(folder, policy=policy) as running:
            furnish(running)
            running.admin("policy", "init", str(folder / "ours"))
            yield running


@pytest.fixture
def repository(publishing: Cluster, tmp_path: Path) -> Path:
    shutil.copytree(publishing.folder / "ours", tmp_path / "ours")
    return tmp_path / "ours"


def _guard(repository: Path, name: str, text: str) -> None:
    folder = repository / "guards" / "schema" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.rego").write_text(text)


def _publish(cluster: Cluster, repository: Path, key: str = "team.key", *more: str) -> clusters.Done:
    arguments = ("policy", "publish", str(repository), f"--key={cluster.folder / key}", *more)
    return cluster.admin(*arguments, check=False)


def _status(cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.admin("policy", "status", "--format=json").stdout)
    return found


def _truncate(cluster: Cluster) -> str:
    """What alice, whose role restricts nothing, is told; empty when it went through."""
    with psycopg.connect(cluster.users["alice"].access("alice", "mydb").conninfo) as session:
        try:
            session.execute("truncate app.notes")
        except psycopg.Error as error:
            return str(error)
    return ""


def _events(cluster: Cluster, kind: Kind) -> list[dict[str, Any]]:
    kept = records(cluster.folder / "data" / "audit", Query(kinds=(kind,), oldest_first=True))
    return [dict(record.event.fields) for record in kept]


def test_a_published_guard_decides_until_it_is_rolled_back(publishing: Cluster, repository: Path) -> None:
    before = _status(publishing)
    assert _truncate(publishing) == ""
    _guard(repository, "no_truncate", GUARD.format(name="no_truncate", operation="truncate"))
    done = _publish(publishing, repository)
    assert done.code == 0, done.said
    now = _status(publishing)
    assert now["number"] == before["highest"] + 1
    assert "no such thing here" in _truncate(publishing)
    # A session that was open before is judged by the new policy as well, and its roles are stored.
    assert "analyst" in publishing.admin("get", "roles").stdout
    loaded = _events(publishing, Kind.POLICY_LOAD)[-1]
    assert (loaded["policy_revision"], loaded["source"]) == (now["revision"], "published")
    assert loaded["signed_by"].startswith("sha256:")
    assert publishing.admin("policy", "rollback").code == 0
    assert _truncate(publishing) == ""
    assert _events(publishing, Kind.POLICY_LOAD)[-1]["source"] == "rollback"


def test_an_open_session_feels_a_new_policy(publishing: Cluster, repository: Path) -> None:
    with psycopg.connect(
        publishing.users["alice"].access("alice", "mydb").conninfo, autocommit=True
    ) as session:
        session.execute("truncate app.notes")
        _guard(repository, "no_truncate", GUARD.format(name="no_truncate", operation="truncate"))
        assert _publish(publishing, repository).code == 0
        with pytest.raises(psycopg.Error, match="no such thing here"):
            session.execute("truncate app.notes")
        assert publishing.admin("policy", "rollback").code == 0
        session.execute("truncate app.notes")


BAD = {
    "does not parse": ("package gateway.guards.schema.bad\n\ndeny := := 1\n", "guards/schema/bad/bad.rego:3"),
    "reads a field that there is not": (
        'package gateway.guards.schema.bad\n\ndeny contains "x" if input.session.usr == "x"\n',
        "guards/schema/bad/bad.rego:3",
    ),
}


@pytest.mark.parametrize("why", BAD)
def test_a_repository_is_refused_with_file_and_line_when_it(
    why: str, publishing: Cluster, repository: Path
) -> None:
    text, words = BAD[why]
    shutil.rmtree(repository / "guards")  # so that there is but one place to point at
    _guard(repository, "bad", text)
    before = _status(publishing)
    done = _publish(publishing, repository)
    assert done.code in {2, 10}, done.said
    assert words in done.stderr
    assert _status(publishing) == before
    assert _truncate(publishing) == ""


def test_a_failing_test_keeps_a_repository_at_home(publishing: Cluster, repository: Path) -> None:
    test = repository / "tests" / "access_test.rego"
    test.write_text(test.read_text().replace("not query.decision.allow", "query.decision.allow"))
    before = _status(publishing)
    done = _publish(publishing, repository)
    assert done.code == 10
    assert "tests/access_test.rego:" in done.stderr
    assert _status(publishing) == before


def test_the_cluster_itself_refuses_what_a_command_would_not_send(
    publishing: Cluster, repository: Path, tmp_path: Path
) -> None:
    """The checks of ``publish --key`` are not the ones that count: a bundle made elsewhere gets the same."""
    highest = _status(publishing)["highest"]
    out = tmp_path / "bundle.tar.gz"

    def sent(number: int, key: str, text: str = "") -> clusters.Done:
        if text:
            shutil.rmtree(repository / "guards", ignore_errors=True)
            _guard(repository, "bad", text)
        signed = f"--key={publishing.folder / key}"
        made = ("policy", "build", str(repository), f"--number={number}", f"--output={out}", signed)
        publishing.admin(*made)
        return publishing.admin("policy", "publish", f"--bundle={out}", check=False)

    before = _status(publishing)
    stranger = sent(highest + 1, "other.key")
    assert (stranger.code, "a key that this cluster does not know" in stranger.stderr) == (3, True)
    older = sent(highest, "team.key")
    assert (older.code, f"--number={highest + 1}" in older.stderr) == (5, True)
    slow = sent(highest + 1, "team.key", SLOW)
    assert (slow.code, "guards/schema/bad/bad.rego:3: the policy takes more" in slow.stderr) == (2, True)
    misspelt = sent(highest + 1, "team.key", BAD["reads a field that there is not"][0])
    assert (misspelt.code, "guards/schema/bad/bad.rego:3" in misspelt.stderr) == (2, True)
    strange = sent(highest + 1, "team.key", STRANGE)
    assert (strange.code, "guards/schema/bad/bad.rego:3: the obligation 'unheard_of'" in strange.stderr) == (
        2,
        True,
    )
    out.write_bytes(out.read_bytes()[:-40] + bytes(40))
    torn = publishing.admin("policy", "publish", f"--bundle={out}", check=False)
    assert torn.code == 2
    assert _status(publishing) == before
    assert _truncate(publishing) == ""
    refused = _events(publishing, Kind.POLICY_REFUSED)
    reasons = {event["reason"] for event in refused[-6:]}
    assert reasons == {
        "signature_refused",
        "ConflictError",
        "ConfigError",
    }


FILTER = """package gateway.guards.rows.europe

obligations contains {"row_filter": {"schema": "app", "table": "orders"}} if input.session.user == "%s"

include if %s
"""


def test_a_row_filter_is_published_and_one_that_is_no_sql_is_refused_with_its_line(
    publishing: Cluster, repository: Path, tmp_path: Path
) -> None:
    shutil.rmtree(repository / "guards")
    out = tmp_path / "bundle.tar.gz"

    def sent(condition: str) -> clusters.Done:
        folder = repository / "guards" / "rows" / "europe"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "europe.rego").write_text(FILTER % ("alice", condition))
        number = f"--number={_status(publishing)['highest'] + 1}"
        key = f"--key={publishing.folder / 'team.key'}"
        publishing.admin("policy", "build", str(repository), number, f"--output={out}", key)
        return publishing.admin("policy", "publish", f"--bundle={out}", check=False)

    before = _status(publishing)
    refused = sent('sprintf("%v", [input.row.id]) == "1"')
    assert (refused.code, "guards/rows/europe/europe.rego:5: the row filter" in refused.stderr) == (2, True)
    assert _status(publishing) == before
    done = sent("input.row.id < 3")
    assert done.code == 0, done.said
    with psycopg.connect(publishing.users["alice"].access("alice", "mydb").conninfo) as session:
        assert session.execute("select count(*) from app.orders").fetchone() == (2,)
    assert publishing.admin("policy", "rollback").code == 0


def test_a_bundle_that_lies_where_the_configuration_says_takes_effect(
    publishing: Cluster, repository: Path
) -> None:
    """Every second it looks there: what is good is in force, what is not is refused as if sent."""
    place = publishing.folder / "fetched"
    place.mkdir()
    before = _status(publishing)

    def lay(number: int, key: str) -> None:
        made = ("policy", "build", str(repository), f"--number={number}", f"--output={place / 'made'}")
        publishing.admin(*made, f"--key={publishing.folder / key}")
        (place / "made").rename(place / "policy.tar.gz")

    _guard(repository, "no_truncate", GUARD.format(name="no_truncate", operation="truncate"))
    try:
        lay(before["highest"] + 1, "other.key")
        for _ in eventually("it is refused", seconds=60):
            refused = _events(publishing, Kind.POLICY_REFUSED)
            if refused and refused[-1]["source"] == "dir":
                break
        assert refused[-1]["reason"] == "signature_refused"
        assert _status(publishing)["revision"] == before["revision"]
        lay(before["highest"] + 1, "team.key")
        for _ in eventually("it is in force", seconds=60):
            if _status(publishing)["number"] == before["highest"] + 1:
                break
    finally:
        (place / "policy.tar.gz").unlink()
    assert "no such thing here" in _truncate(publishing)
    loaded = _events(publishing, Kind.POLICY_LOAD)[-1]
    assert (loaded["source"], loaded["policy_revision"]) == ("dir", _status(publishing)["revision"])
    assert publishing.admin("policy", "rollback").code == 0


def test_only_who_may_change_policies_publishes(publishing: Cluster, repository: Path) -> None:
    alice = publishing.users["alice"]
    done = alice.regate("policy", "status", check=False)
    assert done.code == 3
    out = repository / "b.tar.gz"
    key = f"--key={publishing.folder / 'team.key'}"
    publishing.admin("policy", "build", str(repository), "--number=999", f"--output={out}", key)
    done = alice.regate("policy", "publish", f"--bundle={out}", check=False)
    assert (done.code, "no role of yours has a rule for create on policy" in done.stderr) == (3, True)


def test_what_was_published_is_in_force_after_a_restart() -> None:
    with temporary_folder("regate-") as folder:
        key = signing.new_key()
        (folder / "team.pem").write_bytes(signing.public_pem(key))
        (folder / "team.key").write_bytes(signing.private_pem(key))
        with clusters.running(folder, policy={"keys": [str(folder / "team.pem")]}) as running:
            running.admin("policy", "init", str(folder / "ours"))
            assert _publish(running, folder / "ours").code == 0
            before = _status(running)
            running.stop()
            running.start()
            assert _status(running)["revision"] == before["revision"]
            running.stop()
            # A key that may not sign any more: what it signed is not put in force, nor anything else.
            (folder / "team.pem").write_bytes(signing.public_pem(signing.new_key()))
            start = [str(running.executable), "start", "-c", str(running.configuration)]
            again = subprocess.run(start, capture_output=True, text=True, timeout=60, check=False)
            assert again.returncode == 3
            assert "a key that this cluster does not know" in again.stderr


def test_a_shadow_is_asked_and_decides_nothing(publishing: Cluster, repository: Path) -> None:
    _guard(repository, "no_truncate", GUARD.format(name="no_truncate", operation="truncate"))
    before = _status(publishing)
    assert _publish(publishing, repository, "team.key", "--shadow").code == 0
    assert _status(publishing)["revision"] == before["revision"]
    for _ in range(3):
        assert _truncate(publishing) == ""
    with psycopg.connect(publishing.users["alice"].access("alice", "mydb").conninfo) as session:
        assert session.execute("select count(*) from app.orders").fetchone() == (3,)
    shown = json.loads(publishing.admin("policy", "shadow", "--format=json").stdout)
    assert shown["asked"] > 0
    assert shown["differed"] >= 3
    [difference] = [item for item in shown["differences"] if "no_truncate" in item["shadow_reasons"]]
    assert (difference["user"], difference["verdict"], difference["shadow_verdict"]) == (
        "alice",
        "allowed",
        "denied",
    )
    assert publishing.admin("policy", "shadow", "--stop").code == 0
    assert publishing.admin("policy", "shadow", check=False).code == 4
