"""A session at a MongoDB server: one message for an entry, and its answer. What is let through lasts."""

from typing import Any, Final

import bson
from bson.errors import BSONError

from gateway.cli.live.answer import Answer, no_session
from gateway.cli.live.channel import Channel
from gateway.errors import AccessError, ProtocolError
from gateway.model.identity import Route
from gateway.protocols.mongodb import documents, hello, messages
from gateway.protocols.mongodb.rehearsal import message

_REPLY: Final = 36  # bytes of an OP_REPLY before its document
_HELLO: Final = 2**31 - 1  # the number of the first message: no entry has it


def unsent(payload: str | bytes) -> str:
    """Why an entry is not sent: nobody could tell what became of it. Empty where it is."""
    try:
        raw = payload if isinstance(payload, bytes) else message(payload)
    except ProtocolError as error:
        return str(error)
    is_message = raw[12:16] == messages.OP_MSG.to_bytes(4, "little")
    if is_message and len(raw) > messages.HEADER and raw[messages.HEADER] & messages.MORE_TO_COME:
        return "it asks for no answer, so that nobody could tell what became of it"
    return ""


class MongodbSender:
    """The session."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def open(self, route: Route) -> None:
        """Say hello: who it is, the certificate says."""
        try:
            said = self._asked(messages.message(_HELLO, {"hello": 1, "$db": "admin"}), _HELLO)
        except EOFError:
            said = {}
        if said.get("ok") != 1:
            raise AccessError(no_session(route, str(said.get("errmsg", ""))))

    def send(self, payload: str | bytes) -> Answer:
        """What a message or a command gets."""
        raw = payload if isinstance(payload, bytes) else message(payload)
        asked = int.from_bytes(raw[4:8], "little", signed=True)
        try:
            return _answer(self._asked(raw, asked), lives=True)
        except _LastWordsError as last:
            return _answer(last.said, lives=False)
        except EOFError:
            return Answer(lives=False)

    def close(self) -> None:
        """There is nothing to say."""
        self._channel.close()

    def _asked(self, raw: bytes, number: int) -> dict[str, Any]:
        """The answer to the message with that number, the last word about another, or an EOFError."""
        self._channel.send(raw)
        last: dict[str, Any] = {}
        while True:
            try:
                head = messages.head_at(found := self._channel.exactly(messages.HEADER))
                found += self._channel.exactly(head.size - messages.HEADER)
            except EOFError:
                if last:
                    raise _LastWordsError(last) from None
                raise
            last = _read(found, head)
            if head.response_to == number:
                return last


def _read(raw: bytes, head: messages.Head) -> dict[str, Any]:
    """The document of an answer, old or new, of any size."""
    try:
        body = raw[_REPLY:] if head.code == messages.OP_REPLY else messages.decode(raw, head).body
        return bson.decode(body, documents.OPTIONS)
    except BSONError:
        raise ProtocolError("the answer cannot be read") from None


class _LastWordsError(Exception):
    """The connection ended behind an error that answered nothing."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__("the connection ended")
        self.said = said


def _answer(said: dict[str, Any], *, lives: bool) -> Answer:
    if said.get("ok") == 1:
        return Answer(lives)
    code = said.get("code", "")
    return Answer(lives, str(code), str(said.get("errmsg", "")), code == hello.UNAUTHORIZED)
