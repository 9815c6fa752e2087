"""Who opens a connection to the API and asks nothing does not keep it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.api import exchange
from gateway.transport import quiet

IDLE = 0.4


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "IDLE_SECONDS", IDLE)
    monkeypatch.setattr(quiet, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(exchange, "BODY_SECONDS", IDLE)


@asynccontextmanager
async def _served() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server of the web, which is watched as the listener does it."""

    async def now(_request: web.Request) -> web.Response:
        return web.Response(text="now")

    async def later(_request: web.Request) -> web.Response:
        await asyncio.sleep(6 * IDLE)
        return web.Response(text="later")

    async def said(request: web.Request) -> web.Response:
        (await exchange.body(request)).finish()
        return web.Response(text="said")

    application = web.Application(middlewares=[exchange.errors])
    application.add_routes([web.get("/now", now), web.get("/later", later), web.post("/said", said)])
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    served = runner.server
    assert served is not None

    class Watched(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            assert served is not None
            successor = served()
            transport.set_protocol(successor)
            successor.connection_made(transport)
            quiet.watch(successor, transport)

    listening = await asyncio.get_running_loop().create_server(Watched, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    try:
        async with asyncio.timeout(30):
            yield reader, writer
    finally:
        writer.close()
        listening.close()
        await runner.cleanup()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> str:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return (await reader.readexactly(size)).decode()


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end. A line under way when the server closes has the kernel reset it."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def test_a_connection_on_which_nobody_asks_is_closed() -> None:
    async with _served() as (reader, _):
        assert await reader.read() == b""


async def test_a_head_that_trickles_in_is_not_waited_for() -> None:
    async with _served() as (reader, writer):
        ended = asyncio.create_task(_all_of(reader))
        writer.write(b"GET /now HTTP/1.1\r\n")
        while not ended.done():
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0.05)
        assert b"200" not in await ended


async def test_a_body_that_trickles_in_is_not_waited_for() -> None:
    async with _served() as (reader, writer):
        writer.write(b"POST /said HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 9\r\n\r\n{")
        assert b"did not come within" in await reader.read()


async def test_whoever_asks_again_and_again_or_waits_for_an_answer_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle = 4 * IDLE  # a moment without the processor must not look like silence
    monkeypatch.setattr(quiet, "IDLE_SECONDS", idle)
    async with _served() as (reader, writer):
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.5 * idle
        while loop.time() < until:
            assert await _answer(reader, writer, "/now") == "now"
            await asyncio.sleep(0.01)
        assert await _answer(reader, writer, "/later") == "later"
        assert await _answer(reader, writer, "/now") == "now"
        assert await reader.read() == b"", "and is closed when all is said"
