"""Fetches the cluster's bundle from where the configuration says, again and again: git, a folder, an address.

What is fetched goes the same way as what is published: signature, number, checks, trial. The same bytes again
are nothing new. What cannot be fetched or is refused leaves the policy as it is, and is told once.
"""

import asyncio  # noqa: TID251
import os
import tempfile
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from structlog.typing import FilteringBoundLogger

from gateway.errors import AccessError, ConfigError, ConflictError, RegateError
from gateway.model.identity import Subject
from gateway.policy.admission import MAX_BYTES
from gateway.supply import Source

_SECONDS = 60.0
_MINE = Subject(kind="local", name="policy source")


class Publishes(Protocol):
    """Where a bundle goes; ``gateway.services.policies`` is one."""

    async def publish(self, subject: Subject, content: bytes, source: str) -> object:
        """Put a signed bundle in force."""
        ...


class Fetcher:
    """Looks at *source* every period, for as long as it runs."""

    def __init__(self, source: Source, policies: Publishes, log: FilteringBoundLogger) -> None:
        self._source = source
        self._policies = policies
        self._log = log
        self._seen: bytes | None = None
        self._told = ""
        self._is_away = False

    async def run(self) -> None:
        """Fetch and publish, for ever."""
        while True:
            await self.once()
            await asyncio.sleep(self._source.period_seconds)

    async def once(self) -> None:
        """One look; whatever goes wrong is told, once, and looked at again the next time."""
        try:
            async with asyncio.timeout(_SECONDS):
                content = await fetch(self._source)
        except (RegateError, OSError, TimeoutError, aiohttp.ClientError) as error:
            self._is_away = True
            self._tell(_sentence(error), "is it there, and may this account read it? it is tried again")
            return
        if self._is_away:  # the same fault is told again when it comes again
            self._is_away, self._told = False, ""
            self._log.info("the policy source answers again")
        if content == self._seen:
            return
        self._seen = content
        try:
            await self._policies.publish(_MINE, content, self._source.kind)
        except ConflictError as error:
            self._log.info("the policy source has nothing newer", error=str(error), hint=error.hint)
        except RegateError as error:
            if not isinstance(error, ConfigError | AccessError):
                self._seen = None  # not the bundle's fault: the same may pass the next time
            self._tell(str(error), error.hint)
        else:
            self._told = ""
            self._log.info("a policy was fetched and is in force", source=self._source.kind)

    def _tell(self, sentence: str, hint: str) -> None:
        if sentence != self._told:
            self._told = sentence
            self._log.error("the policy source gives no bundle that can be used", error=sentence, hint=hint)


def _sentence(error: Exception) -> str:
    match error:
        case RegateError():
            return str(error)
        case TimeoutError():
            return f"the policy source did not answer within {_SECONDS:g} s"
        case OSError(strerror=str(reason), filename=str(name)):
            return f"cannot read {name}: {reason.lower()}"
        case _:
            return str(error)


async def fetch(source: Source) -> bytes:
    """The bundle that is there now.

    Raises:
        ConfigError, OSError, aiohttp.ClientError: it cannot be had.
    """
    match source.kind:
        case "dir":
            return await asyncio.to_thread(_read, Path(source.place, source.file))
        case "url":
            return await _download(source.place)
        case "git":
            return await _from_git(source)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return _bounded(file.read(MAX_BYTES + 1))


async def _download(url: str) -> bytes:
    timeout, shown = aiohttp.ClientTimeout(total=_SECONDS), _without_secrets(url)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            if response.status != 200:
                raise ConfigError(f"{shown} answered {response.status}")
            content = bytearray()
            async for piece in response.content.iter_chunked(64 * 1024):
                content += piece
                _bounded(content)
            return bytes(content)
    except (aiohttp.InvalidURL, aiohttp.ClientResponseError) as error:  # their words hold the whole address
        raise ConfigError(f"{shown} cannot be fetched: {type(error).__name__}") from None


def _without_secrets(url: str) -> str:
    """An address for a log: passwords stand before the host, signatures of stores behind the path."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


async def _from_git(source: Source) -> bytes:
    """The file as of the ref, from a shallow clone without a work tree: no hook of it runs, and no filter."""
    with tempfile.TemporaryDirectory(prefix="regate-git-") as folder:
        await _git("init", "--quiet", "--bare", folder)
        await _git("-C", folder, "fetch", "--quiet", "--depth=1", "--no-tags", "--", source.place, source.ref)
        return _bounded(await _git("-C", folder, "cat-file", "blob", f"FETCH_HEAD:{source.file}"))


async def _git(*arguments: str) -> bytes:
    quiet = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "file:https:ssh:git",
    }
    try:
        process = await asyncio.create_subprocess_exec(
            "git", *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env=os.environ | quiet,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise ConfigError("policy.source.git needs git, which is not installed") from error
    try:
        out, said = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise ConfigError(f"git: {said.decode('utf-8', 'replace').strip()[-500:]}")
    return out


def _bounded(content: bytes | bytearray) -> bytes:
    if len(content) > MAX_BYTES:
        raise ConfigError(f"what the policy source has is larger than {MAX_BYTES} bytes")
    return bytes(content) if isinstance(content, bytearray) else content
