"""Runs a client through a local port that is open for as long as the client runs."""

import asyncio  # noqa: TID251
import os
import signal
import ssl
from collections.abc import Mapping, Sequence

import click

from gateway.cli import channel
from gateway.cli.clients import at_port, introduction
from gateway.cli.profile import DatabaseLogin, Profile
from gateway.cli.tunnel import HOST, Tunnel, Upstream, listen


def run(
    chosen: Profile,
    got: DatabaseLogin,
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> int:
    """The exit code of *program*, started with its own way to the port and *arguments* behind it."""
    return asyncio.run(_run(chosen, got, program, arguments, environment))


def context(chosen: Profile, got: DatabaseLogin) -> ssl.SSLContext:
    """TLS towards the proxy with the database's certificate."""
    return channel.database_context(chosen, got, _alpn(got.route.protocol))


def _alpn(protocol: str) -> str:
    from gateway.protocols import REGISTRY  # noqa: PLC0415 # imports every codec: only a tunnel needs to

    return REGISTRY[protocol].alpn[0]


async def _run(
    chosen: Profile,
    got: DatabaseLogin,
    program: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> int:
    made = context(chosen, got)
    stop = asyncio.Event()
    # Ctrl-C is for the client, which is in the same group of processes and gets it too.
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    with listen(0) as listening:
        port = listening.getsockname()[1]
        protocol = got.route.protocol
        said = introduction(protocol, HOST, port)
        upstream = Upstream(chosen.proxy, lambda: made, _alpn(protocol), said)
        tunnel = Tunnel(upstream, lambda sentence: click.echo(sentence, err=True))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tunnel.run(listening, stop))
            try:
                where = at_port(got.route.protocol, HOST, port, got.route.db_name, got.route.db_user)
                process = await asyncio.create_subprocess_exec(
                    program, *where, *arguments, env={**os.environ, **environment}
                )
                return await process.wait()
            finally:
                stop.set()
