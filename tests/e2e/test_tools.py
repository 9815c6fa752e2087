"""The tools people use every day: psql's own commands, pg_dump, \\copy, pgbench."""

import os
import re
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from tests.e2e.access import Access
from tests.e2e.cluster import Cluster

pytestmark = pytest.mark.db


def run(
    access: Access, *arguments: str, stdin: str = "", check: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        arguments,
        env={"PATH": os.environ["PATH"], **access.environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize(
    "command",
    [
        r"\d app.*",
        r"\d app.orders",
        r"\dt app.*",
        r"\dn+",
        r"\df",
        r"\du",
        r"\l",
        r"\dp app.orders",
        r"\dT",
        r"\conninfo",
    ],
)
def test_psql_describes_what_is_there(alice: Access, command: str) -> None:
    done = run(alice, "psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", command)
    assert "ERROR" not in done.stderr
    assert done.stdout


def test_pg_dump_and_restore_give_the_same_tables(cluster: Cluster, alice: Access) -> None:
    dump = run(alice, "pg_dump", "--schema=app", "--no-owner", "--no-privileges").stdout
    straight = run(
        Access(str(cluster.pg.socket), cluster.pg.port, "postgres", "mydb"),
        "pg_dump", "--schema=app", "--no-owner", "--no-privileges",
    ).stdout  # fmt: skip
    assert "CREATE TABLE app.orders" in dump
    assert _lasting(dump) == _lasting(straight)


def _lasting(dump: str) -> list[str]:
    # Newer versions wrap a dump in \restrict with a random key.
    return [line for line in dump.splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


def test_copy_takes_rows_out_and_in(alice: Access, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    run(
        alice,
        "psql",
        "-X",
        "-c",
        f"\\copy (select n, repeat('x', 50) from generate_series(1, 20000) n) to '{file}'",
    )
    assert file.read_text().count("\n") == 20_000
    script = (
        "create temp table taken (n int, filler text);\n"
        f"\\copy taken from '{file}'\n"
        "select count(*), sum(n) from taken;"
    )
    done = run(alice, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", stdin=script)
    assert done.stdout.strip() == "20000|200010000"


def test_a_client_that_stops_reading_costs_the_gateway_no_memory(cluster: Cluster) -> None:
    access = cluster.users["alice"].access("alice", "mydb")
    endless = "copy (select repeat('x', 1000) from generate_series(1, 2000000)) to stdout"
    with psycopg.connect(access.conninfo, autocommit=True) as connection:
        before = _resident(cluster.pid)
        with connection.cursor().copy(endless) as rows:
            rows.read()
            time.sleep(2)
            grown = _resident(cluster.pid) - before
            connection.close()
    assert grown < 16 * 1024


def _resident(pid: int) -> int:
    """Kilobytes of memory that a process holds."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found.group(1))


def test_notifications_arrive(cluster: Cluster) -> None:
    access = cluster.users["alice"].access("alice", "mydb")
    with (
        psycopg.connect(access.conninfo, autocommit=True) as hears,
        psycopg.connect(access.conninfo, autocommit=True) as says,
    ):
        hears.execute("listen news")
        says.execute("notify news, 'it is out'")
        heard = next(hears.notifies(timeout=60))
    assert (heard.channel, heard.payload) == ("news", "it is out")


def test_copy_of_a_refused_table_is_refused(bob: Access) -> None:
    done = run(bob, "psql", "-X", "-c", r"\copy secret.pay to '/dev/null'", check=False)
    assert done.returncode != 0
    assert (
        "42501"
        in run(
            bob,
            "psql",
            "-X",
            "-v",
            "VERBOSITY=sqlstate",
            "-c",
            r"\copy secret.pay to '/dev/null'",
            check=False,
        ).stderr
    )


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_runs_in_every_query_mode(cluster: Cluster, alice: Access, mode: str) -> None:
    if cluster.pg.psql("select to_regclass('public.pgbench_accounts')", "mydb") == "":
        run(
            Access(str(cluster.pg.socket), cluster.pg.port, "postgres", "mydb"),
            "pgbench",
            "-i",
            "-q",
            "-s",
            "1",
        )
        cluster.pg.psql("grant all on all tables in schema public to alice", "mydb")
    done = run(alice, "pgbench", "-n", "-M", mode, "-c", "4", "-j", "2", "-t", "25")
    assert "number of transactions actually processed: 100/100" in done.stdout
    assert "number of failed transactions: 0 " in done.stdout
