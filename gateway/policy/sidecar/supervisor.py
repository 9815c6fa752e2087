"""Supervises OPA: a child on a unix socket in a folder of mode 0700, which alone answers for the policy.

OPA keeps pushed data in memory only: after each start it has none, though it calls itself well. So nothing
counts as ready until data is pushed, one connect that must be allowed was, and two questions that must be
refused were.
"""

import asyncio  # noqa: TID251
import secrets
import shutil
import tempfile
import typing
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from gateway.clock import Clock
from gateway.errors import PolicyError
from gateway.model.decision import Revisions
from gateway.policy.client import PolicyClient
from gateway.policy.client_endpoint import Endpoint
from gateway.policy.client_issue import PolicyMetrics
from gateway.policy.client_line import Lines
from gateway.policy.publish import Bundle
from gateway.policy.sidecar import authorization
from gateway.policy.sidecar.child import Child, put, start, stop
from gateway.policy.sidecar.feeding import Feeding

AUTHORIZATION = "authz.tar.gz"
_DRAIN_SECONDS = 0.3
_BACK_OFF_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_WELL_AFTER_SECONDS = 30.0


Tried: typing.TypeAlias = Callable[[PolicyClient], Awaitable[None]]


class SidecarMetrics(PolicyMetrics, typing.Protocol):
    """What the supervisor counts besides the client."""

    def opa_restarted(self) -> None:
        """OPA ended by itself and was started again."""
        ...

    def opa_up(self, *, up: bool) -> None:
        """Decisions can be had, or cannot."""
        ...


class Sidecar:
    """OPA as a child. ``ready`` says whether decisions can be had; ``client`` asks for them either way.

    Leaving the context stops OPA. While it is down, and until data was pushed to it again, every answer of
    ``client`` is a refusal with the code ``policy_unavailable``.
    """

    def __init__(
        self,
        *,
        opa: Path,
        bundle: Bundle,
        key: EllipticCurvePrivateKey,
        clock: Clock,
        slots: int | None = None,
        deadline_seconds: float = 0.25,
        metrics: SidecarMetrics | None = None,
        token: str = "",
    ) -> None:
        self.restarts = 0
        self._opa = opa
        self._bundle = bundle
        self._key = key
        self._clock = clock
        self._metrics = metrics
        self._slots = slots
        self._token = token or secrets.token_urlsafe(32)
        # Short, because a socket's path must be; nobody guesses it, and it is made anew with mode 0700.
        self._folder = Path(tempfile.gettempdir(), f"regate-opa-{secrets.token_hex(8)}")
        self._authorization = self._folder / AUTHORIZATION
        self._started = 0
        self._child: Child | None = None
        self._feeding = Feeding(self._token, clock, self._put)
        self._directed: Path | Endpoint | None = None
        self._changing = asyncio.Lock()
        self._tasks: asyncio.TaskGroup | None = None
        self.client = PolicyClient(
            self._folder / "none", self._token, clock=clock, slots=slots,
            deadline_seconds=deadline_seconds, metrics=metrics,
        )  # fmt: skip
        self.client.available = False

    @property
    def ready(self) -> bool:
        """Whether the last canaries came out right and OPA still runs."""
        return self.client.available

    @property
    def bundle(self) -> Bundle:
        """The bundle that decides."""
        return self._bundle

    @property
    def documents(self) -> tuple[Mapping[str, Any], int]:
        """The documents in force, and their revision; none before the first push."""
        data = self._feeding.data
        return ({}, -1) if data is None else (data.documents, data.revision)

    @property
    def preparing(self) -> tuple[int, int]:
        """Roles prepared, of how many, while a change is on its way."""
        return self._feeding.preparing

    @property
    def pid(self) -> int | None:
        """OPA's process id, while it runs."""
        return None if self._child is None else self._child.process.pid

    async def __aenter__(self) -> typing.Self:
        await asyncio.to_thread(self._folder.mkdir, mode=0o700)
        try:
            await asyncio.to_thread(
                authorization.build, self._opa, self._token, self._key, self._authorization
            )
            self._child = await self._start(self._bundle)
            await self.client.__aenter__()
        except BaseException:
            await self._clean()
            raise
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._supervisor = self._tasks.create_task(self._supervise())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        self._set_available(up=False)
        self._supervisor.cancel()
        try:
            await self._tasks.__aexit__(kind, error, trace)
        finally:
            try:
                await self.client.__aexit__(None, None, None)
            finally:
                await self._clean()

    async def push(self, data: Mapping[str, Any], revision: int) -> None:
        """Put *data* in force; afterwards decisions name *revision*.

        Raises:
            PolicyError: OPA is down, did not take it, or answers wrongly with it. What is known to be out of
                date is not in force any more either: nothing is allowed until a push succeeds.
        """
        async with self._changing:
            try:
                child = self._running()
                await self._feeding.change(child, data, revision)
            except BaseException:
                self._feeding.data = None
                self._set_available(up=False)
                raise
            self._direct(child)

    async def replace_bundle(
        self, bundle: Bundle, *, rollback: bool = False, tried: Tried | None = None
    ) -> None:
        """Change to another bundle: a second OPA is started and tried, then the first is let go.

        *tried* may ask the new one before anybody else does; what it raises leaves the old one in force.

        Raises:
            PolicyError: the bundle is older and *rollback* was not said, or the new OPA does not start or
                answers wrongly; the old one stays in force.
        """
        async with self._changing:
            if bundle.number < self._bundle.number and not rollback:
                raise PolicyError(f"bundle {bundle.revision} is older than {self._bundle.revision}")
            fresh = await self._start(bundle)
            before = self._feeding.state()
            try:
                await self._feeding.move(fresh)
                if tried is not None:
                    with closing(PolicyClient(fresh.socket, self._token, clock=self._clock)) as asker:
                        await tried(asker)
                await self._feeding.check(fresh)  # it may have died in the meantime
            except BaseException:
                # The old one goes on with what its own policy prepared.
                self._feeding.go_back(before)
                await stop(fresh.process)
                raise
            old, self._child, self._bundle = self._child, fresh, bundle
            lines = self._direct(fresh)
            if old is not None:
                # What is asked there until then, OPA answers before it ends.
                await asyncio.sleep(_DRAIN_SECONDS)
                await stop(old.process)
            if lines is not None:
                lines.close()

    async def _supervise(self) -> None:
        failures = 0
        while True:
            child = self._child
            if child is not None:
                since = self._clock.monotonic()
                await child.process.wait()
                if self._child is not child:
                    continue  # it was replaced
                self._set_available(up=False)
                self._child = None
                if self._clock.monotonic() - since > _WELL_AFTER_SECONDS:
                    failures = 0
                self.restarts += 1
                if self._metrics is not None:
                    self._metrics.opa_restarted()
            await asyncio.sleep(_BACK_OFF_SECONDS[min(failures, len(_BACK_OFF_SECONDS) - 1)])
            failures += 1
            async with self._changing:
                if self._child is None:
                    await self._restart()

    async def _restart(self) -> None:
        try:
            child = await self._start(self._bundle)
        except PolicyError:
            return
        self._child = child
        if self._feeding.data is None:
            return  # the next push lets questions go to it
        try:
            await self._feeding.repeat(child)
        except PolicyError:
            await stop(child.process)
        else:
            self._direct(child)

    async def _put(self, child: Child, data: Mapping[str, Any], held: Mapping[str, Any] | None) -> None:
        """Put *data* into OPA, which has *held* unless it is None; raises what ``feeding`` expects."""
        await put(child.socket, self._token, data, held)

    def _direct(self, child: Child) -> Lines | None:
        """Let questions go to this child; returns connections to another, if there were any."""
        old = None
        if self._directed != child.socket:
            old, self._directed = self.client.move_to(child.socket), child.socket
        data = self._feeding.data
        if data is not None:
            self.client.revisions = Revisions(child.bundle.revision, data.revision)
            self._set_available(up=True)
        return old

    def _set_available(self, *, up: bool) -> None:
        self.client.available = up
        if self._metrics is not None:
            self._metrics.opa_up(up=up)

    def _running(self) -> Child:
        if self._child is None:
            raise PolicyError("opa is not running")
        return self._child

    async def _start(self, bundle: Bundle) -> Child:
        self._started += 1
        socket = self._folder / f"{self._started}.sock"
        return await start(self._opa, bundle, self._authorization, socket, self._token, self._slots)

    async def _clean(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await stop(child.process)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
