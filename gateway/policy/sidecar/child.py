"""One OPA process on a unix socket: how it is started, fed and stopped."""

import asyncio  # noqa: TID251
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from opa_client.opa_async import AsyncOpaClient

from gateway.errors import PolicyError
from gateway.policy import patching, publish
from gateway.policy.client_batches import default_slots
from gateway.policy.client_endpoint import Endpoint
from gateway.policy.publish import Bundle

_START_SECONDS = 15.0
_CONTROL_SECONDS = 30.0
_STOP_SECONDS = 3.0


class Process(Protocol):
    """What is needed of a process."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        ...

    async def wait(self) -> int:
        """Return when it has ended."""
        ...

    def send_signal(self, number: int, /) -> None:
        """Ask it to end."""
        ...

    def kill(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True, slots=True)
class Child:
    """A running OPA, where it listens and which bundle it holds."""

    process: Process
    socket: Path | Endpoint
    bundle: Bundle


class UnixOpaClient(AsyncOpaClient):  # type: ignore[misc]  # the library has no types
    """opa-python-client over a unix socket; it opens TCP only."""

    def __init__(self, socket_path: Path, token: str) -> None:
        super().__init__(token=token, timeout=_CONTROL_SECONDS, retries=0)
        self._socket_path = socket_path

    async def _init_session(self) -> None:
        self._connector = aiohttp.UnixConnector(path=str(self._socket_path))
        timeout = aiohttp.ClientTimeout(total=_CONTROL_SECONDS)
        self._session = aiohttp.ClientSession(
            headers=self.headers, connector=self._connector, timeout=timeout
        )


async def start(
    opa: Path, bundle: Bundle, authorization: Path, socket: Path, token: str, slots: int | None = None
) -> Child:
    """Start OPA on *bundle*, and wait until it calls itself well. It has no data yet.

    Raises:
        PolicyError: it does not come up; the message ends with the last line it wrote.
    """
    log = socket.with_suffix(".log")
    try:
        command = _command(opa, bundle, authorization, socket)
        process = await _spawn(command, log, slots or default_slots())
    except OSError as error:
        raise PolicyError(f"opa did not start: {error}") from error
    try:
        async with asyncio.timeout(_START_SECONDS):
            await _until_well(process, socket, token)
    except (TimeoutError, OSError) as error:
        await stop(process)
        raise PolicyError(f"opa did not start: {_last_words(log)}") from error
    except BaseException:
        await stop(process)
        raise
    return Child(process, socket, bundle)


async def put(
    place: Path | Endpoint, token: str, data: Mapping[str, Any], held: Mapping[str, Any] | None
) -> None:
    """Push *data* to a child, or only what differs from *held*, where it holds that.

    Whatever the client's library raises when OPA does not take it goes on to the caller.
    """
    assert isinstance(place, Path), "a child listens on a unix socket"
    patch = None if held is None else patching.patch(held, data)
    async with UnixOpaClient(place, token) as control:
        if patch is None:
            await control.update_or_create_data(data, "regate")
        elif patch:
            await control.patch_data("regate", patch)


async def stop(process: Process) -> None:
    """End the process, kindly first."""
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


async def _spawn(command: list[str], log: Path, slots: int) -> asyncio.subprocess.Process:
    with log.open("ab") as stderr:
        return await asyncio.create_subprocess_exec(
            *_tied_to_this_process(),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=stderr,
            cwd=log.parent,
            # GOGC: a bigger heap saves a good part of OPA's processor time. GOMAXPROCS: as many as there
            # are batches in flight; more would look for work on the cores that the gateway needs.
            env={
                "PATH": os.environ.get("PATH", ""),
                "HOME": str(log.parent),
                "GOGC": "400",
                "GOMAXPROCS": str(slots),
            },
        )


def _command(opa: Path, bundle: Bundle, authorization: Path, socket: Path) -> list[str]:
    return [
        *(str(opa), "run", "--server", "--addr", f"unix://{socket}", "--unix-socket-perm", "600"),
        *("--authentication", "token", "--authorization", "basic"),
        *("--bundle", str(bundle.path), "--bundle", str(authorization)),
        *("--verification-key", str(bundle.verification_key), "--signing-alg", publish.SIGNING_ALGORITHM),
        *("--skip-version-check", "--optimize-store-for-read-speed"),
        *("--log-level", "error", "--shutdown-grace-period", "1"),
    ]


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1][:500] if lines else "it said nothing"


def _tied_to_this_process() -> list[str]:
    """Start the child so that the kernel ends it with us, however we end."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]


async def _until_well(process: asyncio.subprocess.Process, socket: Path, token: str) -> None:
    while process.returncode is None:
        if await asyncio.to_thread(socket.exists):
            async with UnixOpaClient(socket, token) as control:
                try:
                    if await control.check_health():
                        return
                except (aiohttp.ClientError, OSError):
                    pass  # not listening yet; the deadline is the caller's
        await asyncio.sleep(0.01)
    raise OSError("opa ended at once")
