"""Auth service, proxy and database service, each a process of its own with a file of its own."""

import asyncio
import json
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, TypeAlias
from urllib.request import urlopen

import psycopg
import pytest
import yaml

from gateway.model.event import Kind
from gateway.tunnel.credentials import new_key, request_for
from gateway.tunnel.passing import words
from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.apart import Service, auth_alone, auth_port, database, proxy_file, service, token, until_served
from tests.e2e.cluster import Cluster, eventually, is_alive
from tests.e2e.conftest import furnish
from tests.e2e.pretender import Pretender
from tests.servers.process import LOOPBACK, free_port

pytestmark = pytest.mark.db

SESSIONS = 200
EACH = 50  # what one person may have open


@pytest.fixture(scope="module")
def three() -> Iterator[tuple[Cluster, Service, Service]]:
    with ExitStack() as stack:
        cluster, port = auth_alone(stack)
        cluster.database = stack.enter_context(
            clusters.signed_postgres(cluster, {"max_connections": str(SESSIONS + 60)}, None)
        )
        proxy = proxy_file(cluster, cluster.folder / "proxy", token(cluster, "proxies", kind="Proxy"), port)
        proxy.start()
        stack.callback(proxy.stop)
        agent = service(
            cluster,
            cluster.folder / "agent",
            token(cluster, "agents"),
            [database(cluster.pg)],
            proxy=f"localhost:{port}",
        )
        agent.start()
        stack.callback(agent.stop)
        until_served(cluster, 1)
        cluster.port = port  # people only know the proxy
        furnish(cluster)
        yield cluster, proxy, agent


def test_people_log_in_and_connect_through_the_proxy_alone(
    three: tuple[Cluster, Service, Service],
) -> None:
    cluster, _, _ = three
    access = cluster.users["alice"].access("alice", "mydb")
    assert access.port == cluster.port
    with psycopg.connect(access.conninfo) as session:
        assert session.execute("select count(*) from app.orders").fetchone() == (3,)
    listed = json.loads(cluster.users["alice"].regate("db", "ls", "--format=json").stdout)
    assert "my-postgres" in json.dumps(listed)


def test_a_port_for_postgres_alone_is_opened_by_a_proxy_by_itself(
    three: tuple[Cluster, Service, Service],
) -> None:
    cluster, proxy, _ = three
    written = yaml.safe_load(proxy.configuration.read_text())
    port = int(written["proxy_service"]["postgres_listen_addr"].rpartition(":")[2])
    access = replace(cluster.users["alice"].access("alice", "mydb"), port=port)
    with psycopg.connect(access.conninfo) as session:
        assert session.execute("select 2").fetchone() == (2,)
    context = ssl.create_default_context(cafile=str(access.ca))
    with (
        pytest.raises(OSError, match=r"EOF|reset|closed"),
        urlopen(f"https://localhost:{port}/v1/ping", timeout=10, context=context),
    ):
        pass


def attempt(port: int, ca: Path, source: str) -> int:
    """A login with a wrong password that comes from *source*; the status of the answer."""
    context = ssl.create_default_context(cafile=str(ca))
    connection = HTTPSConnection("localhost", port, source_address=(source, 0), context=context, timeout=20)
    body = json.dumps({"user": "alice", "password": "wrong", "csr": request_for(new_key())})
    with closing(connection):
        connection.request("POST", "/v1/login", body, {"Content-Type": "application/json"})
        return connection.getresponse().status


def test_the_auth_service_knows_from_where_people_come(three: tuple[Cluster, Service, Service]) -> None:
    cluster, _, _ = three
    ca = cluster.users["alice"].access("alice", "mydb").ca
    assert ca is not None
    assert attempt(cluster.port, ca, "127.0.0.5") == 401
    failed = [event["fields"] for event in cluster.audit("--kind=user.login")]
    assert (failed[-1]["success"], failed[-1]["client_address"]) == (False, "127.0.0.5")


def test_whoever_is_no_proxy_says_from_where_nobody_comes(three: tuple[Cluster, Service, Service]) -> None:
    cluster, _, agent = three
    auth = auth_port(cluster)
    held = json.loads((agent.data_dir / "service" / "service.json").read_text())
    hello = b"\x16\x03\x01"
    forged = words(
        "192.0.2.1:1", hello, certificate_pem=held["certificate"], key_pem=held["key"], now=datetime.now(UTC)
    )
    with socket.create_connection((LOOPBACK, auth), timeout=20) as stranger:
        stranger.sendall(forged + hello)
        with suppress(ConnectionResetError):
            assert stranger.recv(1) == b""
    for _ in eventually("the refusal is told"):
        if "a db service passes no connections on" in cluster.server_log():
            break


def test_a_proxy_that_was_taken_over_hears_no_password_and_no_token(
    three: tuple[Cluster, Service, Service], tmp_path: Path
) -> None:
    cluster, proxy, _ = three
    host_ca = cluster.admin("auth", "export", "--type=host").stdout
    pretender = Pretender(proxy, host_ca)
    with pretender.answering() as address:
        login = ("login", f"--proxy={address}", f"--ca-pin={cluster.pin}", "--user=alice", "--password-stdin")
        refused = cluster.run(*login, home=tmp_path, stdin=clusters.PASSWORD + "\n", check=False)
        assert (refused.code, "of a proxy service, not of the cluster itself" in refused.stderr) == (6, True)
        secret = token(cluster, "for-the-pretender")
        lured = service(cluster, cluster.folder / "lured", secret, [database(cluster.pg)], proxy=address)
        lured.start(wait=False)
        try:
            for _ in eventually("it says why it does not join", seconds=60):
                if "of a proxy service, not of the cluster itself" in lured.log:
                    break
        finally:
            lured.stop()
    assert set(pretender.heard) == {"GET /v1/ping HTTP/1.1"}, "what a pin is compared with, and nothing else"


def test_a_proxy_keeps_no_key_of_the_cluster(three: tuple[Cluster, Service, Service]) -> None:
    _, proxy, _ = three
    kept = {path.name for path in proxy.data_dir.rglob("*") if path.is_file()}
    assert kept == {"service.json"}


Session: TypeAlias = psycopg.AsyncConnection[Any]


@asynccontextmanager
async def crowd(accesses: Sequence[Access], each: int = EACH) -> AsyncIterator[list[Session]]:
    """So many sessions for each, a few opened at a time; the first of each has an open transaction."""
    turn, made = asyncio.Semaphore(8), list[Session]()

    async def open_one(access: Access, person: int, number: int) -> None:
        async with turn:
            session = await psycopg.AsyncConnection.connect(access.conninfo, autocommit=number > 0)
            made.append(session)
            if number:
                await session.execute("select 1")
            else:
                await session.execute("insert into app.notes values (%s, 'lost')", (person,))

    try:
        async with asyncio.TaskGroup() as tasks:
            for person, access in enumerate(accesses):
                for number in range(each):
                    tasks.create_task(open_one(access, person, number))
        yield made
    finally:
        for session in made:
            await session.close()


async def said(session: Session) -> str:
    """What a session answers now."""
    try:
        async with asyncio.timeout(10):
            await session.execute("select 1")
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def until_carried(access: Access) -> float:
    """Seconds until a session is carried."""
    began = time.monotonic()
    for _ in eventually("a session is carried again", seconds=30):
        try:
            psycopg.connect(access.conninfo).close()
        except psycopg.OperationalError:
            continue
        break
    return time.monotonic() - began


def of_sessions(agent: Service, kind: Kind) -> list[Mapping[str, Any]]:
    return [event.fields for event in agent.records() if event.kind is kind]


async def test_a_proxy_that_is_killed_ends_its_sessions_cleanly_and_is_used_again_at_once(
    three: tuple[Cluster, Service, Service],
) -> None:
    """None of 200 survives, and nothing is left of them: not at the database, not open in the log."""
    cluster, proxy, agent = three
    for number in range(SESSIONS // EACH - 1):
        cluster.add_user(f"more-{number}", "developer")
    people = [user for name, user in cluster.users.items() if name == "alice" or name.startswith("more-")]
    accesses = [person.access("alice", "mydb") for person in people]
    async with crowd(accesses) as sessions:
        started = len(of_sessions(agent, Kind.SESSION_START))
        assert started >= SESSIONS
        before = agent.pid
        proxy.kill()
        assert all(await asyncio.gather(*[said(session) for session in sessions])), "none survives"
    for _ in eventually("the database has let go of all of them", seconds=20):
        if cluster.pg.backends("alice") == 0:
            break
    assert cluster.pg.psql("select count(*) from app.notes", "mydb") == "0", (
        "what was not committed is undone"
    )
    for _ in eventually("each end is in the log"):
        if len(of_sessions(agent, Kind.SESSION_END)) == started:
            break
    ends = Counter(fields["reason"] for fields in of_sessions(agent, Kind.SESSION_END)[-SESSIONS:])
    assert ends == {"client_closed": SESSIONS}
    assert (agent.pid, is_alive(agent.pid)) == (before, True)
    proxy.start()
    assert until_carried(accesses[0]) < 15
    async with crowd(accesses, 5) as sessions:
        assert not any(await asyncio.gather(*[said(session) for session in sessions]))


def test_a_proxy_that_is_stopped_leaves_nothing_behind_either(
    three: tuple[Cluster, Service, Service],
) -> None:
    cluster, proxy, _ = three
    access = cluster.users["alice"].access("alice", "mydb")
    with psycopg.connect(access.conninfo, autocommit=True) as session:
        session.execute("select 1")
        assert proxy.stop() == 0
        with pytest.raises(psycopg.OperationalError):
            session.execute("select 1")
    for _ in eventually("the database has let go of it"):
        if cluster.pg.backends("alice") == 0:
            break
    proxy.start()
    until_carried(access)


def test_of_two_proxies_by_themselves_each_carries_sessions_while_the_other_is_away(
    three: tuple[Cluster, Service, Service],
) -> None:
    """The service knows one of them by its file; the other it was told of, and it keeps that."""
    cluster, first, agent = three
    port = free_port()
    second = proxy_file(cluster, cluster.folder / "second", token(cluster, "second", kind="Proxy"), port)
    access = cluster.users["alice"].access("alice", "mydb")
    there = replace(access, port=port)
    second.start()
    try:
        for reached in (access, there):
            until_carried(reached)
        with psycopg.connect(there.conninfo, autocommit=True) as session:
            first.kill()
            assert session.execute("select count(*) from app.orders").fetchone() == (3,), "it goes on"
            until_carried(there)  # the service mints and hears by the second one
            agent.stop()
            agent.start()  # its file names the first one alone
            until_carried(there)
        first.start()
        until_carried(access)
    finally:
        second.stop()
    until_carried(access)
