"""The wheel alone is enough: installed in an empty environment, it starts a cluster far from any checkout."""

import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster
from tests.servers.process import free_port, temporary_folder

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*arguments: str | Path, cwd: Path) -> str:
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by way of the source archive, so that a file missing there is missed here."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def executable(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``regate`` in an environment with the wheel, what it needs at locked versions, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False)
    locked = folder / "locked.txt"
    locked.write_text("".join(_versions()))
    python = folder / "venv" / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "uv",
        "--system-certs",
        "pip",
        "install",
        "-q",
        "--python",
        python,
        "-c",
        locked,
        wheel,
        cwd=folder,
    )
    return folder / "venv" / "bin" / "regate"


def _versions() -> Iterator[str]:
    # Hashes would make the installer ask for one of our own wheel as well.
    for line in (ROOT / "requirements-dev.lock").read_text().splitlines():
        if line and not line[0].isspace() and "==" in line:
            yield line.removesuffix("\\").strip() + "\n"


def test_the_wheel_carries_policies_schemas_and_opa(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder, ending in (("policies", ".rego"), ("schemas", ".json"), ("opa", ""), ("examples", "")):
        shipped = {
            f"gateway/_data/{path.relative_to(ROOT)}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and path.name.endswith(ending) and _is_tracked(path)
        }
        assert shipped
        assert shipped - inside == set()


def _is_tracked(path: Path) -> bool:
    listed = subprocess.run(
        ["git", "ls-files", "--error-unmatch", path], cwd=ROOT, capture_output=True, check=False
    )
    return listed.returncode == 0


def test_the_wheel_carries_the_package_and_no_tests(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gateway"}


@pytest.mark.opa
def test_a_cluster_starts_from_the_wheel_in_another_folder(executable: Path) -> None:
    with temporary_folder("regate-wheel-") as folder:
        folder.chmod(0o700)
        cluster = Cluster(folder, free_port(), executable)
        clusters.configure(cluster)
        cluster.start()
        try:
            assert "regate" in cluster.run("version", home=folder).stdout.lower()
            cluster.create(clusters.wide_role("everything"))
            user = cluster.add_user("alice", "everything")
            assert "alice" in user.regate("status").stdout
        finally:
            assert cluster.stop() == 0
