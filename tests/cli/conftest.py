"""``regate`` as a real process, with a home of its own, against the real API."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.api.rig import Rig, running
from tests.servers.process import temporary_folder

REGATE = Path(sys.executable).with_name("regate")
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Done:
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Person:
    """Somebody at a machine: a home folder, and perhaps the configuration of the auth service."""

    home: Path
    config: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        own = {"HOME": str(self.home), "REGATE_HOME": str(self.home / ".regate"), "PATH": os.environ["PATH"]}
        return own | ({"REGATE_CONFIG": str(self.config)} if self.config else {})

    def run(self, *arguments: str, stdin: str = "", **more: str) -> Done:
        done = subprocess.run(
            [REGATE, *arguments],
            input=stdin,
            env=self.environment | more,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str = "", **more: str) -> str:
        done = self.run(*arguments, stdin=stdin, **more)
        assert done.code == 0, done
        return done.out


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with temporary_folder("regate-cli-") as folder, running(folder) as found:
        yield found


@pytest.fixture
def admin(rig: Rig, tmp_path: Path) -> Person:
    home = tmp_path / "admin"
    home.mkdir()
    return Person(home, rig.config)


@pytest.fixture
def person(tmp_path: Path) -> Person:
    home = tmp_path / "person"
    home.mkdir()
    return Person(home)


def trust(rig: Rig) -> tuple[str, str]:
    """What a person types to trust that cluster."""
    return f"--proxy={rig.proxy}", f"--ca-pin={rig.pin}"


def sign_up(rig: Rig, admin: Person, person: Person, name: str, roles: str = "access") -> None:
    """An account, accepted and logged in."""
    said = admin.ok("users", "add", name, f"--roles={roles}")
    (person.home / "token").write_text(said.splitlines()[2].strip() + "\n")
    accept = ("users", "accept", *trust(rig), "--token-file=token", "--password-stdin")
    person.ok(*accept, stdin=PASSWORD + "\n")
    person.ok("login", *trust(rig), f"--user={name}", "--password-stdin", stdin=PASSWORD + "\n")
