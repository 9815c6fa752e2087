"""A session at a Redis server: commands behind MULTI, so that what is let through is queued and then dropped.

What cannot stand in a transaction, and an EXEC of the entry's own, runs all the same.
"""

import secrets
import shlex
from collections import deque
from typing import Final

from gateway.cli.live.answer import Answer, no_session
from gateway.cli.live.channel import Channel
from gateway.errors import AccessError, ProtocolError
from gateway.model.identity import Route
from gateway.protocols.redis import resp
from gateway.protocols.redis.replies import ReplyReader

_ERRORS: Final = frozenset(b"-!")
_DENIAL: Final = b"NOPERM"
_MAX_ERROR: Final = 1 << 14
_BEGUN: Final = b"OK"


def unsent(payload: str | bytes) -> str:
    """Why an entry is not sent; empty where it is."""
    try:
        _written(payload)
    except ValueError as error:
        return str(error)
    return ""


def _written(payload: str | bytes) -> bytes:
    if isinstance(payload, bytes):
        return payload
    return resp.encode(*[word.encode() for word in shlex.split(payload)])


class RedisSender:
    """The session; a word that nobody else knows says where an entry's replies end."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._word = secrets.token_hex(8).encode()
        self._end = resp.encode(b"PING", self._word)
        self._reader = ReplyReader()
        self._whole: deque[bytes] = deque()
        self._part = b""

    def open(self, route: Route) -> None:
        """Ask for the word, for there is no login: the certificate says who it is. Then begin."""
        self._channel.send(self._end)
        replies, lives = self._until(self._word)
        if not lives or replies:
            raise AccessError(no_session(route, _first(replies, lives=lives).sentence))
        self._channel.send(resp.encode(b"MULTI"))
        replies, lives = self._until(_BEGUN)
        if not lives or replies:
            raise AccessError(
                f"no transaction begins on {route.database}: {_first(replies, lives=lives).sentence}",
                hint="what is let through would run; nothing more was sent",
            )

    def send(self, payload: str | bytes) -> Answer:
        """What commands get: the first error among the replies."""
        self._channel.send(_written(payload) + resp.encode(b"DISCARD") + self._end)
        replies, lives = self._until(self._word)
        return _first(replies[:-1] if lives else replies, lives=lives)

    def close(self) -> None:
        """There is nothing to say."""
        self._channel.close()

    def _until(self, word: bytes) -> tuple[list[bytes], bool]:
        """Each reply up to one with *word*; False behind them: up to the end of the connection."""
        found: list[bytes] = []
        try:
            while True:
                reply = self._reply()
                if word in reply and reply[0] not in _ERRORS:
                    return found, True
                found.append(reply)
                if word == _BEGUN:
                    return found, True
        except (EOFError, ProtocolError):
            return found, False

    def _reply(self) -> bytes:
        """The next reply, but no more of it than an error has."""
        while not self._whole:
            for part in self._reader.feed(self._channel.some()):
                self._part = (self._part + part.data)[:_MAX_ERROR]
                if part.reply is not None:
                    self._whole.append(self._part)
                    self._part = b""
        return self._whole.popleft()


def _first(replies: list[bytes], *, lives: bool) -> Answer:
    said = next((each for each in replies if each[0] in _ERRORS), b"")
    if not said:
        return Answer(lives)
    words = said[1:].rstrip(b"\r\n").decode("utf-8", "replace")
    code = words.partition(" ")[0]
    return Answer(lives, code, words.removeprefix(code).strip(), code.encode() == _DENIAL)
