"""A cluster before FerretDB: by certificate through what speaks MONGODB-X509 for it, and by password."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pymongo import MongoClient

from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, role, wide_role
from tests.servers import ferretdb, process, secantus

Client: TypeAlias = "MongoClient[dict[str, Any]]"
SHOP, LOCKED, WRONG, REPLICA = "shop", "shop-worker", "shop-wrong", "shop-replica"
ORDERS = {"object_kind": "collection", "schema": "app", "name": "orders"}
READER = role(
    "shop-reader",
    allow={
        "db_labels": {"env": "dev"},
        "db_users": ["reader"],
        "db_names": ["app"],
        "db_permissions": [{"match": ORDERS, "permissions": ["SELECT", "INSERT", "UPDATE"]}],
    },
)
MASKS = {"ssn": "partial", "card.number": "full", "mail": "hash"}
MASKED = role(
    "shop-masked",
    version="regate/v1",
    allow={"db_labels": {"env": "dev"}, "db_users": ["reader"], "db_names": ["app"]},
    options={
        "mask": [
            {
                "schema": "app",
                "table": "people",
                "columns": {"ssn": "partial", "card.number": "full", "mail": "hash"},
            }
        ],
        "max_rows": 10,
        "timeout_ms": 20_000,
    },
)


@dataclass(frozen=True, slots=True)
class Shop:
    """The cluster, the server past the gateway, what stands in front of it, one with a password, the port."""

    cluster: Cluster
    server: ferretdb.Ferret
    front: ferretdb.Certified
    locked: ferretdb.Ferret
    port: int
    files: ferretdb.Files  # of all its servers

    def direct(self) -> Client:
        """Past the gateway."""
        return MongoClient("127.0.0.1", self.server.plain)

    def fill(self) -> None:
        """The collections, anew."""
        with self.direct() as direct:
            fill(direct)

    def native(self, user: str, db_user: str, db_name: str = "app", database: str = SHOP) -> Access:
        """A certificate, and the port that is MongoDB's alone."""
        person = self.cluster.users[user]
        route = (f"--db-user={db_user}", f"--db-name={db_name}", database)
        person.regate("db", "login", *route)
        found = json.loads(person.regate("db", "config", "--format=json", *route).stdout)
        files = (Path(found["cert"]), Path(found["key"]), Path(found["ca"]))
        return Access("localhost", self.port, db_user, db_name, *files)


def fill(direct: Client) -> None:
    """The collections, anew."""
    for name in ("app", "secret"):
        direct.drop_database(name)
    orders = [{"_id": number, "g": number % 3, "v": f"x{number}"} for number in range(350)]
    direct.app.orders.insert_many(orders)
    direct.app.pay.insert_one({"_id": 1, "amount": 9000})
    direct.secret.pay.insert_one({"_id": 1, "amount": 9000})
    people = [
        {
            "_id": n,
            "ssn": f"123-45-{n:04}",
            "card": {"number": 4711, "kind": "a"},
            "mail": f"p{n}@example.com",
        }
        for n in range(30)
    ]
    direct.app.people.insert_many(people)


def database(name: str, uri: str, **auth: str) -> dict[str, Any]:
    """A resource."""
    return {
        "kind": "db",
        "version": "v3",
        "metadata": {"name": name, "labels": {"env": "dev"}},
        "spec": {"protocol": "mongodb", "uri": uri, **({"auth": auth} if auth else {})},
    }


@contextmanager
def running(workers: int = 2) -> Iterator[Shop]:
    """Ann may do everything, bob may read and write orders, mary sees people masked.

    With two *workers*, which has which connection must not matter to anybody.
    """
    port, own = process.free_port(), process.free_port()
    proxy = {
        "enabled": True,
        "listen_addr": f"{process.LOOPBACK}:{port}",
        "public_addr": f"localhost:{port}",
        "mongodb_listen_addr": f"{process.LOOPBACK}:{own}",
    }
    service = {"enabled": True, "workers": workers}
    with clusters.running(port=port, proxy_service=proxy, db_service=service) as cluster:
        out, ca = cluster.folder / "mongo-server", cluster.folder / "mongo-ca.crt"
        cluster.admin("auth", "sign", "--format=mongodb", "--host=localhost", f"--out={out}")
        ca.write_text(cluster.admin("auth", "export", "--type=db-client").stdout)
        files = ferretdb.Files(out.with_suffix(".crt"), out.with_suffix(".key"), ca)
        secret, wrong = cluster.folder / "worker.secret", cluster.folder / "wrong.secret"
        secret.write_text(ferretdb.PASSWORD + "\n")
        wrong.write_text("not-the-secret\n")
        with (
            ferretdb.running(files) as server,
            ferretdb.running(files, passwords=True) as locked,
            ferretdb.Certified(files, behind=server.plain) as front,
        ):
            cluster.create(
                database(SHOP, front.uri),
                database(LOCKED, locked.uri, method="scram", secret_file=str(secret)),
                database(WRONG, locked.uri, method="scram", secret_file=str(wrong)),
                wide_role("wide"),
                READER,
                MASKED,
            )
            cluster.add_users(ann="wide", bob="shop-reader", mary="shop-masked")
            yield Shop(cluster, server, front, locked, own, files)


@contextmanager
def replica(shop: Shop) -> Iterator[secantus.Secantus]:
    """A second server of other authors beside it, a replica set: the resource ``REPLICA``."""
    with secantus.running(shop.files, users=("owner", "reader", "analyst")) as server:
        shop.cluster.create(database(REPLICA, server.uri))
        yield server


def client(access: Access, uri: str = "", **options: Any) -> Client:
    """pymongo, through a tunnel or natively."""
    if access.certificate is not None:
        assert access.key is not None
        both = access.certificate.with_suffix(".both")
        both.write_bytes(access.certificate.read_bytes() + access.key.read_bytes())
        both.chmod(0o600)
        options |= {"tls": True, "tlsCAFile": str(access.ca), "tlsCertificateKeyFile": str(both)}
    where = uri or f"mongodb://{access.host}:{access.port}/"
    return MongoClient(where, **{"serverSelectionTimeoutMS": 15_000, **options})
