"""A proxy by itself opens a port for each protocol alone: real clients through it, to the service behind."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import pymysql
import pytest
import redis
import yaml

from tests.e2e import apart
from tests.e2e.cluster import Cluster, wide_role
from tests.servers import ferretdb, mariadb, secantus
from tests.servers import redis as redis_servers
from tests.servers.process import LOOPBACK, free_port

pytestmark = pytest.mark.db

SETTINGS = {"mysql": "mysql_listen_addr", "redis": "redis_listen_addr", "mongodb": "mongodb_listen_addr"}


@dataclass(frozen=True, slots=True)
class Files:
    """What a server of the cluster's is given."""

    certificate: Path
    key: Path
    client_ca: Path


@dataclass(frozen=True, slots=True)
class Ports:
    """The proxy's ports by protocol, and the cluster behind."""

    cluster: Cluster
    own: dict[str, int]

    def files(self, protocol: str, db_user: str, db_name: str) -> dict[str, Any]:
        """What ``regate db config`` says for the database of that protocol."""
        route = (f"--db-user={db_user}", f"--db-name={db_name}")
        said = self.cluster.users["ann"].regate("db", "config", *route, protocol, "--format=json").stdout
        return dict(json.loads(said))


def signed(cluster: Cluster) -> Files:
    out, ca = cluster.folder / "server", cluster.folder / "client-ca.crt"
    cluster.admin("auth", "sign", "--format=db", "--host=localhost", f"--out={out}")
    ca.write_text(cluster.admin("auth", "export", "--type=db-client").stdout)
    return Files(out.with_suffix(".crt"), out.with_suffix(".key"), ca)


def servers(stack: ExitStack, files: Files) -> dict[str, str]:
    """One server of each protocol; their addresses."""
    certificate, key, ca = files.certificate, files.key, files.client_ca
    mysql = stack.enter_context(mariadb.running(certificate=certificate, key=key, client_ca=ca))
    mysql.create("shop", "alice")
    cache = stack.enter_context(redis_servers.running(certificate=certificate, key=key, client_ca=ca))
    held = ferretdb.Files(certificate, key, ca)
    documents = stack.enter_context(secantus.running(held, users=("alice",)))
    return {"mysql": mysql.uri, "redis": cache.uri, "mongodb": documents.uri}


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    with ExitStack() as stack:
        own = {name: free_port() for name in SETTINGS}
        cluster, port = apart.auth_alone(stack, mysql_public_addr=f"localhost:{own['mysql']}")
        reached = servers(stack, signed(cluster))
        proxy = apart.proxy_file(
            cluster, cluster.folder / "proxy", apart.token(cluster, "proxies", kind="Proxy"), port
        )
        written = yaml.safe_load(proxy.configuration.read_text())
        written["proxy_service"] |= {SETTINGS[name]: f"{LOOPBACK}:{number}" for name, number in own.items()}
        proxy.configuration.write_text(yaml.safe_dump(written))
        proxy.start()
        stack.callback(proxy.stop)
        listed = [
            {"name": name, "protocol": name, "uri": uri, "static_labels": {"env": "dev"}}
            for name, uri in reached.items()
        ]
        secret = apart.token(cluster, "agents")
        agent = apart.service(cluster, cluster.folder / "agent", secret, listed, proxy=f"localhost:{port}")
        agent.start()
        stack.callback(agent.stop)
        for name in reached:
            apart.until_served(cluster, 1, name)
        cluster.port = port  # people only know the proxy
        cluster.create(wide_role("wide"))
        cluster.add_user("ann", "wide")
        yield Ports(cluster, own)


def test_a_mysql_driver_is_greeted_and_served(ports: Ports) -> None:
    files = ports.files("mysql", "alice", "shop")
    assert (files["host"], files["port"]) == ("localhost", str(ports.own["mysql"]))
    tls = {"ca": files["ca"], "cert": files["cert"], "key": files["key"]}
    with (
        pymysql.connect(
            host="localhost", port=ports.own["mysql"], user="alice", database="shop", ssl=tls
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select current_user()")
        assert cursor.fetchall() == (("alice@%",),)


def test_a_redis_client_is_served(ports: Ports) -> None:
    files = ports.files("redis", "default", "0")
    assert (files["port"], files["command"]) == ("", ""), "an auth service by itself was not told of it"
    made: Any = redis.Redis
    with made(
        host="localhost", port=ports.own["redis"], ssl=True, ssl_ca_certs=files["ca"],
        ssl_certfile=files["cert"], ssl_keyfile=files["key"], decode_responses=True,
    ) as client:  # fmt: skip
        assert client.set("app:far", "away")
        assert client.get("app:far") == "away"


def test_a_mongodb_driver_is_served(ports: Ports) -> None:
    files = ports.files("mongodb", "alice", "app")
    both = Path(files["cert"]).with_suffix(".both")
    both.write_text(Path(files["cert"]).read_text() + Path(files["key"]).read_text())
    both.chmod(0o600)
    address = f"mongodb://localhost:{ports.own['mongodb']}/?directConnection=true"
    given = {"tls": True, "tlsCAFile": files["ca"], "tlsCertificateKeyFile": str(both)}
    with pymongo.MongoClient[dict[str, Any]](address, **given) as client:
        client.app.orders.insert_one({"_id": 1, "total": 10})
        assert client.app.orders.find_one({"_id": 1}) == {"_id": 1, "total": 10}


@pytest.mark.parametrize("protocol", ["redis", "mongodb"])
def test_without_a_certificate_nobody_is_served(ports: Ports, protocol: str) -> None:
    ca = ports.files("redis", "default", "0")["ca"]
    made: Any = redis.Redis
    if protocol == "redis":
        with (
            made(host="localhost", port=ports.own["redis"], ssl=True, ssl_ca_certs=ca) as client,
            pytest.raises(redis.RedisError, match="regate db login"),
        ):
            client.ping()
        return
    address = (
        f"mongodb://localhost:{ports.own['mongodb']}/?directConnection=true&serverSelectionTimeoutMS=1000"
    )
    with (
        pymongo.MongoClient[dict[str, Any]](address, tls=True, tlsCAFile=ca) as mongo,
        pytest.raises(pymongo.errors.PyMongoError),
    ):
        mongo.app.orders.find_one()
