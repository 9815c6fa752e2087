"""Programs in Go that the tests need: built once from their folders, under the digest of their sources."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.servers.install import InstallError

_FILES: Final = ("main.go", "go.mod", "go.sum")
_BUILD_SECONDS: Final = 900  # two minutes of CPU for a database server; machines that test are busy


def program(name: str, sources: Path) -> Path:
    """Where the built program is; built now if it is not there."""
    digest = hashlib.sha256(b"".join((sources / each).read_bytes() for each in _FILES)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regate" / "tests"
    target = cache / f"{name}-{digest}"
    if target.exists():
        return target
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        raise InstallError(
            "missing: go; install Go as new as its go.mod says, e.g. apt-get install golang-go"
        )
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / f"{target.name}.{os.getpid()}"
    done = subprocess.run(
        [go, "build", "-trimpath", "-o", str(made), "."],
        cwd=sources, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS,
    )  # fmt: skip
    if done.returncode != 0:
        raise InstallError(f"go build of {sources.name} ended with {done.returncode}: {done.stderr[-800:]}")
    made.replace(target)
    return target
