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
SECRET = "the s3cret of the keeper"
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
HASTY = role(
    "hasty",
    "regate/v1",
    allow={"db_labels": {"env": "dev"}, "db_users": ["alice"], "db_names": ["shop"]},
    options={"timeout_ms": 1500},
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
    two = {"enabled": True, "workers": 2}  # which has which connection must not matter to anybody
    with clusters.running(port=port, proxy_service=proxy, db_service=two) as cluster:
        out = cluster.folder / "mysql-server"
        cluster.admin("auth", "sign", "--format=mysql", "--host=localhost", f"--out={out}")
        with mariadb.running(
            certificate=out.with_suffix(".crt"),
            key=out.with_suffix(".key"),
            client_ca=out.with_suffix(".cas"),
            settings=settings,
        ) as server:
            server.create("shop", "alice")
            server.ask(
                "create table orders (id int primary key, item varchar(40), total decimal(10,2));"
                "insert into orders values (1, 'lamp', 20.00), (2, 'chair', 45.50);"
                "create table salaries (who varchar(40), amount int); insert into salaries values ('ada', 1)",
                "shop",
            )
            server.ask(
                f"create user 'keeper'@'%' identified by '{SECRET}'; grant all on shop.* to 'keeper'@'%'"
            )
            server.ask(
                "install soname 'auth_ed25519';"
                f"create user 'signer'@'%' identified via ed25519 using password('{SECRET}');"
                "grant all on shop.* to 'signer'@'%'"
            )
            secret = cluster.folder / "keeper.secret"
            secret.write_text(SECRET + "\n")
            kept = database(
                "shop-keeper", server.uri, auth={"method": "password", "secret_file": str(secret)}
            )
            cluster.create(database(SHOP, server.uri), kept, wide_role("wide"), READER, HASTY)
            cluster.add_users(ann="wide", bob="shop-reader", cho="hasty", dee="wide")
            yield Rig(cluster, server, own)
