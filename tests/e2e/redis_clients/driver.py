"""ioredis and Jedis as clients: npm and Maven bring them once, into a cache; a session is one run."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.access import Access
from tests.servers import install

HERE = Path(__file__).resolve().parent


def ioredis(access: Access, kind: str) -> dict[str, Any]:
    """What ``run.js`` saw as a *kind* of client, single or cluster."""
    folder = _cached(("package.json", "run.js"), _npm)
    words = ["node", str(folder / "run.js"), kind, access.host, str(access.port)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


def jedis(access: Access, kind: str, protocol: int) -> list[str]:
    """What ``Run.java`` saw, line by line."""
    folder = _cached(("pom.xml", "Run.java"), _maven)
    words = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{folder}:{folder}/*", "Run"]
    words += [kind, access.host, str(access.port), str(protocol)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _cached(sources: tuple[str, ...], build: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in sources)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regate" / "redis-clients"
    target = cache / digest
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    # Built aside and renamed: a run that is cut short must not leave a half-filled cache.
    with tempfile.TemporaryDirectory(dir=cache) as aside:
        built = Path(aside) / "built"
        built.mkdir()
        build(built)
        if not target.is_dir():
            shutil.move(built, target)
    return target


def _npm(built: Path) -> None:
    install.ensure("node")
    for name in ("package.json", "run.js"):
        shutil.copyfile(HERE / name, built / name)
    _run("npm", "install", "--prefix", str(built), "--no-audit", "--no-fund", "--ignore-scripts", "--silent")


def _maven(built: Path) -> None:
    install.ensure("java")
    _run(
        "mvn", "-q", "-B", "-f", str(HERE / "pom.xml"),
        "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
        f"-DoutputDirectory={built}", "-DincludeScope=runtime",
    )  # fmt: skip
    _run("javac", "-cp", f"{built}/*", "-d", str(built), str(HERE / "Run.java"))


def _run(*arguments: str) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise install.InstallError(f"{arguments[0]}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
