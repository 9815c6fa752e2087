"""An OPA that the operator runs: fed and watched like the child, but never started or stopped.

It gets the two bundles as files that are written before it is asked for the first time (``gateway.tar.gz``
with the policies, ``authz.tar.gz`` with who may ask what), and the data over its API, with the operator's
token. Until it answers with that very bundle and data, and whenever it stops doing so, everything is refused.
"""

import asyncio  # noqa: TID251
import typing
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from gateway.clock import Clock
from gateway.errors import PolicyError
from gateway.model.identity import Subject
from gateway.policy import answer, canary, document
from gateway.policy.client import PolicyClient
from gateway.policy.client_endpoint import Endpoint
from gateway.policy.publish import Bundle
from gateway.policy.sidecar.child import Child
from gateway.policy.sidecar.supervisor import AUTHORIZATION, Sidecar, SidecarMetrics

WATCH_SECONDS = 0.5
ANSWER_SECONDS = 5.0
REPLACE_SECONDS = 60.0  # for a bundle that takes another's place, while the other still decides
_CONTROL_SECONDS = 30.0
_PROBE = Subject("local", "probe")


class Remote(Sidecar):
    """The operator's OPA as the one way to decisions.

    Entering waits, for as long as it takes, until it holds the bundle.
    """

    def __init__(  # noqa: PLR0913 # what a sidecar takes, and where OPA is
        self,
        *,
        endpoint: Endpoint,
        token: str,
        opa: Path,
        bundle: Bundle,
        key: EllipticCurvePrivateKey,
        clock: Clock,
        say: typing.Callable[[str], None],
        deadline_seconds: float = 0.25,
        metrics: SidecarMetrics | None = None,
    ) -> None:
        super().__init__(
            opa=opa,
            bundle=bundle,
            key=key,
            clock=clock,
            deadline_seconds=deadline_seconds,
            metrics=metrics,
            token=token,
        )
        # Beside the policies, for the operator to hand to OPA.
        self._authorization = bundle.path.with_name(AUTHORIZATION)
        self._endpoint = endpoint
        self._say = say

    async def _start(self, bundle: Bundle) -> Child:
        """Wait until OPA answers with this bundle."""
        said, since = "", self._clock.monotonic()
        while True:
            trouble = await self._trouble(bundle)
            if not trouble:
                return Child(_Watched(self), self._endpoint, bundle)
            if self._child is not None and self._clock.monotonic() - since > REPLACE_SECONDS:
                raise PolicyError(f"the operator's opa did not take the new bundle: {trouble}")
            if trouble != said:
                self._say(f"waiting for the OPA at {self._endpoint.path or self._endpoint.url}: {trouble}")
                said = trouble
            await asyncio.sleep(WATCH_SECONDS)

    async def _put(self, child: Child, data: Mapping[str, Any], held: Mapping[str, Any] | None) -> None:
        del child, held  # there is one only, and it gets all: somebody else may have started it anew
        timeout = aiohttp.ClientTimeout(total=_CONTROL_SECONDS)
        connector: aiohttp.BaseConnector
        if self._endpoint.path:
            connector = aiohttp.UnixConnector(path=self._endpoint.path)
        else:
            connector = aiohttp.TCPConnector(ssl=self._endpoint.tls or True)
        headers = {"Authorization": f"Bearer {self._token}"}
        address = f"{self._endpoint.url}/v1/data/regate"
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
            session.put(address, json=data, allow_redirects=False) as response,
        ):
            if response.status != 204:
                raise ValueError(f"opa answered {response.status}")

    async def wait(self) -> None:
        """Return when OPA does not answer any more, or no longer from the bundle and data in force."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            if self._changing.locked():
                continue
            if self.client.available and not await self._is_current():
                return

    async def _trouble(self, bundle: Bundle) -> str:
        """Why *bundle* does not decide there, empty when it does."""
        asked = document.question(document.admin(_PROBE, "read", "cluster", "", self._clock.now_ns()))
        with closing(PolicyClient(self._endpoint, self._token, clock=self._clock)) as asker:
            try:
                verdict = answer.admin(await asker.ask_raw("admin/decision", asked, ANSWER_SECONDS))
            except PolicyError as error:
                return str(error)
        if verdict.revisions is None:
            return "it has no policies of Regate's"
        held = verdict.revisions.policy
        return "" if held == bundle.revision else f"it holds the bundle {held}, not {bundle.revision}"

    async def _is_current(self) -> bool:
        revisions = self.client.revisions
        with closing(PolicyClient(self._endpoint, self._token, clock=self._clock)) as asker:
            for question in canary.canaries(revisions.data, self._clock.now_ns()):
                try:
                    question.check(
                        await asker.ask_raw(question.path, question.body, ANSWER_SECONDS), revisions
                    )
                except PolicyError:
                    return self._changing.locked() or self.client.revisions != revisions
        return True


class _Watched:
    """Stands where a child's process stands; ending it ends nothing."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self.returncode: int | None = 0  # nothing that could be stopped
        self.pid = 0

    async def wait(self) -> int:
        await self._remote.wait()
        return 0

    def send_signal(self, number: int) -> None:
        """Nothing: the process is the operator's."""

    def kill(self) -> None:
        """Nothing, as above."""
