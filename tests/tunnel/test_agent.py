"""What a service does with connections that wait for a session."""

import asyncio
import socket
from types import SimpleNamespace
from typing import cast

import structlog

from gateway.session.environment import Environment
from gateway.tunnel.agent import MOST_SPARES, Agent
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
