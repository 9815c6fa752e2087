"""Ships this host's log to the auth service, for as long as the service runs; never in anybody's way.

Records are durable here first. Whatever goes wrong with shipping is retried, told by a metric and in the
program's log, and holds up no statement.
"""

import asyncio  # noqa: TID251
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, assert_never

import structlog

from gateway.audit.note import Verifier
from gateway.audit.replica import MisplacedError
from gateway.audit.ship import HEARTBEAT_SECONDS, GoOn, Held, StartAnew, encode, judge
from gateway.audit.source import LogSource
from gateway.clock import Clock
from gateway.errors import RegateError

POLL_SECONDS = 0.5
RETRY_FIRST, RETRY_MOST = 0.5, 30.0

_say = structlog.get_logger("regate.audit")


class Courier(Protocol):
    """The way to the receiver: each call is one request with a deadline of its own.

    Each raises MisplacedError when the receiver holds something else than was thought, and another
    RegateError for everything else.
    """

    async def held(self) -> Held:
        """What the receiver has."""
        ...

    async def greet(self, signer: str, epoch: int, note: bytes) -> Held:
        """Show the newest checkpoint."""
        ...

    async def send(self, body: bytes) -> Held:
        """Hand over a batch, as ``ship.encode`` wrote it."""
        ...


class Metrics(Protocol):
    """What shipping tells of itself; ``gateway.observe.metrics`` has these."""

    def audit_ship_lag(self, records: int) -> None:
        """So many signed records have not been shipped."""
        ...

    def audit_ship_up(self, *, up: bool) -> None:
        """Whether the receiver took the last thing it was sent."""
        ...


@dataclass(slots=True)
class Pace:
    """What tests shorten; seconds."""

    poll: float = POLL_SECONDS
    heartbeat: float = HEARTBEAT_SECONDS
    retry_first: float = RETRY_FIRST
    retry_most: float = RETRY_MOST


@dataclass(slots=True)
class Shipper:
    """One log on its way. ``draw`` gives a number from 0 to 1 for the jitter of retries."""

    source: LogSource
    signer: Verifier
    courier: Courier
    clock: Clock
    metrics: Metrics | None = None
    pace: Pace = field(default_factory=Pace)
    draw: Callable[[], float] = random.random
    shipped: Callable[[], None] | None = None
    """Called when the receiver has records that it had not."""
    _reason: str = ""

    async def run(self) -> None:
        """Ship for ever."""
        delay = 0.0
        while True:
            try:
                held = await self._meet()
                delay = 0.0
                await self._follow(held)
            except MisplacedError as error:
                _say.info("the receiver holds another part of the log", error=str(error))
                delay = delay or self.pace.retry_first
            except RegateError as error:
                self._tell_failure(str(error))
                delay = min(2 * delay, self.pace.retry_most) or self.pace.retry_first
            await asyncio.sleep(delay * (0.5 + self.draw()))

    async def once(self) -> Held:
        """Ship what is signed now; what the receiver holds afterwards."""
        held = await self._meet()
        return await self._drain(held)

    async def _meet(self) -> Held:
        """Find out what the receiver has, and agree with it on where to go on."""
        held = await self.courier.held()
        head, note = await asyncio.to_thread(self.source.newest)
        signer = self.signer.encode()
        course = await asyncio.to_thread(judge, head, self.source.root_at, signer, held)
        match course:
            case GoOn(epoch):
                pass
            case StartAnew(epoch, reason):
                if reason:
                    _say.error("the audit log is shipped anew from record 0", reason=reason, epoch=epoch)
            case other:
                assert_never(other)
        held = await self.courier.greet(signer, epoch, note)
        self._tell(head.size, held.size)
        return held

    async def _follow(self, held: Held) -> None:
        """Ship each checkpoint as it is signed; show the last one again while there is no news."""
        heard = self.clock.monotonic()
        while True:
            before = held.size
            held = await self._drain(held)
            now = self.clock.monotonic()
            if held.size > before:
                heard = now
            elif now - heard >= self.pace.heartbeat:
                _, note = await asyncio.to_thread(self.source.newest)
                held = await self.courier.greet(self.signer.encode(), held.epoch, note)
                heard = now
            await asyncio.sleep(self.pace.poll)

    async def _drain(self, held: Held) -> Held:
        while (batch := await asyncio.to_thread(self.source.batch, held.size)) is not None:
            body = await asyncio.to_thread(encode, held.epoch, batch)
            held = await self.courier.send(body)
            if self.shipped is not None:
                self.shipped()
            head, _ = await asyncio.to_thread(self.source.newest)
            self._tell(head.size, held.size)
        return held

    def _tell(self, signed: int, shipped: int) -> None:
        if self.metrics is not None:
            self.metrics.audit_ship_lag(max(0, signed - shipped))
            self.metrics.audit_ship_up(up=True)
        if self._reason:
            self._reason = ""
            _say.info("the audit log is shipped again")

    def _tell_failure(self, reason: str) -> None:
        if self.metrics is not None:
            self.metrics.audit_ship_up(up=False)
        if reason != self._reason:
            self._reason = reason
            _say.warning("the audit log cannot be shipped", reason=reason)
