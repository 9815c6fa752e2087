"""Shipped guards, switched on and off on a running cluster, in front of a real PostgreSQL."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.e2e.access import Access
from tests.e2e.cluster import Cluster

pytestmark = pytest.mark.db

SWITCH_SECONDS = 20.0


@pytest.fixture(scope="module")
def unrestricted(cluster: Cluster) -> Iterator[Access]:
    """The way of somebody whose role restricts nothing; afterwards no guard is on."""
    yield cluster.users["alice"].access("alice", "mydb")
    for name in ("careful", "closed"):
        cluster.admin("rm", f"guard/{name}", check=False)


def switch(name: str, guard: str, **spec: Any) -> dict[str, Any]:
    return {
        "kind": "guard",
        "version": "regate/v1",
        "metadata": {"name": name},
        "spec": {"guard": guard, **spec},
    }


def refusal(access: Access, statement: str) -> str:
    """What the database's client is told, in a transaction that is rolled back; empty where it ran."""
    with psycopg.connect(access.conninfo) as session:
        try:
            if statement.startswith("copy"):
                with session.cursor().copy(statement) as rows:
                    list(rows)
            else:
                session.execute(statement)
        except psycopg.Error as error:
            return str(error)
        finally:
            session.rollback()
    return ""


def until(holds: Callable[[], bool]) -> None:
    """A change of resources reaches decisions within moments."""
    ends = time.monotonic() + SWITCH_SECONDS
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.2)


UNBOUNDED = (
    "delete from app.orders",
    "update app.orders set total = 0",
    "delete from app.orders where true",
    "with gone as (delete from app.orders returning id) select * from gone",
    "explain analyze delete from app.orders",
    "do $$ begin delete from app.orders; end $$",
    "truncate app.orders",
)
BOUNDED = (
    "select * from app.orders",
    "delete from app.orders where id = 1",
    "update app.orders set total = 0 where id < 3",
    "with gone as (delete from app.orders where id = 2 returning id) select * from gone",
    "insert into app.orders values (987001, 10)",
)
COPIES = ("copy app.orders to stdout", "copy (select id from app.orders) to stdout (format csv)")


def test_a_where_is_required_while_the_guard_is_on(cluster: Cluster, unrestricted: Access) -> None:
    assert not refusal(unrestricted, UNBOUNDED[0])
    cluster.create(switch("careful", "writes/where-required"))
    until(lambda: "needs a WHERE" in refusal(unrestricted, UNBOUNDED[0]))
    refused = {statement: refusal(unrestricted, statement) for statement in UNBOUNDED}
    assert not [statement for statement, said in refused.items() if "decision" not in said]
    assert "needs a WHERE" in refused[UNBOUNDED[3]]
    assert [refusal(unrestricted, statement) for statement in BOUNDED] == [""] * len(BOUNDED)
    assert not refusal(unrestricted, COPIES[0])
    cluster.admin("rm", "guard/careful")
    until(lambda: not refusal(unrestricted, UNBOUNDED[0]))
    assert not refusal(unrestricted, UNBOUNDED[3])


def test_nothing_is_copied_out_but_where_the_label_excepts(cluster: Cluster, unrestricted: Access) -> None:
    for statement in COPIES:
        assert not refusal(unrestricted, statement)
    cluster.create(switch("closed", "exports/no-copy-out"))
    until(lambda: "nothing is copied out" in refusal(unrestricted, COPIES[0]))
    assert "nothing is copied out" in refusal(unrestricted, COPIES[1])
    assert not refusal(unrestricted, "select * from app.orders")
    cluster.create(switch("closed", "exports/no-copy-out", **{"except": {"env": "dev"}}))
    until(lambda: not refusal(unrestricted, COPIES[0]))
    cluster.admin("rm", "guard/closed")


def test_a_guard_that_is_not_shipped_is_told_before_it_is_stored(cluster: Cluster) -> None:
    said = cluster.create(switch("odd", "writes/where-requird"), check=False)
    assert said.code != 0
    assert "spec.guard" in said.stderr
    assert "writes/where-required" in said.stderr
