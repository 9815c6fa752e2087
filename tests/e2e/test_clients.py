"""What every client must see: rows as they are, errors as PostgreSQL's own, refusals as 42501."""

from typing import Any

import pytest

from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, role
from tests.e2e.drivers import DRIVERS, Driver

pytestmark = pytest.mark.db


def test_statements_run_as_if_nothing_stood_between(alice: Access, driver: Driver) -> None:
    assert driver(
        alice,
        [
            "run select id, total from app.orders order by id",
            "bind 7 select total from app.orders where id = mod(? - 1, 3) + 1",
            "run select nothing",
            "run select 'still here'",
            "run select n from generate_series(1, 3) n",
        ],
    ) == ["1|10;2|20;3|30", "10;20;30;10;20;30;10", "!42703", "still here", "1;2;3"]


def test_statements_prepared_by_hand_run(alice: Access) -> None:
    assert DRIVERS["psql"](
        alice,
        [
            "run prepare sums(int) as select sum(total) from app.orders where id <= $1",
            "run execute sums(2)",
            "run execute sums(3)",
            "run deallocate sums",
        ],
    ) == ["", "30", "60", ""]


def test_a_refusal_is_42501_and_the_session_goes_on(bob: Access, driver: Driver) -> None:
    assert driver(
        bob,
        [
            "run select count(*) from app.orders",
            "run select amount from secret.pay",
            "run delete from app.orders",
            "run with gone as (delete from app.orders returning 1) select * from gone",
            "bind 3 select amount from secret.pay where id = ?",
            "bind 6 select total from app.orders where id = least(?, 3)",
        ],
    ) == ["3", "!42501", "!42501", "!42501", "!42501", "10;20;30;30;30;30"]


def _one_table(schema: str, name: str, *permissions: str) -> dict[str, Any]:
    """What lets bob do *permissions* on one table."""
    match = {"object_kind": "table", "schema": schema, "name": name}
    return {
        "db_labels": {"env": "dev"},
        "db_users": ["bob"],
        "db_names": ["mydb"],
        "db_permissions": [{"match": match, "permissions": list(permissions)}],
    }


TRANSACTION = [
    "run begin",
    "run select count(*) from app.orders",
    "run select amount from secret.pay",
    "run select 1",
    "run commit",
    "run select 2",
]


def test_a_refusal_ends_the_transaction_as_the_server_would(bob: Access, driver: Driver) -> None:
    assert driver(bob, TRANSACTION) == ["", "3", "!42501", "!25P02", "", "2"]


def test_a_write_after_a_refusal_is_not_committed(cluster: Cluster, driver: Driver) -> None:
    # bob may write here but not read the secret: the commit behind the refusal must be a rollback.
    cluster.pg.psql("delete from app.notes", "mydb")
    cluster.create(role("writer", allow=_one_table("app", "notes", "SELECT", "INSERT")))
    if "dave" not in cluster.users:
        cluster.add_user("dave", "writer")
    access = cluster.users["dave"].access("bob", "mydb")
    answers = driver(
        access,
        [
            "run begin",
            "run insert into app.notes values (1, 'x') returning id",
            "run select amount from secret.pay",
            "run commit",
            "run select count(*) from app.notes",
        ],
    )
    assert answers == ["", "1", "!42501", "", "0"]
    assert cluster.pg.psql("select count(*) from app.notes", "mydb") == "0"


def test_a_name_without_a_schema_is_found_by_the_first_statement_already(cluster: Cluster) -> None:
    cluster.pg.psql(
        "create table if not exists public.open as select 7 as n; grant select on public.open to bob", "mydb"
    )
    cluster.create(role("opener", allow=_one_table("public", "open", "SELECT")))
    if "frank" not in cluster.users:
        cluster.add_user("frank", "opener")
    access = cluster.users["frank"].access("bob", "mydb")
    assert DRIVERS["psql"](access, ["run select n from open"]) == ["7"]
    assert DRIVERS["asyncpg"](access, ["run select n from open"]) == ["7"]


def test_a_refused_statement_never_reaches_the_server(cluster: Cluster, bob: Access) -> None:
    marker = "select amount as never_to_be_seen from secret.pay"
    assert DRIVERS["psql"](bob, [f"run {marker}"]) == ["!42501"]
    assert not [record for record in cluster.pg.log() if "never_to_be_seen" in str(record)]
    assert [
        record for record in cluster.audit("--user=bob", "--kind=db.session.denied")
        if "never_to_be_seen" in record["fields"].get("statement", "")
    ]  # fmt: skip
