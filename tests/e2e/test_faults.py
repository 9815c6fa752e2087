"""What happens when a part dies: refused, recorded, recovered; each test has a cluster of its own."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import furnish
from tests.servers.postgres import counted
from tests.servers.process import suspend, temporary_folder

pytestmark = pytest.mark.db


@pytest.fixture
def own() -> Iterator[Cluster]:
    with clusters.running() as running:
        furnish(running)
        yield running


def connect(access: Access) -> psycopg.Connection:
    return psycopg.connect(access.conninfo, autocommit=True)


def test_without_its_policy_engine_everything_is_refused_and_later_allowed_again(own: Cluster) -> None:
    access = own.users["alice"].access("alice", "mydb")
    with connect(access) as session:
        session.execute("select 'before'")
        first = own.opa_pid()
        suspend(first)  # it neither answers nor ends: the deadline must refuse
        start = time.monotonic()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("select 'while it hangs'")
        assert 1.9 < time.monotonic() - start < 15  # opa.deadline_ms is two seconds here
        os.kill(first, signal.SIGKILL)
        for _ in eventually("a new OPA answers", seconds=20):
            try:
                session.execute("select 'after'")
                break
            except psycopg.errors.InsufficientPrivilege:
                continue
        assert own.opa_pid() != first
    logged = [statement.text for statement in own.pg.statements()]
    assert not [text for text in logged if "while it hangs" in text]
    assert own.admin("audit", "verify").code == 0


def test_no_statement_of_a_gateway_that_dies_is_missing_from_the_audit(own: Cluster) -> None:
    access = own.users["alice"].access("alice", "mydb")
    script = own.folder / "load.sql"
    script.write_text("\\set n random(1, 1000000000)\nselect :n as loaded;\n")
    load = subprocess.Popen(
        ["pgbench", "-n", "-f", str(script), "-c", "16", "-j", "2", "-T", "30"],
        env={"PATH": os.environ["PATH"], **access.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in eventually("the load runs", seconds=20):
            if len(_loaded(own)) > 500:
                break
        descendants = clusters.children(own.pid)
        own.kill()
    finally:
        load.kill()
        load.wait(10)
    for _ in eventually(f"nothing that it started is left: {descendants}"):
        if not [pid for pid in descendants if clusters.is_alive(pid)]:
            break
    for _ in eventually("the server has noticed"):
        if own.pg.backends("alice") == 0:
            break
    served = _loaded(own)
    assert len(served) > 500
    own.start()
    recorded = Counter(
        record["fields"]["statement"].strip().rstrip(";").rstrip()
        for record in own.audit("--user=alice", "--kind=db.session.query")
    )
    assert served - recorded == Counter()
    assert own.admin("audit", "verify").code == 0
    _every_query_has_an_end(own)


def _loaded(cluster: Cluster) -> Counter[str]:
    return Counter(
        {text: n for text, n in counted(cluster.pg.statements()).items() if text.endswith("as loaded")}
    )


def _every_query_has_an_end(cluster: Cluster) -> None:
    begun = {record["id"] for record in cluster.audit("--kind=db.session.query")}
    ended = {record["fields"]["query_id"] for record in cluster.audit("--kind=db.session.query.end")}
    assert begun - ended == set()


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system of its own that can be filled; only root may mount one."""
    with temporary_folder("regate-disk-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small file system that is filled here")
def test_on_a_full_disk_statements_are_refused_and_nothing_runs_unrecorded() -> None:
    with small_disk("160m") as disk, temporary_folder("regate-") as folder:
        folder.chmod(0o700)
        with clusters.running(folder, audit={"dir": str(disk / "audit")}) as own:
            furnish(own)
            access = own.users["alice"].access("alice", "mydb")
            with connect(access) as session:
                session.execute("select 'before'")
                _fill(disk / "filler")
                refused = _until_refused(session)
                assert "audit" in refused
                marker = "select 'unrecorded'"
                with pytest.raises(psycopg.errors.Error):
                    session.execute(marker)
                assert marker not in counted(own.pg.statements())
                (disk / "filler").unlink()
                for _ in eventually("the log can be written again", seconds=15):
                    try:
                        session.execute("select 'after'")
                        break
                    except psycopg.errors.Error:
                        continue
            served = counted(own.pg.statements())
            recorded = Counter(
                record["fields"]["statement"].strip().rstrip(";").rstrip()
                for record in own.audit("--user=alice", "--kind=db.session.query")
            )
            missing = {text: n for text, n in (served - recorded).items() if text.startswith("select")}
            assert missing == {}
            assert own.admin("audit", "verify").code == 0


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as filler:
        try:
            while filler.write(b"\0" * 65536):
                pass
        except OSError:
            return


def _until_refused(session: psycopg.Connection) -> str:
    # A page of the log that is already allotted may take a few more records.
    for number in range(2000):
        try:
            session.execute(f"select 'filling {number} {'x' * 900}'")
        except psycopg.Error as error:
            return str(error)
    raise AssertionError("two megabytes of records fitted on a full disk")


def test_a_backend_that_disappears_ends_the_session_with_a_native_error(own: Cluster) -> None:
    access = own.users["alice"].access("alice", "mydb")
    with connect(access) as session:
        session.execute("select 1")
        own.pg.psql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'alice'")
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 2")
    for _ in eventually("its end is in the audit"):
        if own.audit("--user=alice", "--kind=db.session.end"):
            break
    with connect(access) as session:
        assert session.execute("select 3").fetchone() == (3,)
