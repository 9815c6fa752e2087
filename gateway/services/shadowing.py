"""A bundle that is tried on real questions before it decides any: a second OPA, asked beside the first.

Its roles are put over the cluster's in the data that it gets. Differences are recorded as ``policy.shadow``
and counted; nothing that it answers reaches anybody's session. It does not survive a restart.
"""

import asyncio  # noqa: TID251
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from gateway.audit.log import AuditLog
from gateway.clock import Clock, new_id
from gateway.errors import AuditError, PolicyError
from gateway.model.decision import Allowed, Decision
from gateway.model.event import Event, Kind
from gateway.policy.admission import Admitted
from gateway.policy.client_shadow import Difference, Shadow
from gateway.policy.publish import Bundle
from gateway.policy.sidecar.supervisor import Sidecar

_PATIENCE_SECONDS = 2.0


class Shadowing:
    """At most one shadow beside *sidecar*."""

    def __init__(
        self, sidecar: Sidecar, opa: Path, key: EllipticCurvePrivateKey, audit: AuditLog, clock: Clock
    ) -> None:
        self._sidecar = sidecar
        self._opa = opa
        self._key = key
        self._audit = audit
        self._clock = clock
        self._second: Sidecar | None = None
        self._shadow: Shadow | None = None
        self._roles: Mapping[str, Any] = {}
        self._holder: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()

    async def start(self, bundle: Bundle, admitted: Admitted) -> None:
        """Ask *bundle* beside the one in force from now on, in the place of another shadow.

        Raises:
            PolicyError: OPA does not start with it, or answers wrongly.
        """
        await self.stop()
        async with self._changing:
            self._roles = admitted.roles
            ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            # The shadow outlives the request that starts it, and is stopped by another: a task of its own.
            self._holder = asyncio.get_running_loop().create_task(self._hold(bundle, ready))
            await ready

    async def stop(self) -> bool:
        """Ask it no more; False when there was none."""
        async with self._changing:
            holder, self._holder = self._holder, None
            if holder is None:
                return False
            was_there = not holder.done()
            holder.cancel()
            await asyncio.wait([holder])
            return was_there

    async def _hold(self, bundle: Bundle, ready: "asyncio.Future[None]") -> None:
        try:
            async with Sidecar(
                opa=self._opa,
                bundle=bundle,
                key=self._key,
                clock=self._clock,
                deadline_seconds=_PATIENCE_SECONDS,
            ) as second:
                documents, revision = self._sidecar.documents
                await second.push(self._over(documents), revision)
                shadow = Shadow(second.client, self._told)
                self._second, self._shadow, self._sidecar.client.shadow = second, shadow, shadow
                ready.set_result(None)
                try:
                    await asyncio.Event().wait()
                finally:
                    self._second = self._shadow = self._sidecar.client.shadow = None
                    shadow.close()
        except (PolicyError, ExceptionGroup) as error:
            if not ready.done():
                ready.set_exception(PolicyError(f"the policy on trial does not start: {_innermost(error)}"))

    async def data(self, documents: Mapping[str, Any], revision: int) -> None:
        """The data in force changed. A shadow that does not take them is out of date, and says so itself."""
        async with self._changing:
            if self._second is not None:
                try:
                    await self._second.push(self._over(documents), revision)
                except PolicyError:
                    return

    @property
    def revision(self) -> str:
        """The shadow's revision; empty when there is none."""
        return "" if self._second is None else self._second.bundle.revision

    def status(self) -> dict[str, Any] | None:
        """How it fares; None when there is none."""
        if self._second is None or self._shadow is None:
            return None
        tally = self._shadow.tally
        return {
            "revision": self._second.bundle.revision,
            "asked": tally.asked,
            "differed": tally.differed,
            "dropped": tally.dropped,
            "unanswered": tally.unanswered,
        }

    def _over(self, documents: Mapping[str, Any]) -> dict[str, Any]:
        return {**documents, "roles": {**documents["roles"], **self._roles}}

    def _told(self, found: Difference) -> None:
        assert self._second is not None
        fields = {
            "user": found.user,
            "database": found.database,
            "decision_id": found.decision.decision_id,
            "input_digest": found.decision.input_digest,
            "verdict": _verdict(found.decision),
            "policy_revision": self._sidecar.bundle.revision,
            "shadow_revision": self._second.bundle.revision,
            "shadow_verdict": _verdict(found.shadow),
            "shadow_reasons": [reason.code for reason in found.shadow.reasons],
        }
        now = self._clock.now_ns()
        try:
            self._audit.post(Event(Kind.POLICY_SHADOW, new_id(now), now, fields))
        except AuditError:
            return  # the log is closed: so is everything else


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _verdict(decision: Decision) -> str:
    return "allowed" if isinstance(decision, Allowed) else "denied"
