"""From an empty folder to a signed bundle, with the real ``regate``, OPA and regal."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cli.policy import repository as repositories
from gateway.policy import install

pytestmark = pytest.mark.opa

REGATE = Path(sys.executable).parent / "regate"


def _regate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [REGATE, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    assert _regate("policy", "init", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def repository(pristine: Path, tmp_path: Path) -> Path:
    shutil.copytree(pristine, tmp_path / "ours")
    return tmp_path / "ours"


def test_what_init_writes_passes_its_own_ci(repository: Path) -> None:
    path = f"{REGATE.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "ci.sh"], cwd=repository, env=os.environ | {"PATH": path}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "coverage 100 %" in done.stdout
    assert (repository / "dist" / "policy.tar.gz").is_file()
    for name in (".gitignore", ".pre-commit-config.yaml", ".github/workflows/policy.yml", "roles", "data"):
        assert (repository / name).exists()


def test_init_writes_over_nothing(repository: Path) -> None:
    (repository / "roles" / "analyst.yaml").write_text("mine")
    done = _regate("policy", "init", cwd=repository)
    assert done.returncode == 5
    assert "is there already" in done.stderr
    assert (repository / "roles" / "analyst.yaml").read_text() == "mine"


def test_a_failing_test_is_told_with_file_and_line(repository: Path) -> None:
    guard = repository / "guards/schema/no-drop/no_drop.rego"
    guard.write_text(guard.read_text().replace('"drop", "truncate"', '"drop"'))
    done = _regate("policy", "test", cwd=repository)
    assert done.returncode == 10
    assert "guards/schema/no-drop/no_drop_test.rego:" in done.stdout
    assert "test_each_case_comes_out_as_the_table_says: failed" in done.stdout


def test_a_line_that_no_test_reaches_is_told(repository: Path) -> None:
    folder = repository / "guards" / "schema" / "second"
    folder.mkdir()
    (folder / "second.rego").write_text(
        'package gateway.guards.schema.second\n\ndeny contains "x" if input.session.db_user == "x"\n'
    )
    done = _regate("policy", "test", cwd=repository)
    assert done.returncode == 10
    assert "guards/schema/second/second.rego:3: no test gets here" in done.stdout
    assert _regate("policy", "test", "--coverage=0", cwd=repository).returncode == 0


BAD = {
    "it does not parse": ("deny := := 1\n", "rego_parse_error"),
    "it asks for a field that there is not": (
        'deny contains {"code": "x"} if input.session.db_usr == "x"\n',
        "rego_type_error",
    ),
    "it asks the clock": ('deny contains {"code": "x"} if time.now_ns() > 0\n', "time.now_ns"),
}


@pytest.mark.parametrize("why", BAD)
def test_a_guard_is_objected_to_with_file_and_line_when(why: str, repository: Path) -> None:
    body, words = BAD[why]
    folder = repository / "guards" / "schema" / "bad"
    folder.mkdir()
    (folder / "bad.rego").write_text(f"package gateway.guards.schema.bad\n\n{body}")
    done = _regate("policy", "lint", "--no-regal", cwd=repository)
    assert done.returncode == 10
    assert "guards/schema/bad/bad.rego:3" in done.stdout
    assert words in done.stdout


def test_a_package_in_the_library_s_place_is_objected_to(repository: Path) -> None:
    (repository / "team").mkdir()
    (repository / "team" / "x.rego").write_text("package gateway.query\n\nlax := true\n")
    done = _regate("policy", "lint", "--no-regal", cwd=repository)
    assert done.returncode == 10
    assert "package gateway.query" in done.stdout


def test_data_for_tests_have_the_label_expressions_that_a_cluster_has(repository: Path) -> None:
    role = (
        "kind: role\nversion: v7\nmetadata: {name: by-label}\nspec:\n  allow: {db_labels_expression: '%s'}\n"
    )
    (repository / "roles" / "by-label.yaml").write_text(role % 'labels["env"] == "dev"')
    with repositories.assembled(repositories.at(str(repository)), install.ensure_opa()) as folder:
        prepared = json.loads((folder / "data.json").read_text())["regate"]["index"]["roles"]["by-label"]
    assert prepared["allow"]["expression"]


def test_a_role_with_a_mistake_is_told_with_file_and_line(repository: Path) -> None:
    role = repository / "roles" / "analyst.yaml"
    role.write_text(role.read_text().replace("db_users:", "db_user:"))
    done = _regate("policy", "test", cwd=repository)
    assert done.returncode == 2
    assert "roles/analyst.yaml:" in done.stderr
    assert "db_user" in done.stderr


def test_fmt_changes_what_lint_would_not_like_and_check_changes_nothing(repository: Path) -> None:
    guard = repository / "guards/schema/no-drop/no_drop.rego"
    formed = guard.read_text()
    guard.write_text(formed.replace("_understood(statement) if", "_understood( statement )  if"))
    crooked = guard.read_text()
    done = _regate("policy", "fmt", "--check", cwd=repository)
    assert (done.returncode, guard.read_text()) == (10, crooked)
    assert _regate("policy", "fmt", cwd=repository).returncode == 0
    assert guard.read_text() == formed


def test_the_same_input_gives_the_same_bytes_wherever_it_is_built(repository: Path, tmp_path: Path) -> None:
    assert _regate("policy", "keygen", cwd=tmp_path).returncode == 0
    elsewhere = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(repository, elsewhere)
    build = ("policy", "build", "--number=7", f"--key={tmp_path / 'policy.key'}", "--format=json")
    first = json.loads(_regate(*build, cwd=repository).stdout)
    second = json.loads(_regate(*build, cwd=elsewhere).stdout)
    assert first == second
    assert first["signed"]
    assert (repository / first["file"]).read_bytes() == (elsewhere / first["file"]).read_bytes()
    assert _regate("policy", "sign", first["file"], "--key=../policy.key", cwd=repository).returncode == 0
    assert (repository / first["file"]).read_bytes() == (elsewhere / first["file"]).read_bytes()
    verified = _regate("policy", "verify", first["file"], "--key=../policy.pem", "-f", "json", cwd=repository)
    assert json.loads(verified.stdout)["roles"] == ["analyst", "engineer"]


def test_a_private_key_is_for_its_owner_alone_and_never_written_over(tmp_path: Path) -> None:
    assert _regate("policy", "keygen", "--output=team", cwd=tmp_path).returncode == 0
    assert (tmp_path / "team.key").stat().st_mode & 0o777 == 0o600
    assert _regate("policy", "keygen", "--output=team", cwd=tmp_path).returncode == 5
