"""``docs/policy-as-code.md``, typed as it stands there: files written, commands run, each line seen."""

import contextlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.e2e import cluster as clusters
from tests.e2e.cluster import REGATE, Cluster
from tests.e2e.conftest import furnish
from tests.servers.process import temporary_folder

pytestmark = pytest.mark.db

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policy-as-code.md"
_BLOCK = re.compile(r"(?:[`;]?`([\w./-]+)`:\n\n)?```(console|yaml|rego)\n(.*?)```", re.DOTALL)
_DECISION = re.compile(r"decision (\w{26})")
# Commands that end otherwise than with 0, as the page says.
CODES = {"regate policy diff": {0, 1}, "regate policy replay": {1}}


@dataclass(frozen=True)
class Step:
    """A file to write, or a command with what the page shows of its output."""

    file: str = ""
    text: str = ""
    command: str = ""
    shown: tuple[str, ...] = ()


def steps() -> Iterator[Step]:
    """The page from its top to its bottom."""
    for file, kind, text in _BLOCK.findall(PAGE.read_text()):
        if kind != "console":
            if file:
                yield Step(file=file, text=text)
            continue
        for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            yield Step(command=command, shown=tuple(line for line in shown.splitlines() if line))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with temporary_folder("regate-") as folder:
        policy = {"keys": [str(folder / "team.pem")], "limit_ms": 200}
        with clusters.running(folder, policy=policy) as running:
            furnish(running)
            access = running.users["alice"].access("alice", "mydb")
            with psycopg.connect(access.conninfo, autocommit=True) as session:
                session.execute("truncate app.notes")  # last week's, for replay to find
            yield running


def test_the_page_is_true(cluster: Cluster) -> None:
    at, decision, ran = cluster.folder, "", 0
    for step in steps():
        if step.file:
            (at / step.file).parent.mkdir(parents=True, exist_ok=True)
            (at / step.file).write_text(step.text)
            continue
        words = shlex.split(step.command.replace("01K…", decision))
        if words[0] == "cd":
            at /= words[1]
            continue
        said, code = _typed(cluster, at, words)
        named = _DECISION.search(said)
        decision = named[1] if named else decision
        expected = next((codes for name, codes in CODES.items() if step.command.startswith(name)), None)
        if expected is None:
            failing = any("failed" in line and "0 failed" not in line for line in step.shown)
            expected = (
                {10} if failing else {1} if any(line.startswith("ERROR") for line in step.shown) else {0}
            )
        assert code in expected, (step.command, code, said)
        for line in step.shown:
            pattern = ".*".join(re.escape(part) for part in line.replace("01K…", "…").split("…"))
            assert re.search(pattern, said), (step.command, line, said)
        ran += 1
    assert ran == 14


def _typed(cluster: Cluster, at: Path, words: list[str]) -> tuple[str, int]:
    """What *words* printed, typed in the folder *at* by alice, who is also the administrator."""
    home = cluster.users["alice"].home
    environment = cluster.environment(home) | {"REGATE_CONFIG": str(cluster.configuration)}
    with contextlib.suppress(KeyError):
        environment.pop("REGATE_PROXY")
    command = [str(REGATE), *words[1:]]
    done = subprocess.run(
        command, cwd=at, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr, done.returncode
