"""The machine: what goes on, what is answered, what a refusal leaves behind, whose cursors are whose."""

import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from bson.binary import Binary
from bson.int64 import Int64
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ProtocolError
from gateway.model.decision import Denied, Reason
from gateway.model.identity import Route
from gateway.model.obligation import Conceal, Mask, Obligations
from gateway.protocols.mongodb import MONGODB, messages
from gateway.protocols.mongodb.checksum import crc32c
from gateway.protocols.mongodb.conversation import MongoConversation
from gateway.protocols.mongodb.cursors import Cursors
from gateway.protocols.mongodb.documents import MAX_FIELDS, MAX_READ
from gateway.protocols.mongodb.sessions import MOST_LISTED, Sessions
from gateway.sansio.exchange import (
    Answered,
    Duty,
    Obliged,
    Outcome,
    Request,
    Settle,
    Unable,
)
from gateway.sansio.protocol import Ready, Startup
from tests.protocols.mongodb import wire

READY = Ready("7.0.0", {}, b"", extra={"maxWireVersion": "21", "shape": "alone", "service": "shop"})
ROUTE = Route("shop", "mongodb", "alice", "app")
DENIAL = Denied("01NO", (Reason("no", "not yours"),))
CHECKSUM, MORE, EXHAUST = 1, 2, 1 << 16


class Talk:
    """A conversation with somebody who decides."""

    def __init__(
        self,
        cursors: Cursors | None = None,
        user: str = "ann",
        opened: str = "app",
        sessions: Sessions | None = None,
    ) -> None:
        self.machine = MongoConversation(
            Startup(person=user),
            READY,
            replace(ROUTE, db_name=opened),
            Cursors() if cursors is None else cursors,
            Sessions() if sessions is None else sessions,
        )
        self.outcomes: list[Outcome] = []

    def one(self, data: bytes) -> Any:
        (item,) = list(self.machine.from_client(data))
        return item

    def send(self, data: bytes, obligations: Obligations | None = None) -> bytes:
        """What goes to the server for one allowed message."""
        item = self.one(data)
        assert isinstance(item, Request)
        facts = MONGODB.classify(item.statements[0])
        if obligations is not None:
            done = self.machine.oblige(item, facts, Duty(obligations, salt="s"))
            assert isinstance(done, Obliged), done
        return self.machine.admit(item, facts)

    def unable(self, data: bytes, obligations: Obligations) -> str:
        item = self.one(data)
        done = self.machine.oblige(item, MONGODB.classify(item.statements[0]), Duty(obligations))
        return done.code if isinstance(done, Unable) else ""

    def refuse(self, data: bytes) -> tuple[bytes, bytes]:
        item = self.one(data)
        refusal = self.machine.refuse(item, MONGODB.classify(item.statements[0]), DENIAL)
        return refusal.to_backend, refusal.to_client

    def hear(self, data: bytes) -> bytes:
        relay = self.machine.from_backend(data)
        self.outcomes += relay.outcomes
        return relay.to_client


def asked(body: Mapping[str, Any], number: int = 7, flags: int = 0, **lists: Any) -> bytes:
    return wire.message(number, {**body, "$db": body.get("$db", "app")}, flags=flags, **lists)


def batch(documents: list[dict[str, Any]], number: int = 0, key: str = "firstBatch") -> dict[str, Any]:
    return {"cursor": {key: documents, "id": Int64(number), "ns": "app.o"}, "ok": 1.0}


FIND = asked({"find": "o"})


def test_what_was_judged_is_what_is_sent() -> None:
    assert Talk().send(FIND) == FIND
    listed = asked({"insert": "o"}, documents=[{"a": 1}, {"a": 2}])
    assert Talk().send(listed) == listed


def test_flags_and_a_checksum_stay_behind() -> None:
    talk = Talk()
    assert talk.send(asked({"find": "o"}, flags=EXHAUST)) == FIND
    summed = bytearray(asked({"find": "o"}, flags=CHECKSUM) + bytes(4))
    struct.pack_into("<i", summed, 0, len(summed))
    struct.pack_into("<I", summed, len(summed) - 4, crc32c(bytes(summed[:-4])))
    assert Talk().send(bytes(summed)) == FIND
    summed[-1] ^= 1
    with pytest.raises(ProtocolError, match="checksum"):
        Talk().one(bytes(summed))
    assert crc32c(b"123456789") == 0xE3069283


def test_a_write_that_wants_no_answer_has_an_outcome_and_no_answer() -> None:
    talk = Talk()
    sent = talk.send(asked({"insert": "o", "writeConcern": {"w": 0}}, flags=MORE, documents=[{"a": 1}]))
    assert struct.unpack_from("<I", sent, 16)[0] == 0, "the server answers, so that the record has an end"
    assert talk.hear(wire.message(1, {"n": 1, "ok": 1.0}, response_to=7)) == b""
    assert [(outcome.rows, outcome.error_code) for outcome in talk.outcomes] == [(1, "")]
    assert talk.refuse(asked({"insert": "o"}, flags=MORE, documents=[{}])) == (b"", b"")


def test_a_refusal_is_answered_and_nothing_goes_on() -> None:
    to_backend, to_client = Talk().refuse(FIND)
    assert to_backend == b""
    assert struct.unpack_from("<i", to_client, 8)[0] == 7
    said = wire.body_of(to_client)
    assert (said["ok"], said["code"], said["codeName"]) == (0.0, 13, "Unauthorized")
    assert "not yours (decision 01NO)" in said["errmsg"]


def test_a_refusal_inside_a_transaction_ends_it_at_the_server() -> None:
    talk = Talk()
    inside = {"find": "o", **session(1), "txnNumber": Int64(3), "autocommit": False}
    to_backend, _ = talk.refuse(asked(inside))
    body = wire.body_of(to_backend)
    assert next(iter(body)) == "abortTransaction"
    assert (body["lsid"], body["txnNumber"], body["autocommit"]) == (session(1)["lsid"], 3, False)
    number = struct.unpack_from("<i", to_backend, 4)[0]
    assert talk.hear(wire.message(1, {"ok": 1.0}, response_to=number)) == b""
    assert talk.refuse(asked({**inside, "startTransaction": True}))[0] == b"", "nothing has begun"


@pytest.mark.parametrize("name", ["hello", "isMaster", "ismaster"])
def test_hello_holds_no_address_and_never_reaches_the_server(name: str) -> None:
    item = Talk().one(asked({name: 1, "helloOk": True, "$db": "admin"}))
    assert isinstance(item, Answered)
    said = wire.body_of(item.to_client)
    assert not {"me", "hosts", "primary", "setName", "topologyVersion", "compression"} & set(said)
    assert said["maxWireVersion"] == 21
    assert said["helloOk"] is True
    balanced = Talk().one(asked({name: 1, "loadBalanced": True, "$db": "admin"}))
    said = wire.body_of(balanced.to_client)
    assert said["msg"] == "isdbgrid"
    assert said["serviceId"]


def test_hello_in_its_old_form_is_answered_in_the_old_form() -> None:
    import bson  # noqa: PLC0415 -- for this alone

    query = struct.pack("<i", 4) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + bson.encode({"ismaster": 1})
    item = Talk().one(wire.raw(5, 2004, query))
    assert struct.unpack_from("<iii", item.to_client, 4)[1:] == (5, messages.OP_REPLY)
    assert bson.decode(item.to_client[36:])["ismaster"] is True
    for body in ({"find": "o"}, {"$query": {"drop": "o"}}):
        other = struct.pack("<i", 4) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + bson.encode(body)
        with pytest.raises(ProtocolError, match="hello"):
            Talk().one(wire.raw(5, 2004, other))
    plain = struct.pack("<i", 4) + b"app.o\0" + struct.pack("<ii", 0, -1) + bson.encode({"ismaster": 1})
    with pytest.raises(ProtocolError, match="hello"):
        Talk().one(wire.raw(5, 2004, plain))


@pytest.mark.parametrize(
    ("command", "ok", "code"),
    [
        ({"saslStart": 1, "mechanism": "PLAIN", "payload": b"\0u\0secret"}, 1.0, None),
        ({"authenticate": 1, "mechanism": "MONGODB-X509"}, 1.0, None),
        ({"saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": b"n,,n=u,r=x"}, 0.0, 18),
        ({"saslStart": 1, "mechanism": "SCRAM-SHA-1", "payload": b""}, 0.0, 18),
        ({"saslContinue": 1, "payload": b""}, 0.0, 18),
        ({"logout": 1}, 1.0, None),
        ({"endSessions": []}, 1.0, None),
    ],
)
def test_logins_of_clients_are_answered_here(command: dict[str, Any], ok: float, code: int | None) -> None:
    item = Talk().one(asked({**command, "$db": "$external"}))
    assert isinstance(item, Answered)
    said = wire.body_of(item.to_client)
    assert (said["ok"], said.get("code")) == (ok, code)
    assert isinstance(Talk().one(asked(command, flags=MORE)), Answered)
    assert Talk().one(asked(command, flags=MORE)).to_client == b""


def test_what_is_never_forwarded_is_replaced_even_where_everything_is_allowed() -> None:
    talk = Talk()
    sent = talk.send(asked({"find": "pay", "$db": "secret"}))
    assert b"pay" not in sent
    assert next(iter(wire.body_of(sent))) == "ping"
    said = wire.body_of(talk.hear(wire.message(1, {"ok": 1.0}, response_to=7)))
    assert said["code"] == 13
    assert "opened the database 'app'" in said["errmsg"]
    assert [outcome.executed for outcome in talk.outcomes] == [False]


def test_a_cursor_belongs_to_whoever_opened_it_over_any_connection() -> None:
    cursors = Cursors()
    ann, again, bob = Talk(cursors), Talk(cursors), Talk(cursors, user="bob")
    ann.send(FIND)
    ann.hear(wire.message(1, batch([{"a": 1}], 42), response_to=7))
    more = asked({"getMore": Int64(42), "collection": "o"})
    assert again.send(more) == more
    again.hear(wire.message(1, batch([{"a": 2}], 42, "nextBatch"), response_to=7))
    assert next(iter(wire.body_of(bob.send(more)))) == "ping"
    kill = asked({"killCursors": "o", "cursors": [Int64(42)]})
    assert next(iter(wire.body_of(bob.send(kill)))) == "ping"
    again.send(more)
    again.hear(wire.message(1, batch([], 0, "nextBatch"), response_to=7))
    assert next(iter(wire.body_of(ann.send(more)))) == "ping", "it was read to its end"


def test_asking_on_is_asking_for_what_the_cursor_was_opened_with() -> None:
    talk = Talk()
    joined = {"from": "pay", "localField": "a", "foreignField": "b", "as": "c"}
    talk.send(asked({"aggregate": "o", "pipeline": [{"$lookup": joined}], "cursor": {}}))
    talk.hear(wire.message(1, batch([], 42), response_to=7))
    item = talk.one(asked({"getMore": Int64(42), "collection": "o"}))
    (found,) = MONGODB.classify(item.statements[0])
    assert {effect.object.name for effect in found.effects if effect.object} == {"o", "pay"}
    assert found.complete
    (lost,) = MONGODB.classify(talk.one(asked({"getMore": Int64(43), "collection": "o"})).statements[0])
    assert (lost.complete, lost.unknown_reason) == (False, "cursor_not_known")


PEOPLE: list[dict[str, Any]] = [
    {"_id": 1, "ssn": "123-45-6789", "a": {"pin": 4711, "x": 1}, "l": [{"pin": "0815-0815"}, 3]},
    {"_id": 2, "ssn": None, "a": 7},
]
MASKS = Obligations(
    masks=(
        Mask("app", "o", "ssn", Conceal.PARTIAL),
        Mask("app", "o", "a.pin", Conceal.FULL),
        Mask("app", "o", "l.pin", Conceal.HASH),
        Mask("app", "other", "_id", Conceal.NULL),
    )
)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_masked_fields_are_shown_so_in_each_batch_however_it_is_cut(data: st.DataObject) -> None:
    talk = Talk()
    talk.send(FIND, MASKS)
    answer = wire.message(1, batch(PEOPLE, 42), response_to=7)
    places = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=6)))
    out = b"".join(talk.hear(answer[a:b]) for a, b in zip([0, *places], [*places, len(answer)], strict=True))
    found = wire.body_of(out)["cursor"]
    assert found["id"] == 42
    first, second = found["firstBatch"]
    assert first["ssn"] == "****6789"
    assert first["a"] == {"pin": 0, "x": 1}
    assert first["l"][1] == 3
    assert "0815" not in first["l"][0]["pin"]
    assert len(first["l"][0]["pin"]) == 64
    assert second == {"_id": 2, "ssn": None, "a": 7}
    talk.send(asked({"getMore": Int64(42), "collection": "o"}), MASKS)
    out = talk.hear(wire.message(1, batch(PEOPLE, 0, "nextBatch"), response_to=7))
    assert wire.body_of(out)["cursor"]["nextBatch"][0]["ssn"] == "****6789"


def test_a_cursor_that_was_opened_under_other_masks_is_not_asked_on() -> None:
    talk = Talk()
    talk.send(FIND)
    talk.hear(wire.message(1, batch([], 42), response_to=7))
    assert talk.unable(asked({"getMore": Int64(42), "collection": "o"}), MASKS) == "obligations_changed"


SHOWN: list[dict[str, Any]] = [
    {"find": "o", "filter": {"b": 1}, "sort": {"c": 1}, "projection": {"ssn": 1}},
    {"find": "o", "filter": {"a.x": 1}, "projection": {"a": 1}},
    {"find": "o", "projection": {"ssn": 0}},
    {"find": "other", "filter": {"ssn": 1}},
    {"aggregate": "o", "pipeline": [{"$match": {"b": 1}}, {"$project": {"ssn": 1, "a": {"pin": 1}}}]},
    {"aggregate": "o", "pipeline": [{"$group": {"_id": "$b", "n": {"$sum": 1}}}, {"$sort": {"n": 1}}]},
    {"count": "o", "query": {"b": 1}},
    {"insert": "o", "documents": [{"ssn": "1"}]},
    {"update": "o", "updates": [{"q": {"b": 1}, "u": {"$set": {"b": 2}}}]},
    {"findAndModify": "o", "query": {"b": 1}, "update": {"$inc": {"b": 1}}},
]
INFERRED: list[dict[str, Any]] = [
    {"find": "o", "filter": {"ssn": {"$gt": "1"}}},
    {"find": "o", "filter": {"$or": [{"b": 1}, {"ssn": "1"}]}},
    {"find": "o", "filter": {"a": {"pin": 4711}}},
    {"find": "o", "filter": {"l.0.pin": 1}},
    {"find": "o", "filter": {"l": {"$elemMatch": {"pin": 1}}}},
    {"find": "o", "filter": {"$expr": {"$eq": ["$ssn", "1"]}}},
    {"find": "o", "filter": {"$expr": {"$eq": [{"$getField": "ssn"}, "1"]}}},
    {"find": "o", "filter": {"$expr": {"$eq": [{"$getField": {"$concat": ["s", "sn"]}}, "1"]}}},
    {"find": "o", "filter": {"$where": "this.ssn > 1"}},
    {"find": "o", "filter": {"$text": {"$search": "1"}}},
    {"find": "o", "filter": {"$jsonSchema": {"properties": {"ssn": {"pattern": "^1"}}}}},
    {"find": "o", "sort": {"ssn": 1}},
    {"find": "o", "min": {"ssn": 1}, "hint": "ssn_1"},
    {"find": "o", "returnKey": True},
    {"find": "o", "projection": {"x": "$ssn"}},
    {"find": "o", "projection": {"x": "$$ROOT"}},
    {"find": "o", "projection": {"x": "$a"}},
    {"find": "o", "projection": {"x": {"y": "$ssn"}}},
    {"find": "o", "projection": {"l": {"$elemMatch": {"pin": 1}}}},
    {"aggregate": "o", "pipeline": [{"$project": {"x": "$ssn"}}]},
    {"aggregate": "o", "pipeline": [{"$addFields": {"x": "$a.pin"}}]},
    {"aggregate": "o", "pipeline": [{"$group": {"_id": "$ssn"}}]},
    {"aggregate": "o", "pipeline": [{"$group": {"_id": 1, "all": {"$push": "$$ROOT"}}}]},
    {"aggregate": "o", "pipeline": [{"$group": {"_id": 1, "all": {"$push": "$$CURRENT"}}}]},
    {"aggregate": "o", "pipeline": [{"$replaceRoot": {"newRoot": "$a"}}]},
    {"aggregate": "o", "pipeline": [{"$unwind": "$l"}, {"$sortByCount": "$l"}]},
    {"aggregate": "o", "pipeline": [{"$facet": {"x": []}}]},
    {"aggregate": "o", "pipeline": [{"$out": "copy"}]},
    {"aggregate": "copy", "pipeline": [{"$unionWith": "o"}]},
    {"aggregate": "copy", "pipeline": [{"$lookup": {"from": "o", "as": "x", "pipeline": []}}]},
    {"aggregate": "o", "pipeline": [{"$sort": {"ssn": 1}}]},
    {"distinct": "o", "key": "ssn"},
    {"distinct": "o", "key": "l.pin"},
    {"count": "o", "query": {"ssn": "1"}},
    {"update": "o", "updates": [{"q": {"ssn": "1"}, "u": {"$set": {"b": 2}}}]},
    {"update": "o", "updates": [{"q": {}, "u": {"$rename": {"ssn": "x"}}}]},
    {"update": "o", "updates": [{"q": {}, "u": [{"$set": {"x": "$ssn"}}]}]},
    {"update": "o", "updates": [{"q": {}, "u": {"$max": {"ssn": "5"}}}]},
    {"update": "o", "updates": [{"q": {}, "u": {"$pull": {"l": {"pin": 1}}}}]},
    {"delete": "o", "deletes": [{"q": {"ssn": "1"}, "limit": 1}]},
    {"findAndModify": "o", "sort": {"ssn": 1}, "remove": True},
    {"mapReduce": "o", "map": "x", "reduce": "y", "out": {"inline": 1}},
    {"find": "system.buckets.o"},
    {"find": "system.profile"},
    {"find": "oplog.rs", "$db": "local"},
    {"find": "system.preimages", "$db": "config"},
    {"aggregate": 1, "pipeline": [{"$currentOp": {}}], "$db": "admin"},
    {"aggregate": "o", "pipeline": [{"$project": {"x": {"$slice": [["$ssn"], 1]}}}]},
    {"find": "o", "projection": {"x": {"$slice": ["$l", 1]}}},
    {"find": "o", "projection": {"x": {"$meta": "indexKey"}}},
    {"find": "o", "hint": {"ssn": 1}},
    {"find": "o", "hint": "ssn_1"},
    {"delete": "o", "deletes": [{"q": {}, "limit": 1, "hint": {"ssn": 1}}]},
    {
        "aggregate": "o",
        "pipeline": [{"$group": {"_id": 1, "x": {"$topN": {"n": 9, "output": "$b", "sortBy": {"ssn": 1}}}}}],
    },
    {"update": "o", "updates": [{"q": {}, "u": {"$set": {"b": 1}}, "sort": {"ssn": 1}}]},
    {"dataSize": "app.o", "keyPattern": {"ssn": 1}, "min": {"ssn": "1"}, "max": {"ssn": "2"}},
    {"splitVector": "app.o", "keyPattern": {"ssn": 1}},
    {"aggregate": "o", "pipeline": [{}]},
    {"aggregate": 1, "pipeline": [{"$changeStream": {}}]},
    {"aggregate": "o", "pipeline": [{"$changeStream": {}}]},
    {"aggregate": 1, "pipeline": [{"$changeStream": {"allChangesForCluster": True}}], "$db": "admin"},
    {"explain": {"find": "o", "filter": {"ssn": "1"}}},
    {"create": "v", "viewOn": "o", "pipeline": []},
    {"renameCollection": "app.o", "to": "app.p", "$db": "admin"},
    {"createIndexes": "o", "indexes": [{"key": {"ssn": 1}, "name": "x", "unique": True}]},
]


@pytest.mark.parametrize("command", SHOWN, ids=lambda value: str(value)[:70])
def test_what_only_shows_a_masked_field_can_be_done(command: dict[str, Any]) -> None:
    assert Talk().unable(asked(command), MASKS) == ""


@pytest.mark.parametrize("command", INFERRED, ids=lambda value: str(value)[:70])
def test_what_would_tell_a_masked_field_is_refused(command: dict[str, Any]) -> None:
    assert Talk().unable(asked(command), MASKS) == "mask_refused"


def test_errors_do_not_quote_what_is_concealed() -> None:
    talk = Talk()
    talk.send(asked({"update": "o", "updates": [{"q": {"b": 1}, "u": {"$set": {"b": 2}}}]}), MASKS)
    words = "E11000 dup key: { ssn: '123-45-6789' }"
    error = {"index": 0, "code": 11000, "errmsg": words, "keyValue": {"ssn": "123-45-6789"}}
    said = talk.hear(wire.message(1, {"n": 0, "writeErrors": [error], "ok": 1.0}, response_to=7))
    assert b"6789" not in said
    assert wire.body_of(said)["writeErrors"][0]["code"] == 11000
    talk.send(FIND, MASKS)
    said = talk.hear(wire.message(1, {"ok": 0.0, "errmsg": words, "code": 2}, response_to=7))
    assert b"6789" not in said
    assert talk.outcomes[-1].error_code == "2"


def test_no_more_documents_are_shown_than_the_bound() -> None:
    talk, bound = Talk(), Obligations(max_rows=3)
    talk.send(FIND, bound)
    out = talk.hear(wire.message(1, batch([{"a": 1}, {"a": 2}], 42), response_to=7))
    assert wire.body_of(out)["cursor"]["id"] == 42
    talk.send(asked({"getMore": Int64(42), "collection": "o"}), bound)
    out = talk.hear(wire.message(1, batch([{"a": 3}, {"a": 4}], 42, "nextBatch"), response_to=7))
    found = wire.body_of(out)["cursor"]
    assert (found["nextBatch"], found["id"]) == ([{"a": 3}], 0)
    assert [outcome.rows for outcome in talk.outcomes] == [2, 1]
    sent = talk.send(FIND)
    assert sent.startswith(FIND)
    killed = wire.body_of(sent[len(FIND) :])
    assert (killed["killCursors"], killed["cursors"]) == ("o", [42])
    talk.send(asked({"distinct": "o", "key": "a"}, number=8), bound)


def test_a_bound_holds_for_values_too() -> None:
    talk = Talk()
    talk.send(asked({"distinct": "o", "key": "a"}), Obligations(max_rows=2))
    out = talk.hear(wire.message(1, {"values": [1, 2, 3], "ok": 1.0}, response_to=7))
    assert wire.body_of(out)["values"] == [1, 2]


def test_the_server_gets_the_time_that_is_left() -> None:
    limit = Obligations(timeout_ms=500)
    assert wire.body_of(Talk().send(FIND, limit))["maxTimeMS"] == 500
    assert wire.body_of(Talk().send(asked({"find": "o", "maxTimeMS": 100}), limit))["maxTimeMS"] == 100
    assert wire.body_of(Talk().send(asked({"find": "o", "maxTimeMS": 0}), limit))["maxTimeMS"] == 500
    listed = Talk().send(asked({"insert": "o"}, documents=[{"a": 1}]), limit)
    (message,) = messages.Reader().feed(listed)
    assert isinstance(message, messages.Message)
    assert message.sequences[0][0] == "documents"


@pytest.mark.parametrize("flags", [CHECKSUM, MORE, 1 << 5], ids=["checksum", "more to come", "unknown"])
def test_a_server_that_sets_flags_ends_the_session(flags: int) -> None:
    talk = Talk()
    talk.send(FIND)
    with pytest.raises(ProtocolError, match="flags"):
        talk.hear(wire.message(1, {"ok": 1.0}, response_to=7, flags=flags))


WHOLE = asked({"update": "o", "ordered": True}, updates=[{"q": {"a": 1}, "u": {"$set": {"b": 1}}}])


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_message_with_any_bytes_changed_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    changed = bytearray(WHOLE)
    for place, value in changes:
        changed[place] = value
    talk = Talk()
    try:
        for item in talk.machine.from_client(bytes(changed)):
            if isinstance(item, Request):
                facts = MONGODB.classify(item.statements[0])
                talk.machine.admit(item, facts)
    except ProtocolError:
        pass


def test_messages_mean_the_same_at_every_cut() -> None:
    data = FIND + WHOLE + asked({"ping": 1, "$db": "admin"}, number=9)
    whole = [item.raw for item in Talk().machine.from_client(data)]
    for cut in range(len(data)):
        machine = Talk().machine
        found = [item.raw for part in (data[:cut], data[cut:]) for item in machine.from_client(part)]
        assert found == whole


def session(number: int, **more: Any) -> dict[str, Any]:
    return {"lsid": {"id": Binary(number.to_bytes(16, "big"), 4), **more}}


def is_forwarded(talk: Talk, command: Mapping[str, Any]) -> bool:
    """True when *command* goes on; what does not is a ping, and refused although it was allowed."""
    return b"ping" not in talk.send(asked(command))


def test_a_session_belongs_to_whoever_used_it_first() -> None:
    sessions, kept = Sessions(), session(1)
    ann, again, bob = (Talk(user=user, sessions=sessions) for user in ("ann", "ann", "bob"))
    begin = {"find": "o", **kept, "txnNumber": Int64(1), "autocommit": False, "startTransaction": True}
    assert is_forwarded(ann, begin)
    assert is_forwarded(again, {"find": "o", **kept})
    for command in (
        {"find": "o"}, {"insert": "o", "documents": [{"a": 1}]}, {"ping2": 1},
        {"commitTransaction": 1, "txnNumber": Int64(1), "autocommit": False, "$db": "admin"},
        {"abortTransaction": 1, "txnNumber": Int64(1), "autocommit": False, "$db": "admin"},
    ):  # fmt: skip
        assert not is_forwarded(bob, {**command, **kept})
    talk = Talk(user="bob", sessions=sessions)
    item = talk.one(asked({"find": "o", **kept}))
    (facts,) = MONGODB.classify(item.statements[0])
    assert (facts.complete, facts.unknown_reason) == (False, "session_not_known")
    talk.machine.admit(item, (facts,))
    said = wire.body_of(talk.hear(wire.message(1, {"ok": 1.0}, response_to=7)))
    assert (said["code"], "none of yours" in said["errmsg"]) == (13, True)


def test_a_refusal_ends_nobody_elses_transaction() -> None:
    sessions = Sessions()
    inside = {"find": "o", **session(1), "txnNumber": Int64(1), "autocommit": False}
    ann, bob = (Talk(user=user, sessions=sessions) for user in ("ann", "bob"))
    assert is_forwarded(ann, {**inside, "startTransaction": True})
    to_backend, to_client = bob.refuse(asked(inside))
    assert to_backend == b""
    assert wire.body_of(to_client)["code"] == 13
    to_backend, _ = ann.refuse(asked(inside))
    assert wire.body_of(to_backend)["abortTransaction"] == 1, "one's own ends"


@pytest.mark.parametrize(
    "lsid",
    [
        {"id": Binary(b"x" * 16, 4), "uid": b"u" * 32}, {"id": Binary(b"x" * 16, 4), "txnNumber": Int64(1)},
        {"id": Binary(b"x" * 16, 0)}, {"id": 1}, {}, "x",
    ],
)  # fmt: skip
def test_a_session_that_names_more_than_an_id_is_nobodys(lsid: Any) -> None:
    assert not is_forwarded(Talk(), {"find": "o", "lsid": lsid})
    assert is_forwarded(Talk(), {"find": "o", "filter": {"lsid": lsid}}), (
        "a field of a document may be called so"
    )


def test_only_own_sessions_are_kept_alive() -> None:
    sessions = Sessions()
    assert is_forwarded(Talk(sessions=sessions), {"find": "o", **session(1)})
    named = [session(number)["lsid"] for number in (1, 2)]
    assert is_forwarded(Talk(sessions=sessions), {"refreshSessions": named})
    assert not is_forwarded(Talk(user="bob", sessions=sessions), {"refreshSessions": named})
    assert not is_forwarded(Talk(), {"refreshSessions": 1})


def test_no_more_sessions_are_looked_at_than_drivers_name_at_once() -> None:
    listed = [session(number)["lsid"] for number in range(MOST_LISTED + 1)]
    sessions = Sessions()
    assert not is_forwarded(Talk(sessions=sessions), {"refreshSessions": listed})
    assert is_forwarded(Talk(user="bob", sessions=sessions), {"find": "o", **session(0)}), "none was taken"
    assert is_forwarded(Talk(), {"refreshSessions": listed[1:]})
    padded = [{"id": Binary(bytes(16), 4), "x": b"y" * MAX_READ}]
    assert not is_forwarded(Talk(), {"refreshSessions": padded})
    wide = {"find": "o", **{f"f{number}": 1 for number in range(MAX_FIELDS)}, **session(1)}
    sessions = Sessions()
    assert not is_forwarded(Talk(sessions=sessions), wide)
    assert is_forwarded(Talk(user="bob", sessions=sessions), {"find": "o", **session(1)})


def test_the_session_that_was_used_longest_ago_is_forgotten() -> None:
    sessions = Sessions(most=2)
    for number in (1, 2, 1, 3):
        assert is_forwarded(Talk(sessions=sessions), {"find": "o", **session(number)})
    bob = Talk(user="bob", sessions=sessions)
    assert not is_forwarded(bob, {"find": "o", **session(1)})
    assert is_forwarded(bob, {"find": "o", **session(2)})


def test_nobody_makes_a_session_of_somebody_else_be_forgotten() -> None:
    sessions = Sessions(most=10, most_each=3)
    ann, bob = (Talk(user=user, sessions=sessions) for user in ("ann", "bob"))
    assert is_forwarded(ann, {"find": "o", **session(1)})
    for number in range(2, 30):
        assert is_forwarded(bob, {"find": "o", **session(number)})
    assert not is_forwarded(bob, {"find": "o", **session(1)})
    assert not is_forwarded(ann, {"find": "o", **session(29)}), "the last three are bob's"
    assert is_forwarded(ann, {"find": "o", **session(26)}), "those before are forgotten"


def test_no_more_bytes_wait_for_their_answers_than_a_bound() -> None:
    talk, held = Talk(), 0
    big = asked({"insert": "o"}, documents=[{"x": b"y" * 4_000_000}])
    for _ in range(30):
        found = list(talk.machine.from_client(big))
        if isinstance(found[0], Settle):
            break
        talk.machine.admit(found[0], ())  # type: ignore[arg-type]
        held += len(big)
    assert 40_000_000 < held <= 64 << 20
    assert not talk.machine.is_settled()
    for _ in range(held // len(big)):
        talk.hear(wire.message(1, {"n": 1, "ok": 1.0}, response_to=7))
    assert talk.machine.is_settled()
    (_, waiting) = found
    talk.machine.refuse(waiting, (), DENIAL)  # type: ignore[arg-type]
    (item,) = talk.machine.from_client(big)
    assert isinstance(item, Request)
