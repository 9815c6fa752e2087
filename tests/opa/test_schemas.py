"""What the types say: a misspelt field of the input is found in every package that reads it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.policy import install
from gateway.schema import data_dir

pytestmark = pytest.mark.opa

POLICIES = data_dir("policies") / "gateway"
# Packages whose input has a schema, and a field of it to misspell.
ANNOTATED = {
    "admin": "input.subject.nmae",
    "agent": "input.agent.idd",
    "connect": "input.identity.usr",
    "connect_batch": "input.itmes",
    "guards/schema/planted": "input.request.statments",
    "lib/guards": "input.session.databse",
    "join": "input.joinning.type",
    "login": "input.usr",
    "prepare": "input.rolse",
    "query": "input.request.statments",
    "query_batch": "input.itmes",
    "visible": "input.databses",
}


def _check(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [install.ensure_opa(), "check", "--strict", "--schema", data_dir("schemas"), folder],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(data_dir("policies"), tmp_path / "policies")
    return tmp_path / "policies"


def test_the_shipped_policies_pass(copied: Path) -> None:
    assert _check(copied).returncode == 0


@pytest.mark.parametrize("package", ANNOTATED)
def test_a_misspelt_field_is_found(package: str, copied: Path) -> None:
    folder = copied / "gateway" / package
    folder.mkdir(parents=True, exist_ok=True)
    name = "gateway." + package.replace("/", ".")
    planted = folder / "planted.rego"
    field = ANNOTATED[package]
    planted.write_text(f"package {name}\n\nplanted if {field} == 1\n")
    found = _check(copied)
    assert found.returncode != 0
    assert "undefined ref" in found.stdout + found.stderr
    assert field.rpartition(".")[2] in found.stdout + found.stderr


@pytest.mark.parametrize("package", ANNOTATED)
def test_the_right_field_is_not_complained_about(package: str, copied: Path) -> None:
    """So that the test above cannot pass for another reason than the spelling."""
    folder = copied / "gateway" / package
    folder.mkdir(parents=True, exist_ok=True)
    name = "gateway." + package.replace("/", ".")
    (folder / "planted.rego").write_text(f"package {name}\n\nplanted if input.contract == 1\n")
    assert _check(copied).returncode == 0


def test_every_package_that_reads_the_input_has_a_schema() -> None:
    for path in POLICIES.rglob("*.rego"):
        text = path.read_text()
        if path.name.endswith("_test.rego") or not re.search(r"^[^#\n]*\binput\.", text, re.MULTILINE):
            continue
        assert "# schemas:" in text, path


def test_every_package_has_a_title_and_stands_in_its_folder() -> None:
    for path in POLICIES.rglob("*.rego"):
        text = path.read_text()
        found = re.search(r"^package (\S+)$", text, re.MULTILINE)
        assert found is not None, path
        # Tests of guards stand with them, but in no guard's place: there they would count as guards.
        package = re.sub(r'\["([^"]+)"\]', r".\1", found[1]).replace(
            "gateway.guard_tests.", "gateway.guards."
        )
        is_test = path.name.endswith("_test.rego")
        package = package.removesuffix("_test") if is_test else package
        assert package.split(".") == ["gateway", *path.parent.relative_to(POLICIES).parts], path
        assert is_test or not found[1].startswith("gateway.guard_tests"), path
        if not is_test:
            assert text.startswith("# METADATA\n# title: "), path
