"""Messages between two of our own processes, over a unix socket that one of them inherited.

A message is ``[kind, id, value]`` as JSON with bytes behind it. An id other than zero asks for an answer,
which comes as a message of the kind ``""`` with that id. Lengths (big-endian, 4 bytes each) stand in front.
The socket is a pair's: nobody else can open the other end.
"""

import asyncio  # noqa: TID251
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self, TypeAlias, cast

import structlog

from gateway.errors import RegateError

_LENGTHS = struct.Struct(">II")
_ANSWER = ""
_encode = json.JSONEncoder(separators=(",", ":")).encode

Handler: TypeAlias = Callable[[Any, bytes], Awaitable[Any]]
"""Gets a message's value and bytes; what it returns is the answer where one is asked for."""

_say = structlog.get_logger("regate.workers")


class ChannelError(RegateError):
    """The other process is gone, or could not do what was asked."""


class Channel(asyncio.Protocol):
    """One end; ``closed`` ends when the other process does."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        loop = asyncio.get_running_loop()
        self._handlers = handlers
        self._transport: asyncio.Transport | None = None
        self._inbox = bytearray()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._last = 0
        self.closed: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def over(cls, sock: socket.socket, handlers: Mapping[str, Handler]) -> Self:
        """A channel on one end of a socket pair, which it closes in the end."""
        channel = cls(handlers)
        await asyncio.get_running_loop().create_connection(lambda: channel, sock=sock)
        return channel

    def send(self, kind: str, value: Any, blob: bytes = b"") -> None:
        """Say something that needs no answer; to a process that is gone, nothing."""
        self._write(kind, 0, value, blob)

    def ask(self, kind: str, value: Any, blob: bytes = b"") -> "asyncio.Future[Any]":
        """Say something; the future ends with the answer, or with a ChannelError."""
        answer = asyncio.get_running_loop().create_future()
        if self.closed.done():
            answer.set_exception(ChannelError("the other process is gone"))
            return answer
        self._last += 1
        self._asked[self._last] = answer
        self._write(kind, self._last, value, blob)
        return answer

    def close(self) -> None:
        """Close this end."""
        if self._transport is not None:
            self._transport.close()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take every message that is whole."""
        self._inbox += data
        at, inbox = 0, bytes(self._inbox)
        while len(inbox) - at >= _LENGTHS.size:
            size, extra = _LENGTHS.unpack_from(inbox, at)
            body = at + _LENGTHS.size
            if len(inbox) < body + size + extra:
                break
            kind, number, value = json.loads(inbox[body : body + size])
            at = body + size + extra
            self._take(kind, number, value, inbox[body + size : at])
        del self._inbox[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody will answer any more."""
        del exc
        self._transport = None
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ChannelError("the other process is gone"))
        self._asked.clear()
        for task in self._serving:
            task.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    # -- own

    def _write(self, kind: str, number: int, value: Any, blob: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            text = _encode((kind, number, value)).encode("ascii")
            self._transport.write(b"".join((_LENGTHS.pack(len(text), len(blob)), text, blob)))

    def _take(self, kind: str, number: int, value: Any, blob: bytes) -> None:
        if kind != _ANSWER:
            task = asyncio.get_running_loop().create_task(self._serve(kind, number, value, blob))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            return
        answer = self._asked.pop(number, None)
        if answer is not None and not answer.done():
            if "error" in value:
                answer.set_exception(ChannelError(value["error"]))
            else:
                answer.set_result(value["value"])

    async def _serve(self, kind: str, number: int, value: Any, blob: bytes) -> None:
        try:
            answer = {"value": await self._handlers[kind](value, blob)}
        except RegateError as error:
            answer = {"error": str(error)}
        except Exception:  # noqa: BLE001 -- the outermost loop of one message: a bug in it must not end the rest
            _say.exception("a message between processes failed", kind=kind)
            answer = {"error": f"{kind} failed"}
        if number:
            self._write(_ANSWER, number, answer, b"")
