"""CancelRequests are counted by address before their key is looked for: here, in workers, at a proxy."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import structlog

from gateway.clock import SystemClock
from gateway.protocols.postgres import POSTGRES
from gateway.sansio.protocol import Hello
from gateway.session.connection import Connection
from gateway.session.environment import Deadlines, Environment
from gateway.session.hold import Holds
from gateway.session.live import Live
from gateway.session.pace import CANCELS_PER_SECOND, Pace
from gateway.transport.line import Line
from gateway.tunnel.front import Front
from gateway.workers.channel import Channel
from gateway.workers.desk import Desk
from gateway.workers.registry import SharedLive

KEY = b"\0\0\0\x07four"
REQUEST = b"\0\0\0\x10\x04\xd2\x16\x2e" + KEY


def standing() -> float:
    """A clock that does not move: nothing is let in again."""
    return 1_000_000.0


@dataclass
class Running:
    """A session that counts how often it was cancelled."""

    session_id: str = "s1"
    user: str = "ann"
    cancel_key: bytes = KEY
    cancelled: int = 0

    async def cancel(self) -> None:
        self.cancelled += 1


class StandingClock(SystemClock):
    def monotonic(self) -> float:
        return standing()


@dataclass
class World:
    """As much of an environment as a cancel passes."""

    live: Live
    clock: Any = field(default_factory=StandingClock)
    log: Any = field(default_factory=structlog.get_logger)
    elsewhere: Any = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    cluster: str = "test"


def registry(cancels: int) -> tuple[Live, Running]:
    live, session = Live(None, Pace(cancels, standing)), Running()
    live.add(cast("Any", session))
    return live, session


async def ask(serve: Any, peer: str) -> None:
    """One client sends a CancelRequest and goes away."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        ours.sendall(REQUEST)
        await serve(Line(theirs, peer))


async def test_one_address_uses_up_its_own_cancels_and_nobody_else_s() -> None:
    live, session = registry(2)

    async def serve(line: Line) -> None:
        connection = Connection(POSTGRES, cast("Environment", World(live)))
        await connection.serve(line, Hello(encrypted=False, tls_required=True))

    for port in range(5):
        await ask(serve, f"192.0.2.1:{port}")
    assert session.cancelled == 2
    await ask(serve, "192.0.2.2:1")
    assert session.cancelled == 3
    for port in range(5):  # of IPv6 a network is one address
        await ask(serve, f"[2001:db8::{port}]:1")
    assert session.cancelled == 5


async def test_a_proxy_by_itself_counts_before_it_asks_any_service() -> None:
    passed: list[tuple[bytes, str | None]] = []

    class Relay:
        async def cancel(self, key: bytes, user: str | None) -> None:
            passed.append((key, user))

    front = Front(cast("Any", Relay()), StandingClock(), structlog.get_logger())

    async def serve(line: Line) -> None:
        await front.serve(POSTGRES, line, Hello(encrypted=False, tls_required=True))

    for port in range(CANCELS_PER_SECOND + 5):
        await ask(serve, f"192.0.2.1:{port}")
    assert passed == [(KEY, None)] * CANCELS_PER_SECOND
    await ask(serve, "192.0.2.2:1")
    assert len(passed) == CANCELS_PER_SECOND + 1


@asynccontextmanager
async def workers(live: Live, number: int) -> AsyncIterator[list[SharedLive]]:
    """Registries of *number* workers of one main process, whose registry is *live*."""
    ends: list[Channel] = []
    shared = []
    for _ in range(number):
        desk = Desk(cast("Any", None), live, Holds(), None, cast("Any", None), SystemClock())
        first, second = socket.socketpair()
        for sock in (first, second):
            sock.setblocking(False)
        ends += [await Channel.over(first, {}), await Channel.over(second, desk.handlers())]
        shared.append(SharedLive(ends[-2]))
    try:
        yield shared
    finally:
        for end in ends:
            end.close()
        for end in ends:
            await asyncio.wait_for(end.closed, 30)


async def test_workers_count_together() -> None:
    live, _ = registry(3)
    async with workers(live, 2) as (first, second):
        asked = [await worker.may_cancel("192.0.2.1") for worker in (first, second, first, second, first)]
        assert asked == [True, True, True, False, False]
        assert await second.may_cancel("192.0.2.2")


def test_a_service_s_registry_holds_both_limits() -> None:
    live = Live.paced(2, standing)
    assert sum(live.hears_cancel("192.0.2.1") for _ in range(2 * CANCELS_PER_SECOND)) == CANCELS_PER_SECOND
    assert [live.count("ann", "db").in_pace for _ in range(3)] == [True, True, False]
