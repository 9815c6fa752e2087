"""Sends what this host's decisions were made from to the auth service, which asks for it; in nobody's way.

After each batch of the log, and now and then without one, it asks what is wanted, and brings a bounded parcel
at a time until nothing is. What was kept stays here; whatever goes wrong is retried, told by a metric and in
the program's log, and holds up neither a statement nor the log.
"""

import asyncio  # noqa: TID251
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog

from gateway.errors import AuditError, NotFoundError, PolicyError, RegateError
from gateway.policy import parcel
from gateway.policy.collecting import AT_ONCE
from gateway.policy.evidence import Content, Evidence

_say = structlog.get_logger("regate.audit")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the auth service asks for; ``full`` says why it takes nothing now."""

    digests: Sequence[str]
    left: int
    full: str


def wanted_from_json(value: object) -> Wanted:
    """What the auth service answered; AuditError for anything else."""
    match value:
        case {"wanted": list(digests), "left": int(left), "full": str(full)} if (
            all(isinstance(item, str) for item in digests) and len(digests) <= AT_ONCE
        ):
            return Wanted(digests, left, full)
    raise AuditError("the auth service's answer does not say which evidence it wants")


class Courier(Protocol):
    """The way to the auth service: each call is one request with a deadline of its own."""

    async def evidence_wanted(self) -> Any:
        """What is asked for."""
        ...

    async def bring_evidence(self, body: bytes) -> Any:
        """Hand over a parcel; what is asked for then."""
        ...


class Metrics(Protocol):
    """What is told of itself; ``gateway.observe.metrics`` has it."""

    def audit_evidence_lag(self, entries: int) -> None:
        """So many entries are wanted and were not brought."""
        ...


@dataclass(slots=True)
class Pace:
    """What tests shorten; seconds."""

    linger: float = 1.0  # after news, so that batches of the log which come close together share a request
    between: float = 0.25  # parcels: 16 MiB a second at the most
    look: float = 60.0  # without news
    retry_first: float = 0.5
    retry_most: float = 30.0


@dataclass(slots=True)
class EvidenceShipper:
    """The evidence in *folder* on its way. ``news`` is called whenever records were shipped."""

    folder: Path
    courier: Courier
    metrics: Metrics | None = None
    pace: Pace = field(default_factory=Pace)
    draw: Callable[[], float] = random.random
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _reason: str = ""

    def news(self) -> None:
        """The auth service has records that it had not."""
        self._news.set()

    async def run(self) -> None:
        """Bring what is wanted, for ever."""
        retry = 0.0
        while True:
            self._news.clear()
            try:
                self._tell((await self.once()).full)
                retry = 0.0
            except NotFoundError:  # no log of ours was shown yet, or the auth service is older than this one
                retry = 0.0
            except (RegateError, ValueError) as error:  # the latter: an answer that is no JSON
                self._tell(str(error))
                retry = min(2 * retry, self.pace.retry_most) or self.pace.retry_first
            if not retry:
                await self._rest(self.pace.look)
            await asyncio.sleep((retry or self.pace.linger) * (0.5 + self.draw()))

    async def once(self) -> Wanted:
        """Bring what is wanted now, until nothing is or nothing is taken; the last answer."""
        said = self._heard(await self.courier.evidence_wanted())
        while said.digests:
            body = await asyncio.to_thread(self._parcel, said.digests)
            before, said = said, self._heard(await self.courier.bring_evidence(body))
            if said.digests == before.digests:
                raise AuditError("the auth service asks again for what was brought")
            await asyncio.sleep(self.pace.between)
        return said

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass

    def _heard(self, answer: Mapping[str, Any]) -> Wanted:
        said = wanted_from_json(answer)
        if self.metrics is not None:
            self.metrics.audit_evidence_lag(said.left)
        return said

    def _parcel(self, digests: Sequence[str]) -> bytes:
        with Evidence(self.folder, read_only=True) as kept:
            try:
                return parcel.encode(parcel.pack(kept.contents(digests), digests))
            except PolicyError:  # one of them is damaged; the others are not
                sound = [found for digest in digests if (found := _sound(kept, digest)) is not None]
                return parcel.encode(parcel.pack(sound, digests))

    def _tell(self, reason: str) -> None:
        if reason == self._reason:
            return
        self._reason = reason
        if reason:
            _say.warning("evidence of decisions is not brought to the auth service", reason=reason)
        else:
            _say.info("evidence of decisions is brought to the auth service again")


def _sound(kept: Evidence, digest: str) -> Content | None:
    try:
        return next(kept.contents([digest]), None)
    except PolicyError:
        return None
