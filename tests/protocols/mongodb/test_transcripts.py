"""Conversations of real drivers with a server, replayed: ``record.py`` says how they were recorded."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from gateway.protocols.mongodb import MONGODB, messages
from gateway.protocols.mongodb.conversation import MongoConversation
from gateway.protocols.mongodb.cursors import Cursors
from gateway.protocols.mongodb.sessions import Sessions
from gateway.sansio.exchange import Answered, Outcome, Request
from gateway.sansio.protocol import Startup
from tests.protocols.mongodb import wire
from tests.protocols.mongodb.test_conversation import DENIAL, READY, ROUTE

TRANSCRIPTS = Path(__file__).parent / "transcripts"
NAMES = ("pymongo", "node", "mongosh")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TRANSCRIPTS / f"{name}.json").read_text())
    return found


class Replay:
    """One connection; cursors and sessions are those of all of the driver's."""

    def __init__(self, cursors: Cursors, sessions: Sessions, cut: int, *, repeats: bool = False) -> None:
        self._repeats = repeats
        self.repeated = 0  # what took the short way
        self._machine = MongoConversation(Startup(person="ann"), READY, ROUTE, cursors, sessions)
        self._cut = cut
        self._waiting = b""
        self._heard = b""
        self._own: set[int] = set()  # what the gateway answers
        self.outcomes: list[Outcome] = []
        self.requests: list[Request] = []
        self.refused: set[str] = set()
        self.answered = 0

    def client(self, data: bytes) -> None:
        found = self._machine.repeat(data) if self._repeats else None
        if found is not None:
            assert self._machine.admit_again(found) == data
            self.requests.append(found.request)
            self.repeated += 1
            return
        for at in range(0, len(data), self._cut):
            for item in self._machine.from_client(data[at : at + self._cut]):
                self._one(item)

    def _one(self, item: Any) -> None:
        number = struct.unpack_from("<i", item.raw, 4)[0]
        if isinstance(item, Answered):
            self._own.add(number)
            self.answered += 1
            is_silent = struct.unpack_from("<I", item.raw, 16)[0] & messages.MORE_TO_COME
            assert item.to_client[8:12] == (b"" if is_silent else item.raw[4:8])
            return
        assert isinstance(item, Request)
        facts = MONGODB.classify(item.statements[0])
        if not all(fact.complete for fact in facts):
            self.refused.add(bytes(item.statements[0].arguments[0]).decode())
            self._own.add(number)
            assert self._machine.refuse(item, facts, DENIAL).to_backend == b""
            return
        self.requests.append(item)
        flags = struct.unpack_from("<I", item.raw, 16)[0]
        sent = self._machine.admit(item, facts)
        assert sent == item.raw[:16] + bytes(4) + item.raw[20:], "what was judged goes on, without flags"
        if flags & messages.MORE_TO_COME:  # the server answers the gateway, where it did not the driver
            self._hears(wire.message(1, {"n": 1, "ok": 1.0}, response_to=number), shows=False)

    def server(self, data: bytes) -> None:
        self._waiting += data
        while len(self._waiting) >= 16 and len(self._waiting) >= (
            size := struct.unpack_from("<i", self._waiting)[0]
        ):
            answer, self._waiting = self._waiting[:size], self._waiting[size:]
            if struct.unpack_from("<i", answer, 8)[0] not in self._own:
                self._hears(answer, shows=True)

    def _hears(self, answer: bytes, *, shows: bool) -> None:
        shown = b""
        for at in range(0, len(answer), self._cut):
            relay = self._machine.from_backend(answer[at : at + self._cut])
            shown += relay.to_client
            self.outcomes += relay.outcomes
        assert shown == (answer if shows else b"")

    def over(self) -> None:
        assert self._machine.abandon() == ()
        assert [outcome.request for outcome in self.outcomes] == self.requests


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cut", [1 << 16, 13])
def test_what_a_driver_said_goes_on_and_what_it_was_told_comes_back(name: str, cut: int) -> None:
    found = read(name)
    cursors, sessions = Cursors(), Sessions()
    replays = []
    for connection in found["connections"]:
        replay = Replay(cursors, sessions, cut)
        for who, data in connection:
            (replay.client if who == "client" else replay.server)(bytes.fromhex(data))
        replay.over()
        replays.append(replay)
    named = [bytes(item.statements[0].arguments[0]).decode() for each in replays for item in each.requests]
    wanted = {
        "pymongo": {"insert", "find", "getMore", "update", "aggregate", "findAndModify", "commitTransaction",
                    "abortTransaction", "killCursors", "distinct", "drop"},
        "node": {"insert", "find", "getMore", "update", "delete", "commitTransaction", "createIndexes"},
        "mongosh": {"insert", "find", "aggregate"},
    }[name]  # fmt: skip
    assert wanted <= set(named)
    assert sum(each.answered for each in replays) >= 1, "each driver says hello"
    # The shell asks who runs the server: with a command that is not MongoDB's, and in another database.
    refused = set().union(*(each.refused for each in replays))
    assert refused == ({"atlasVersion", "aggregate", "getParameter"} if name == "mongosh" else set())
    failed = [outcome.error_code for each in replays for outcome in each.outcomes if outcome.error_code]
    assert failed == (["WriteError"] if name == "pymongo" else [])
