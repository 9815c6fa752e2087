"""The walk of docs/machine-identity.md, typed as it stands there, and what a copy of its folder comes to."""

import json
import re
import shlex
import shutil
from pathlib import Path

import psycopg
import pytest

from tests.e2e.cluster import AT_ONCE, Cluster, Done, User, eventually

pytestmark = pytest.mark.db

PAGE = Path(__file__).resolve().parents[2] / "docs" / "machine-identity.md"


def test_a_machine_walks_as_written_and_a_copy_of_it_locks_the_bot(cluster: Cluster, tmp_path: Path) -> None:
    home = tmp_path / "machine"
    home.mkdir(mode=0o700)

    def typed(command: str, *more: str, **variables: str) -> Done:
        first, *words = shlex.split(command)
        if first.startswith("REGATE_HOME="):
            variables["REGATE_HOME"], words = first.partition("=")[2], words[1:]
        return cluster.run(*words, *more, home=home, check=False, **variables)

    text = PAGE.read_text().replace("gate.example.com:3080", cluster.proxy).replace("sha256:…", cluster.pin)
    add, start, ls, connect = re.findall(r"^\$ (.*regate .*)$", text, re.MULTILINE)
    made = typed(add, "--format=json", REGATE_CONFIG=str(cluster.configuration))
    (home / "token").write_text(json.loads(made.stdout)["token"])
    try:
        assert typed(start).code == 0
        assert "my-postgres" in typed(ls).stdout
        said = typed(connect, "--", "-Atc", "select current_user")
        assert (said.code, said.stdout) == (0, "alice\n"), said.said

        (home / "bot").rename(home / ".regate")  # where a person's profile is
        with psycopg.connect(User("ci", home, cluster).access("alice", "mydb").conninfo) as session:
            shutil.copytree(home / ".regate", home / "bot")
            assert typed(start).code == 0
            assert typed(start.replace("--out=bot", "--out=.regate")).code == 3
            for _ in eventually("the lock ends the session", seconds=AT_ONCE):
                if _is_over(session):
                    break
        refused = typed(connect, "--", "-c", "select 1")
        assert "a lock is in force" in refused.said or "was copied" in refused.said
    finally:
        for lock in re.findall(r"bot-ci-[0-9a-f]{8}", cluster.admin("get", "locks").stdout):
            cluster.admin("rm", f"lock/{lock}", check=False)
        cluster.admin("bots", "rm", "ci")


def _is_over(session: psycopg.Connection) -> bool:
    try:
        session.execute("select 1")
    except psycopg.Error:
        return True
    return False
