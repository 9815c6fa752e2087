"""Auth service, proxy and database service, each a process of its own with a file of its own."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import yaml

from tests.e2e import cluster as clusters
from tests.e2e.apart import Service, database, service, token, until_served
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import furnish
from tests.servers.process import LOOPBACK, free_port, temporary_folder

pytestmark = pytest.mark.db


def proxy_file(cluster: Cluster, folder: Path, secret: str, port: int) -> Service:
    """A proxy by itself in front of the cluster's auth service."""
    folder.mkdir(mode=0o700)
    made = Service("proxy", folder, cluster)
    (folder / "token").write_text(secret)
    (folder / "token").chmod(0o600)
    document = {
        "version": "v3",
        "regate": {
            "data_dir": str(made.data_dir),
            "auth_server": f"localhost:{cluster.port}",
            "auth_token": str(folder / "token"),
            "ca_pin": cluster.pin,
        },
        "auth_service": {"enabled": False},
        "db_service": {"enabled": False},
        "proxy_service": {"listen_addr": f"{LOOPBACK}:{port}", "public_addr": f"localhost:{port}"},
    }
    made.configuration.write_text(yaml.safe_dump(document))
    return made


@pytest.fixture(scope="module")
def three() -> Iterator[tuple[Cluster, Service, Service]]:
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("regate-"))
        cluster = Cluster(folder, free_port())
        port = free_port()
        clusters.configure(
            cluster,
            auth_service={"listen_addr": f"{LOOPBACK}:{cluster.port}"},
            proxy_service={"enabled": False, "public_addr": [f"localhost:{port}"]},
            db_service={"enabled": False},
        )
        cluster.start()
        stack.callback(cluster.stop)
        cluster.database = stack.enter_context(clusters.signed_postgres(cluster, {}, None))
        proxy = proxy_file(cluster, folder / "proxy", token(cluster, "proxies", kind="Proxy"), port)
        proxy.start()
        stack.callback(proxy.stop)
        agent = service(
            cluster,
            folder / "agent",
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


def test_a_proxy_keeps_no_key_of_the_cluster(three: tuple[Cluster, Service, Service]) -> None:
    _, proxy, _ = three
    kept = {path.name for path in proxy.data_dir.rglob("*") if path.is_file()}
    assert kept == {"service.json"}


def test_a_restarted_proxy_serves_again(three: tuple[Cluster, Service, Service]) -> None:
    cluster, proxy, _ = three
    proxy.kill()
    proxy.start()
    access = cluster.users["alice"].access("alice", "mydb")
    for _ in eventually("a session is carried again", seconds=30):
        try:
            with psycopg.connect(access.conninfo) as session:
                session.execute("select 1")
        except psycopg.OperationalError:
            continue
        return
