"""A MySQL 8-compatible server through the gateway, which logs in with a secret by caching_sha2_password."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import mysql.connector
import pymysql
import pytest

from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, wide_role
from tests.e2e.mysql_rig import READER, SHOP, database
from tests.servers import gomysql, process

pytestmark = pytest.mark.db

SECRET = "s3cret-of-alice"


@dataclass(frozen=True, slots=True)
class Rig:
    """A running gateway, its server, and the ways of ann (everything) and bob (orders) to it."""

    cluster: Cluster
    server: gomysql.Gomysql
    ann: Access
    bob: Access


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    port = process.free_port()
    with clusters.running(port=port) as cluster:
        out, ca = cluster.folder / "mysql-server", cluster.folder / "mysql-ca.crt"
        cluster.admin("auth", "sign", "--format=db", "--host=localhost", f"--out={out}")
        ca.write_text(cluster.admin("auth", "export", "--type=db-client").stdout)
        files = {"certificate": out.with_suffix(".crt"), "key": out.with_suffix(".key"), "client_ca": ca}
        with gomysql.running(**files) as server:
            server.create("shop", "alice", SECRET)
            server.ask("create table orders (id int primary key, item varchar(40))", "shop")
            server.ask("insert into orders values (1, 'lamp'), (2, 'chair')", "shop")
            server.ask("create table salaries (who varchar(40))", "shop")
            secret = cluster.folder / "alice.secret"
            secret.write_text(f"{SECRET}\n")
            held = {"method": "scram", "secret_file": str(secret)}
            cluster.create(database(SHOP, server.uri, auth=held), wide_role("wide"), READER)
            cluster.add_users(ann="wide", bob="shop-reader")
            with (
                cluster.users["ann"].tunnel("alice", "shop", SHOP) as ann,
                cluster.users["bob"].tunnel("alice", "shop", SHOP) as bob,
            ):
                yield Rig(cluster, server, ann, bob)


def with_pymysql(access: Access) -> Any:
    return pymysql.connect(
        host=access.host, port=access.port, user=access.db_user, database=access.db_name, autocommit=True
    )


def with_connector(access: Access) -> Any:
    return mysql.connector.connect(
        host=access.host, port=access.port, user=access.db_user, database=access.db_name, use_pure=True,
        autocommit=True, ssl_disabled=True,
    )  # fmt: skip


DRIVERS = {"pymysql": with_pymysql, "connector": with_connector}


@pytest.fixture(params=sorted(DRIVERS))
def connect(request: pytest.FixtureRequest) -> Any:
    return DRIVERS[request.param]


def ask(connection: Any, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
    cursor = connection.cursor()
    cursor.execute(statement, values or None)
    return list(cursor.fetchall())


def test_a_held_secret_opens_it_and_queries_are_answered(rig: Rig, connect: Any) -> None:
    connection = connect(rig.ann)
    try:
        assert ask(connection, "select item from orders order by id") == [("lamp",), ("chair",)]
        assert ask(connection, "select id from orders where item = %s", ("chair",)) == [(2,)]
    finally:
        connection.close()


def test_what_is_not_granted_is_refused_and_the_connection_goes_on(rig: Rig, connect: Any) -> None:
    connection = connect(rig.bob)
    try:
        with pytest.raises(Exception, match="1142") as refused:
            ask(connection, "select * from salaries")
        assert "salaries" in str(refused.value)
        with pytest.raises(Exception, match="1142"):
            ask(connection, "select 1 /*!80000 , (select who from salaries limit 1) */")
        assert ask(connection, "select count(*) from orders") == [(2,)]
    finally:
        connection.close()


def test_each_statement_is_recorded(rig: Rig) -> None:
    connection = with_pymysql(rig.ann)
    ask(connection, "select item from orders where id = 2")
    connection.close()
    ends = rig.cluster.audit("--user=ann", "--kind=db.session.query.end")
    assert any(item["fields"]["rows"] == 1 and not item["fields"]["error_code"] for item in ends)
