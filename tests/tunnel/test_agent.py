"""What a service does with connections that wait for a session."""

import asyncio
import socket
from types import SimpleNamespace
from typing import cast

import pytest
import structlog

from gateway.address import Address
from gateway.clock import SystemClock
from gateway.session.environment import Environment
from gateway.tunnel.agent import BACK_OFF_SECONDS, MOST_SPARES, Agent
from gateway.tunnel.credentials import Credentials
from gateway.tunnel.minting import RemoteSettings


def nobody() -> Credentials:
    raise AssertionError("no session begins here")


async def test_no_more_connections_wait_than_a_bound_however_many_are_asked_for_at_once() -> None:
    env = cast("Environment", SimpleNamespace(agent="db-1", cluster="example"))
    agent = Agent(nobody, cast("RemoteSettings", None), env, structlog.get_logger())
    pairs = [socket.socketpair() for _ in range(MOST_SPARES + 1)]
    for ours, _ in pairs:
        ours.setblocking(False)
    try:
        waiting = [asyncio.create_task(agent._is_wanted(ours)) for ours, _ in pairs]
        assert not await waiting[-1], "the last one finds no place"
        assert pairs[-1][0].fileno() == -1
        for _, theirs in pairs[:-1]:
            theirs.send(b"x")
        assert all(await asyncio.gather(*waiting[:-1]))
    finally:
        for ours, theirs in pairs:
            ours.close()
            theirs.close()


async def test_a_channel_is_tried_again_after_a_while_that_grows_and_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = SimpleNamespace(agent="db-1", cluster="example", clock=SystemClock())
    waits: list[list[float]] = []

    async def refused(_proxy: Address) -> None:
        raise OSError("connection refused")

    for _ in range(2):
        agent = Agent(nobody, cast("RemoteSettings", None), cast("Environment", env), structlog.get_logger())
        monkeypatch.setattr(agent, "_channel", refused)
        waited: list[float] = []

        async def wait(seconds: float, into: list[float] = waited) -> None:
            into.append(seconds)
            if len(into) == len(BACK_OFF_SECONDS) + 3:
                raise asyncio.CancelledError

        monkeypatch.setattr("gateway.tunnel.agent.asyncio.sleep", wait)
        with pytest.raises(asyncio.CancelledError):
            await agent._keep(Address("proxy.example.com", 443))
        waits.append(waited)
    longest = [*BACK_OFF_SECONDS, *[BACK_OFF_SECONDS[-1]] * 3]
    for waited in waits:
        assert all(most / 2 <= seconds <= most for seconds, most in zip(waited, longest, strict=True))
    assert waits[0] != waits[1], "services that lost the same proxy do not come back together"
