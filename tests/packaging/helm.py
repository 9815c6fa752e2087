"""Helm for the tests of the chart: HELM, one on the PATH, or built once with Go into the cache, as OPA is."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from gateway.policy import install

VERSION = "3.21.4"
TOOLS = Path(__file__).parents[2] / "deploy" / "tools"
MODULE = "helm.sh/helm/v3/cmd/helm"


def ensure() -> Path:
    """A Helm of the third generation."""
    named = os.environ.get("HELM") or shutil.which("helm")
    if named and _is_helm(named):
        return Path(named)
    target = install.cache().parents[1] / "helm" / VERSION / "helm"
    with install._only_one(target.parent):
        if not target.exists():
            _build(target)
    return target


def _is_helm(program: str) -> bool:
    said = subprocess.run([program, "version", "--short"], capture_output=True, text=True, check=False)
    return said.returncode == 0 and said.stdout.startswith("v3.")


def _build(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for file in ("go.mod", "go.sum"):
            shutil.copy(TOOLS / file, folder)
        subprocess.run(
            [install._go(), "build", "-trimpath", "-ldflags=-s -w", "-o", f"{folder}/helm", MODULE],
            cwd=folder,
            env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false"},
            check=True,
        )
        Path(folder, "helm").replace(target)
