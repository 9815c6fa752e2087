"""Puts the real servers and clients that tests drive on the machine; quick when they are there already.

Only what is missing is installed, from the distribution's own packages, and only by root: anybody else is
told the command to type. Standard library only, so that it runs before there is a virtual environment.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

POSTGRES_ROOT = Path("/usr/lib/postgresql")
OLDEST_POSTGRES = 15


class InstallError(RuntimeError):
    """A program is missing and cannot be installed by this user; the message says what to type."""


@dataclass(frozen=True, slots=True)
class Package:
    """Something the tests need: how to see that it is there, and the packages that bring it."""

    name: str
    is_there: Callable[[], bool]
    debian: tuple[str, ...]


def postgres_programs() -> Path | None:
    """The folder with ``initdb`` and ``postgres`` of the newest server on this machine, if any."""
    versions = sorted(
        (int(path.name), path / "bin")
        for path in (POSTGRES_ROOT.iterdir() if POSTGRES_ROOT.is_dir() else ())
        if path.name.isdigit() and (path / "bin" / "initdb").exists()
    )
    if versions and versions[-1][0] >= OLDEST_POSTGRES:
        return versions[-1][1]
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


def program(name: str) -> str | None:
    """Where *name* is, looking in the folders of system programs too (they are not on everybody's PATH)."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def _are_there(*names: str) -> Callable[[], bool]:
    return lambda: all(program(name) is not None for name in names)


PACKAGES = {
    package.name: package
    for package in (
        Package(
            "postgres",
            lambda: postgres_programs() is not None and _are_there("psql", "pgbench", "pg_dump")(),
            ("postgresql", "postgresql-client", "postgresql-contrib"),
        ),
        Package("pgbouncer", _are_there("pgbouncer"), ("pgbouncer",)),
        Package(
            "mariadb", _are_there("mariadbd", "mariadb", "mariadb-dump"), ("mariadb-server", "mariadb-client")
        ),
        Package("sysbench", _are_there("sysbench"), ("sysbench",)),
        Package("redis", _are_there("redis-server", "redis-cli"), ("redis-server", "redis-tools")),
        Package("java", _are_there("java", "mvn"), ("default-jdk-headless", "maven")),
        Package("node", _are_there("node", "npm"), ("nodejs", "npm")),
    )
}


def ensure(*names: str) -> None:
    """Return when all *names* of ``PACKAGES`` are there; raise InstallError when one cannot be had."""
    missing = [PACKAGES[name] for name in names if not PACKAGES[name].is_there()]
    if not missing:
        return
    wanted = [word for package in missing for word in package.debian]
    command = f"apt-get install -y --no-install-recommends {' '.join(wanted)}"
    said = f"missing: {', '.join(package.name for package in missing)}"
    if shutil.which("apt-get") is None:
        raise InstallError(f"{said}; install PostgreSQL >= {OLDEST_POSTGRES}, pgbouncer, a JDK and Maven")
    if os.geteuid() != 0:
        raise InstallError(f"{said}; as root: {command}")
    _apt(wanted)
    still = [package.name for package in missing if not package.is_there()]
    if still:
        raise InstallError(f"still missing after {command}: {', '.join(still)}")


def _apt(packages: Iterable[str]) -> None:
    # The packages would start a cluster and a daemon of their own on well-known ports. A policy-rc.d that
    # answers 101 keeps them from it; it is put back as it was, so that the machine stays as it was.
    guard = Path("/usr/sbin/policy-rc.d")
    before = guard.read_bytes() if guard.exists() else None
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    guard.write_text("#!/bin/sh\nexit 101\n")
    guard.chmod(0o755)
    try:
        for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *packages]):
            done = subprocess.run(["apt-get", *arguments], env=environment, check=False)
            if done.returncode != 0:
                raise InstallError(f"apt-get {' '.join(arguments)} ended with {done.returncode}")
    finally:
        if before is None:
            guard.unlink(missing_ok=True)
        else:
            guard.write_bytes(before)


def main() -> int:
    """Install what the command line names, or everything."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *PACKAGES], help="what to install; all by default")
    names = parser.parse_args().names
    try:
        ensure(*(names or PACKAGES))
    except InstallError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not names:
        _build_ahead()
    return 0


def _build_ahead() -> None:
    """Build what comes as source, once: on a busy machine that takes longer than a test may."""
    from gateway.errors import RegateError  # noqa: PLC0415 # installing alone needs no environment
    from tests.servers import ferretdb, gomysql  # noqa: PLC0415 # the same

    for build in (ferretdb.ensure, gomysql.program):
        try:
            build()
        except (RegateError, AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            sys.stderr.write(f"{build.__module__}: {error}; the tests that need it will fail\n")


if __name__ == "__main__":
    sys.exit(main())
