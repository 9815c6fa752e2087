"""MongoDB through the gateway to a replica set of another author: logins by X.509, transactions, streams."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.errors import OperationFailure

from tests.e2e import mongo_rig
from tests.e2e.access import Access
from tests.e2e.mongo_rig import REPLICA, Shop, client
from tests.servers.secantus import Secantus

pytestmark = pytest.mark.db


@pytest.fixture
def filled(replica: Secantus) -> Secantus:
    with replica.direct() as direct:
        mongo_rig.fill(direct)
    return replica


@pytest.fixture
def ann(documents: Shop, filled: Secantus) -> Iterator[Access]:
    del filled
    with documents.cluster.users["ann"].tunnel("owner", "app", REPLICA) as access:
        yield access


@pytest.fixture
def bob(documents: Shop, filled: Secantus) -> Iterator[Access]:
    del filled
    with documents.cluster.users["bob"].tunnel("reader", "app", REPLICA) as access:
        yield access


def test_the_server_takes_the_certificate_and_no_member_of_it_is_shown(ann: Access, filled: Secantus) -> None:
    with client(ann) as mongo:
        status = mongo.app.command("connectionStatus")["authInfo"]
        assert [each["user"] for each in status["authenticatedUsers"]] == ["CN=owner"]
        for name in ("hello", "isMaster", "ismaster"):
            said = mongo.app.command(name)
            assert {"hosts", "me", "primary", "setName", "topologyVersion"}.isdisjoint(said)
            assert str(filled.port) not in str(said)
        assert mongo.nodes == {(ann.host, ann.port)}
        joined: list[dict[str, Any]] = [
            {"$match": {"_id": 1}},
            {"$lookup": {"from": "people", "localField": "_id", "foreignField": "_id", "as": "who"}},
        ]
        (found,) = mongo.app.orders.aggregate(joined)
        assert found["who"][0]["ssn"] == "123-45-0001"


def test_a_transaction_is_kept_or_undone_and_a_refusal_undoes_it(
    ann: Access, bob: Access, filled: Secantus
) -> None:
    with client(ann) as mongo, mongo.start_session() as session:
        with session.start_transaction():
            mongo.app.orders.insert_one({"_id": "kept"}, session=session)
            assert mongo.app.orders.find_one({"_id": "kept"}, session=session) is not None
            assert mongo.app.orders.find_one({"_id": "kept"}) is None
        session.start_transaction()
        mongo.app.orders.insert_one({"_id": "undone"}, session=session)
        session.abort_transaction()
    with client(bob) as mongo, mongo.start_session() as session:
        session.start_transaction()
        mongo.app.orders.insert_one({"_id": "refused"}, session=session)
        with pytest.raises(OperationFailure, match="no role grants") as refusal:
            mongo.app.pay.find_one(session=session)
        assert refusal.value.code == 13
        with pytest.raises(OperationFailure):  # the server has ended it, as after an error of its own
            session.commit_transaction()
        assert mongo.app.orders.find_one({"_id": "kept"}) is not None
    with filled.direct() as direct:
        left = {each["_id"] for each in direct.app.orders.find({"_id": {"$type": "string"}})}
    assert left == {"kept"}


def test_a_stream_of_changes_is_read_on_by_whoever_may_read_its_collection(
    ann: Access, bob: Access, filled: Secantus
) -> None:
    with client(bob) as mongo:
        with pytest.raises(OperationFailure, match="no role grants"):
            mongo.app.pay.watch()
        with pytest.raises(OperationFailure):
            mongo.app.watch()
        with mongo.app.orders.watch(full_document="updateLookup", max_await_time_ms=500) as stream:
            with filled.direct() as direct:
                direct.app.orders.update_one({"_id": 5}, {"$set": {"v": 1}})
            change = stream.next()
            assert (change["operationType"], change["fullDocument"]["v"]) == ("update", 1)
    with client(ann) as mongo, mongo.app.watch() as stream:
        mongo.app.pay.insert_one({"_id": "streamed"})
        assert stream.next()["ns"] == {"db": "app", "coll": "pay"}
