"""Which data and which bundle decisions come from: kept by digest, with the digest in the log.

So neither can be exchanged afterwards without a trace: the log is signed, and names what must be found.
"""

import asyncio  # noqa: TID251
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import structlog

from gateway.audit.log import AuditLog
from gateway.clock import Clock, new_id
from gateway.model.event import Event, Kind
from gateway.policy import document
from gateway.policy.keeper import Keeper
from gateway.policy.sidecar.supervisor import Sidecar
from gateway.services.shadowing import Shadowing

_say = structlog.get_logger("regate.policy")


class InForce:
    """Told of everything that takes effect."""

    def __init__(self, keeper: Keeper, audit: AuditLog, clock: Clock) -> None:
        self._keeper = keeper
        self._audit = audit
        self._clock = clock
        self.shadowing: Shadowing | None = None
        self._last: tuple[str, int] | None = None
        self._adopted = ""

    async def data(self, documents: Mapping[str, Any], revision: int) -> None:
        """These documents decide from now on."""
        if self.shadowing is not None:
            await self.shadowing.data(documents, revision)
        digest = await asyncio.to_thread(self._keep_data, documents, revision)
        if self._last == (digest, revision):
            return
        self._last = (digest, revision)
        now = self._clock.now_ns()
        fields = {"data_revision": revision, "data_digest": digest}
        self._audit.post(Event(Kind.POLICY_DATA, new_id(now), now, fields))

    async def policy(self, revision: str, bundle: bytes) -> str:
        """This bundle decides from now on; its digest, for the event that says so."""
        return await asyncio.to_thread(self._keeper.in_force, "policy", revision, bundle)

    async def adopted(self, revision: str, arrived: Path, data_revision: int) -> None:
        """A service elsewhere decides by these policies from now on; *arrived* is the bundle as it came.

        Kept as the cluster signed it, so that its digest is the one that the auth service knows.
        """
        if revision == self._adopted:
            return
        try:
            content = await asyncio.to_thread(arrived.read_bytes)
        except OSError as error:
            _say.error("the policies are not kept as evidence", error=str(error))
            return
        fields = {
            "policy_revision": revision,
            "policy_digest": await self.policy(revision, content),
            "data_revision": data_revision,
        }
        now = self._clock.now_ns()
        self._audit.post(Event(Kind.POLICY_ADOPT, new_id(now), now, fields))
        self._adopted = revision

    def _keep_data(self, documents: Mapping[str, Any], revision: int) -> str:
        return self._keeper.in_force("data", str(revision), document.encode(documents))


def evidence(stack: AsyncExitStack, sidecar: Sidecar, folder: Path, audit: AuditLog, clock: Clock) -> InForce:
    """What decisions are made from is kept in *folder*, beside the log, until *stack* is left."""
    keeper = Keeper(folder, clock)
    stack.push_async_callback(asyncio.to_thread, keeper.close)
    sidecar.client.keeper = keeper
    return InForce(keeper, audit, clock)
