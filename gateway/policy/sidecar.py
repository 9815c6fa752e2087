"""Supervises OPA: a child on a unix socket in a folder of mode 0700, which alone answers for the policy.

OPA keeps pushed data in memory only: after each start it has none, though it calls itself well. So nothing
counts as ready until data is pushed, one connect that must be allowed was, and two questions that must be
refused were.
"""

import asyncio  # noqa: TID251
import hashlib
import json
import os
import secrets
import shutil
import signal
import tempfile
import typing
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from opa_client.opa_async import AsyncOpaClient

from gateway.clock import Clock
from gateway.errors import PolicyError
from gateway.model.decision import Revisions
from gateway.policy import canary, publish
from gateway.policy.client import PolicyClient, PolicyMetrics
from gateway.policy.publish import Bundle
from gateway.schema import data_dir

_START_SECONDS = 15.0
_PUSH_SECONDS = 30.0
_CANARY_SECONDS = 5.0
_STOP_SECONDS = 3.0
_BACK_OFF_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_WELL_AFTER_SECONDS = 30.0


class SidecarMetrics(PolicyMetrics, typing.Protocol):
    """What the supervisor counts besides the client."""

    def opa_restarted(self) -> None:
        """OPA ended by itself and was started again."""
        ...


@dataclass(frozen=True, slots=True)
class _Child:
    process: asyncio.subprocess.Process
    socket: Path
    bundle: Bundle


class _UnixOpaClient(AsyncOpaClient):  # type: ignore[misc]  # the library has no types
    """opa-python-client over a unix socket; it opens TCP only."""

    def __init__(self, socket_path: Path, token: str) -> None:
        super().__init__(token=token, timeout=_PUSH_SECONDS, retries=0)
        self._socket_path = socket_path

    async def _init_session(self) -> None:
        self._connector = aiohttp.UnixConnector(path=str(self._socket_path))
        timeout = aiohttp.ClientTimeout(total=_PUSH_SECONDS)
        self._session = aiohttp.ClientSession(
            headers=self.headers, connector=self._connector, timeout=timeout
        )


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
    ) -> None:
        self.restarts = 0
        self._opa = opa
        self._bundle = bundle
        self._key = key
        self._clock = clock
        self._metrics = metrics
        self._token = secrets.token_urlsafe(32)
        self._folder = Path(tempfile.mkdtemp(prefix="regate-opa-"))  # mode 0700, and short: sockets need it
        self._started = 0
        self._child: _Child | None = None
        self._data: tuple[dict[str, Any], int] | None = None
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
    def pid(self) -> int | None:
        """OPA's process id, while it runs."""
        return None if self._child is None else self._child.process.pid

    async def __aenter__(self) -> typing.Self:
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
        self.client.available = False
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
            PolicyError: OPA did not take it, or answers wrongly with it; then nothing is allowed until a
                push succeeds.
        """
        async with self._changing:
            indexed = await self._indexed(data, revision)
            self._data = (indexed, revision)
            if self._child is None:
                raise PolicyError("opa is not running; the data is pushed when it is")
            await self._put_in_force(self._child)

    async def replace_bundle(self, bundle: Bundle) -> None:
        """Change to another bundle: a second OPA is started and tried, then the first is let go.

        Raises:
            PolicyError: the new one does not start or answers wrongly; the old one stays in force.
        """
        async with self._changing:
            fresh = await self._start(bundle)
            try:
                if self._data is not None:
                    await self._feed(fresh)
            except BaseException:
                await _stop(fresh.process)
                raise
            old, self._child, self._bundle = self._child, fresh, bundle
            self._direct(fresh)
            if old is not None:
                # Questions under way there are over within their deadline.
                await asyncio.sleep(0.3)
                await _stop(old.process)

    async def _supervise(self) -> None:
        failures = 0
        while True:
            child = self._child
            if child is not None:
                since = self._clock.monotonic()
                await child.process.wait()
                if self._child is not child:
                    continue  # it was replaced
                self.client.available = False
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
                await self._put_in_force(child)
            except PolicyError:
                await _stop(child.process)

    async def _indexed(self, data: Mapping[str, Any], revision: int) -> dict[str, Any]:
        documents = canary.with_canary({**data, "data_revision": revision})
        if self._child is None:
            raise PolicyError("opa is not running")
        known = self._data[0] if self._data is not None else {}
        if known.get("roles") == documents["roles"] and known.get("locks") == documents["locks"]:
            return {**documents, "index": known["index"]}
        with closing(PolicyClient(self._child.socket, self._token, clock=self._clock)) as asker:
            index = await asker.index(documents["roles"], documents["locks"])
        return {**documents, "index": index}

    async def _put_in_force(self, child: _Child) -> None:
        try:
            await self._feed(child)
        except BaseException:
            self.client.available = False
            raise
        self._direct(child)

    async def _feed(self, child: _Child) -> None:
        """Push the data and try the canaries."""
        assert self._data is not None
        data, revision = self._data
        try:
            async with _UnixOpaClient(child.socket, self._token) as control:
                await control.update_or_create_data(data, "regate")
        except (aiohttp.ClientError, OSError, ValueError, KeyError) as error:
            raise PolicyError("opa did not take the data") from error
        revisions = Revisions(child.bundle.revision, revision)
        with closing(PolicyClient(child.socket, self._token, clock=self._clock)) as asker:
            for question in canary.canaries(revision, self._clock.now_ns()):
                result = await asker.ask_raw(question.path, question.body, _CANARY_SECONDS)
                question.check(result, revisions)

    def _direct(self, child: _Child) -> None:
        """Let questions go to this child."""
        self.client.move_to(child.socket)
        if self._data is not None:
            self.client.revisions = Revisions(child.bundle.revision, self._data[1])
            self.client.available = True

    async def _start(self, bundle: Bundle) -> _Child:
        self._started += 1
        socket = self._folder / f"{self._started}.sock"
        process = await asyncio.create_subprocess_exec(
            *_tied_to_this_process(),
            *self._command(bundle, socket),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=(self._folder / "opa.log").open("ab"),
            cwd=self._folder,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self._folder), "GOGC": "400"},
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                await _until_well(process, socket, self._token)
        except BaseException as error:
            await _stop(process)
            if isinstance(error, TimeoutError | OSError):
                raise PolicyError(f"opa did not start: {self._last_words()}") from error
            raise
        return _Child(process, socket, bundle)

    def _command(self, bundle: Bundle, socket: Path) -> list[str]:
        return [
            str(self._opa), "run", "--server", "--addr", f"unix://{socket}", "--unix-socket-perm", "600",
            "--authentication", "token", "--authorization", "basic",
            "--bundle", str(bundle.path), "--bundle", str(self._folder / "authz.tar.gz"),
            "--verification-key", str(bundle.verification_key), "--signing-alg", publish.SIGNING_ALGORITHM,
            "--skip-version-check", "--optimize-store-for-read-speed", "--log-level", "error", "--shutdown-grace-period", "1",
        ]  # fmt: skip

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
            publish.sign(self._opa, staging, self._folder / "authz.tar.gz", self._key)

    def _last_words(self) -> str:
        try:
            lines = (self._folder / "opa.log").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "it said nothing"
        return lines[-1][:500] if lines else "it said nothing"

    async def _clean(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await _stop(child.process)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def _tied_to_this_process() -> list[str]:
    """Start the child so that the kernel ends it with us, however we end."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]


async def _until_well(process: asyncio.subprocess.Process, socket: Path, token: str) -> None:
    while process.returncode is None:
        if await asyncio.to_thread(socket.exists):
            async with _UnixOpaClient(socket, token) as control:
                try:
                    if await control.check_health():
                        return
                except (aiohttp.ClientError, OSError):
                    pass  # not listening yet; the deadline is the caller's
        await asyncio.sleep(0.01)
    raise OSError("opa ended at once")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    try:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except ProcessLookupError:
        return
    except TimeoutError:
        process.kill()
        await process.wait()
