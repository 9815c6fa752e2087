"""Supervises OPA: a child on a unix socket in a folder of mode 0700, which alone answers for the policy.

OPA keeps pushed data in memory only: after each start it has none, though it calls itself well. So nothing
counts as ready until data is pushed, one connect that must be allowed was, and two questions that must be
refused were.
"""

import asyncio  # noqa: TID251
import hashlib
import json
import secrets
import shutil
import tempfile
import typing
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from opa_client.errors import PatchDataError, RegoParseError

from gateway.clock import Clock
from gateway.errors import PolicyError
from gateway.model.decision import Revisions
from gateway.policy import canary, indexing, patching, publish
from gateway.policy.client import PolicyClient, PolicyMetrics
from gateway.policy.client_endpoint import Endpoint
from gateway.policy.client_line import Lines
from gateway.policy.publish import Bundle
from gateway.policy.sidecar_child import Child, UnixOpaClient, start, stop
from gateway.schema import data_dir

_CANARY_SECONDS = 5.0
_DRAIN_SECONDS = 0.3
_AUTHORIZATION = "authz.tar.gz"
_BACK_OFF_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_WELL_AFTER_SECONDS = 30.0


_say = structlog.get_logger("regate.policy")

Tried: typing.TypeAlias = Callable[[PolicyClient], Awaitable[None]]


class SidecarMetrics(PolicyMetrics, typing.Protocol):
    """What the supervisor counts besides the client."""

    def opa_restarted(self) -> None:
        """OPA ended by itself and was started again."""
        ...

    def opa_up(self, *, up: bool) -> None:
        """Decisions can be had, or cannot."""
        ...


@dataclass(frozen=True, slots=True)
class _Data:
    """What is in force: the documents as they came, and what was pushed of them."""

    documents: Mapping[str, Any]
    pushed: dict[str, Any]
    revision: int


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
        self._started = 0
        self._child: Child | None = None
        self._data: _Data | None = None
        self._index: indexing.Index | None = None
        self._held: tuple[Child, Mapping[str, Any]] | None = None
        self.preparing = (0, 0)  # roles prepared, of how many, while a change is on its way
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
        return ({}, -1) if self._data is None else (self._data.documents, self._data.revision)

    @property
    def pid(self) -> int | None:
        """OPA's process id, while it runs."""
        return None if self._child is None else self._child.process.pid

    async def __aenter__(self) -> typing.Self:
        await asyncio.to_thread(self._folder.mkdir, mode=0o700)
        try:
            await asyncio.to_thread(self._build_authorization)
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
            last, self._data = self._data, None
            try:
                child = self._running()
                _not_older(revision, last)
                fresh = await self._indexed(child, data, revision)
                await self._feed(child, fresh)
            except BaseException:
                self._set_available(up=False)
                raise
            self._data = fresh
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
            before = self._data, self._index, self._held
            try:
                if self._data is not None:
                    # The new policy may prepare another index of the same documents.
                    self._data = await self._indexed(fresh, self._data.documents, self._data.revision)
                    await self._feed(fresh, self._data)
                if tried is not None:
                    with closing(PolicyClient(fresh.socket, self._token, clock=self._clock)) as asker:
                        await tried(asker)
                if self._data is not None:
                    await self._check(fresh, self._data)  # it may have died in the meantime
            except BaseException:
                # The old one goes on with what its own policy prepared.
                self._data, self._index, self._held = before
                await stop(fresh.process)
                raise
            old, self._child, self._bundle = self._child, fresh, bundle
            lines = self._direct(fresh)
            if old is not None:
                # Questions under way there are over within their deadline.
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
        if self._data is not None:
            try:
                await self._feed(child, self._data)
            except PolicyError:
                await stop(child.process)
            else:
                self._direct(child)

    async def _indexed(self, child: Child, documents: Mapping[str, Any], revision: int) -> _Data:
        """The documents with the index that this child's policy makes of them."""
        whole = canary.with_canary({**documents, "data_revision": revision})
        policy = child.bundle.revision
        try:
            with closing(PolicyClient(child.socket, self._token, clock=self._clock)) as asker:
                self._index = await indexing.indexed(asker, policy, whole, self._index, self._prepared)
        finally:
            self.preparing = (0, 0)
        return _Data(documents, {**whole, "index": self._index.value}, revision)

    def _prepared(self, done: int, of: int) -> None:
        self.preparing = (done, of)
        if of > indexing.PORTION:
            _say.info("roles are prepared for the policy", prepared=done, of=of)

    async def _feed(self, child: Child, data: _Data) -> None:
        """Push the data and try the canaries."""
        try:
            await self._put(child, data.pushed)
        except (aiohttp.ClientError, PatchDataError, RegoParseError, OSError, ValueError, KeyError) as error:
            raise PolicyError("opa did not take the data") from error
        await self._check(child, data)

    async def _check(self, child: Child, data: _Data) -> None:
        """Ask the canaries."""
        revisions = Revisions(child.bundle.revision, data.revision)
        with closing(PolicyClient(child.socket, self._token, clock=self._clock)) as asker:
            for question in canary.canaries(data.revision, self._clock.now_ns()):
                result = await asker.ask_raw(question.path, question.body, _CANARY_SECONDS)
                question.check(result, revisions)

    async def _put(self, child: Child, data: Mapping[str, Any]) -> None:
        assert isinstance(child.socket, Path)
        held, self._held = self._held, None  # should this fail, nobody knows what OPA holds
        async with UnixOpaClient(child.socket, self._token) as control:
            patch = None if held is None or held[0] is not child else patching.patch(held[1], data)
            if patch is None:
                await control.update_or_create_data(data, "regate")
            elif patch:
                await control.patch_data("regate", patch)
        self._held = (child, data)

    def _direct(self, child: Child) -> Lines | None:
        """Let questions go to this child; returns connections to another, if there were any."""
        old = None
        if self._directed != child.socket:
            old, self._directed = self.client.move_to(child.socket), child.socket
        if self._data is not None:
            self.client.revisions = Revisions(child.bundle.revision, self._data.revision)
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
        return await start(self._opa, bundle, self._authorization(), socket, self._token, self._slots)

    def _authorization(self) -> Path:
        return self._folder / _AUTHORIZATION

    def _build_authorization(self) -> None:
        """A second bundle, which says who may ask what; it knows the token only by its digest."""
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            staging = Path(name)
            shutil.copyfile(data_dir("opa") / "authz" / "authz.rego", staging / "authz.rego")
            token = {"token_sha256": hashlib.sha256(self._token.encode("ascii")).hexdigest()}
            place = staging / "system" / "authz" / "supervisor"
            place.mkdir(parents=True)
            (place / "data.json").write_text(json.dumps(token), encoding="utf-8")
            manifest = {"roots": ["system/authz"], "rego_version": 1}
            (staging / ".manifest").write_text(json.dumps(manifest), encoding="utf-8")
            publish.sign(self._opa, staging, self._authorization(), self._key)

    async def _clean(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await stop(child.process)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def _not_older(revision: int, last: _Data | None) -> None:
    if last is not None and revision < last.revision:
        raise PolicyError(f"data revision {revision} is older than {last.revision}, which is in force")
