"""Carries every change of state to the policy, and from there to the sessions that are open."""

import asyncio  # noqa: TID251
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from structlog.typing import FilteringBoundLogger

from gateway.auth.store import Store
from gateway.errors import PolicyError, StateError
from gateway.model.decision import Denied
from gateway.policy.data import build_data
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.services.databases import Databases
from gateway.session.live import Live

RETRY_SECONDS = 0.5
REJUDGE_SECONDS = 30.0  # time windows and locks end by the clock, without a change of state


Keep: TypeAlias = Callable[[Mapping[str, Any], int], Awaitable[None]]
"""Gets the documents and the revision of each push that succeeded."""


class Follower(typing.Protocol):
    """Whoever serves sessions in other processes."""

    def take(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """These databases are enrolled now."""
        ...

    async def rejudge(self) -> int:
        """Ask again whether each session may be open; how many questions nobody answered."""
        ...

    async def end_all(self, denial: Denied) -> None:
        """Tell every session why it ends; returns when all are over."""
        ...


class Publisher:
    """Pushes snapshots to OPA, and judges the live sessions again under each."""

    def __init__(
        self,
        store: Store,
        sidecar: Sidecar,
        databases: Databases,
        live: Live,
        log: FilteringBoundLogger,
        *,
        keep: Keep | None = None,
        tell: Keep | None = None,
    ) -> None:
        self.followers: list[Follower] = []
        self._store = store
        self._sidecar = sidecar
        self._databases = databases
        self._live = live
        self._log = log
        self._keep = keep
        self._tell = tell
        self._changed = asyncio.Event()

    async def publish(self) -> None:
        """Push what the store holds now."""
        snapshot = await self._store.snapshot()
        self._databases.take(snapshot.databases)
        data = build_data(
            snapshot.roles,
            snapshot.users,
            snapshot.locks,
            snapshot.databases,
            snapshot.revision,
            snapshot.guards,
        )
        await self._sidecar.push(data, snapshot.revision)
        if self._keep is not None:
            await self._keep(data, snapshot.revision)
        for follower in self.followers:
            follower.take(snapshot.databases)
        if self._tell is not None:
            await self._tell(data, snapshot.revision)

    def again(self) -> None:
        """Push, and ask about the live sessions, though no state has changed: the policy has."""
        self._changed.set()

    async def run(self) -> None:
        """Publish each change as it comes, and ask about the live sessions after each, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            while True:
                unanswered = await self._rejudge()
                delay = RETRY_SECONDS if unanswered else REJUDGE_SECONDS
                try:
                    async with asyncio.timeout(delay):
                        await self._changed.wait()
                except TimeoutError:
                    continue
                self._changed.clear()
                await self._publish_until_done()

    async def _listen(self) -> None:
        async for _ in self._store.subscribe():
            self._changed.set()

    async def _rejudge(self) -> int:
        unanswered = await self._live.rejudge(self._sidecar.client)
        for follower in self.followers:
            unanswered += await follower.rejudge()
        return unanswered

    async def _publish_until_done(self) -> None:
        while True:
            try:
                await self.publish()
            except (PolicyError, StateError) as error:
                self._log.warning("the new data could not be published", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return
