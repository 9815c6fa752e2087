"""Masks that hash and statements that wait, where services elsewhere serve the database."""

import json
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.e2e.access import Access
from tests.e2e.apart import Service
from tests.e2e.cluster import Cluster, eventually, role

pytestmark = pytest.mark.db

ALLOW = {"db_labels": {"env": "dev"}, "db_users": ["alice"], "db_names": ["mydb"]}
MASKED = {"mask": [{"schema": "app", "table": "orders", "columns": {"note": "hash"}}]}
HELD = {"hold": {"seconds": 60, "reason": "two see more", "operations": ["DELETE"]}}


@pytest.fixture(scope="module")
def cluster(trio: tuple[Cluster, list[Service]]) -> Cluster:
    running = trio[0]
    answering = [{"resources": ["hold"], "verbs": ["list", "read", "update"]}]
    running.create(
        role("masked", "regate/v1", allow=ALLOW, options=MASKED),
        role("careful", "regate/v1", allow=ALLOW, options=HELD),
        role("answering", allow={"rules": answering}),
    )
    running.add_user("mia", "masked")
    running.add_user("hugo", "careful", "answering")
    running.add_user("sue", "answering")
    return running


def test_the_same_value_looks_the_same_through_every_service(cluster: Cluster) -> None:
    access = cluster.users["mia"].access("alice", "mydb")
    seen = set()
    for _ in range(12):  # each service serves some of them
        with psycopg.connect(access.conninfo) as session:
            seen |= set(session.execute("select note from app.orders where id = 1").fetchall())
    assert len(seen) == 1
    (value,) = next(iter(seen))
    assert value != "a"


def deleting(access: Access) -> tuple[threading.Thread, list[str]]:
    """Somebody who deletes, and what came of it."""
    came: list[str] = []

    def delete() -> None:
        with psycopg.connect(access.conninfo, autocommit=True) as session:
            try:
                session.execute("delete from app.notes")
                came.append("")
            except psycopg.Error as error:
                came.append(str(error))

    thread = threading.Thread(target=delete)
    thread.start()
    return thread, came


def waiting(cluster: Cluster) -> dict[str, Any]:
    """What waits, as the administrator sees it."""
    for _ in eventually("a statement waits", seconds=20):
        held = json.loads(cluster.admin("holds", "ls", "--format=json").stdout)
        if held:
            return dict(held[0])
    raise AssertionError


@pytest.fixture
def holds(cluster: Cluster) -> Callable[..., Any]:
    def command(who: str, *arguments: str) -> Any:
        return cluster.users[who].regate("holds", *arguments, f"--proxy={cluster.proxy}", check=False)

    return command


def test_a_statement_that_waits_elsewhere_is_let_go_by_another_person(
    cluster: Cluster, holds: Callable[..., Any]
) -> None:
    thread, came = deleting(cluster.users["hugo"].access("alice", "mydb"))
    held = waiting(cluster)
    assert (held["user"], held["statements"]) == ("hugo", ["delete from app.notes"])
    assert holds("hugo", "approve", held["id"]).code == 3, "not one's own"
    assert came == []
    assert holds("sue", "approve", held["id"]).code == 0
    thread.join(20)
    assert came == [""]
    answered = cluster.audit("--kind=hold.answer")[-1]
    assert (answered["fields"]["user"], answered["fields"]["answer"]) == ("sue", "approved")


def test_a_no_reaches_the_statement(cluster: Cluster, holds: Callable[..., Any]) -> None:
    thread, came = deleting(cluster.users["hugo"].access("alice", "mydb"))
    assert holds("sue", "deny", waiting(cluster)["id"]).code == 0
    thread.join(20)
    assert "sue did not agree (decision " in came[0]


def test_a_statement_that_waits_no_more_is_not_shown(cluster: Cluster) -> None:
    access = cluster.users["hugo"].access("alice", "mydb")
    with psycopg.connect(access.conninfo, autocommit=True) as session:
        session.pgconn.send_query(b"delete from app.notes")
        assert session.pgconn.flush() == 0
        waiting(cluster)
        session.pgconn.finish()
    for _ in eventually("nothing is shown any more", seconds=20):
        if json.loads(cluster.admin("holds", "ls", "--format=json").stdout) == []:
            break
