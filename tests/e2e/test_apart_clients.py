"""What clients do with a database whose service is elsewhere: the same as with one in the same process."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.classify.judge import entries
from tests.e2e.access import Access
from tests.e2e.apart import Service, services_of
from tests.e2e.cluster import Cluster, eventually, role
from tests.e2e.drivers import DRIVERS, Driver
from tests.e2e.test_corpus import OWN_ERRORS, SCHEMA, Analyst, furnish, simple, state
from tests.e2e.test_tools import run

pytestmark = pytest.mark.db

EVERY = 12
"""Which part of the corpus goes through the tunnel in an ordinary run."""


@pytest.fixture
def cluster(trio: tuple[Cluster, list[Service]]) -> Cluster:
    return trio[0]


@pytest.fixture
def alice(cluster: Cluster) -> Access:
    return cluster.users["alice"].access("alice", "mydb")


@pytest.fixture
def bob(cluster: Cluster) -> Access:
    return cluster.users["bob"].access("bob", "mydb")


def test_every_driver_sees_rows_and_errors(alice: Access, driver: Driver) -> None:
    assert driver(
        alice,
        [
            "run select id, total from app.orders order by id",
            "bind 7 select total from app.orders where id = mod(? - 1, 3) + 1",
            "run select nothing",
            "run select 'still here'",
        ],
    ) == ["1|10;2|20;3|30", "10;20;30;10;20;30;10", "!42703", "still here"]


def test_every_driver_is_refused_and_goes_on(bob: Access, driver: Driver) -> None:
    assert driver(
        bob,
        [
            "run begin",
            "run select count(*) from app.orders",
            "run select amount from secret.pay",
            "run select 1",
            "run commit",
            "bind 3 select amount from secret.pay where id = ?",
            "run select 2",
        ],
    ) == ["", "3", "!42501", "!25P02", "", "!42501", "2"]


def test_through_a_local_tunnel_and_the_reverse_one(cluster: Cluster) -> None:
    with cluster.users["alice"].tunnel("alice", "mydb") as access:
        assert DRIVERS["psycopg"](access, ["run select count(*) from app.orders"]) == ["3"]


def test_a_dump_is_the_same_as_without_a_gateway(cluster: Cluster, alice: Access) -> None:
    way = ("pg_dump", "--schema=app", "--no-owner", "--no-privileges")
    straight = Access(str(cluster.pg.socket), cluster.pg.port, "postgres", "mydb")
    dumps = [run(access, *way).stdout for access in (alice, straight)]
    # Newer versions wrap a dump in \\restrict with a random key.
    found = [[line for line in dump.splitlines() if "restrict" not in line] for dump in dumps]
    assert "CREATE TABLE app.orders (" in found[0]
    assert found[0] == found[1]


def test_copy_takes_rows_out_and_in(alice: Access, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    rows = "select n, repeat('x', 50) from generate_series(1, 20000) n"
    run(alice, "psql", "-X", "-c", f"\\copy ({rows}) to '{file}'")
    assert file.read_text().count("\n") == 20_000
    script = (
        f"create temp table taken (n int, filler text);\n\\copy taken from '{file}'\n"
        "select count(*), sum(n) from taken;"
    )
    done = run(alice, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", stdin=script)
    assert done.stdout.strip() == "20000|200010000"


@pytest.fixture
def analyst(cluster: Cluster) -> Iterator[Analyst]:
    """Somebody who may read two tables, as a database user who may do everything."""
    if "analyst" not in cluster.users:
        cluster.pg.psql("create role analyst login superuser; alter role analyst set search_path = app")
        reads = {
            "match": {"object_kind": "table", "schema": "app", "name": ["orders", "customers"]},
            "permissions": ["SELECT"],
        }
        where = {"db_labels": {"env": "dev"}, "db_users": ["analyst"], "db_names": ["appdb"]}
        cluster.create(role("analyst", allow={**where, "db_permissions": [reads]}))
        cluster.add_user("analyst", "analyst")
        made = furnish(cluster, "appdb", SCHEMA)
    else:
        made = Analyst(cluster.users["analyst"].access("analyst", "appdb"))
    yield made
    made.close()


@pytest.mark.parametrize("every", [EVERY, pytest.param(1, marks=pytest.mark.soak)])
def test_the_corpus_is_judged_as_in_one_process(cluster: Cluster, analyst: Analyst, every: int) -> None:
    before = state(cluster)
    wrong, refused, passed = [], 0, 0
    for entry in [*entries("postgres.yaml"), *entries("postgres-variants.yaml")][::every]:
        code = analyst.run(simple, entry["payload"])
        if entry["must"] != "parse":
            good = code == "42501" and "(decision " in analyst.said[-1]
            refused += good
        else:
            good = not code or code in OWN_ERRORS
            passed += not code
        if not good or analyst.shows_a_secret():
            wrong.append((entry["id"], code, analyst.said[-1]))
    assert wrong == []
    assert refused >= 20
    assert passed >= 1
    assert state(cluster) == before


def test_a_session_at_a_frozen_service_goes_on_when_it_thaws(
    cluster: Cluster, trio: tuple[Cluster, list[Service]], alice: Access
) -> None:
    services = trio[1]
    with psycopg.connect(alice.conninfo, autocommit=True) as session:
        session.execute("select 1")
        for service in services:
            os.kill(service.pid, signal.SIGSTOP)
        try:
            session.pgconn.send_query(b"select 7")
            assert session.pgconn.flush() == 0
            with pytest.raises(psycopg.OperationalError, match=r"no service|did not connect|in time"):
                psycopg.connect(alice.conninfo)  # nobody else is there, and it is said within seconds
        finally:
            for service in services:
                os.kill(service.pid, signal.SIGCONT)
        answer = session.pgconn.get_result()
        assert answer is not None, "it was answered"
        assert answer.get_value(0, 0) == b"7", "what was sent meanwhile was not lost"
        assert session.pgconn.get_result() is None
    for _ in eventually("both are connected again", seconds=60):
        if [item["healthy"] for item in services_of(cluster)] == [True, True]:
            break
