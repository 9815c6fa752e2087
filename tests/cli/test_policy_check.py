"""``regate policy check``, ``simulate``, ``diff``, ``who-can`` and ``what-can`` over folders."""

import csv
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from gateway.cli.policy.tables import spreadsheet
from tests.cli.conftest import REGATE

pytestmark = pytest.mark.opa

ROLES = """\
kind: role
version: v7
metadata:
  name: analyst
spec:
  allow:
    db_labels: {env: dev}
    db_users: [reader]
    db_names: [shop]
    db_permissions:
    - match: {object_kind: table, schema: public, name: orders}
      permissions: [SELECT]
  deny: {}
"""
PEOPLE = """\
kind: user
version: v2
metadata: {name: ada}
spec: {roles: [analyst]}
---
kind: db
version: v3
metadata: {name: shop-dev, labels: {env: dev}}
spec: {protocol: postgres, uri: 'localhost:5432'}
---
kind: db
version: v3
metadata: {name: shop-live, labels: {env: production}}
spec: {protocol: postgres, uri: 'localhost:5432'}
"""
GUARD = """\
# METADATA
# title: No DROP
package gateway.guards.schema["no-drop"]

deny contains {"code": "drop_refused", "message": "nothing is dropped"} if {
	some statement in input.request.statements
	some effect in statement.effects
	effect.operation == "drop"
}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return write(tmp_path / "old")


def write(folder: Path, roles: str = ROLES, guard: str = GUARD) -> Path:
    for name, text in (
        ("roles/analyst.yaml", roles),
        ("data/people.yaml", PEOPLE),
        ("guards/schema/no-drop/no_drop.rego", guard),
        (".github/workflows/ci.yaml", "kind: user\nno: resource\n"),
        ("corpus.yaml", "- {id: A, kind: sql}\n"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REGATE, "policy", *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )


def test_a_good_repository_has_nothing_against_it(repository: Path) -> None:
    done = run("check", str(repository))
    assert (done.returncode, done.stdout) == (0, "4 resources, 0 errors, 0 warnings\n")


def test_where_there_is_nothing_to_check_that_is_said(tmp_path: Path) -> None:
    done = run("check", str(tmp_path), "--strict")
    said = f"{tmp_path}: warning: there are no resources here\n0 resources, 0 errors, 1 warnings\n"
    assert (done.returncode, done.stdout) == (1, said)


BAD = """\
kind: role
version: v7
metadata: {name: ghost}
spec:
  allow:
    db_labels: {tier: gold, env: '^(a$'}
    db_users: ['{{external.team}}', '{{foo}}']
    logins: [root]
---
kind: role
version: v7
metadata: {name: blind}
spec: {allow: {db_labels: {env: nowhere}, db_users: [x]}}
---
kind: user
version: v2
metadata: {name: joe}
spec: {roles: [blind, gone]}
---
kind: lock
version: v2
metadata: {name: l}
spec: {target: {user: jo}}
"""


def test_mistakes_and_names_that_nothing_matches_are_told_with_their_lines(repository: Path) -> None:
    path = repository / "bad.yaml"
    path.write_text(BAD)
    done = run("check", str(repository))
    assert done.returncode == 1
    lines = [line.removeprefix(f"{path}:") for line in done.stdout.splitlines()]
    assert lines == [
        "3: warning: metadata.name: nobody has the role ghost",
        '6: error: spec.allow.db_labels.env: "^(a$" is not a regular expression',
        "6: warning: spec.allow.db_labels.tier: no database carries the label tier",
        '7: error: spec.allow.db_users: "{{foo}}" is not a template that is understood',
        "7: warning: spec.allow.db_users: nobody has the trait team",
        "8: warning: spec.allow.logins: is about other resources and has no effect",
        "13: warning: spec.allow.db_labels: no database matches this role",
        "18: error: spec.roles: there is no role gone",
        "23: warning: spec.target.user: there is no user jo",
        "8 resources, 3 errors, 6 warnings",
    ]


def test_check_goes_on_behind_a_file_that_cannot_be_read(repository: Path) -> None:
    (repository / "roles" / "worse.yaml").write_text(ROLES.replace("db_users", "db_user"))
    (repository / "roles" / "again.yaml").write_text(ROLES)
    done = run("check", str(repository / "roles"), "--format=json")
    found = json.loads(done.stdout)["findings"]
    assert any(
        "unknown field" in item["message"] and item["where"].endswith("worse.yaml:8") for item in found
    )
    assert any("stands in" in item["message"] for item in found)
    assert done.returncode == 1
    # Users and databases can be looked for elsewhere.
    (repository / "roles" / "worse.yaml").unlink()
    (repository / "roles" / "again.yaml").unlink()
    alone = run("check", str(repository / "roles"))
    assert alone.stdout == "1 resources, 0 errors, 0 warnings\n"
    (repository / "data" / "people.yaml").write_text(PEOPLE.replace("[analyst]", "[]"))
    beside = run("check", str(repository / "roles"), f"--with={repository}")
    assert "nobody has the role analyst" in beside.stdout
    assert beside.returncode == 0
    assert run("check", str(repository / "roles"), f"--with={repository}", "--strict").returncode == 1


def simulate(repository: Path, sql: str, *more: str) -> subprocess.CompletedProcess[str]:
    where = ("--user=ada", "--database=shop-dev", "--db-user=reader", "--db-name=shop")
    return run("simulate", f"--policy={repository}", *where, f"--sql={sql}", *more)


def test_simulate_names_rules_and_roles_with_file_and_line(repository: Path) -> None:
    done = simulate(repository, "select id from orders", "--format=json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    (reason,) = found["query"]["reasons"]
    assert reason["where"] == [f"{repository}/roles/analyst.yaml:10"]
    assert reason["rules"][0].startswith("gateway/query/query.rego:")
    assert found["facts"][0]["effects"][0]["object"]["name"] == "orders"

    done = simulate(repository, "drop table orders")
    assert done.returncode == 1
    assert "guards/schema/no-drop/no_drop.rego:5" in done.stdout
    assert "operation_not_granted: no role grants drop table public.orders" in done.stdout
    assert f"{repository}/roles/analyst.yaml:10" in done.stdout
    assert "statement 1: drop, class ddl, understood" in done.stdout


def test_simulate_judges_the_connect_first(repository: Path) -> None:
    done = simulate(repository, "select 1", "--db-user=admin")
    assert done.returncode == 1
    assert "db_user_not_granted by role analyst" in done.stdout
    assert "analyst.yaml:8" in done.stdout
    assert "statement:" not in done.stdout
    for wrong in ("--user=bob", "--database=nowhere"):
        assert simulate(repository, "select 1", wrong).returncode == 4


def test_simulate_names_the_role_that_lifts_a_restriction(repository: Path) -> None:
    wide = ROLES.split("    db_permissions", maxsplit=1)[0].replace("analyst", "wide") + "  deny: {}\n"
    (repository / "roles" / "wide.yaml").write_text(wide)
    people = PEOPLE.replace("[analyst]", "[analyst, wide]")
    (repository / "data" / "people.yaml").write_text(people)
    done = simulate(repository, "delete from orders")
    assert done.returncode == 0
    assert "role wide has no db_permissions, and so lifts those of the others" in done.stdout


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_diff_of_folders_bundles_and_revisions_is_the_same(repository: Path, tmp_path: Path) -> None:
    new = write(
        tmp_path / "new", ROLES.replace("[SELECT]", "[SELECT, DELETE]"), GUARD.replace("drop", "lock")
    )
    wanted = [
        ("gains", "delete on table public.orders"),
        ("gains", "delete without WHERE on table public.orders"),
    ]
    bundle = tmp_path / "new.tar.gz"
    assert run("build", str(new), f"--output={bundle}").returncode == 0
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=repository, check=True)
    for other in (str(new), str(bundle)):
        done = run("diff", "HEAD", other, "--format=csv", cwd=repository)
        assert done.returncode == 1, done.stderr
        assert [(row["change"], row["what"]) for row in rows(done.stdout)] == wanted
    back = run("diff", str(bundle), str(repository), "--format=markdown")
    assert back.returncode == 0
    assert "Nothing widens." in back.stdout
    assert "| loses | ada | shop-dev | reader | shop | delete on table public.orders<br>" in back.stdout
    assert run("diff", str(repository), str(repository)).stdout.startswith("0 gained, 0 lost")


def test_a_revision_with_a_link_for_a_policy_is_refused_and_other_links_are_nothing(repository: Path) -> None:
    def committed(name: str, to: str) -> subprocess.CompletedProcess[str]:
        (repository / name).symlink_to(to)
        for command in (
            ["init", "-q"],
            ["add", "-A"],
            ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
        ):
            subprocess.run(["git", *command], cwd=repository, check=True)
        return run("diff", "HEAD", str(repository), cwd=repository)

    assert committed("LICENCE", "/etc/hostname").returncode == 0
    refused = committed("roles/other.yaml", "analyst.yaml")
    assert refused.returncode == 2
    assert "roles/other.yaml is a link in HEAD" in refused.stderr


@pytest.mark.parametrize("wrong", ["no-such-thing", "-x", "roles/analyst.yaml"])
def test_what_holds_no_policies_is_refused(repository: Path, wrong: str) -> None:
    done = run("diff", "--", wrong, str(repository), cwd=repository)
    assert done.returncode == 2
    assert wrong in done.stderr


def test_a_bundle_that_climbs_out_of_its_folder_writes_nothing(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../../evil.rego", "/gateway/../../evil.rego", "gateway/x.rego"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
    assert run("diff", str(path), str(repository)).returncode != 0
    assert not list(tmp_path.rglob("evil.rego"))
    assert not list(tmp_path.parent.glob("evil.rego"))


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@x"])
def test_a_cell_is_no_formula(text: str) -> None:
    (row,) = rows(spreadsheet(("a", "b"), [{"a": text, "b": [text, "c"]}]))
    assert row == {"a": f"'{text}", "b": f"'{text}; c"}


def test_a_cell_has_no_control_characters() -> None:
    (row,) = rows(spreadsheet(("a",), [{"a": "\t=x\r\n\x1b"}]))
    assert row == {"a": r"\t=x\r\n\x1b"}


def test_who_can_and_what_can(repository: Path) -> None:
    source = f"--policy={repository}"
    done = run("who-can", "select", "on", "shop-dev/public.orders", source, "--format=csv")
    assert rows(done.stdout) == [
        {
            "user": "ada",
            "db_user": "reader",
            "db_name": "shop",
            "roles": "analyst",
            "what": "select on table public.orders",
        }
    ]
    assert rows(run("who-can", "delete", "on", "shop-dev", source, "--format=csv").stdout) == []
    assert rows(run("who-can", "connect", "on", "shop-live", source, "--format=csv").stdout) == []
    done = run("what-can", "ada", source)
    assert "copy_out, select on table public.orders" in done.stdout
    wrong = [
        (
            ("who-can", "delte", "on", "shop-dev"),
            2,
            ('did you mean "delete"?', "expected connect, or one of"),
        ),
        (("who-can", "select", "on", "shop-dve"), 4, ('did you mean "shop-dev"?', "the files in data/")),
        (("what-can", "eve"), 4, ("there is no user 'eve'", "the files in data/")),
    ]
    for arguments, code, words in wrong:
        done = run(*arguments, source)
        assert (done.returncode, [word for word in words if word not in done.stderr]) == (code, [])
