"""mongosh and the Node driver: npm brings them once, into a cache."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from gateway.policy import install as opa
from tests.servers.install import InstallError

HERE = Path(__file__).resolve().parent


def folder() -> Path:
    """The folder with ``node_modules``, filled at the first use (half a minute)."""
    wanted = (HERE / "package.json").read_bytes()
    target = opa.cache().parents[1] / "node" / hashlib.sha256(wanted).hexdigest()[:16]
    with opa._only_one(target.parent):
        if not target.is_dir():
            _fill(target, wanted)
    return target


def mongosh() -> Path:
    """MongoDB's shell."""
    return folder() / "node_modules" / ".bin" / "mongosh"


def _fill(target: Path, wanted: bytes) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("missing: npm; as root: apt-get install -y nodejs npm")
    with tempfile.TemporaryDirectory(dir=target.parent) as aside:
        made = Path(aside) / "made"
        made.mkdir()
        (made / "package.json").write_bytes(wanted)
        # Without scripts: the native parts are optional, and nothing of them is needed.
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False, timeout=280)
        if done.returncode != 0:
            raise InstallError(f"npm install: {done.stdout[-800:]}{done.stderr[-800:]}")
        made.replace(target)
