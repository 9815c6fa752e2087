"""MongoDB through the gateway: a real server, pymongo and mongosh, through tunnels and TLS."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from tests.e2e import cluster as clusters
from tests.e2e.access import Access
from tests.e2e.cluster import Cluster, role, wide_role
from tests.servers import ferretdb

pytestmark = pytest.mark.db

SHOP = "shop"
READER = role(
    "shop-reader",
    allow={
        "db_labels": {"env": "dev"},
        "db_users": ["reader"],
        "db_names": ["app"],
        "db_permissions": [
            {
                "match": {"object_kind": "collection", "schema": "app", "name": "orders"},
                "permissions": ["SELECT", "INSERT", "UPDATE"],
            },
        ],
    },
)


@dataclass(frozen=True, slots=True)
class Shop:
    """The cluster, the server past the gateway, and what stands in front of it."""

    cluster: Cluster
    server: ferretdb.Ferret
    front: ferretdb.Certified

    def direct(self) -> "MongoClient[dict[str, Any]]":
        return MongoClient("127.0.0.1", self.server.plain)


def database(name: str, uri: str, **auth: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"protocol": "mongodb", "uri": uri}
    if auth:
        spec["auth"] = auth
    return {
        "kind": "db",
        "version": "v3",
        "metadata": {"name": name, "labels": {"env": "dev"}},
        "spec": spec,
    }


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with clusters.running() as running:
        out, ca = running.folder / "mongo-server", running.folder / "mongo-ca.crt"
        running.admin("auth", "sign", "--format=db", "--host=localhost", f"--out={out}")
        ca.write_text(running.admin("auth", "export", "--type=db-client").stdout)
        files = ferretdb.Files(out.with_suffix(".crt"), out.with_suffix(".key"), ca)
        secret = running.folder / "worker.secret"
        secret.write_text(ferretdb.PASSWORD + "\n")
        with (
            ferretdb.running(files) as server,
            ferretdb.running(files, passwords=True) as locked,
            ferretdb.Certified(files, behind=server.plain) as front,
        ):
            running.create(
                database(SHOP, front.uri),
                database("shop-worker", locked.uri, method="scram", secret_file=str(secret)),
                wide_role("wide"),
                READER,
            )
            running.add_user("ann", "wide")
            running.add_user("bob", "shop-reader")
            yield Shop(running, server, front)


@pytest.fixture
def filled(shop: Shop) -> Shop:
    with shop.direct() as direct:
        for name in ("app", "secret"):
            direct.drop_database(name)
        direct.app.orders.insert_many(
            [{"_id": number, "g": number % 3, "v": f"x{number}"} for number in range(350)]
        )
        direct.app.pay.insert_one({"_id": 1, "amount": 9000})
        direct.secret.pay.insert_one({"_id": 1, "amount": 9000})
    return shop


@pytest.fixture
def ann(filled: Shop) -> Iterator[Access]:
    with filled.cluster.users["ann"].tunnel("owner", "app", SHOP) as access:
        yield access


@pytest.fixture
def bob(filled: Shop) -> Iterator[Access]:
    with filled.cluster.users["bob"].tunnel("reader", "app", SHOP) as access:
        yield access


def client(access: Access, **options: Any) -> "MongoClient[dict[str, Any]]":
    return MongoClient(access.host, access.port, serverSelectionTimeoutMS=15_000, **options)


def test_commands_pass_and_are_recorded_with_their_outcome(ann: Access, filled: Shop) -> None:
    with client(ann) as mongo:
        orders = mongo.app.orders
        assert len(list(orders.find({}, batch_size=50))) == 350
        assert [found["_id"] for found in orders.find({"_id": {"$gt": 347}}).sort("_id", -1)] == [349, 348]
        assert orders.update_many({"g": 1}, {"$set": {"q": 1}}).modified_count == 117
        grouped = orders.aggregate(
            [{"$match": {"_id": {"$lt": 10}}}, {"$group": {"_id": "$g", "c": {"$sum": 1}}}]
        )
        assert sum(found["c"] for found in grouped) == 10
        assert orders.find_one_and_update({"_id": 1}, {"$inc": {"g": 5}}) is not None
        assert (
            len(orders.insert_many([{"_id": 1000 + n, "big": "y" * 200_000} for n in range(30)]).inserted_ids)
            == 30
        )
        assert sum(len(found["big"]) for found in orders.find({"_id": {"$gte": 1000}})) == 6_000_000
        assert orders.distinct("g", {"_id": {"$lt": 3}}) == [0, 2, 6]
        assert orders.count_documents({"g": 2}) > 100
        with pytest.raises(OperationFailure) as failure:
            orders.insert_one({"_id": 2})
        assert failure.value.code == 11000
    assert filled.front.users[-1].startswith("CN=owner")
    cluster = filled.cluster
    recorded = cluster.audit("--user=ann", "--kind=db.session.query")
    texts = [item["fields"]["statement"] for item in recorded]
    assert any('"find": "orders"' in text and '"$numberInt": "347"' in text for text in texts)
    assert sum(text.startswith('{"getMore"') for text in texts) >= 6
    ends = cluster.audit("--user=ann", "--kind=db.session.query.end")
    rows = {item["fields"]["query_id"]: item["fields"]["rows"] for item in ends}
    more = [rows[item["id"]] for item in recorded if item["fields"]["statement"].startswith('{"getMore"')]
    assert more[:6] == [50, 50, 50, 50, 50, 50]
    assert any(item["fields"]["error_code"] == "WriteError" for item in ends)


def test_what_nobody_granted_is_refused_and_the_connection_stays(bob: Access, filled: Shop) -> None:
    with client(bob) as mongo:
        assert mongo.app.orders.find_one({"_id": 1}) == {"_id": 1, "g": 1, "v": "x1"}
        with pytest.raises(OperationFailure, match=r"no role grants select collection app\.pay") as refusal:
            mongo.app.pay.find_one()
        assert refusal.value.code == 13
        assert "decision" in str(refusal.value)
        assert mongo.app.orders.find_one({"_id": 2}) == {"_id": 2, "g": 2, "v": "x2"}
    denied = filled.cluster.audit("--user=bob", "--kind=db.session.denied")
    assert any('"find": "pay"' in item["fields"]["statement"] for item in denied)
