# ruff: noqa: SIM905 - lists of words read best as words
"""What commands are taken for: effects, code, doubts, and what is never forwarded."""

import random
import re
import time
from typing import Any

import bson
import pytest
from bson.code import Code
from bson.dbref import DBRef
from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument

from gateway.errors import ProtocolError
from gateway.model.classification import Classification
from gateway.model.statement import NameContext, Statement
from gateway.protocols.mongodb import commands, documents, table
from gateway.protocols.mongodb.commands import classify
from gateway.protocols.mongodb.fields import Fields, query


def arguments(command: dict[str, Any], **lists: list[dict[str, Any]]) -> tuple[bytes, ...]:
    name = next(iter(command))
    held = [key.encode() + b"\0" + b"".join(map(bson.encode, each)) for key, each in lists.items()]
    return (name.encode(), bson.encode({"$db": "app", **command} if name == "" else command), *held)


def facts(command: dict[str, Any], opened: str = "", **lists: list[dict[str, Any]]) -> Classification:
    full = {**command, "$db": command.get("$db", "app")}
    made = Statement("", "mongodb", NameContext(opened, "alice"), arguments=arguments(full, **lists))
    (found,) = classify(made)
    return found


def effects(found: Classification) -> set[str]:
    """``operation kind schema.name`` of each."""
    return {
        effect.operation
        + (
            ""
            if effect.object is None
            else f" {effect.object.kind} {effect.object.schema}.{effect.object.name}"
        )
        for effect in found.effects
    }


ORDERS = "collection app.orders"
PAY = "collection app.pay"
UNDERSTOOD: list[tuple[dict[str, Any], set[str]]] = [
    ({"find": "orders", "filter": {"a": 1}}, {f"select {ORDERS}"}),
    ({"find": "orders", "filter": {"a": "$out", "b": {"$gt": {"$date": 1}}}}, {f"select {ORDERS}"}),
    ({"find": "orders", "projection": {"x": {"$sortArray": {"input": "$a", "sortBy": 1}}}},
     {f"select {ORDERS}"}),
    ({"aggregate": "o", "pipeline": [{"$geoNear": {"near": {"type": "Point", "coordinates": [1, 2]},
        "distanceField": "d.x"}}, {"$bucket": {"groupBy": "$a", "boundaries": [0, 1], "default": "x"}}]},
     {"select collection app.o"}),
    ({"count": "orders", "query": {}}, {f"select {ORDERS}"}),
    ({"distinct": "orders", "key": "a"}, {f"select {ORDERS}"}),
    ({"insert": "orders", "documents": [{"a": 1}]}, {f"insert {ORDERS}"}),
    ({"update": "orders", "updates": [{"q": {}, "u": {"$set": {"a": 1}}}]}, {f"update {ORDERS}"}),
    (
        {"update": "orders", "updates": [{"q": {"b": 1}, "u": {"$set": {"a": 1}}, "upsert": True}]},
        {f"update {ORDERS}", f"insert {ORDERS}", f"select {ORDERS}"},
    ),
    ({"delete": "orders", "deletes": [{"q": {}, "limit": 0}]}, {f"delete {ORDERS}"}),
    ({"findAndModify": "orders", "remove": True}, {f"delete {ORDERS}", f"select {ORDERS}"}),
    ({"findandmodify": "orders", "update": {"a": 1}}, {f"update {ORDERS}", f"select {ORDERS}"}),
    (
        {"aggregate": "orders", "pipeline": [{"$facet": {"a": [{"$unionWith": "pay"}]}}], "cursor": {}},
        {f"select {ORDERS}", f"select {PAY}"},
    ),
    (
        {"aggregate": "orders", "pipeline": [{"$lookup": {"from": "a", "as": "x", "pipeline": [
            {"$lookup": {"from": "pay", "localField": "b", "foreignField": "c", "as": "y"}}]}}]},
        {f"select {ORDERS}", "select collection app.a", f"select {PAY}"},
    ),
    (
        {"aggregate": "orders", "pipeline": [{"$graphLookup": {
            "from": "pay", "startWith": "$a", "connectFromField": "a", "connectToField": "b", "as": "c"}}]},
        {f"select {ORDERS}", f"select {PAY}"},
    ),
    (
        {"aggregate": "orders", "pipeline": [{"$match": {}}, {"$out": "pay"}]},
        {f"select {ORDERS}", f"truncate {PAY}", f"insert {PAY}"},
    ),
    (
        {"aggregate": "orders", "pipeline": [{"$merge": {"into": {"db": "other", "coll": "t"}}}]},
        {f"select {ORDERS}", "insert collection other.t", "update collection other.t"},
    ),
    ({"aggregate": 1, "pipeline": [{"$documents": [{"a": 1}]}]}, {"select"}),
    ({"aggregate": 1, "pipeline": [{"$changeStream": {}}]}, {"select database .app"}),
    ({"aggregate": "orders", "pipeline": [{"$changeStream": {}}]}, {f"select {ORDERS}"}),
    ({"create": "v", "viewOn": "pay", "pipeline": []}, {"create collection app.v", f"select {PAY}"}),
    ({"collMod": "v", "viewOn": "pay", "pipeline": []}, {"alter collection app.v", f"select {PAY}"}),
    (
        {"renameCollection": "app.a", "to": "other.b", "dropTarget": True, "$db": "admin"},
        {"alter collection app.a", "create collection other.b", "drop collection other.b"},
    ),
    (
        {"bulkWrite": 1, "ops": [{"insert": 0, "document": {}}, {"delete": 1, "filter": {}}],
         "nsInfo": [{"ns": "app.orders"}, {"ns": "secret.pay"}], "$db": "admin"},
        {f"insert {ORDERS}", "delete collection secret.pay"},
    ),
    (
        {"explain": {"aggregate": "orders", "pipeline": [{"$out": "pay"}], "cursor": {}}},
        {"explain", f"select {ORDERS}", f"insert {PAY}", f"truncate {PAY}"},
    ),
    ({"insert": "system.views", "documents": []}, {"insert system app.system.views"}),
    ({"find": "system.buckets.t"}, {"select system app.system.buckets.t"}),
    ({"drop": "orders"}, {f"drop {ORDERS}"}),
    ({"dataSize": "secret.pay"}, {"show collection secret.pay"}),
    ({"splitVector": "app.orders", "keyPattern": {"a": 1}}, {f"administer {ORDERS}"}),
    ({"createIndexes": "orders", "indexes": [{"key": {"a": 1}, "name": "x", "expireAfterSeconds": 0}]},
     {f"alter {ORDERS}", f"delete {ORDERS}"}),
    ({"collMod": "orders", "index": {"name": "x", "expireAfterSeconds": 0}},
     {f"alter {ORDERS}", f"delete {ORDERS}"}),
    ({"dropDatabase": 1}, {"drop database .app"}),
    ({"listDatabases": 1, "$db": "admin"}, {"show server .databases"}),
    ({"createUser": "x", "pwd": "y", "roles": [], "$db": "admin"}, {"grant user .x"}),
    ({"serverStatus": 1, "$db": "admin"}, {"administer command .serverStatus"}),
    ({"ping": 1, "$db": "admin"}, {"set"}),
    ({"commitTransaction": 1, "$db": "admin"}, {"commit"}),
]  # fmt: skip


@pytest.mark.parametrize(("command", "wanted"), UNDERSTOOD, ids=lambda value: str(value)[:60])
def test_each_effect_is_seen(command: dict[str, Any], wanted: set[str]) -> None:
    found = facts(command)
    assert found.complete, found.unknown_reason
    assert effects(found) == wanted


JS = Code("function(){return true}")
CODE: list[dict[str, Any]] = [
    {"find": "orders", "filter": {"$where": "sleep(1)"}},
    {"find": "orders", "filter": {"$where": JS}},
    {"find": "orders", "filter": {"$or": [{"a": 1}, {"$and": [{"$where": "x"}]}]}},
    {"find": "orders", "filter": {"a": {"$elemMatch": {"$where": "x"}}}},
    {"find": "orders", "filter": {"$expr": {"$function": {"body": "x", "args": [], "lang": "js"}}}},
    {"find": "orders", "projection": {"a": {"$function": {"body": "x", "args": [], "lang": "js"}}}},
    {"find": "orders", "projection": {"a": {"b": {"$function": {"body": "x", "args": [], "lang": "js"}}}}},
    {"find": "orders", "projection": {"a": {"$slice": [
        {"$function": {"body": "x", "args": [], "lang": "js"}}, 1]}}},
    {"aggregate": "orders", "pipeline": [{"$project": {"a": {"$slice": [
        {"$function": {"body": "x", "args": [], "lang": "js"}}, 1, 2]}}}]},
    {"findAndModify": "orders", "remove": Decimal128("0"), "update": [{"$set": {"a": {"$function": {
        "body": "x", "args": [], "lang": "js"}}}}]},
    {"find": "orders", "let": {"a": {"$function": {"body": "x", "args": [], "lang": "js"}}}},
    {"aggregate": "orders", "pipeline": [{"$group": {"_id": 1, "a": {"$accumulator": {"init": "x"}}}}]},
    {"aggregate": "orders", "pipeline": [{"$facet": {"a": [{"$match": {"$where": "x"}}]}}]},
    {"aggregate": "orders", "pipeline": [{"$lookup": {"from": "orders", "as": "x", "pipeline": [
        {"$addFields": {"a": {"$cond": [1, {"$function": {"body": "x", "args": [], "lang": "js"}}, 2]}}}]}}]},
    {"aggregate": "orders", "pipeline": [{"$setWindowFields": {"output": {"a": {"$sum": {
        "$function": {"body": "x", "args": [], "lang": "js"}}}}}}]},
    {"aggregate": "o", "pipeline": [{"$redact": {"$function": {"body": "x", "args": [], "lang": "js"}}}]},
    {"aggregate": "orders", "pipeline": [{"$merge": {"into": "orders", "whenMatched": [
        {"$set": {"a": {"$function": {"body": "x", "args": [], "lang": "js"}}}}]}}]},
    {"update": "orders", "updates": [{"q": {"$where": "x"}, "u": {"$set": {"a": 1}}}]},
    {"update": "orders", "updates": [{"q": {}, "u": [{"$set": {"a": {"$function": {
        "body": "x", "args": [], "lang": "js"}}}}]}]},
    {"delete": "orders", "deletes": [{"q": {"$where": "x"}, "limit": 1}]},
    {"findAndModify": "orders", "query": {"$where": "x"}, "remove": True},
    {"count": "orders", "query": {"$where": "x"}},
    {"distinct": "orders", "key": "a", "query": {"$where": "x"}},
    {"explain": {"find": "orders", "filter": {"$where": "x"}}},
    {"mapReduce": "orders", "map": "x", "reduce": "y", "out": {"inline": 1}},
    {"create": "t", "validator": {"$expr": {"$function": {"body": "x", "args": [], "lang": "js"}}}},
    {"createIndexes": "t", "indexes": [{"key": {"a": 1}, "partialFilterExpression": {"$where": "x"}}]},
    {"listCollections": 1, "filter": {"$where": "x"}},
]  # fmt: skip


@pytest.mark.parametrize("command", CODE, ids=lambda value: str(value)[:70])
def test_code_is_a_function_that_must_be_granted(command: dict[str, Any]) -> None:
    found = facts(command)
    named = [each for each in found.functions if not each.builtin]
    assert named or not found.complete


UNCLEAR: list[tuple[dict[str, Any], str]] = [
    ({"find": "orders", "filter": {"a": {"$nosuch": 1}}}, "unknown_operator"),
    ({"find": "orders", "filter": {"$nosuch": 1}}, "unknown_operator"),
    ({"find": "orders", "filter": {"$expr": {"$nosuch": "$a"}}}, "unknown_operator"),
    ({"find": "orders", "filter": {"$expr": DBRef("a", 1, x={"$function": 1})}}, "unknown_operator"),
    ({"find": "orders", "nosuch": 1}, "unknown_field"),
    ({"find": "orders", "$audit": {}}, "unknown_field"),
    ({"find": bson.Binary(bytes(16), 4)}, "no_collection_name"),
    ({"find": "orders", "$db": Code("app")}, "no_database_name"),
    ({"find": Code("orders")}, "no_collection_name"),
    ({"drop": Code("orders")}, "no_collection_name"),
    ({"find": "orders", "filter": {"$expr": Code("x")}}, "unknown_operator"),
    ({"find": ""}, "strange_name"),
    ({"find": "a$b"}, "strange_name"),
    ({"find": "$cmd"}, "strange_name"),
    ({"find": "orders", "$db": "a.b"}, "strange_name"),
    ({"find": "orders", "$db": ""}, "strange_name"),
    ({"find": "orders", "$db": 1}, "no_database_name"),
    ({"aggregate": "orders", "pipeline": [{"$nosuch": {}}]}, "unknown_stage"),
    ({"aggregate": "orders", "pipeline": [{"$match": {}, "$out": "x"}]}, "stage_not_clear"),
    ({"aggregate": "orders", "pipeline": [{"$facet": {"a": [{"$out": "x"}]}}]}, "stage_not_clear"),
    ({"aggregate": "orders", "pipeline": {"0": {"$out": "x"}}}, "not_a_list"),
    ({"aggregate": "orders", "pipeline": [{"$lookup": {"from": {"db": "x", "coll": "y"}, "as": "z"}}]},
     "other_database"),
    ({"aggregate": "orders", "pipeline": [{"$lookup": {"from": "y", "as": "z", "new": 1}}]}, "unknown_field"),
    ({"aggregate": "orders", "pipeline": [{"$lookup": {"as": "z", "pipeline": [{"$match": {}}]}}]},
     "stage_not_clear"),
    ({"Find": "orders"}, "unknown_command"),
    ({"eval": "db.orders.drop()"}, "script"),
    ({"applyOps": [{"op": "i", "ns": "app.orders", "o": {}}]}, "script"),
    ({"copydb": 1, "fromhost": "h", "fromdb": "a", "todb": "b"}, "script"),
    ({"explain": {"eval": "x"}}, "unknown_command"),
    ({"explain": {"find": "pay", "$db": "secret"}}, "other_database"),
    ({"bulkWrite": 1, "ops": [{"insert": 3, "document": {}}], "nsInfo": [{"ns": "a.b"}]}, "no_namespace"),
    ({"bulkWrite": 1, "ops": [{"drop": 0}], "nsInfo": [{"ns": "a.b"}]}, "unknown_operation"),
    ({"update": "orders", "updates": []}, "nothing_asked"),
    ({"update": "orders", "updates": [{"q": {}, "u": {"$nosuch": {"a": 1}}}]}, "unknown_operator"),
    ({"mapReduce": "orders", "map": "x", "reduce": "y", "out": {"nosuch": "z"}}, "output_not_clear"),
    ({"saslStart": 1}, "not_offered"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "reason"), UNCLEAR, ids=lambda value: str(value)[:60])
def test_what_is_not_understood_is_not_complete(command: dict[str, Any], reason: str) -> None:
    found = facts(command)
    assert not found.complete
    assert found.unknown_reason == reason
    assert found.cls == "unknown"


def raw(*pairs: tuple[str, Any]) -> bytes:
    held = b"".join(bson.encode({key: value})[4:-1] for key, value in pairs)
    return (len(held) + 5).to_bytes(4, "little") + held + b"\0"


@pytest.mark.parametrize(
    "body",
    [
        raw(("find", "orders"), ("$db", "app"), ("$db", "secret")),
        raw(("find", "orders"), ("find", "pay"), ("$db", "app")),
        raw(
            ("find", "orders"),
            ("filter", RawBSONDocument(raw(("a", 1), ("a", 2)))),
            ("$db", "app"),
        ),
        raw(("find", "orders"), ("$db", "app"))[:-1] + b"\x06x\0\0",
        raw(("find", "orders"), ("lsid", 1), ("lsid", 2), ("$db", "app")),
    ],
)
def test_what_two_readers_could_see_differently_is_never_forwarded(body: bytes) -> None:
    body = len(body).to_bytes(4, "little") + body[4:]
    (found,) = classify(Statement("", "mongodb", NameContext("", "alice"), arguments=(b"find", body)))
    assert not found.complete
    assert "orders" not in found.redacted
    assert commands.against((b"find", body), "")


def test_a_list_beside_the_body_counts_and_may_not_stand_in_it_too() -> None:
    found = facts({"delete": "orders"}, deletes=[{"q": {"a": 1}, "limit": 1}])
    assert effects(found) == {f"delete {ORDERS}", f"select {ORDERS}"}
    both = facts({"delete": "orders", "deletes": []}, deletes=[{"q": {}, "limit": 1}])
    assert both.unknown_reason == "ambiguous_document"
    assert facts({"insert": "orders", "documents": []}, documents=[{}]).unknown_reason == "ambiguous_document"
    assert facts({"find": "orders"}, pipeline=[{}]).unknown_reason == "unknown_field"


@pytest.mark.parametrize(
    "command",
    [
        {"find": "pay", "$db": "secret"},
        {"aggregate": "orders", "pipeline": [{"$out": {"db": "secret", "coll": "x"}}]},
        {"aggregate": "orders", "pipeline": [{"$new": 1}, {"$unionWith": {"db": "secret", "coll": "x"}}]},
        {
            "bulkWrite": 1,
            "ops": [{"insert": 0, "document": {}}],
            "nsInfo": [{"ns": "secret.x"}],
            "$db": "admin",
        },
        {"renameCollection": "app.a", "to": "secret.b", "$db": "admin"},
        {"mapReduce": "a", "map": "", "reduce": "", "out": {"replace": "b", "db": "secret"}},
        {"shutdown": 1, "$db": "admin"},
        {"dataSize": "secret.pay", "keyPattern": {"a": 1}, "min": {"a": 1}, "max": {"a": 2}},
        {"find": "x", "$db": "a|b"},
        {"grantRolesToUser": "CN=alice", "roles": [], "$db": "$external"},
        {"createUser": "x", "pwd": "y", "roles": [{"role": "readWrite", "db": "secret"}]},
        {"usersInfo": {"forAllDBs": True}},
        {"usersInfo": [{"user": "x", "db": "secret"}]},
        {
            "aggregate": "o",
            "pipeline": [{"$match": {"$expr": {"$new": 1}}}, {"$out": {"db": "secret", "coll": "x"}}],
        },
        {
            "bulkWrite": 1,
            "ops": [{"delete": 0, "filter": {"$expr": {"$new": 1}}}, {"insert": 1, "document": {}}],
            "nsInfo": [{"ns": "app.x"}, {"ns": "secret.x"}],
            "$db": "admin",
        },
        {"mapReduce": "a", "query": {"$expr": {"$new": 1}}, "out": {"replace": "b", "db": "secret"}},
        {"createUser": "x", "pwd": "y", "roles": [], "$db": "admin"},
        {"eval": "1"},
        {"nosuch": 1},
    ],
)
def test_a_session_of_one_database_never_reaches_another(command: dict[str, Any]) -> None:
    full = {**command, "$db": command.get("$db", "app")}
    assert commands.against(arguments(full), "app")


@pytest.mark.parametrize(
    "command",
    [
        {"find": "pay"}, {"ping": 1, "$db": "admin"}, {"listDatabases": 1, "$db": "admin"},
        {"renameCollection": "app.a", "to": "app.b", "$db": "admin"}, {"endSessions": [], "$db": "admin"},
        {"bulkWrite": 1, "ops": [{"insert": 0, "document": {}}], "nsInfo": [{"ns": "app.x"}], "$db": "admin"},
        {"commitTransaction": 1, "$db": "admin"}, {"find": "x", "filter": {"$expr": {"$new": 1}}},
    ],
)  # fmt: skip
def test_what_stays_in_the_database_is_for_the_policy(command: dict[str, Any]) -> None:
    full = {**command, "$db": command.get("$db", "app")}
    if next(iter(command)) == "endSessions":
        assert commands.against(arguments(full), "app"), "the gateway answers it"
        return
    assert commands.against(arguments(full), "app") == ""


def test_columns_are_the_fields_that_are_looked_at() -> None:
    def columns(command: dict[str, Any]) -> set[str]:
        return {each for effect in facts(command).effects for each in effect.columns}

    shown = {"find": "o", "filter": {"a.b": 1, "$or": [{"c": 2}]}, "projection": {"d": 1, "_id": 0}}
    assert columns(shown) == {"a", "c", "d"}
    assert columns({"find": "o", "filter": {"a": 1}}) == {"a", "*"}
    assert columns({"find": "o", "projection": {"a": 0}}) == {"*"}
    assert columns({"find": "o", "projection": {"x": "$ssn", "_id": 0}}) == {"ssn"}
    assert columns({"find": "o", "projection": {"x": "$$ROOT"}}) >= {"*"}
    assert columns({"find": "o", "projection": {"x": Decimal128("0")}}) == {"x", "*"}
    assert columns({"find": "o", "projection": {"x": {"$meta": "recordId"}}}) == {"*"}
    assert columns({"update": "o", "updates": [{"q": {}, "u": [{"$unset": "ssn"}]}]}) == {"ssn"}
    assert columns({"update": "o", "updates": [{"q": {}, "u": [{"$replaceWith": {"a": 1}}]}]}) == {"*"}
    first = {"$top": {"output": "$a", "sortBy": {"b": 1}}}
    assert columns({"aggregate": "o", "pipeline": [{"$group": {"_id": 1, "x": first}}]}) == {"a", "b"}
    grouped = {
        "aggregate": "o",
        "pipeline": [{"$match": {"a": 1}}, {"$group": {"_id": "$b", "n": {"$sum": "$c.d"}}}],
    }
    assert columns(grouped) == {"a", "b", "c"}
    assert columns({"aggregate": "o", "pipeline": [{"$sort": {"a": 1}}]}) == {"a", "*"}


def test_conditions_and_limits_are_told() -> None:
    (found,) = facts({"find": "o", "filter": {"a": 1}, "limit": 3}).effects
    assert (found.has_where, found.limit) == (True, 3)
    (found,) = facts({"find": "o", "filter": {"$expr": True}}).effects
    assert not found.has_where
    assert not facts({"delete": "o", "deletes": [{"q": {}, "limit": 0}]}).effects[0].has_where


CANARY = "Canary-4711!"


@pytest.mark.parametrize(
    "command",
    [
        {"createUser": "x", "pwd": CANARY, "roles": []},
        {"updateUser": "x", "pwd": CANARY},
        {"saslStart": 1, "mechanism": "PLAIN", "payload": CANARY.encode()},
        {"authenticate": 1, "user": "x", "nonce": CANARY, "key": CANARY},
        {"copydb": 1, "key": CANARY, "nonce": CANARY},
        {"setParameter": 1, "someThing": CANARY},
        {"insert": "o", "documents": [{"_id": 1, "password": CANARY, "a": {"apiKey": CANARY}}]},
        {"update": "o", "updates": [{"q": {"token": CANARY}, "u": {"$set": {"secret": CANARY}}}]},
        {"find": "o", "filter": {"url": f"mongodb://u:{CANARY}@h/"}},
        {"find": "o", "filter": {"password.hash": CANARY, "passwordDigest": CANARY}},
        {"find": "o", "filter": {"$expr": {"$eq": ["$login.password", CANARY]}}},
        {
            "update": "o",
            "updates": [
                {
                    "q": {},
                    "u": [
                        {"$set": {"a": {"$setField": {"field": "password", "input": "$a", "value": CANARY}}}}
                    ],
                }
            ],
        },
        {"createUser": "x", "pwd": "y", "customData": {"a": CANARY}, "roles": []},
        {"find": "o", "$db": {"a": CANARY}},
        {"nosuch": CANARY, "x": [CANARY, {"y": CANARY}]},
        {"find": "o", "filter": {"a": {"$nosuch": CANARY}}},
    ],
)
def test_no_secret_is_recorded(command: dict[str, Any]) -> None:
    found = facts(command)
    assert CANARY not in found.redacted
    assert CANARY not in found.fingerprint
    assert "Q2FuYXJ5" not in found.redacted, "nor in base64"


def test_the_record_is_canonical_extended_json_on_one_line() -> None:
    found = facts({"find": "orders", "filter": {"a": 1, "b": "x\n\x1b\u2028"}, "lsid": {"id": 1}})
    assert found.redacted.startswith('{"find": "orders", "filter": {"a": {"$numberInt": "1"}')
    assert re.fullmatch(r"[\x20-\x7e]+", found.redacted)
    assert "lsid" not in found.redacted
    long = facts({"insert": "o", "documents": [{"a": "x" * 100_000}, *[{"b": n} for n in range(100)]]})
    assert len(long.redacted) < 5000
    assert "101 documents" in long.redacted


def test_the_same_command_in_another_transaction_has_the_same_facts() -> None:
    first = {"find": "orders", "$db": "app", "lsid": {"id": 1}, "txnNumber": bson.Int64(1)}
    second = {"find": "orders", "$db": "app", "lsid": {"id": 2}, "txnNumber": bson.Int64(2)}
    made = [
        classify(Statement("", "mongodb", NameContext("", "alice"), arguments=arguments(each)))
        for each in (first, second)
    ]
    assert made[0] is made[1]


# Pages of the server's reference, as they are called in its documentation.
REFERENCE = """
abortMoveCollection abortReshardCollection abortTransaction abortUnshardCollection addShard addShardToZone
aggregate analyzeShardKey appendOplogNote applyOps authSchemaUpgrade authenticate autoCompact
availableQueryOptions balancerCollectionStatus balancerStart balancerStatus balancerStop buildInfo bulkWrite
captrunc checkMetadataConsistency checkShardingIndex clean cleanupOrphaned cleanupReshardCollection
clearJumboFlag clone cloneCollection cloneCollectionAsCapped closeAllDatabases collMod collStats
commitReshardCollection commitTransaction compact compactStructuredEncryptionData
configureCollectionBalancing configureFailPoint configureQueryAnalyzer connPoolStats connPoolSync
connectionStatus convertToCapped copydb copydbgetnonce count create createIndexes createRole
createSearchIndexes createUser currentOp cursorInfo dataSize dbHash dbStats delete diagLogging distinct
driverOIDTest dropAllRolesFromDatabase dropAllUsersFromDatabase drop dropDatabase dropIndexes endSessions
eval explain find findAndModify fsync geoNear geoSearch getMore group hello insert killCursors listCollections
listDatabases listIndexes mapReduce renameCollection update validate
""".split()


def test_the_table_has_the_commands_of_the_reference() -> None:
    assert set(REFERENCE) - set(table.commands()) == set()


def test_the_table_is_whole() -> None:
    from gateway.protocols.mongodb.readers import READERS  # noqa: PLC0415 -- beside what it is compared with

    for command in table.commands().values():
        assert command.on in table.RULES
        if command.on == "own" and command.reader != "getMore":
            assert command.reader in READERS, command.name
        if command.on in {"collection", "database", "right", "command", "session"}:
            assert command.operation, command.name


KEYS = """a b.c $where $expr $and $or $not $elemMatch $in $gt $match $lookup from pipeline as $out $merge into
$facet $group _id $sum $function $literal $db filter q u updates deletes ops nsInfo ns insert $getField field
input $unionWith coll $set $rename $pull projection sort key indexes query update viewOn out let min
$setWindowFields output $fill $bucket groupBy $project $slice $meta $changeStream validator to
arrayFilters""".split()
VALUES: list[Any] = [
    0, -1, 2**40, 1.5, "x", "$a", "$$ROOT", "$$", "$", "app.o", "", True, None, b"z", Code("x"),
    DBRef("a", 1), bson.Int64(5),
]  # fmt: skip


def test_nothing_escapes_whatever_stands_where() -> None:
    chance = random.Random(4711)

    def value(depth: int) -> Any:
        kind = chance.random()
        if depth <= 0 or kind < 0.4:
            return chance.choice(VALUES)
        if kind < 0.6:
            return [value(depth - 1) for _ in range(chance.randint(0, 3))]
        return {chance.choice(KEYS): value(depth - 1) for _ in range(chance.randint(0, 3))}

    names = [name for name, command in table.commands().items() if command.on in {"own", "collection"}]
    for _ in range(4000):
        name = chance.choice(names)
        more = {chance.choice(KEYS): value(5) for _ in range(chance.randint(0, 4))}
        command = {name: chance.choice(["o", 1, value(2)]), **more, "$db": chance.choice(["app", value(0)])}
        given = arguments(command)
        (found,) = classify(Statement("", "mongodb", NameContext("app", "a"), arguments=given))
        assert found.complete == (found.unknown_reason == "")
        commands.against(given, "app")


def test_nothing_is_too_deep_or_too_long_to_be_refused() -> None:
    deep: Any = 1
    for _ in range(95):  # two levels each
        deep = {"$and": [{"a": deep}]} if isinstance(deep, int) else {"$and": [deep]}
    assert facts({"find": "o", "filter": deep}).complete
    assert facts({"find": "o", "filter": {"$and": [{"$and": [{"$and": [deep]}]}]}}).complete
    deeper = {"$and": [{"$and": [{"$and": [{"$and": [{"$and": [deep]}]}]}]}]}
    assert facts({"find": "o", "filter": deeper}).unknown_reason == "too_deep"
    nested = b"\x05\0\0\0\0"
    for _ in range(3000):
        held = b"\x03a\0" + nested + b"\0"
        nested = (len(held) + 4).to_bytes(4, "little") + held
    body = raw(("find", "o"), ("filter", RawBSONDocument(nested)), ("$db", "app"))
    (found,) = classify(Statement("", "mongodb", NameContext("", "a"), arguments=(b"find", body)))
    assert not found.complete
    assert facts({"find": "o", "filter": {"a": "x" * (1 << 20)}}).unknown_reason == "too_long"


def test_a_command_of_very_many_parts_is_refused_at_once() -> None:
    body = bson.encode({"find": "o", "$db": "app"})
    held = body[4:-1] + b"\x0a\0" * 500_000
    many = (len(held) + 5).to_bytes(4, "little") + held + b"\0"
    (found,) = classify(Statement("", "mongodb", NameContext("", "a"), arguments=(b"find", many)))
    assert found.unknown_reason == "too_long"
    deletes = [{"q": {}, "limit": 0}] * 1001
    assert facts({"delete": "o"}, deletes=deletes).unknown_reason == "too_long"
    assert facts({"insert": "o"}, documents=[{}] * 100_000).complete
    assert facts({"insert": "o"}, documents=[{}] * 100_001).unknown_reason == "too_long"
    with pytest.raises(ProtocolError, match="more than"):
        documents.count(b"\5\0\0\0\0" * 100_001)


MANY = [
    {"find": "o", "filter": {"$or": [{"a": 1}] * 40_000}},
    {"find": "o", "filter": {f"k{number}": 1 for number in range(60_000)}},
    {"aggregate": "o", "pipeline": [{"$match": {"a": 1}}] * 1_001, "cursor": {}},
    {"aggregate": "o", "cursor": {}, "pipeline": [{"$unionWith": f"c{number}"} for number in range(300)]},
    {"update": "o", "updates": [{"q": {"a": [{}] * 200}, "u": {"$set": {"b": 1}}}] * 900},
]


@pytest.mark.parametrize("command", MANY)
def test_a_command_of_many_parts_is_not_read_for_long(command: dict[str, Any]) -> None:
    begun = time.process_time()
    assert facts(command).unknown_reason == "too_long"
    assert time.process_time() - begun < 0.5  # of the processor: it was up to 1.2 s
    assert facts({"find": "o", "filter": {"a": {"$in": list(range(60_000))}}}).complete, (
        "values are not parts"
    )


def test_a_masked_path_may_have_numbers_for_names() -> None:
    found = Fields()
    query({"years.2024.pin": 1}, found)
    assert found.touches("years.2024.pin")
    assert not found.touches("years.2024.name")
    below = Fields()
    query({"2024.pin": 1}, below)
    assert below.touches("2024")
