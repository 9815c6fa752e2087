"""Somebody to whom three fields are shown concealed tries to see them all the same, on two servers.

Her role restricts nothing else, so every command reaches the masks. After each attempt she reads whatever
collections there are: what was copied to another place would be seen there.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from bson.int64 import Int64
from pymongo.errors import OperationFailure, PyMongoError

from tests.e2e import mongo_rig
from tests.e2e.mongo_rig import REPLICA, SHOP, Client, Shop, client
from tests.servers.secantus import Secantus

pytestmark = pytest.mark.db
SECRET = re.compile(r"123-45|\b4711\b|example\.com")
NOISE = re.compile(r"\(decision \w+\)|Timestamp\(\d+, \d+\)")
CODE = "function(d){return d}"
SAME = [{"$project": {"x": "$ssn"}}]
ADD = {"$inc": {"seen": 1}}
RIGHT, WRONG = "123-45-0003", "999-99-9999"


def find(condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"find": "people", "filter": condition, **more}


def over(*stages: dict[str, Any], name: str = "people", **more: Any) -> dict[str, Any]:
    return {"aggregate": name, "pipeline": list(stages), "cursor": {}, **more}


def modify(change: Any, **more: Any) -> dict[str, Any]:
    return {"findAndModify": "people", "query": {"_id": 3}, "update": change, "new": True, **more}


def update(change: Any, **more: Any) -> dict[str, Any]:
    return {"update": "people", "updates": [{"q": {"_id": 3}, "u": change, **more}]}


RENAMED = {"renameCollection": "app.people", "to": "app.copy"}
JOIN = {"from": "people", "localField": "_id", "foreignField": "_id", "as": "x"}
ATTEMPTS: dict[str, dict[str, Any]] = {
    # another name, in a projection
    "shown as": find({}, projection={"x": "$ssn"}),
    "computed": find({}, projection={"x": {"$concat": ["$ssn", ""]}}),
    "the root": find({}, projection={"x": "$$ROOT"}),
    "part of the root": find({}, projection={"x": "$$ROOT.card.number"}),
    "the current": find({}, projection={"x": "$$CURRENT.mail"}),
    "above it": find({}, projection={"x": "$card"}),
    "by name": find({}, projection={"x": {"$getField": "ssn"}}),
    "by a made name": find({}, projection={"x": {"$getField": {"$concat": ["s", "sn"]}}}),
    "by a name and from": find({}, projection={"x": {"$getField": {"field": "number", "input": "$card"}}}),
    "nested": find({}, projection={"a": {"b": {"c": "$ssn"}}}),
    "inside its own": find({}, projection={"card": {"kind": "$ssn"}}),
    "in a list": find({}, projection={"x": ["$ssn"]}),
    "let": find({}, projection={"x": {"$let": {"vars": {"y": "$ssn"}, "in": "$$y"}}}),
    "let outside": find({}, let={"y": "$ssn"}, projection={"x": "$$y"}),
    "as pairs": find({}, projection={"x": {"$objectToArray": "$$ROOT"}}),
    "merged": find({}, projection={"x": {"$mergeObjects": ["$$ROOT", {"ssn": 1}]}}),
    "sliced": find({}, projection={"x": {"$slice": ["$ssn", 1]}}),
    "an element": find({"card.kind": "a"}, projection={"card": {"$elemMatch": {"number": 4711}}}),
    "positional": find({"card.number": 4711}, projection={"card.$": 1}),
    "a number in the path": find({}, projection={"x": "$card.0.number"}),
    "key of an index": find({}, returnKey=True, hint={"ssn": 1}),
    # in a pipeline
    "project": over({"$project": {"x": "$ssn"}}),
    "add": over({"$addFields": {"x": "$card.number"}}),
    "set in itself": over({"$set": {"card.kind": "$card.number"}}),
    "replace root": over({"$replaceRoot": {"newRoot": "$card"}}),
    "replace with": over({"$replaceWith": {"$mergeObjects": ["$card", {"y": 1}]}}),
    "group": over({"$group": {"_id": "$ssn"}}),
    "group all": over({"$group": {"_id": None, "x": {"$push": "$$ROOT"}}}),
    "group first": over({"$group": {"_id": "$_id", "x": {"$first": "$mail"}}}),
    "top": over({"$group": {"_id": 1, "x": {"$top": {"sortBy": {"ssn": 1}, "output": "$_id"}}}}),
    "sort by count": over({"$sortByCount": "$ssn"}),
    "bucket": over({"$bucketAuto": {"groupBy": "$mail", "buckets": 2}}),
    "facet": over({"$facet": {"x": [{"$project": {"y": "$ssn"}}]}}),
    "facet whole": over({"$facet": {"x": [{"$match": {}}]}}),
    "unwind": over({"$unwind": {"path": "$card"}}, {"$replaceWith": "$card"}),
    "redact": over({"$redact": {"$cond": [{"$gt": ["$ssn", "a"]}, "$$PRUNE", "$$KEEP"]}}),
    "window": over({"$setWindowFields": {"sortBy": {"_id": 1}, "output": {"x": {"$push": "$ssn"}}}}),
    "union": over({"$unionWith": "people"}, name="orders"),
    "union renamed": over({"$unionWith": {"coll": "people", "pipeline": SAME}}, name="orders"),
    "lookup": over({"$lookup": JOIN}, name="orders"),
    "lookup let": over(
        {"$lookup": {"from": "people", "let": {"y": "$_id"}, "pipeline": SAME, "as": "x"}},
        name="orders",
    ),
    "lookup itself": over({"$lookup": JOIN}),
    "graph": over(
        {"$graphLookup": {"from": "people", "startWith": "$_id", "connectFromField": "_id",
                          "connectToField": "_id", "as": "x"}},
        name="orders",
    ),
    "changes": over({"$changeStream": {"fullDocument": "updateLookup"}}),
    "changes of all": {"aggregate": 1, "pipeline": [{"$changeStream": {}}], "cursor": {}},
    "explained": over({"$match": {"ssn": RIGHT}}, explain=True),
    # to another place
    "out": over({"$out": "copy"}),
    "merge": over({"$merge": {"into": "copy"}}),
    "view": {"create": "view", "viewOn": "people", "pipeline": SAME},
    "plain view": {"create": "view", "viewOn": "people", "pipeline": []},
    "capped": {"cloneCollectionAsCapped": "people", "toCollection": "copy", "size": 100000},
    "map and reduce": {"mapReduce": "people", "map": "function(){emit(1,this)}", "reduce": CODE,
                       "out": {"inline": 1}},
    "copied by a change": update([{"$set": {"copy": "$ssn"}}], multi=False),
    "unset by a change": update([{"$replaceWith": {"x": "$$ROOT"}}]),
    "renamed": update({"$rename": {"ssn": "copy"}}),
    "renamed and shown": modify({"$rename": {"mail": "copy"}}),
    "changed and shown": modify({"$set": {"seen": 1}}, fields={"x": "$ssn"}),
    "changed by itself": modify([{"$set": {"copy": "$card"}}]),
    "shown by a removal": {"findAndModify": "people", "query": {"_id": 3}, "remove": True,
                           "fields": {"x": "$mail"}},
    # what nobody understood
    "a stage of tomorrow": over({"$tomorrow": {"from": "people"}}, name="orders"),
    "a command of tomorrow": {"tomorrow": "people"},
    "operations": {"applyOps": [{"op": "c", "ns": "app.$cmd", "o": RENAMED}]},
    # in words of the server's
    "a key twice": {"createIndexes": "people",
                    "indexes": [{"key": {"card.number": 1}, "name": "n", "unique": True}]},
    "checked": {"collMod": "people", "validator": {"ssn": {"$ne": RIGHT}}},
    "a type that fails": find({"$expr": {"$toInt": "$ssn"}}),
    "a wrong increment": update({"$inc": {"ssn": 1}}),
    "explain": {"explain": find({"ssn": RIGHT})},
    "validate": {"validate": "people", "full": True},
    "values": {"distinct": "people", "key": "mail"},
    "values below": {"distinct": "people", "key": "card"},
    "code": find({"$where": "this.ssn > ''"}),
    "function": find({}, projection={"x": {"$function": {"body": CODE, "args": ["$$ROOT"], "lang": "js"}}}),
    "another command": {"currentOp": 1, "$all": True},
    "dbHash": {"dbHash": 1},
    "in bulk": {"bulkWrite": 1, "nsInfo": [{"ns": "app.people"}],
                "ops": [{"update": 0, "filter": {}, "updateMods": [{"$set": {"copy": "$ssn"}}]}]},
}  # fmt: skip
# Each with a value that is there and one that is not: who can tell them apart can find the value.
QUESTIONS: dict[str, Any] = {
    "equal": lambda value: find({"ssn": value}),
    "expression": lambda value: find({"$expr": {"$eq": ["$ssn", value]}}),
    "in a logic": lambda value: find({"$nor": [{"$or": [{"ssn": value}]}]}),
    "counted": lambda value: {"count": "people", "query": {"ssn": value}},
    "deleted": lambda value: {"delete": "people", "deletes": [{"q": {"ssn": value}, "limit": 1}]},
    "updated": lambda value: {"update": "people", "updates": [{"q": {"ssn": value}, "u": ADD}]},
    "matched": lambda value: over({"$match": {"ssn": value}}, {"$count": "n"}),
    "by a condition": lambda value: over({"$project": {"x": {"$cond": [{"$eq": ["$ssn", value]}, 1, 0]}}}),
    "set to what it is": lambda value: update({"$set": {"ssn": value}}),
    "bounded": lambda value: find({}, min={"ssn": value}, hint={"ssn": 1}),
    "by its shape": lambda value: find({"$jsonSchema": {"properties": {"ssn": {"enum": [value]}}}}),
    "all of them": lambda value: find({"ssn": {"$all": [value]}}),
    "a pattern": lambda value: find({"ssn": {"$regex": value}}),
}  # fmt: skip


@pytest.fixture(params=[SHOP, REPLICA])
def mary(
    documents: Shop, replica: Secantus, request: pytest.FixtureRequest
) -> Iterator[tuple[Client, Client]]:
    """Hers, and one past the gateway."""
    with documents.direct() if request.param == SHOP else replica.direct() as direct:
        mongo_rig.fill(direct)
        hers = documents.cluster.users["mary"].tunnel("reader", "app", request.param)
        with hers as access, client(access) as mongo:
            yield mongo, direct


def said(mongo: Client, command: dict[str, Any]) -> str:
    """All that an attempt gets to see, with what a cursor still holds."""
    try:
        answer = mongo.app.command(dict(command))
        cursor = answer.get("cursor", {})
        if cursor.get("id"):
            more = {"getMore": Int64(cursor["id"]), "collection": cursor["ns"].partition(".")[2]}
            answer = {**answer, "more": mongo.app.command({**more, "maxTimeMS": 200})}
    except OperationFailure as error:
        return str(error.details)
    except PyMongoError as error:
        return str(error)
    return str(answer)


def all_read(mongo: Client, direct: Client) -> str:
    """Every document of every collection there is, as she reads them."""
    names = direct.app.list_collection_names()
    return "".join(said(mongo, {"find": name, "batchSize": 1000}) for name in names)


def test_no_attempt_shows_what_is_concealed(mary: tuple[Client, Client]) -> None:
    mongo, direct = mary
    assert "****0003" in said(mongo, find({"_id": 3})), "what is not an attempt is answered"
    told = {name: said(mongo, command) for name, command in {**ATTEMPTS, "moved": RENAMED}.items()}
    assert {name: text[:300] for name, text in told.items() if SECRET.search(text)} == {}
    assert not SECRET.search(all_read(mongo, direct))
    assert direct.app.people.count_documents({"ssn": RIGHT}) == 1, "nothing was lost on the way"
    bare = [said(direct, command) for command in ATTEMPTS.values() if {"find", "aggregate"} & set(command)]
    assert sum(bool(SECRET.search(text)) for text in bare) >= 5, "without masks they do show it"


def test_no_question_tells_a_value_that_is_there_from_one_that_is_not(mary: tuple[Client, Client]) -> None:
    mongo, direct = mary
    before = list(direct.app.people.find().sort("_id", 1))
    for name, question in QUESTIONS.items():
        yes, no = (
            re.sub(r"\(decision \w+\)|Timestamp\(\d+, \d+\)", "", said(mongo, question(value)))
            for value in (RIGHT, WRONG)
        )
        assert (name, yes) == (name, no)
        assert "'code': 13" in yes, (name, yes)
    assert list(direct.app.people.find().sort("_id", 1)) == before
