"""Several servers as one: the backend side of a session whose database has a router.

A connection is dialled when the first bytes for its server come, as the first one was: with a certificate of
its own, logged in as the same user. For all of them together the contract of ``Stream`` holds.
"""

import asyncio  # noqa: TID251
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.errors import BackendError, ProtocolError
from gateway.sansio.spread import Node, Router, Step
from gateway.transport.stream import HIGH_WATER, Stream

Dial: TypeAlias = Callable[[Node], Awaitable[Stream]]
"""A logged-in connection to a server; BackendError says why there is none."""


@dataclass(slots=True, eq=False)
class _Leg:
    """One server: its stream once it is open, and what is to be written then."""

    stream: Stream | None = None
    early: list[bytes] = field(default_factory=list)


class Legs:
    """The servers of one session, each on a connection of its own."""

    def __init__(self, router: Router, first: Stream, dial: Dial) -> None:
        self._router = router
        self._dial = dial
        self._legs: dict[Node, _Leg] = {router.start(): _Leg(first)}
        self._wanted: asyncio.Queue[Node] = asyncio.Queue()
        self._opened = asyncio.Event()
        self._handler: Callable[[bytes], None] | None = None
        self._is_held = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failure: ProtocolError | None = None

    # -- as a stream

    def relay_to(self, handler: Callable[[bytes], None]) -> None:
        """Hand all that the router makes of the servers' answers to *handler*."""
        self._handler = handler
        for node, leg in list(self._legs.items()):
            self._listen(node, leg)

    def write(self, data: bytes) -> None:
        """Send what was judged, to whom it concerns."""
        self._do(lambda: self._router.from_session(data))

    @property
    def is_paused(self) -> bool:
        """True while no more should be written to one of the servers."""
        return any(leg.stream is None or leg.stream.is_paused for leg in self._legs.values())

    async def drain(self) -> None:
        """Wait until each server may be written to."""
        for leg in list(self._legs.values()):
            while leg.stream is None and sum(map(len, leg.early)) > HIGH_WATER and not self._over.done():
                self._opened.clear()
                await self._opened.wait()
            if leg.stream is not None:
                await leg.stream.drain()

    def hold(self) -> None:
        """Stop reading from all of them."""
        self._is_held = True
        for leg in self._legs.values():
            if leg.stream is not None:
                leg.stream.hold()

    def release(self) -> None:
        """Read on, where the answers do not have to wait for another server's."""
        self._is_held = False
        self._balance()

    def close(self) -> None:
        """Close all of them."""
        self._end()
        for leg in self._legs.values():
            if leg.stream is not None:
                leg.stream.close()

    async def closed(self) -> None:
        """Dial what is wanted and notice what is lost, until there is nothing left to talk to."""
        async with asyncio.TaskGroup() as tasks:
            keeper = tasks.create_task(self._keep())
            await asyncio.shield(self._over)
            keeper.cancel()

    # -- own

    def _do(self, step: Callable[[], Step]) -> None:
        try:
            done = step()
            for node, data in done.to_nodes:
                self._send(node, data)
            if done.to_client and self._handler is not None:
                self._handler(done.to_client)
        except ProtocolError as error:  # for the session none is left then, whichever node it came from
            self.failure = error
            self.close()
            return
        if done.over:
            self.close()
        self._balance()

    def _send(self, node: Node, data: bytes) -> None:
        leg = self._legs.get(node)
        if leg is None:
            leg = self._legs[node] = _Leg()
            self._wanted.put_nowait(node)
        if leg.stream is None:
            leg.early.append(data)
        else:
            leg.stream.write(data)

    def _listen(self, node: Node, leg: _Leg) -> None:
        assert leg.stream is not None, "only an open connection can be listened to"
        leg.stream.relay_to(lambda data: self._do(lambda: self._router.from_node(node, data)))

    def _balance(self) -> None:
        for node, leg in self._legs.items():
            if leg.stream is None:
                continue
            if self._is_held or self._router.kept(node) > HIGH_WATER:
                leg.stream.hold()
            else:
                leg.stream.release()

    async def _keep(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for node, leg in list(self._legs.items()):
                tasks.create_task(self._serve(node, leg))
            while True:
                node = await self._wanted.get()
                if node in self._legs:
                    tasks.create_task(self._serve(node, self._legs[node]))

    async def _serve(self, node: Node, leg: _Leg) -> None:
        """One server's connection from its dial to its end."""
        if leg.stream is None:
            try:
                stream = await self._dial(node)
            except BackendError as error:
                self._forget(node, str(error), was_open=False)
                return
            if self._over.done():
                stream.close()
                return
            leg.stream = stream
            stream.write(b"".join(leg.early))
            leg.early.clear()
            self._listen(node, leg)
            self._opened.set()
        await leg.stream.closed()
        self._forget(node, "", was_open=True)

    def _forget(self, node: Node, reason: str, *, was_open: bool) -> None:
        self._legs.pop(node, None)
        self._opened.set()
        if not self._over.done():
            self._do(lambda: self._router.lost(node, reason, was_open=was_open))

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)
        self._opened.set()
