"""A cluster with a MariaDB behind it: what the tests of MySQL's and MariaDB's protocol share."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.e2e import cluster as clusters
from tests.e2e.cluster import Cluster, role, wide_role
from tests.servers import mariadb, process
from tests.servers.mariadb import Mariadb

SHOP = "shop"
READER = role(
    "shop-reader",
    allow={
        "db_labels": {"env": "dev"},
        "db_users": ["alice"],
        "db_names": ["*"],
        "db_permissions": [
            {"match": {"object_kind": "table", "schema": "shop", "name": "orders"}, "permissions": ["SELECT"]}
        ],
    },
)


@dataclass(frozen=True, slots=True)
class Rig:
    """A running gateway and its server; ``port`` is the gateway's own port for the protocol."""

    cluster: Cluster
    server: Mariadb
    port: int


def database(name: str, uri: str, protocol: str = "mysql", **spec: Any) -> dict[str, Any]:
    """An enrolled database as YAML would hold it."""
    return {
        "kind": "db",
        "version": "v3",
        "metadata": {"name": name, "labels": {"env": "dev"}},
        "spec": {"protocol": protocol, "uri": uri, **spec},
    }


@contextmanager
def running(settings: Mapping[str, str] | None = None) -> Iterator[Rig]:
    """Ann may do everything as alice on shop, bob may read its orders."""
    port, own = process.free_port(), process.free_port()
    proxy = {
        "enabled": True,
        "listen_addr": f"{process.LOOPBACK}:{port}",
        "public_addr": f"localhost:{port}",
        "mysql_listen_addr": f"{process.LOOPBACK}:{own}",
    }
    with clusters.running(port=port, proxy_service=proxy) as cluster:
        out, ca = cluster.folder / "mysql-server", cluster.folder / "mysql-ca.crt"
        cluster.admin("auth", "sign", "--format=db", "--host=localhost", f"--out={out}")
        ca.write_text(cluster.admin("auth", "export", "--type=db-client").stdout)
        with mariadb.running(
            certificate=out.with_suffix(".crt"),
            key=out.with_suffix(".key"),
            client_ca=ca,
            settings=settings,
        ) as server:
            server.create("shop", "alice")
            server.ask(
                "create table orders (id int primary key, item varchar(40), total decimal(10,2));"
                "insert into orders values (1, 'lamp', 20.00), (2, 'chair', 45.50);"
                "create table salaries (who varchar(40), amount int); insert into salaries values ('ada', 1)",
                "shop",
            )
            cluster.create(database(SHOP, server.uri), wide_role("wide"), READER)
            cluster.add_user("ann", "wide")
            cluster.add_user("bob", "shop-reader")
            yield Rig(cluster, server, own)
