"""The services apart: auth and proxy in one process, and database services that join, each its own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gateway.audit.read import Query, records
from gateway.cli.client import Api, SocketEndpoint
from gateway.model.event import Event
from tests.e2e import cluster as clusters
from tests.e2e.cluster import DATABASE, REGATE, Cluster, eventually
from tests.servers import postgres, process
from tests.servers.process import LOOPBACK, Server, free_port, temporary_folder


@dataclass(slots=True)
class Service:
    """One ``regate start`` of a service by itself."""

    name: str
    folder: Path
    cluster: Cluster
    server: Server | None = None
    prefix: Sequence[str] = field(default_factory=tuple)

    @property
    def configuration(self) -> Path:
        """The file that it starts from."""
        return self.folder / "regate.yaml"

    @property
    def data_dir(self) -> Path:
        """Where it keeps what it has."""
        return self.folder / "data"

    def command(self) -> Sequence[str | Path]:
        """What starts it."""
        return REGATE, "--debug", "start", "-c", self.configuration

    @property
    def audit(self) -> Path:
        """Its own audit log."""
        return self.data_dir / "audit" / self.id

    @property
    def log(self) -> str:
        """All that it has said so far."""
        return (self.folder / "start.log").read_text()

    @property
    def id(self) -> str:
        """What the cluster calls it."""
        return str(json.loads((self.data_dir / "service" / "service.json").read_text())["id"])

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.server is not None
        return self.server.pid

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it says that it is ready."""
        log = self.folder / "start.log"
        log.unlink(missing_ok=True)
        self.server = process.start(
            self.name,
            [*self.prefix, *self.command()],
            log=log,
            directory=self.folder,
            environment=self.cluster.environment(self.folder),
            as_unprivileged=False,
        )
        if wait:
            self.server.wait_until(lambda: "\nReady" in log.read_text(), seconds=120)

    def stop(self) -> int:
        """Stop it as an operator would."""
        assert self.server is not None
        return self.server.stop(seconds=20)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.server is not None
        self.server.kill()

    def records(self) -> list[Event]:
        """Its own log, oldest first."""
        found = records(self.audit, Query(oldest_first=True))
        return [item.event for item in found]


def token(cluster: Cluster, name: str, *, uses: int = 1, kind: str = "Db") -> str:
    """A join token's secret, made by the administrator."""
    spec = {"roles": [kind], "uses": uses}
    document = {"kind": "token", "version": "v2", "metadata": {"name": name}, "spec": spec}
    said = cluster.admin("create", "--format=json", "-", stdin=yaml.safe_dump(document)).stdout
    return str(json.loads(said)[0]["secret"])


def database(server: postgres.Postgres, name: str = DATABASE, **more: Any) -> dict[str, Any]:
    """A database as a service's file lists it."""
    labels = {"env": "dev"}
    base = {"name": name, "description": "the shop", "protocol": "postgres", "uri": server.uri}
    return {**base, "static_labels": labels, **more}


def service(
    cluster: Cluster,
    folder: Path,
    secret: str,
    databases: Sequence[Mapping[str, Any]],
    *,
    proxy: str = "",
    pin: str = "",
) -> Service:
    """A database service's folder and file; it is not started."""
    folder.mkdir(mode=0o700)
    made = Service(folder.name, folder, cluster)
    token_file = folder / "token"
    token_file.write_text(secret)
    token_file.chmod(0o600)
    document = {
        "version": "v3",
        "regate": {
            "data_dir": str(made.data_dir),
            "proxy_server": proxy or cluster.proxy,
            "auth_token": str(token_file),
            "ca_pin": pin or cluster.pin,
        },
        "db_service": {
            "enabled": True,
            "connects_per_second": clusters.BRISK,
            "databases": [dict(item) for item in databases],
        },
        "opa": clusters.PATIENCE,
        "auth_service": {"enabled": False},
        "proxy_service": {"enabled": False},
        "ssh_service": {"enabled": False},
    }
    made.configuration.write_text(yaml.safe_dump(document))
    return made


@contextmanager
def centre(
    folder: Path, *, at: str = "", port: int = 0, database_host: str = "localhost", **sections: Any
) -> Iterator[Cluster]:
    """Auth and proxy in one process, without a database service, and a PostgreSQL that trusts the cluster.

    *at* is a further address of this host under which it is reached, *database_host* how services call the
    PostgreSQL's.
    """
    folder.chmod(0o700)
    cluster = Cluster(folder, port or process.free_port())
    public = {
        "listen_addr": f"0.0.0.0:{cluster.port}",
        "public_addr": [cluster.proxy, f"{at}:{cluster.port}"],
    }
    more: dict[str, Any] = {"proxy_service": public} if at else {}
    clusters.configure(cluster, **{"db_service": {"enabled": False}, **more, **sections})
    cluster.start()
    try:
        with clusters.signed_postgres(cluster, {}, None, host=database_host) as server:
            cluster.database = server
            yield cluster
    finally:
        cluster.stop()


@contextmanager
def apart(count: int = 1) -> Iterator[tuple[Cluster, list[Service]]]:
    """A centre, and *count* database services that all serve its PostgreSQL."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("regate-"))
        cluster = stack.enter_context(centre(folder))
        secret = token(cluster, "agents", uses=count)
        services = []
        for number in range(count):
            made = service(cluster, folder / f"agent-{number}", secret, [database(cluster.pg)])
            made.start()
            stack.callback(made.stop)
            services.append(made)
        until_served(cluster, count)
        yield cluster, services


def until_served(cluster: Cluster, count: int, name: str = DATABASE) -> None:
    """Wait until the cluster knows of so many services that serve a database, and are well."""
    for _ in eventually(f"{count} services serve {name}", seconds=40):
        if len([item for item in services_of(cluster, name) if item["healthy"]]) == count:
            return


def services_of(cluster: Cluster, name: str = DATABASE) -> list[dict[str, Any]]:
    """What the cluster says of the services of a database."""
    api = Api(SocketEndpoint(cluster.folder / "data" / "admin.sock"))
    return list(api.get("/v1/agents/databases")["databases"].get(name, []))


def auth_port(cluster: Cluster) -> int:
    """Where its auth service by itself listens."""
    written = yaml.safe_load(cluster.configuration.read_text())
    return int(written["auth_service"]["listen_addr"].rpartition(":")[2])


def proxy_file(cluster: Cluster, folder: Path, secret: str, port: int) -> Service:
    """A proxy by itself in front of the cluster's auth service."""
    folder.mkdir(mode=0o700)
    made = Service(folder.name, folder, cluster)
    (folder / "token").write_text(secret)
    (folder / "token").chmod(0o600)
    document = {
        "version": "v3",
        "regate": {
            "data_dir": str(made.data_dir),
            "auth_server": f"localhost:{auth_port(cluster)}",
            "auth_token": str(folder / "token"),
            "ca_pin": cluster.pin,
        },
        "auth_service": {"enabled": False},
        "db_service": {"enabled": False},
        "proxy_service": {
            "listen_addr": f"{LOOPBACK}:{port}",
            "public_addr": f"localhost:{port}",
            "postgres_listen_addr": f"{LOOPBACK}:{free_port()}",
        },
    }
    made.configuration.write_text(yaml.safe_dump(document))
    return made


def auth_alone(stack: ExitStack, **told: str) -> tuple[Cluster, int]:
    """The auth service by itself, and the port where its proxy shall be; *told* it knows of that proxy."""
    folder = stack.enter_context(temporary_folder("regate-"))
    cluster, port = Cluster(folder, free_port()), free_port()
    clusters.configure(
        cluster,
        auth_service={"listen_addr": f"{LOOPBACK}:{cluster.port}"},
        proxy_service={"enabled": False, "public_addr": [f"localhost:{port}"], **told},
        db_service={"enabled": False},
    )
    cluster.start()
    stack.callback(cluster.stop)
    return cluster, port
