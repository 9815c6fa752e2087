"""The probes and the numbers in plain HTTP, for monitoring on this host: ``regate.diag_addr``."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.address import Address
from gateway.api.application import diagnostics
from gateway.errors import ConfigError
from gateway.services.cluster import Cluster


@asynccontextmanager
async def serving(running: Cluster) -> AsyncIterator[None]:
    """Answer on the address of the configuration for the length of the block; without one, do nothing."""
    address = running.config.diagnostics
    if address is None:
        yield
        return
    app = diagnostics(running.health, running.environment.metrics)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _listen(runner, address)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, address: Address) -> None:
    try:
        await web.TCPSite(runner, address.host or None, address.port).start()
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
        raise ConfigError(f"cannot listen on {address}: {reason}", hint="change regate.diag_addr") from error
