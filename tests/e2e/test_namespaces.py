"""The guide, typed between network namespaces: a service that nothing can dial, and what a cut cable does.

All three blocks are typed in order: the token where the auth service is, the file and the unit over there,
the list and psql here. Only ``systemctl`` cannot be: it starts what the unit says, and so does the test.
"""

import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from gateway.model.event import Kind
from tests.e2e.access import Access
from tests.e2e.apart import Service, centre, services_of, until_served
from tests.e2e.cluster import Cluster, eventually, role
from tests.e2e.conftest import furnish
from tests.e2e.drivers import DRIVERS
from tests.e2e.far import (
    DATABASE_HOST,
    NAME,
    PROXY,
    Installed,
    can_be_had,
    forwarded,
    ip,
    namespace,
    own_folders,
)
from tests.e2e.test_enrolment import shell
from tests.servers.process import temporary_folder

pytestmark = [
    pytest.mark.db,
    pytest.mark.skipif(not can_be_had(), reason="needs root and network namespaces"),
]

PRODUCTION = {"db_labels": {"env": "production"}, "db_users": ["alice"], "db_names": ["mydb"]}


@dataclass(frozen=True)
class Far:
    """A cluster here, and a service over there."""

    cluster: Cluster
    service: Installed

    def cable(self, state: str) -> None:
        """Plug it in (up) or out (down)."""
        ip("link", "set", f"{NAME}a", state)


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    with ExitStack() as stack:
        stack.enter_context(namespace())
        folder = stack.enter_context(temporary_folder("regate-"))
        cluster = stack.enter_context(centre(folder, at=PROXY, database_host=DATABASE_HOST))
        port = stack.enter_context(forwarded(int(cluster.pg.uri.rpartition(":")[2])))
        made = enrolled(cluster, folder, stack.enter_context(own_folders(folder)), port)
        made.start()
        stack.callback(made.stop)
        until_served(cluster, 1)
        furnish(cluster)
        cluster.create(role("production", allow=PRODUCTION))
        cluster.admin("users", "update", "alice", "--set-roles=developer,production")
        cluster.users["alice"].login()
        yield Far(cluster, made)


def enrolled(cluster: Cluster, folder: Path, host: int, port: int) -> Installed:
    """A service after the first two blocks of the guide, each typed where it belongs."""
    token = folder / "token"
    typed = f"regate tokens add --type=db --format=text > {token}"
    done = shell(cluster, f"umask 077; {typed}", folder)
    assert done.code == 0, done
    (folder / "far").mkdir(mode=0o700)
    made = Installed("far", folder / "far", cluster, host=host)
    done = made.type(
        f"""
        regate db configure create --token={token} --ca-pin={cluster.pin} --name=my-postgres \\
            --description="Production PostgreSQL" --proxy={PROXY}:{cluster.port} \\
            --protocol=postgres --uri={DATABASE_HOST}:{port} --labels=env=production,team=platform \\
            --output=file:///etc/regate-db.yaml
        regate install systemd -c /etc/regate-db.yaml
        """
    )
    assert done.code == 0, done
    assert "systemctl enable --now regate" in done.stdout
    return made


def test_a_service_that_nothing_can_dial_serves_sessions(far: Far) -> None:
    listening = subprocess.run(
        ["ip", "netns", "exec", NAME, "cat", "/proc/net/tcp", "/proc/net/tcp6"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert [line for line in listening.splitlines() if line.split()[3] == "0A"] == [], "it listens on nothing"
    access = far.cluster.users["alice"].access("alice", "mydb")
    with psycopg.connect(access.conninfo) as session:
        assert session.execute("select count(*) from app.orders").fetchone() == (3,)


def test_it_runs_as_the_account_that_was_made_for_it(far: Far) -> None:
    account = far.service.type("id -u regate").stdout.strip()
    running = Path(f"/proc/{far.service.pid}/status").read_text()
    assert f"Uid:\t{account}\t" in running
    assert account != "0"
    assert {path.stat().st_uid for path in far.service.data_dir.rglob("*")} == {int(account)}
    assert not Path("/etc/regate-db.yaml").exists(), "nothing of it is here"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_understands_what_was_installed(far: Far) -> None:
    done = far.service.type("systemd-analyze verify --recursive-errors=no /etc/systemd/system/regate.service")
    assert (done.code, done.said) == (0, "")


def test_the_list_says_who_serves_it_and_that_it_is_well(far: Far) -> None:
    said = far.cluster.users["alice"].regate("db", "ls", "-v").stdout
    (row,) = [line for line in said.splitlines() if line.startswith("my-postgres")]
    for word in ("env=production,team=platform", far.service.id, "healthy"):
        assert word in row


def test_psql_gets_there(far: Far) -> None:
    access = far.cluster.users["alice"].access("alice", "mydb")
    assert DRIVERS["psql"](access, ["run select sum(total) from app.orders"]) == ["60"]


def test_a_cut_cable_is_noticed_and_a_plugged_one_is_used(far: Far) -> None:
    access = far.cluster.users["alice"].access("alice", "mydb")
    far.cable("down")
    try:
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(access.conninfo)
        assert time.monotonic() - began < 30, "a connect ends while nobody is there"
        for _ in eventually("the proxy has noticed", seconds=60):
            with pytest.raises(psycopg.OperationalError) as refused:
                psycopg.connect(access.conninfo)
            if "no service that serves" in str(refused.value):
                break
    finally:
        far.cable("up")
    until_served_again(access)
    assert services_of(far.cluster)


def until_served_again(access: Access) -> None:
    for _ in eventually("sessions are served again", seconds=45):
        try:
            with psycopg.connect(access.conninfo) as session:
                session.execute("select 1")
        except psycopg.OperationalError:
            continue
        break


def open_in_the_log(service: Service) -> int:
    """How many sessions the service's log says are open."""
    kinds = [event.kind for event in service.records()]
    return kinds.count(Kind.SESSION_START) - kinds.count(Kind.SESSION_END)


@pytest.mark.soak
def test_after_minutes_without_a_cable_nothing_is_half_open(far: Far) -> None:
    """Neither end hears of the cut. Both notice within a minute and a half, and nobody waits for ever."""
    access = far.cluster.users["alice"].access("alice", "mydb")
    with psycopg.connect(access.conninfo, autocommit=True) as idle, psycopg.connect(access.conninfo) as busy:
        idle.execute("select 1")
        busy.execute("select 1")
        assert open_in_the_log(far.service) == 2
        cut = time.monotonic()
        far.cable("down")
        try:
            with pytest.raises(psycopg.OperationalError):
                busy.execute("select 2")
            assert time.monotonic() - cut < 90
            ended, _, _ = select.select([idle.fileno()], [], [], 90)
            assert ended, "the client of an idle session is told, too"
            for _ in eventually("the service has ended both", seconds=90):
                if open_in_the_log(far.service) == 0:
                    break
            assert time.monotonic() - cut < 120
            time.sleep(max(0.0, 150 - (time.monotonic() - cut)))  # the outage itself: minutes, not a wait
        finally:
            far.cable("up")
    until_served_again(access)
    for _ in eventually("what happened meanwhile was shipped", seconds=60):
        if far.cluster.admin("audit", "verify", check=False).code == 0:
            break
