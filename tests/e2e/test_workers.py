"""Two session processes behind one port: what is shared holds across them, and one dies alone."""

import json
import os
import re
import signal
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from gateway.ca import seal
from gateway.ca.profile import Kind as Ca
from gateway.ca.ring import series_from_bytes
from gateway.storage import SEALING_KEY
from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.cluster import AT_ONCE, Cluster, eventually, role, until_it_runs
from tests.e2e.serving import workers
from tests.servers.process import LOOPBACK, free_port, temporary_folder

pytestmark = pytest.mark.db

WIDE = {"db_labels": {"*": "*"}, "db_users": ["*"], "db_names": ["*"]}
_DIAGNOSTICS = free_port()


@pytest.fixture(scope="module")
def pair() -> Iterator[Cluster]:
    with temporary_folder("regate-") as folder:
        regate = {
            "data_dir": str(folder / "data"),
            "cluster_name": "e2e",
            "diag_addr": f"{LOOPBACK}:{_DIAGNOSTICS}",
        }
        two = {"enabled": True, "workers": 2}
        with clusters.running(folder, regate=regate, db_service=two) as running:
            running.pg.create("mydb", "alice")
            few = role("few", allow=WIDE, options={"max_db_connections": 3})
            running.create(role("wide", allow=WIDE), few)
            running.add_users(ann="wide", ben="few")
            yield running


def _way(pair: Cluster, name: str) -> Access:
    return pair.users[name].access("alice", "mydb")


def _metrics() -> str:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{_DIAGNOSTICS}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_sessions_go_to_both_workers_and_monitoring_sees_each(pair: Cluster) -> None:
    way = _way(pair, "ann")
    with psycopg.connect(way.conninfo) as first, psycopg.connect(way.conninfo) as second:
        for session in (first, second):
            assert session.execute("select 41 + 1").fetchone() == (42,)
        for _ in eventually("each worker's session is counted", seconds=20):
            found = dict(re.findall(r'^regate_sessions\{.*worker="(\d)"\} (\d)', _metrics(), re.MULTILINE))
            if found == {"1": "1", "2": "1"}:
                break
    page = _metrics()
    families = re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)
    assert len(families) == len(set(families)), "a family stands twice"


def test_a_limit_of_connections_counts_those_of_all_workers(pair: Cluster) -> None:
    way = _way(pair, "ben")
    open_now = [psycopg.connect(way.conninfo) for _ in range(3)]
    try:
        with pytest.raises(psycopg.OperationalError, match="at most 3 connections"):
            psycopg.connect(way.conninfo)
        open_now.pop().close()
        for _ in eventually("a closed one makes room"):
            try:
                open_now.append(psycopg.connect(way.conninfo))
                break
            except psycopg.OperationalError:
                continue
    finally:
        for session in open_now:
            session.close()


def test_a_cancel_reaches_the_worker_that_has_the_session(pair: Cluster) -> None:
    way = _way(pair, "ann")
    with psycopg.connect(way.conninfo, autocommit=True) as session, ThreadPoolExecutor() as pool:
        for _ in range(4):  # the cancel is a connection of its own, and goes to the less busy worker
            running = pool.submit(session.execute, "select pg_sleep(20) as cut_short")
            until_it_runs(pair.pg, "cut_short")
            session.cancel()
            with pytest.raises(psycopg.errors.QueryCanceled):
                running.result(10)


def test_a_lock_ends_the_sessions_of_both_workers_at_once(pair: Cluster) -> None:
    way = _way(pair, "ann")
    sessions = [psycopg.connect(way.conninfo, autocommit=True) for _ in range(4)]
    pair.admin("create", "-", stdin=json.dumps({"kind": "lock", "version": "v2", "metadata": {"name": "out"},
                                                "spec": {"target": {"user": "ann"}}}))  # fmt: skip
    locked = time.monotonic()
    try:
        for session in sessions:
            for _ in eventually("the session is over", seconds=20):
                try:
                    session.execute("select 1")
                except psycopg.OperationalError:
                    break
        assert time.monotonic() - locked < AT_ONCE
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(way.conninfo)
    finally:
        pair.admin("rm", "lock/out")
        for session in sessions:
            session.close()


def _holds(pid: int, secret: bytes) -> bool:
    """True when *secret* stands anywhere in the memory that a process may write."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            region, mode = line.split()[:2]
            if not mode.startswith("rw"):
                continue
            begin, end = (int(number, 16) for number in region.split("-"))
            try:
                memory.seek(begin)
                if secret in memory.read(end - begin):
                    return True
            except OSError:  # it was given back meanwhile
                continue
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to read other processes' memory")
def test_no_worker_holds_a_key_of_the_cluster(pair: Cluster) -> None:
    with psycopg.connect(_way(pair, "ann").conninfo) as session:
        session.execute("select 1")  # a certificate was made for it
    data = pair.folder / "data"
    sealing = seal.read(data / SEALING_KEY)
    assert sealing is not None
    with closing(sqlite3.connect(f"file:{data / 'regate.db'}?mode=ro", uri=True)) as state:
        found = dict(state.execute("select name, body from sealed"))
    for kind in (Ca.USER, Ca.DB_CLIENT):
        key = series_from_bytes(sealing.unseal(kind.value, found[kind.value]), kind, "e2e").current.key
        secret = key.private_numbers().private_value.to_bytes(32, "little")  # as OpenSSL keeps numbers
        assert _holds(pair.pid, secret), "where it is, it is found"
        assert [worker for worker in workers(pair) if _holds(worker, secret)] == []


def test_a_worker_that_dies_takes_its_own_sessions_and_the_log_says_so(pair: Cluster) -> None:
    way = _way(pair, "ann")
    before = workers(pair)
    assert len(before) == 2
    sessions = [psycopg.connect(way.conninfo, autocommit=True) for _ in range(4)]
    os.kill(before[0], signal.SIGKILL)
    lost = []
    for number, session in enumerate(sessions):
        try:
            session.execute("select 1")
        except psycopg.OperationalError:
            lost.append(number)
    assert len(lost) == 2
    for _ in eventually("the worker is back", seconds=30):
        now = workers(pair)
        if len(now) == 2 and before[0] not in now:
            break
    with psycopg.connect(way.conninfo) as again:
        assert again.execute("select 1").fetchone() == (1,)
    for session in sessions:
        session.close()
    for _ in eventually("the log knows how they ended"):
        ends = [item for item in pair.audit("--kind=db.session.end") if item["fields"].get("outcome")]
        if len(ends) == 2:
            break
    assert {item["fields"]["outcome"] for item in ends} == {"unknown"}
    assert {item["fields"]["reason"] for item in ends} == {"worker_ended"}
    assert pair.admin("audit", "verify").code == 0


def _until(holds: Callable[[], bool], what: str) -> None:
    for _ in eventually(what, seconds=60):
        if holds():
            return


def test_no_statement_of_a_worker_that_dies_is_missing_from_the_audit(pair: Cluster) -> None:
    way = _way(pair, "ann")
    ran: list[int] = []

    def work(number: int) -> None:
        try:
            with psycopg.connect(way.conninfo, autocommit=True) as session:
                for step in range(1_000_000):
                    session.execute(f"select {number * 1_000_000 + step}")
                    ran.append(number * 1_000_000 + step)
        except psycopg.OperationalError:
            return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    _until(lambda: len(ran) > 40, "statements run")
    for worker in workers(pair):
        os.kill(worker, signal.SIGKILL)
    for thread in threads:
        thread.join(30)
    recorded = {item["fields"]["statement"] for item in pair.audit("--kind=db.session.query")}
    missing = [number for number in ran if f"select {number}" not in recorded]
    assert missing == []
    for _ in eventually("both workers are back", seconds=30):
        if len(workers(pair)) == 2:
            break


def test_workers_end_with_the_main_process() -> None:
    with clusters.running(db_service={"enabled": True, "workers": 2}) as own:
        own.pg.create("mydb", "alice")
        own.create(role("wide", allow=WIDE))
        way = own.add_user("ann", "wide").access("alice", "mydb")
        begun = workers(own)
        with psycopg.connect(way.conninfo) as session:
            session.execute("select 1")
            assert own.stop() == 0
            with pytest.raises(psycopg.OperationalError, match="the gateway is being stopped"):
                session.execute("select 2")
        assert not any(clusters.is_alive(worker) for worker in begun)
        own.start()
        begun = workers(own)
        own.kill()
        for _ in eventually("they notice that the main process is gone"):
            if not any(clusters.is_alive(worker) for worker in begun):
                break
        own.start()


def test_a_statement_that_a_worker_holds_is_answered_at_the_main_process(pair: Cluster) -> None:
    held = role("held", "regate/v1", allow=WIDE, options={"hold": {"seconds": 30, "operations": ["DELETE"]}})
    pair.create(held)
    pair.pg.psql("create table public.notes (id int); grant all on public.notes to alice", "mydb")
    way = pair.add_user("hal", "held").access("alice", "mydb")
    for answer in ("approve", "deny"):
        said: list[str] = []

        def delete(into: list[str] = said) -> None:
            with psycopg.connect(way.conninfo, autocommit=True) as session:
                try:
                    into.append(session.execute("delete from public.notes").statusmessage or "")
                except psycopg.errors.InsufficientPrivilege as error:
                    into.append(str(error))

        thread = threading.Thread(target=delete)
        thread.start()
        for _ in eventually("the statement waits"):
            waiting = json.loads(pair.admin("holds", "ls", "--format=json").stdout)
            if waiting:
                break
        pair.admin("holds", answer, waiting[0]["id"])
        thread.join(20)
        assert said
        assert ("did not agree" in said[0]) is (answer == "deny"), said
        assert json.loads(pair.admin("holds", "ls", "--format=json").stdout) == []
