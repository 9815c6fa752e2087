"""MySQL's protocol where the database is served elsewhere."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pymysql
import pytest

from tests.e2e import apart
from tests.e2e.cluster import User, wide_role
from tests.e2e.mysql_rig import READER, SHOP
from tests.servers import mariadb, process

pytestmark = pytest.mark.db


@pytest.fixture(scope="module")
def far() -> Iterator[tuple[dict[str, User], int]]:
    """A centre, a service with a MariaDB beside it, and the centre's own port for MySQL."""
    with ExitStack() as stack:
        folder = stack.enter_context(process.temporary_folder("regate-"))
        port, own = process.free_port(), process.free_port()
        proxy = {
            "listen_addr": f"0.0.0.0:{port}",
            "public_addr": f"localhost:{port}",
            "mysql_listen_addr": f"{process.LOOPBACK}:{own}",
        }
        cluster = stack.enter_context(apart.centre(folder, port=port, proxy_service=proxy))
        out = folder / "mysql-server"
        cluster.admin("auth", "sign", "--format=mysql", "--host=localhost", f"--out={out}")
        server = stack.enter_context(
            mariadb.running(
                certificate=out.with_suffix(".crt"),
                key=out.with_suffix(".key"),
                client_ca=out.with_suffix(".cas"),
            )
        )
        server.create("shop", "alice")
        server.ask("create table orders (id int); create table salaries (id int)", "shop")
        listed = {"name": SHOP, "protocol": "mysql", "uri": server.uri, "static_labels": {"env": "dev"}}
        made = apart.service(cluster, folder / "agent", apart.token(cluster, "agents"), [listed])
        made.start()
        stack.callback(made.stop)
        apart.until_served(cluster, 1, SHOP)
        cluster.create(wide_role("wide"), READER)
        cluster.add_users(ann="wide", bob="shop-reader")
        yield cluster.users, own


def test_a_tunnel_is_greeted_by_the_service_that_has_the_database(far: tuple[dict[str, User], int]) -> None:
    with (
        far[0]["bob"].tunnel("alice", "shop", SHOP) as access,
        pymysql.connect(host=access.host, port=access.port, user="alice", database="shop") as connection,
        connection.cursor() as cursor,
    ):
        assert "10.11" in connection.get_server_info()
        assert cursor.execute("select id from orders") == 0
        with pytest.raises(pymysql.err.OperationalError, match="no role grants"):
            cursor.execute("select id from salaries")


def test_a_port_of_its_own_greets_and_the_service_takes_over(far: tuple[dict[str, User], int]) -> None:
    said = far[0]["ann"].regate("db", "config", "--db-user=alice", "--db-name=shop", SHOP, "--format=json")
    files = json.loads(said.stdout)
    tls = {"ca": files["ca"], "cert": files["cert"], "key": files["key"]}
    with (
        pymysql.connect(host="localhost", port=far[1], user="alice", database="shop", ssl=tls) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select current_user()")
        assert cursor.fetchall() == (("alice@%",),)
