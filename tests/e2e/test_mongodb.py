"""MongoDB through the gateway: a real server, pymongo, mongosh and the Node driver, tunnels and TLS."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient, CursorType, MongoClient, WriteConcern
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from gateway.protocols.mongodb import table
from tests.e2e.access import Access
from tests.e2e.cluster import eventually, kill_under_load
from tests.e2e.mongo_rig import LOCKED, SHOP, WRONG, Shop, client
from tests.e2e.node import clients as node
from tests.e2e.serving import handed_over
from tests.servers import process

pytestmark = pytest.mark.db
FAILS_AFTER_MS = 5_000  # what cannot be had is not waited for any longer
NODE = str(Path(__file__).parent / "node" / "mongo.js")


@pytest.fixture
def shop(documents: Shop) -> Shop:
    return documents


@pytest.fixture
def ann(shop: Shop) -> Iterator[Access]:
    shop.fill()
    with shop.cluster.users["ann"].tunnel("owner", "app", SHOP) as access:
        yield access


@pytest.fixture
def bob(shop: Shop) -> Iterator[Access]:
    shop.fill()
    with shop.cluster.users["bob"].tunnel("reader", "app", SHOP) as access:
        yield access


def test_commands_pass_and_are_recorded_with_their_outcome(ann: Access, shop: Shop) -> None:
    with client(ann) as mongo:
        orders = mongo.app.orders
        assert len(list(orders.find({}, batch_size=50))) == 350
        assert [found["_id"] for found in orders.find({"_id": {"$gt": 347}}).sort("_id", -1)] == [349, 348]
        assert orders.update_many({"g": 1}, {"$set": {"q": 1}}).modified_count == 117
        stages: list[dict[str, Any]] = [
            {"$match": {"_id": {"$lt": 10}}},
            {"$group": {"_id": "$g", "c": {"$sum": 1}}},
        ]
        assert sum(found["c"] for found in orders.aggregate(stages)) == 10
        assert orders.find_one_and_update({"_id": 1}, {"$inc": {"g": 5}}) is not None
        big = [{"_id": 1000 + number, "big": "y" * 200_000} for number in range(30)]
        assert len(orders.insert_many(big).inserted_ids) == 30
        assert sum(len(found["big"]) for found in orders.find({"_id": {"$gte": 1000}})) == 6_000_000
        assert sorted(orders.distinct("g", {"_id": {"$lt": 3}})) == [0, 2, 6]
        assert orders.count_documents({"g": 2}) > 100
        with pytest.raises(OperationFailure) as failure:
            orders.insert_one({"_id": 2})
        assert failure.value.code == 11000
    assert shop.front.users[-1].startswith("CN=owner")
    recorded = shop.cluster.audit("--user=ann", "--kind=db.session.query")
    texts = [item["fields"]["statement"] for item in recorded]
    assert any('"find": "orders"' in text and '"$numberInt": "347"' in text for text in texts)
    ends = shop.cluster.audit("--user=ann", "--kind=db.session.query.end")
    rows = {item["fields"]["query_id"]: item["fields"]["rows"] for item in ends}
    fifty = '"batchSize": {"$numberInt": "50"}'
    asked_on = [item for item in recorded if item["fields"]["statement"].startswith('{"getMore"')]
    more = [rows[item["id"]] for item in asked_on if fifty in item["fields"]["statement"]]
    assert more[:6] == [50, 50, 50, 50, 50, 50]
    assert any(item["fields"]["error_code"] == "WriteError" for item in ends)


def test_what_nobody_granted_is_refused_and_the_connection_stays(bob: Access, shop: Shop) -> None:
    with client(bob) as mongo:
        assert mongo.app.orders.find_one({"_id": 1}) == {"_id": 1, "g": 1, "v": "x1"}
        with pytest.raises(OperationFailure, match=r"no role grants select collection app\.pay") as refusal:
            mongo.app.pay.find_one()
        assert refusal.value.code == 13
        assert "decision" in str(refusal.value)
        for command in (
            {"find": "orders", "filter": {"$where": "true"}},
            {"aggregate": "orders", "pipeline": [{"$out": "copy"}], "cursor": {}},
            {
                "aggregate": "orders",
                "pipeline": [{"$lookup": {"from": "pay", "as": "x", "pipeline": []}}],
                "cursor": {},
            },
            {"getMore": 4711, "collection": "orders"},
            {"killCursors": "orders", "cursors": [4711]},
            {"nosuch": 1},
            {"drop": "orders"},
            {"eval": "1"},
        ):
            with pytest.raises(OperationFailure) as refusal:
                mongo.app.command(command)
            assert refusal.value.code == 13, command
        for name in ("secret", "admin", "local"):
            with pytest.raises(OperationFailure) as refusal:
                mongo[name].pay.find_one()
            assert refusal.value.code == 13
        assert mongo.app.orders.find_one({"_id": 2}) == {"_id": 2, "g": 2, "v": "x2"}
    denied = [
        item["fields"]["statement"] for item in shop.cluster.audit("--user=bob", "--kind=db.session.denied")
    ]
    assert any('"find": "pay"' in text for text in denied)
    reached = b"".join(shop.front.bodies)
    for word in (b"$where", b"$lookup", b"nosuch"):
        assert word not in reached
    assert not {"eval", "drop", "nosuch"} & set(shop.front.commands)


def test_the_table_knows_every_command_of_the_server(shop: Shop) -> None:
    with shop.direct() as direct:
        told = set(direct.admin.command("listCommands")["commands"])
    assert len(told) > 30
    assert told - set(table.commands()) == set()


def test_a_session_stays_in_its_database_even_where_everything_is_allowed(ann: Access, shop: Shop) -> None:
    with client(ann) as mongo:
        with pytest.raises(OperationFailure, match="opened the database 'app', not 'secret'") as refusal:
            mongo.secret.pay.find_one()
        assert refusal.value.code == 13
        assert mongo.app.orders.find_one({"_id": 1}) is not None
    with shop.cluster.users["ann"].tunnel("owner", "secret", SHOP) as access, client(access) as mongo:
        assert mongo.secret.pay.find_one() == {"_id": 1, "amount": 9000}


def test_drivers_ask_a_cursor_on_over_any_of_their_connections(ann: Access) -> None:
    with client(ann, maxPoolSize=8) as mongo:

        def read(at: int) -> int:
            return len(list(mongo.app.orders.find({"_id": {"$gte": at}}, batch_size=11)))

        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(read, range(48))) == [350 - at for at in range(48)]


@pytest.mark.parametrize("way", ["tunnel", "native"])
def test_all_connections_of_a_pool_are_served_where_its_cursors_are_known(
    ann: Access, shop: Shop, way: str
) -> None:
    access = ann if way == "tunnel" else shop.native("ann", "owner")
    port = shop.cluster.port if way == "tunnel" else access.port
    with client(access, maxPoolSize=16) as mongo, ThreadPoolExecutor(16) as threads:
        at_once = threading.Barrier(16, timeout=60)

        def read(at: int) -> int:
            with mongo.start_session() as session:
                cursor = mongo.app.orders.find({"_id": {"$gte": at}}, batch_size=2, session=session)
                next(cursor)
                at_once.wait()  # each has a cursor, and a connection that somebody else may get next
                return 1 + len(list(cursor))

        assert list(threads.map(read, range(300, 316))) == [350 - at for at in range(300, 316)]
        few, most = sorted(handed_over(shop.cluster, port))
        assert few == 0
        assert most > 1


async def test_the_asynchronous_client_works_too(ann: Access) -> None:
    made: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(ann.host, ann.port)
    async with made as mongo:
        assert await mongo.app.orders.find_one({"_id": 5}) == {"_id": 5, "g": 2, "v": "x5"}
        assert len([found async for found in mongo.app.orders.find({}, batch_size=100)]) == 350


def test_a_cursor_that_may_answer_unasked_is_asked_on_batch_by_batch(ann: Access, shop: Shop) -> None:
    with client(ann) as mongo:
        found = list(mongo.app.orders.find({}, cursor_type=CursorType.EXHAUST, batch_size=100))
    assert len(found) == 350
    asked = shop.cluster.audit("--user=ann", "--kind=db.session.query")
    assert sum('"getMore"' in item["fields"]["statement"] for item in asked) >= 3


def test_a_write_that_wants_no_answer_is_judged_and_done(bob: Access, shop: Shop) -> None:
    with client(bob) as mongo:
        careless = WriteConcern(w=0)
        mongo.app.get_collection("orders", write_concern=careless).insert_one({"_id": "unanswered"})
        mongo.app.get_collection("pay", write_concern=careless).insert_one({"_id": "never"})
        for _ in eventually("it is there"):
            if mongo.app.orders.find_one({"_id": "unanswered"}):
                break
    with shop.direct() as direct:
        assert direct.app.pay.find_one({"_id": "never"}) is None


@pytest.mark.parametrize(
    "rest",
    [
        "?directConnection=true",
        "?loadBalanced=true",
        "?authMechanism=MONGODB-X509&authSource=%24external",
    ],
)
def test_addresses_as_drivers_write_them(ann: Access, rest: str) -> None:
    tls = "MONGODB-X509" in rest  # pymongo wants TLS for it; the tunnel has none
    if tls:
        rest = rest.replace("authMechanism=MONGODB-X509", "authMechanism=PLAIN")
    who = "anybody:anything@" if tls else ""
    with client(ann, f"mongodb://{who}{ann.host}:{ann.port}/app{rest}") as mongo:
        assert mongo.app.orders.find_one({"_id": 3}) is not None


def test_a_password_that_would_have_to_be_checked_is_not_asked_for(ann: Access) -> None:
    with (
        client(ann, f"mongodb://u:p@{ann.host}:{ann.port}/") as mongo,
        pytest.raises(OperationFailure, match="no password is needed") as failure,
    ):
        mongo.app.orders.find_one()
    assert failure.value.code == 18


@pytest.mark.parametrize("mechanism", ["", "MONGODB-X509"])
def test_a_client_with_a_certificate_comes_to_the_port_of_mongodb(shop: Shop, mechanism: str) -> None:
    shop.fill()
    access = shop.native("bob", "reader")
    options = {"authMechanism": mechanism} if mechanism else {}
    with client(access, **options) as mongo:
        assert mongo.app.orders.find_one({"_id": 1}) is not None
        with pytest.raises(OperationFailure, match="no role grants"):
            mongo.app.pay.find_one()


def test_the_address_that_is_printed_works_as_it_is(shop: Shop) -> None:
    shop.fill()
    route = ("--db-user=reader", "--db-name=app", SHOP)
    bob = shop.cluster.users["bob"]
    (uri,) = json.loads(bob.regate("db", "env", "--format=json", *route).stdout).values()
    assert uri in json.loads(bob.regate("db", "config", "--format=json", *route).stdout)["command"]
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=15_000) as mongo:
        assert mongo.get_default_database().name == "app"
        assert mongo.app.orders.find_one({"_id": 1}) is not None


def test_who_may_not_connect_is_told_why(shop: Shop) -> None:
    access = shop.native("bob", "reader")
    other = Access("localhost", shop.port, "reader", "app", None, None, access.ca)
    with (
        client(other, tls=True, tlsCAFile=str(access.ca), serverSelectionTimeoutMS=FAILS_AFTER_MS) as mongo,
        pytest.raises(ServerSelectionTimeoutError, match="client certificate"),
    ):
        mongo.app.orders.find_one()


def test_a_held_secret_logs_in_with_scram_and_a_wrong_one_does_not(shop: Shop) -> None:
    with shop.cluster.users["ann"].tunnel("worker", "app", LOCKED) as access, client(access) as mongo:
        mongo.app.orders.insert_one({"_id": 1})
        assert mongo.app.orders.find_one() == {"_id": 1}
    with (
        shop.cluster.users["ann"].tunnel("worker", "app", WRONG) as access,
        client(access, serverSelectionTimeoutMS=FAILS_AFTER_MS) as mongo,
        pytest.raises(ServerSelectionTimeoutError, match="failed"),
    ):
        mongo.app.orders.find_one()
    said = json.dumps(shop.cluster.audit()) + shop.cluster.server_log()
    assert "s3cret-of-the-worker" not in said
    assert "not-the-secret" not in said


def test_masked_fields_stay_so_and_no_more_than_the_bound_is_shown(shop: Shop) -> None:
    shop.fill()
    with shop.cluster.users["mary"].tunnel("reader", "app", SHOP) as access, client(access) as mongo:
        found = list(mongo.app.people.find({}, batch_size=4).sort("_id", 1))
        assert [each["_id"] for each in found] == list(range(10))
        assert found[3]["ssn"] == "****0003"
        assert found[3]["card"] == {"number": 0, "kind": "a"}
        assert len({each["mail"] for each in found}) == 10
        assert "example.com" not in str(found)
        shown = list(mongo.app.people.aggregate([{"$match": {"_id": 3}}, {"$project": {"ssn": 1}}]))
        assert shown == [{"_id": 3, "ssn": "****0003"}]
        changed = mongo.app.people.find_one_and_update({"_id": 3}, {"$set": {"seen": 1}})
        assert changed is not None
        assert changed["ssn"] == "****0003"
        for asked in ({"ssn": "123-45-0003"}, {"card.number": 4711}, {"$expr": {"$gt": ["$mail", "a"]}}):
            with pytest.raises(OperationFailure, match="concealed") as refusal:
                mongo.app.people.find_one(asked)
            assert refusal.value.code == 13
        with pytest.raises(OperationFailure, match="concealed"):
            list(mongo.app.people.aggregate([{"$group": {"_id": "$ssn"}}]))
        with pytest.raises(OperationFailure, match="concealed"):
            mongo.app.people.distinct("mail")
        assert len(list(mongo.app.orders.find())) == 10


def test_the_node_driver_works(bob: Access) -> None:
    command = ["node", NODE, f"mongodb://{bob.host}:{bob.port}/app", str(node.folder())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["one"] == "x3"
    assert said["many"] == 350
    assert said["inserted"] == 2
    assert said["refused"][0] == 13
    assert said["several"] == [30] * 20


def test_the_shell_says_why_something_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{node.mongosh().parent}:{os.environ['PATH']}")
    bob, route = shop.cluster.users["bob"], ("--db-user=reader", "--db-name=app")
    done = bob.regate("db", "exec", *route, f"--dbs={SHOP}", "db.pay.findOne()", check=False)
    assert done.code != 0
    assert "no role grants select collection app.pay" in done.said


def test_a_missing_shell_is_named_with_what_to_do(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    done = shop.cluster.users["bob"].regate(
        "db", "connect", "--db-user=reader", "--db-name=app", SHOP, check=False
    )
    assert done.code != 0
    assert "mongosh is not on the PATH" in done.said
    assert "regate proxy db --tunnel" in done.said


def test_without_its_policy_engine_everything_is_refused(ann: Access, shop: Shop) -> None:
    with client(ann) as mongo:
        assert mongo.app.orders.find_one({"_id": 1}) is not None
        first = shop.cluster.opa_pid()
        process.suspend(first)
        before = len(shop.front.commands)
        try:
            with pytest.raises(OperationFailure) as refusal:
                mongo.app.orders.find_one({"_id": 2})
            assert refusal.value.code == 13
            assert "find" not in shop.front.commands[before:]
        finally:
            os.kill(first, signal.SIGKILL)
        for _ in eventually("a new OPA answers", seconds=30):
            try:
                assert mongo.app.orders.find_one({"_id": 2}) is not None
                break
            except OperationFailure:
                continue


def test_no_command_of_a_gateway_that_dies_is_missing_from_the_audit(ann: Access, shop: Shop) -> None:
    """The last of the file: the gateway is killed, and started again."""
    before = len(shop.front.commands)

    def load(thread: int) -> None:
        with client(ann) as mongo:
            for number in count(1):
                try:
                    mongo.app.orders.find_one({"_id": f"{thread}-{number}"})
                except Exception:  # noqa: BLE001 -- the gateway is gone
                    return

    kill_under_load(shop.cluster, load, lambda: len(shop.front.commands) - before > 200)
    asked = [body for body in list(shop.front.bodies) if b"find\0" in body and b"-" in body]
    shop.cluster.start()
    recorded = " ".join(
        item["fields"]["statement"] for item in shop.cluster.audit("--user=ann", "--kind=db.session.query")
    )
    wanted = {word for body in asked for word in _keys(body)}
    assert len(wanted) > 100
    assert not {word for word in wanted if f'"{word}"' not in recorded}
    assert shop.cluster.admin("audit", "verify").code == 0


def _keys(body: bytes) -> list[str]:
    import bson  # noqa: PLC0415 -- for this alone

    key = bson.decode(body[21:]).get("filter", {}).get("_id")
    return [key] if isinstance(key, str) and "-" in key else []
