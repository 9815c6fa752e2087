"""The services apart: a session through proxy and database service, and what stands in between."""

import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from gateway.model.event import Kind
from gateway.tunnel.preface import preface
from tests.e2e.apart import Service, database, service, services_of, token
from tests.e2e.cluster import AT_ONCE, DATABASE, Cluster, eventually, until_it_runs
from tests.servers.process import LOOPBACK, free_port

pytestmark = pytest.mark.db


@pytest.fixture
def cluster(trio: tuple[Cluster, list[Service]]) -> Cluster:
    return trio[0]


@pytest.fixture
def services(trio: tuple[Cluster, list[Service]]) -> list[Service]:
    return trio[1]


def kinds(of: Service) -> list[Kind]:
    return [event.kind for event in of.records()]


def test_a_session_is_decided_and_recorded_at_the_service(cluster: Cluster, services: list[Service]) -> None:
    access = cluster.users["alice"].access("alice", "mydb")
    with psycopg.connect(access.conninfo) as session:
        assert session.execute("select count(*) from app.orders").fetchone() == (3,)
    taken = [item for item in services if Kind.SESSION_START in kinds(item)]
    assert len(taken) == 1, "before the client is answered, the service that answers has recorded"
    assert {Kind.SESSION_START, Kind.SESSION_QUERY} <= set(kinds(taken[0]))
    started = next(event for event in taken[0].records() if event.kind is Kind.SESSION_START)
    assert started.fields["user"] == "alice"
    assert started.fields["client_address"].startswith(f"{LOOPBACK}:")
    minted = [item["fields"] for item in cluster.audit("--kind=cert.create") if "agent" in item["fields"]]
    assert {item["use"] for item in minted if item.get("user") == "alice"} == {"session", "db-client"}


def test_a_refusal_of_the_service_reaches_the_client(cluster: Cluster) -> None:
    access = cluster.users["bob"].access("bob", "mydb")
    with psycopg.connect(access.conninfo, autocommit=True) as session:
        assert session.execute("select total from app.orders where id = 1").fetchone() == (10,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("select amount from secret.pay")


def test_a_cancel_finds_its_session_through_the_tunnel(cluster: Cluster) -> None:
    access = cluster.users["alice"].access("alice", "mydb")
    with psycopg.connect(access.conninfo, autocommit=True) as session, ThreadPoolExecutor() as pool:
        running = pool.submit(session.execute, "select pg_sleep(30) as cut_short")
        until_it_runs(cluster.pg, "cut_short")
        session.cancel()
        with pytest.raises(psycopg.errors.QueryCanceled):
            running.result(15)


def test_a_killed_service_takes_its_own_sessions_and_the_other_serves_on(
    cluster: Cluster, services: list[Service]
) -> None:
    access = cluster.users["alice"].access("alice", "mydb")
    services[0].kill()
    try:
        for _ in range(4):
            with psycopg.connect(access.conninfo) as session:
                session.execute("select 1")
    finally:
        services[0].start()


def test_a_frozen_service_does_not_hold_up_a_connect_for_long(
    cluster: Cluster, services: list[Service]
) -> None:
    access = cluster.users["alice"].access("alice", "mydb")
    os.kill(services[0].pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            began = time.monotonic()
            with psycopg.connect(access.conninfo) as session:
                session.execute("select 1")
            assert time.monotonic() - began < 15
    finally:
        os.kill(services[0].pid, signal.SIGCONT)
    for _ in eventually("it is connected again", seconds=30):
        if all(item["healthy"] for item in services_of(cluster)):
            break


def is_alive(session: psycopg.Connection[tuple[object, ...]]) -> bool:
    """True while statements are answered."""
    try:
        session.execute("select 1")
    except psycopg.OperationalError:
        return False
    return True


def test_a_lock_on_a_service_ends_its_sessions_at_once(cluster: Cluster, services: list[Service]) -> None:
    access = cluster.users["alice"].access("alice", "mydb")
    lock = {"kind": "lock", "version": "v2", "metadata": {"name": "stolen"}, "spec": {}}
    services[1].stop()
    try:
        with psycopg.connect(access.conninfo, autocommit=True) as session:
            session.execute("select 1")
            cluster.create({**lock, "spec": {"target": {"agent": services[0].id}, "message": "stolen"}})
            began = time.monotonic()
            while is_alive(session):
                assert time.monotonic() - began < AT_ONCE
                time.sleep(0.02)
        with pytest.raises(psycopg.OperationalError, match=r"no service that serves|stolen"):
            psycopg.connect(access.conninfo)
    finally:
        cluster.admin("rm", "lock/stolen")
        services[1].start()
    for _ in eventually("both serve again", seconds=60):
        if [item["healthy"] for item in services_of(cluster)] == [True, True]:
            break


def test_a_number_that_nobody_waits_for_opens_nothing(cluster: Cluster) -> None:
    with socket.create_connection((LOOPBACK, cluster.port), timeout=10) as stranger:
        stranger.sendall(preface("0" * 32))
        with suppress(ConnectionResetError):
            assert stranger.recv(1) == b""


def test_a_name_is_not_taken_over_and_the_service_says_so(cluster: Cluster) -> None:
    folder = cluster.folder / "liar"
    gone = database(cluster.pg, "gone", uri=f"localhost:{free_port()}")
    liar = service(
        cluster, folder, token(cluster, "liar"), [database(cluster.pg, static_labels={"env": "x"}), gone]
    )
    with ExitStack() as stack:
        liar.start()
        stack.callback(liar.stop)
        for _ in eventually("it says that the name is taken", seconds=20):
            if "is taken: it is served by" in liar.log:
                break
        assert liar.id not in {item["id"] for item in services_of(cluster)}
        assert f"regate rm db/{DATABASE}" in liar.log
        for _ in eventually("what is wrong with its other database is known", seconds=20):
            (found,) = services_of(cluster, "gone") or [{"reason": ""}]
            if "refused" in found["reason"]:
                break
        assert not found["healthy"]
        access = cluster.users["alice"].access("alice", "mydb", "gone")
        with pytest.raises(psycopg.OperationalError, match=r"cannot reach|refused"):
            psycopg.connect(access.conninfo)
    cluster.admin("rm", "db/gone", check=False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pin": "sha256:" + "0" * 64}, "has not the pinned authority"),
        ({"secret": "f" * 64}, "the join token is not known to this cluster"),
    ],
)
def test_what_cannot_join_says_why_and_ends(
    cluster: Cluster, change: dict[str, str], says: str, tmp_path: Path
) -> None:
    made = service(
        cluster,
        tmp_path / "s",
        change.get("secret") or token(cluster, f"t{len(says)}"),
        [database(cluster.pg, "other")],
        pin=change.get("pin", ""),
    )
    done = subprocess.run(
        [cluster.executable, "start", "-c", made.configuration],
        env=cluster.environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {2, 3}
    assert says in done.stderr
    assert "Traceback" not in done.stderr
