"""Messages between processes, over a real socket pair."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors import BackendError
from gateway.workers.channel import Channel, ChannelError, Handler


@asynccontextmanager
async def pair(
    ours: Mapping[str, Handler], theirs: Mapping[str, Handler]
) -> AsyncIterator[tuple[Channel, Channel]]:
    first, second = socket.socketpair()
    for sock in (first, second):
        sock.setblocking(False)
    here, there = await Channel.over(first, ours), await Channel.over(second, theirs)
    try:
        yield here, there
    finally:
        here.close()
        there.close()
        await asyncio.gather(here.closed, there.closed)


async def test_questions_are_answered_in_whatever_order_answers_come() -> None:
    async def wait(value: Any, blob: bytes) -> Any:
        await asyncio.sleep(value)
        return [value, len(blob)]

    async with pair({}, {"wait": wait}) as (here, _):
        slow, quick = here.ask("wait", 0.1, b"x" * 300_000), here.ask("wait", 0.0)
        assert await quick == [0.0, 0]
        assert not slow.done()
        assert await slow == [0.1, 300_000]


async def test_what_is_said_arrives_in_order() -> None:
    heard: list[int] = []

    async def note(value: Any, _blob: bytes) -> None:
        heard.append(value)

    async def done(_value: Any, _blob: bytes) -> None:
        return None

    async with pair({}, {"note": note, "done": done}) as (here, _):
        for number in range(500):
            here.send("note", number, b"y" * number)
        await here.ask("done", None)
    assert heard == list(range(500))


async def test_a_refusal_keeps_its_words_and_a_bug_its_secrets(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(_value: Any, _blob: bytes) -> None:
        raise BackendError("no such database")

    async def break_down(_value: Any, _blob: bytes) -> None:
        raise ValueError("inner words")

    async with pair({}, {"refuse": refuse, "break": break_down}) as (here, _):
        with pytest.raises(ChannelError, match="no such database"):
            await here.ask("refuse", None)
        with pytest.raises(ChannelError, match=r"^break failed"):
            await here.ask("break", None)
        with pytest.raises(ChannelError, match=r"^unheard failed"):
            await here.ask("unheard", None)


async def test_who_waits_learns_that_the_other_process_is_gone() -> None:
    async def never(_value: Any, _blob: bytes) -> None:
        await asyncio.Event().wait()

    async with pair({}, {"never": never}) as (here, there):
        waiting = here.ask("never", None)
        await asyncio.sleep(0.05)
        there.close()
        with pytest.raises(ChannelError, match="gone"):
            await waiting
        with pytest.raises(ChannelError, match="gone"):
            await here.ask("never", None)
