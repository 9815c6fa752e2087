"""A release's bill of materials names what is installed with it, and nothing else."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK, SUPPLY = ROOT / "requirements.lock", ROOT / "requirements-supply.lock"


def _locked(lock: Path) -> dict[str, frozenset[str]]:
    """Each package of *lock* as name==version, and its digests."""
    blocks = re.split(r"^(?=[A-Za-z0-9._-]+==)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {
        re.match(r"\S+", block)[0]: frozenset(re.findall(r"sha256:([0-9a-f]{64})", block))  # type: ignore[index]
        for block in blocks
    }


def test_the_tools_are_locked_with_their_digests() -> None:
    found = _locked(SUPPLY)
    assert any(name.startswith("cyclonedx-bom==") for name in found)
    assert any(name.startswith("pip-audit==") for name in found)
    assert all(found.values())


@pytest.mark.soak
def test_the_bill_of_materials_names_each_package_with_its_digests() -> None:
    subprocess.run(["make", "sbom", f"PYTHON={sys.executable}"], cwd=ROOT, check=True)
    bill = json.loads((ROOT / "dist/sbom.json").read_text(encoding="utf-8"))
    listed = {
        f"{item['name']}=={item['version']}": frozenset(
            digest["content"] for where in item["externalReferences"] for digest in where["hashes"]
        )
        for item in bill["components"]
    }
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "regate"
    assert listed == _locked(LOCK)
