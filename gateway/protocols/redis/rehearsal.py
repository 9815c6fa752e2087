"""A session that is only rehearsed: frames and commands of a corpus, and a server that has nothing in it."""

import shlex
from typing import Final

from gateway.errors import ProtocolError
from gateway.model.statement import NameContext
from gateway.protocols.redis import resp, table
from gateway.protocols.redis.conversation import RedisConversation
from gateway.protocols.redis.errors import SUBSTITUTE
from gateway.sansio.rehearsal import Log, Rehearsal, Rehearsals, closed
from gateway.sansio.rehearse import wire

_NAMES: Final = NameContext("0", "analyst")
_DENIED: Final = table.name_of(next(resp.CommandReader().feed(SUBSTITUTE)).arguments)


def frames(data: bytes) -> Rehearsal:
    """A client's commands as bytes."""
    return wire(RedisConversation(_NAMES), EmptyServer(), _without_blank_lines(data))


def _without_blank_lines(data: bytes) -> bytes:
    """*data* without the empty lines that servers and the gateway pass over: nothing waits for their rest."""
    found = resp.CommandReader().ahead(data)
    if found is None:
        return data
    commands, rest = found
    left = b"".join([command.raw * count for command, count in commands]) + rest
    is_all = left.translate(None, resp.CRLF) == data.translate(None, resp.CRLF)
    return left if is_all else data


def command(text: str) -> Rehearsal:
    """One command in the words of ``redis-cli``."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        return closed(Log(), ProtocolError(str(error)))
    return (yield from frames(resp.encode(*[word.encode() for word in words])))


class EmptyServer:
    """Answers every command as a server would that has no keys."""

    def __init__(self) -> None:
        self._reader = resp.CommandReader()
        self._queued = -1  # commands of a transaction
        self._is_tainted = False

    def answer(self, data: bytes) -> bytes:
        """What comes back for *data*, which holds whole commands."""
        return b"".join([self._one(found.arguments) for found in self._reader.feed(data)])

    def _one(self, arguments: tuple[bytes, ...]) -> bytes:
        name = table.name_of(arguments)
        if name == _DENIED:
            self._is_tainted = True
            return b"-ERR unknown command\r\n"
        if name == "multi":
            self._queued, self._is_tainted = 0, False
            return b"+OK\r\n"
        if name == "exec" and self._queued >= 0:
            queued, self._queued = self._queued, -1
            return b"-EXECABORT\r\n" if self._is_tainted else b"*%d\r\n" % queued + b"+OK\r\n" * queued
        if name.endswith("subscribe"):
            one = b"*3\r\n$%d\r\n%b\r\n$1\r\nc\r\n:1\r\n" % (len(name), name.encode())
            return one * max(1, len(arguments) - 1)
        if self._queued >= 0:
            self._queued += 1
            return b"+QUEUED\r\n"
        return b"+OK\r\n"


REHEARSALS: Final[Rehearsals] = {"wire": frames, "command": command}
