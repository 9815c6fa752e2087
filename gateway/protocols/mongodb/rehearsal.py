"""A session that is only rehearsed: messages and commands of a corpus, before a server with nothing in it."""

import json
from typing import Any, Final

import bson
from bson import json_util
from bson.errors import BSONError
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from gateway.errors import ProtocolError
from gateway.model.identity import Route
from gateway.protocols.mongodb import documents, hello, messages
from gateway.protocols.mongodb.conversation import MongoConversation
from gateway.protocols.mongodb.cursors import Cursors
from gateway.protocols.mongodb.sessions import Sessions
from gateway.sansio.protocol import Ready, Startup
from gateway.sansio.rehearsal import Log, Rehearsal, Rehearsals, closed
from gateway.sansio.rehearse import wire

_ROUTE: Final = Route("", "mongodb", "analyst", "")
_READY: Final = Ready("7.0.0", {}, b"", extra={"maxWireVersion": "21"})


def frames(data: bytes) -> Rehearsal:
    """A client's messages as bytes."""
    talk = MongoConversation(Startup(), _READY, _ROUTE, Cursors(), Sessions())
    return wire(talk, EmptyServer(), data)


def command(text: str) -> Rehearsal:
    """One command as extended JSON; a key that stands twice is sent twice."""
    try:
        raw = message(text)
    except ProtocolError as error:
        return closed(Log(), error)
    return (yield from frames(raw))


def message(text: str) -> bytes:
    """The message, numbered 1, of a command as extended JSON; ProtocolError where it cannot be written."""
    try:
        body = _document(json.loads(text, object_pairs_hook=_Pairs))
    except (ValueError, TypeError, OverflowError, BSONError, RecursionError) as error:
        raise ProtocolError(f"the command cannot be written as BSON: {error}") from None
    return messages.with_body(messages.Head(0, 1, 0, messages.OP_MSG), body)


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON with every one of its pairs."""


def _document(value: Any) -> bytes:
    if not isinstance(value, _Pairs):
        raise TypeError("it is not an object")
    return documents.joined([bson.encode({key: _value(inner)})[4:-1] for key, inner in value])


def _value(value: Any) -> Any:
    if isinstance(value, _Pairs):
        if any(key.startswith("$") for key, _ in value):  # perhaps a type of extended JSON
            made = json_util.object_hook({key: _value(inner) for key, inner in value})
            if not isinstance(made, dict):
                return made
        return RawBSONDocument(_document(value))
    if isinstance(value, list):
        return [_value(inner) for inner in value]
    return value


class EmptyServer:
    """Answers every command as a server would that has no documents."""

    def __init__(self) -> None:
        self._reader = messages.Reader()

    def answer(self, data: bytes) -> bytes:
        """What comes back for *data*, which holds whole messages."""
        out = b""
        for asked in self._reader.feed(data):
            namespace = "app.orders"
            cursor = {"firstBatch": [], "id": Int64(0), "ns": namespace}
            said = {"cursor": cursor, "n": 0, "ok": 1.0}
            if documents.first_name(asked.body) in hello.ANSWERED:
                said = hello.failure(18, "AuthenticationFailed", "it is answered by the gateway")
            out += messages.message(1, said, response_to=asked.head.request_id)
        return out


REHEARSALS: Final[Rehearsals] = {"wire": frames, "command": command}
