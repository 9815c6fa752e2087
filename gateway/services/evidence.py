"""Which data and which bundle decisions come from: kept by digest, with the digest in the log.

So neither can be exchanged afterwards without a trace: the log is signed, and names what must be found.
"""

import asyncio  # noqa: TID251
from collections.abc import Mapping
from typing import Any

from gateway.audit.log import AuditLog
from gateway.clock import Clock, new_id
from gateway.model.event import Event, Kind
from gateway.policy import document
from gateway.policy.keeper import Keeper
from gateway.services.shadowing import Shadowing


class InForce:
    """Told of everything that takes effect."""

    def __init__(self, keeper: Keeper, audit: AuditLog, clock: Clock) -> None:
        self._keeper = keeper
        self._audit = audit
        self._clock = clock
        self.shadowing: Shadowing | None = None
        self._last: tuple[str, int] | None = None

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

    def _keep_data(self, documents: Mapping[str, Any], revision: int) -> str:
        return self._keeper.in_force("data", str(revision), document.encode(documents))
