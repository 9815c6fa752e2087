"""A database service in a network namespace that nothing can dial into, and what a cut cable does to it."""

import os
import select
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass

import psycopg
import pytest

from gateway.model.event import Kind
from tests.e2e.access import Access
from tests.e2e.apart import Service, centre, database, service, services_of, token, until_served
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import furnish
from tests.servers.process import temporary_folder

NAME = f"rg{os.getpid() % 100000}"
HERE, THERE = "198.18.77.1", "198.18.77.2"  # RFC 2544: nobody's


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout


def _can() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    try:
        _ip("netns", "add", f"{NAME}p")
        _ip("netns", "del", f"{NAME}p")
    except subprocess.SubprocessError:
        return False
    return True


pytestmark = [pytest.mark.db, pytest.mark.skipif(not _can(), reason="needs root and network namespaces")]


@dataclass(frozen=True)
class Far:
    """A cluster here, and a service over there."""

    cluster: Cluster
    service: Service

    def cable(self, state: str) -> None:
        """Plug it in (up) or out (down)."""
        _ip("link", "set", f"{NAME}a", state)


@contextmanager
def namespace() -> Iterator[None]:
    """A namespace behind a cable; its end here is HERE, its end there is THERE."""
    _ip("netns", "add", NAME)
    try:
        _ip("link", "add", f"{NAME}a", "type", "veth", "peer", "name", f"{NAME}b", "netns", NAME)
        _ip("addr", "add", f"{HERE}/30", "dev", f"{NAME}a")
        _ip("link", "set", f"{NAME}a", "up")
        inside = ("-n", NAME)
        _ip(*inside, "addr", "add", f"{THERE}/30", "dev", f"{NAME}b")
        _ip(*inside, "link", "set", f"{NAME}b", "up")
        _ip(*inside, "link", "set", "lo", "up")
        yield
    finally:
        with suppress(subprocess.SubprocessError):
            _ip("link", "del", f"{NAME}a")
        _ip("netns", "del", NAME)


@contextmanager
def forwarded(port: int) -> Iterator[str]:
    """The database, which listens on this host's loopback alone, at this end of the cable."""
    with closing(socket.create_server((HERE, 0))) as listening:
        threading.Thread(target=_accept, args=(listening, port), daemon=True).start()
        yield f"{HERE}:{listening.getsockname()[1]}"


def _accept(listening: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            one, _ = listening.accept()
            threading.Thread(target=_join, args=(one, port), daemon=True).start()


def _join(one: socket.socket, port: int) -> None:
    with closing(one), closing(socket.create_connection(("127.0.0.1", port))) as other:
        back = threading.Thread(target=_copy, args=(other, one), daemon=True)
        back.start()
        _copy(one, other)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def far() -> Iterator[Far]:
    with ExitStack() as stack:
        stack.enter_context(namespace())
        folder = stack.enter_context(temporary_folder("regate-"))
        cluster = stack.enter_context(centre(folder, at=HERE))
        uri = stack.enter_context(forwarded(int(cluster.pg.uri.rpartition(":")[2])))
        listed = database(cluster.pg, uri=uri, tls={"server_name": "localhost"})
        made = service(
            cluster, folder / "far", token(cluster, "far"), [listed], proxy=f"{HERE}:{cluster.port}"
        )
        made.prefix = ("ip", "netns", "exec", NAME)
        made.start()
        stack.callback(made.stop)
        until_served(cluster, 1)
        furnish(cluster)
        yield Far(cluster, made)


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


def test_a_cut_cable_is_noticed_and_a_plugged_one_is_used(far: Far) -> None:
    access = far.cluster.users["alice"].access("alice", "mydb")
    far.cable("down")
    try:
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(access.conninfo)
        assert time.monotonic() - began < 14, "a connect ends while nobody is there"
        time.sleep(8)
        with pytest.raises(psycopg.OperationalError, match="no service that serves"):
            psycopg.connect(access.conninfo)
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
