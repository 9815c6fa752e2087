"""Staying in step with other nodes: word of changes, the keys of the moment, rotations that move on."""

import asyncio  # noqa: TID251

from gateway.auth.store import KEY_REVISION
from gateway.errors import RegateError
from gateway.services.cluster import Cluster

RETRY_SECONDS = 0.5
ROTATE_SECONDS = 10.0
"""How often automatic rotations are looked at; whichever node comes first moves one on."""


async def keep_in_step(running: Cluster) -> None:
    """All of it, for ever."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(running.store.watch(_Hearing(running)))
        tasks.create_task(_follow_keys(running))
        tasks.create_task(_rotate(running))


class _Hearing:
    """Renews the lease, and says once when the state is gone and once when it is back."""

    def __init__(self, running: Cluster) -> None:
        self._running = running
        self._is_lost = False
        running.health.ok("state")

    def __call__(self, error: Exception | None) -> None:
        running = self._running
        if error is None:
            running.environment.lease.renew()
            if self._is_lost:
                running.log.info("the state is back")
                running.health.ok("state")
        elif not self._is_lost:
            running.log.warning("the state does not answer", error=type(error).__name__)
            running.health.fail("state", "the state does not answer")
        self._is_lost = error is not None


async def _follow_keys(running: Cluster) -> None:
    """Take up each change of the keys, whoever made it."""
    async for revision in running.store.subscribe(KEY_REVISION):
        while running.authorities.revision < revision:
            try:
                await running.keyring.refresh()
            except RegateError as error:
                running.log.warning("the keys cannot be read", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)


async def _rotate(running: Cluster) -> None:
    while True:
        await asyncio.sleep(ROTATE_SECONDS)
        try:
            for moved in await running.auth.rotate_due():
                running.log.info("an authority moved on", kind=moved.kind.value, phase=moved.phase.value)
        except RegateError as error:
            running.log.warning("a rotation could not move on", error=str(error))
