"""Connections that wait at a proxy for the next session: taken once, only while they are there and young."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import aiohttp
import pytest
import structlog
from aiohttp import web

from gateway.ca import keys
from gateway.ca.issue import mint_host
from gateway.ca.profile import Kind
from gateway.ca.tls import backend_context, server_context
from gateway.clock import SystemClock
from gateway.errors import BackendError
from gateway.transport.line import Line, accept_tls
from gateway.transport.stream import Stream
from gateway.tunnel import links as module
from gateway.tunnel.links import SPARE_SECONDS, SPARES, Link, Links
from gateway.tunnel.preface import PATH, VIA, preface

Opening: TypeAlias = Any  # of aiohttp: awaited or entered

AGENT = "db-1"
CLUSTER = keys.make("example", SystemClock())


class LaterClock(SystemClock):
    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Channel:
    """A service's control channel: what it is told is kept, and each call for a connection is answered."""

    def __init__(self, proxy: Links) -> None:
        self.proxy = proxy
        self.told: list[tuple[str, bool]] = []
        self.ends: list[socket.socket] = []
        self.answers = True
        self.came = asyncio.Event()

    async def send_str(self, text: str) -> None:
        said = json.loads(text)
        self.told.append((said["dial"], said["spare"]))
        if self.answers:
            await self.come(said["dial"])

    async def close(self, *, message: bytes) -> None:
        """Nothing hangs on it."""

    async def come(self, number: str) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        ours.send(preface(number))
        line = Line(theirs, peer="192.0.2.7:1")
        await self.proxy.arrived(line)
        line.close()
        self.ends.append(ours)
        self.came.set()

    @property
    def spares(self) -> list[bool]:
        return [is_spare for _, is_spare in self.told]


@pytest.fixture(autouse=True)
def _no_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "keep_alive", lambda _: None)


@pytest.fixture
def clock() -> LaterClock:
    return LaterClock()


@pytest.fixture
def proxy(clock: LaterClock) -> Iterator[Links]:
    made = Links(tuple, clock, structlog.get_logger())
    yield made
    for link in made._links.values():
        link.drop_spares()


@pytest.fixture
async def channel(proxy: Links) -> AsyncIterator[Channel]:
    made = Channel(proxy)
    proxy._links[AGENT] = Link(AGENT, cast("web.WebSocketResponse", made))
    yield made
    for end in made.ends:
        end.close()


@pytest.fixture
def link(proxy: Links, channel: Channel) -> Link:
    return proxy._links[AGENT]


async def stocked(proxy: Links, link: Link) -> None:
    proxy.stock(link)
    await asyncio.gather(*proxy._ordering)


def client() -> ssl.SSLContext:
    return backend_context(CLUSTER.trusted_pem(Kind.HOST))


def server() -> ssl.SSLContext:
    minted = mint_host(CLUSTER.host_serving, names=[AGENT], now=datetime.now(UTC))
    return server_context(minted, CLUSTER.trusted_pem(Kind.USER))


async def dialled(proxy: Links, end: socket.socket) -> Stream:
    """A session that begins over the connection whose other end is *end*."""
    taken, (_, stream) = await asyncio.gather(accept_tls(end, server()), proxy.dial(AGENT, client()))
    stream.write(b"hello")
    assert await taken.receive() == b"hello"
    taken.close()
    return stream


async def test_the_next_session_takes_what_waits_and_asks_for_nothing(
    proxy: Links, link: Link, channel: Channel
) -> None:
    await stocked(proxy, link)
    (await dialled(proxy, channel.ends[0])).close()
    assert channel.spares == [True]
    assert not link.spares


async def test_no_more_wait_than_are_worth_it(proxy: Links, link: Link, channel: Channel) -> None:
    for _ in range(SPARES + 3):
        await stocked(proxy, link)
    assert channel.spares == [True] * SPARES


async def test_what_never_comes_is_ordered_again_after_a_while(
    proxy: Links, link: Link, channel: Channel, clock: LaterClock
) -> None:
    channel.answers = False
    for _ in range(SPARES + 1):
        await stocked(proxy, link)
    clock.ahead = module.DIAL_SECONDS + 1
    await stocked(proxy, link)
    assert channel.spares == [True] * (SPARES + 1)


@pytest.mark.parametrize("why", ["closed", "old", "said something"])
async def test_a_connection_that_is_not_good_any_more_is_left(
    proxy: Links, link: Link, channel: Channel, clock: LaterClock, why: str
) -> None:
    await stocked(proxy, link)
    if why == "closed":
        channel.ends[0].close()
    elif why == "old":
        clock.ahead = SPARE_SECONDS + 1
    else:
        channel.ends[0].send(b"!")
    channel.came.clear()
    dialling = asyncio.ensure_future(proxy.dial(AGENT, client()))
    await channel.came.wait()
    taken = await accept_tls(channel.ends[1], server())
    _, stream = await dialling
    assert channel.spares == [True, False]
    assert not link.spares
    stream.close()
    taken.close()


async def test_a_number_brings_one_connection(proxy: Links, link: Link, channel: Channel) -> None:
    await stocked(proxy, link)
    await channel.come(channel.told[0][0])
    await channel.come("0" * 32)
    assert len(link.spares) == 1
    assert channel.ends[1].recv(1) == channel.ends[2].recv(1) == b"", "nobody waits for these"


async def test_a_service_that_is_cut_off_keeps_nothing_open(
    proxy: Links, link: Link, channel: Channel
) -> None:
    await stocked(proxy, link)
    await proxy.judge({AGENT: "it is locked"})
    assert channel.ends[0].recv(1) == b""
    await stocked(proxy, link)
    assert channel.spares == [True], "nothing is ordered from a service that is gone"
    with pytest.raises(BackendError, match="is not connected"):
        await proxy.dial(AGENT, client())


async def test_another_service_cannot_answer_in_its_place(
    proxy: Links, link: Link, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DIAL_SECONDS", 1.0)
    await stocked(proxy, link)
    channel.answers = False
    minted = mint_host(CLUSTER.host_serving, names=["db-2"], now=datetime.now(UTC))
    thief = server_context(minted, CLUSTER.trusted_pem(Kind.USER))
    taken, dialled = await asyncio.gather(
        accept_tls(channel.ends[0], thief), proxy.dial(AGENT, client()), return_exceptions=True
    )
    assert isinstance(dialled, BackendError)
    assert isinstance(taken, OSError), "the proxy hung up in the handshake"
    assert channel.spares == [True, False]


@asynccontextmanager
async def reached(proxy: Links, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[str], Opening]]:
    """How a service opens a channel by one of the proxy's addresses; who it is was looked at before."""
    monkeypatch.setattr(proxy, "_identify", lambda _: SimpleNamespace(user=AGENT))
    await proxy.judge({AGENT: ""})
    runner = web.AppRunner(proxy.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession() as session:
            yield lambda via: session.ws_connect(f"http://{host}:{port}{PATH}", headers={VIA: via})
    finally:
        await runner.cleanup()


async def test_two_names_of_one_proxy_are_one_channel(proxy: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    async with reached(proxy, monkeypatch) as opening, opening("gate:443") as first:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opening("alias:443")
        assert refused.value.status == 409
        assert proxy.connected() == [AGENT]
        assert not first.closed
        async with opening("gate:443"):  # the first is half-open: the service noticed before the proxy did
            assert (await first.receive()).type is aiohttp.WSMsgType.CLOSE
            assert proxy.connected() == [AGENT]
    assert proxy.connected() == []


async def test_the_other_name_will_do_once_the_first_is_gone(
    proxy: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reached(proxy, monkeypatch) as opening:
        async with opening("gate:443"):
            pass
        for _ in range(1000):
            if not proxy.connected():
                break
            await asyncio.sleep(0.01)
        async with opening("alias:443"):
            assert proxy.connected() == [AGENT]
