"""Connections to OPA's unix socket: one question at a time on each, kept open between questions."""

import asyncio  # noqa: TID251
import typing
from collections import deque

from gateway.errors import PolicyError
from gateway.policy.client_endpoint import Endpoint, endpoint
from gateway.policy.http import Response, ResponseReader, request


class _Connection(asyncio.Protocol):
    """One connection; an answer nobody waits for, or bytes that are none, close it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._reader = ResponseReader()
        self._answer: asyncio.Future[Response] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by behaviour, not by class.
        self.transport = typing.cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or answer.done():
            self.close()
            return
        try:
            response = self._reader.feed(data)
        except PolicyError as error:
            answer.set_exception(error)
            self.close()
            return
        if response is not None:
            self._answer = None
            answer.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the loop's own signature
        self.transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("opa closed the connection"))

    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    async def exchange(self, data: bytes) -> Response:
        if self.transport is None:
            raise ConnectionResetError("opa closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return await self._answer


class Lines:
    """Connections to one OPA, made when needed and reused; a cancelled or late question closes its own."""

    def __init__(self, place: Endpoint | str, token: str) -> None:
        self.endpoint = endpoint(place)
        self._token = token
        self._idle: deque[_Connection] = deque()
        self._busy: set[_Connection] = set()

    async def ask(self, path: str, body: bytes, accept: str = "") -> Response:
        """Put one question and wait for its answer.

        A connection that OPA closed while it lay idle is replaced once: questions change nothing there.

        Raises:
            PolicyError: the answer is no answer.
            OSError: nobody answers on the socket.
        """
        data = request(path, body, self._token, accept)
        reused = self._reusable()
        if reused is not None:
            try:
                return await self._exchange(reused, data)
            except ConnectionResetError:
                pass
        return await self._exchange(await self._connect(), data)

    def close(self) -> None:
        """Close all of them; questions under way end with an OSError."""
        while self._idle:
            self._idle.pop().close()
        for connection in list(self._busy):
            connection.close()

    def _reusable(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open():
                return connection
        return None

    async def _connect(self) -> _Connection:
        return await self.endpoint.connect(_Connection)

    async def _exchange(self, connection: _Connection, data: bytes) -> Response:
        self._busy.add(connection)
        kept = False
        try:
            response = await connection.exchange(data)
            kept = response.keep
        finally:
            self._busy.discard(connection)
            if not kept:
                connection.close()
        if kept:
            self._idle.append(connection)
        return response
