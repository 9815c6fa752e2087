"""What is like something that was allowed takes the short way, nothing else does, and both leave the same."""

from typing import Any

import pytest
from bson.int64 import Int64

from gateway.model.obligation import Obligations
from gateway.model.statement import Phase
from gateway.protocols.mongodb import repetition
from gateway.protocols.mongodb.cursors import Cursors
from gateway.protocols.mongodb.sessions import Sessions
from gateway.sansio.exchange import Repetition
from tests.protocols.mongodb import wire
from tests.protocols.mongodb.test_conversation import (
    CHECKSUM,
    EXHAUST,
    MORE,
    Talk,
    asked,
    batch,
    session,
)
from tests.protocols.mongodb.test_transcripts import NAMES, Replay, read

LSID = session(1)


def find(value: object, **more: Any) -> bytes:
    return asked({"find": "o", "filter": {"_id": value}, "limit": 1, **LSID, **more})


FIRST, AGAIN = find("a"), find("b")


def known(talk: Talk, data: bytes) -> Repetition | None:
    return talk.machine.repeat(data)


def answered(talk: Talk, number: int = 7, cursor: int = 0) -> bytes:
    return talk.hear(wire.message(900, batch([{"_id": "a"}], cursor), response_to=number))


@pytest.fixture
def talk() -> Talk:
    made = Talk()
    assert known(made, FIRST) is None, "nothing was allowed yet"
    made.send(FIRST)
    answered(made)
    return made


def test_a_command_like_one_that_was_allowed_is_known(talk: Talk) -> None:
    found = known(talk, AGAIN)
    assert found is not None
    assert found.request.raw is AGAIN
    assert found.request.phase is Phase.QUERY
    (fact,) = found.facts
    assert (
        fact.redacted == '{"find": "o", "filter": {"_id": "b"}, "limit": {"$numberInt": "1"}, "$db": "app"}'
    )
    assert fact.effects[0].columns == ("_id", "*")
    assert talk.machine.is_still(found)
    assert talk.machine.admit_again(found) == AGAIN
    assert known(talk, AGAIN) is None, "another is under way"
    assert not talk.machine.is_still(found)
    assert answered(talk)
    assert [(each.request.raw, each.rows, each.error_code) for each in talk.outcomes] == [
        (FIRST, 1, ""),
        (AGAIN, 1, ""),
    ]
    assert known(talk, AGAIN) is not None


def test_asking_changes_nothing(talk: Talk) -> None:
    for _ in range(3):
        assert known(talk, AGAIN) is not None
    assert talk.machine.abandon() == ()
    assert talk.send(AGAIN) == AGAIN


OTHERWISE = {
    "two commands": AGAIN + AGAIN,
    "half of one": AGAIN[:-1],
    "a byte too many": AGAIN + b"\0",
    "nothing": b"",
    "half of a header": AGAIN[:9],
    "a flag": asked({"find": "o", "filter": {"_id": "b"}, "limit": 1, **LSID}, flags=EXHAUST),
    "no answer wanted": asked({"find": "o", "filter": {"_id": "b"}, "limit": 1, **LSID}, flags=MORE),
    "a wrong checksum": asked({"find": "o", "filter": {"_id": "b"}, "limit": 1, **LSID}, flags=CHECKSUM),
    "another collection": asked({"find": "p", "filter": {"_id": "b"}, "limit": 1, **LSID}),
    "another database": find("b", **{"$db": "secret"}),
    "another field": asked({"find": "o", "filter": {"ssn": "b"}, "limit": 1, **LSID}),
    "an operator": find({"$gt": "b"}),
    "a field more": find("b", sort={"ssn": 1}),
    "code": find({"$where": "1"}),
    "a session that is nobody's": find("b", lsid={"id": 1}),
    "a field twice": wire.raw(7, wire.MSG, AGAIN[16:-1].replace(b"limit", b"$db\0\0", 1) + b"\0"),
    "hello": asked({"hello": 1}),
    "a cursor": asked({"getMore": Int64(5), "collection": "o"}),
    "an end of cursors": asked({"killCursors": "o", "cursors": [Int64(5)]}),
    "sessions": asked({"refreshSessions": []}),
    "a login": asked({"saslStart": 1}),
    "another kind": wire.raw(7, 2012, AGAIN[16:]),
    "a long one": find("b" * repetition.MAX_BYTES),
}


@pytest.mark.parametrize("data", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_anything_else_is_read_as_ever(talk: Talk, data: bytes) -> None:
    assert known(talk, data) is None


def test_somebody_elses_session_is_not_known() -> None:
    cursors, sessions = Cursors(), Sessions()
    ann, bob = Talk(cursors, sessions=sessions), Talk(cursors, "bob", sessions=sessions)
    own = session(2)
    ann.send(FIRST)
    bob.send(asked({"find": "o", "filter": {"_id": "a"}, "limit": 1, **own}))
    answered(bob)
    assert known(bob, AGAIN) is None
    assert known(bob, asked({"find": "o", "filter": {"_id": "a"}, "limit": 1, **own})) is not None


def test_a_no_is_not_asked_about_twice_again(talk: Talk) -> None:
    assert known(talk, AGAIN) is not None
    talk.refuse(AGAIN)
    assert known(talk, AGAIN) is None
    talk.send(AGAIN)
    answered(talk)
    assert known(talk, AGAIN) is not None


def test_what_has_an_obligation_is_not_known(talk: Talk) -> None:
    talk.send(AGAIN, Obligations(max_rows=5))
    answered(talk)
    assert known(talk, AGAIN) is None


def test_what_is_never_forwarded_is_never_known() -> None:
    talk = Talk()
    shut = asked({"shutdown": 1, "$db": "admin"})
    talk.send(FIRST)
    answered(talk)
    assert talk.send(shut) != shut
    talk.hear(wire.message(901, {"ok": 1.0}, response_to=7))
    assert known(talk, shut) is None


def test_a_message_that_has_begun_is_read_to_its_end(talk: Talk) -> None:
    assert list(talk.machine.from_client(AGAIN[:9])) == []
    assert known(talk, AGAIN) is None
    assert talk.send(AGAIN[9:]) == AGAIN


def test_a_cursor_that_is_opened_so_can_be_asked_on(talk: Talk) -> None:
    found = known(talk, AGAIN)
    assert found is not None
    talk.machine.admit_again(found)
    answered(talk, cursor=77)
    more = talk.one(asked({"getMore": Int64(77), "collection": "o"}))
    assert more.statements[0].arguments[-1] == found.request.statements[0].arguments[-1]


def test_few_are_remembered() -> None:
    talk = Talk()
    for number in range(repetition.MOST + 2):
        talk.send(asked({"find": f"c{number}"}))
        answered(talk)
    assert known(talk, asked({"find": "c1"})) is None
    assert known(talk, asked({"find": "c2"})) is not None


@pytest.mark.parametrize("name", NAMES)
def test_both_ways_leave_the_same_behind(name: str) -> None:
    """What drivers said, by either way: the same goes on, comes back, and is recorded."""
    left = []
    for repeats in (False, True):
        cursors, sessions = Cursors(), Sessions()
        said: list[object] = []
        for connection in read(name)["connections"]:
            replay = Replay(cursors, sessions, 1 << 20, repeats=repeats)
            for who, data in connection:
                (replay.client if who == "client" else replay.server)(bytes.fromhex(data))
            replay.over()
            said += [(each.request.raw, each.rows, each.bytes, each.error_code) for each in replay.outcomes]
            assert repeats or not replay.repeated
        left.append((said, cursors._open))
    assert left[0] == left[1]
    assert left[0][0]


def test_drivers_repeat_themselves() -> None:
    cursors, sessions = Cursors(), Sessions()
    repeated = 0
    for connection in read("pymongo")["connections"]:
        replay = Replay(cursors, sessions, 1 << 20, repeats=True)
        for who, data in connection:
            (replay.client if who == "client" else replay.server)(bytes.fromhex(data))
        repeated += replay.repeated
    assert repeated >= 1
