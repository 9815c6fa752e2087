"""Taking in what other services' decisions were made from, once their log names it.

The auth service asks: what each answer lists is wanted, and nothing else is taken. It follows from the copy
of the service's log, so that neither a restart nor a wiped disk on either side leaves anything out. How much
a service may bring is bounded by what it logged and by the time since its copy was begun, and nobody brings
anything while the disk is nearly full: the room is for records.
"""

import asyncio  # noqa: TID251
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.api.exchange import answer
from gateway.api.logs import ServiceFromRequest, receive
from gateway.api.mentions import named
from gateway.audit.depot import KEY, Depot, Incident
from gateway.audit.files import SystemFiles
from gateway.audit.layout import CHECKPOINTS, segments
from gateway.audit.source import LogSource
from gateway.auth.logs import Logs
from gateway.clock import Clock
from gateway.errors import AuditError
from gateway.policy import parcel
from gateway.policy.collecting import Collection
from gateway.policy.evidence import FILE
from gateway.policy.kept import Kept
from gateway.policy.parcel import Parcel

A_DAY = 256 * 1024 * 1024
"""Bytes on the disk that a service may bring each day since its copy was begun, and at once on the first."""

FOR_ITS_LOG = 8
"""Bytes besides, for each byte of its log."""

FULL_PERCENT = 90
_PIECES = 16  # of 4 MiB of a log, looked through for one answer
_AT_ONCE = 2  # answers that are made at the same time; each needs a processor
_IN_MEMORY = 8 * 1024 * 1024
_DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What is asked for next; ``left`` counts all, ``full`` says why nothing is taken now."""

    wanted: list[str]
    left: int
    full: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the API writes it."""
        return {"wanted": self.wanted, "left": self.left, "full": self.full}


class EvidenceIntake:
    """The two addresses. *own* is the folder with this service's own log and evidence."""

    def __init__(
        self, depot: Depot, logs: Logs, service: ServiceFromRequest, own: Path, clock: Clock
    ) -> None:
        self._depot = depot
        self._logs = logs
        self._service = service
        self._own = own
        self._clock = clock
        self._sources: dict[str, tuple[Path, LogSource]] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def routes(self) -> list[web.RouteDef]:
        """The addresses."""
        return [web.get("/v1/log/evidence", self._ask), web.post("/v1/log/evidence", self._take)]

    async def _ask(self, request: web.Request) -> web.Response:
        service = self._service(request)
        await self._logs.trusted(service)
        async with self._turns[service]:
            return await self._answered(service, Parcel((), ()))

    async def _take(self, request: web.Request) -> web.Response:
        service = self._service(request)
        await self._logs.trusted(service)
        async with self._turns[service]:
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
                await receive(request, spool, parcel.MOST_UNFOLDED)  # who stalls keeps no slot
                spool.seek(0)
                async with self._slots:
                    brought = await asyncio.to_thread(lambda: parcel.decode(spool.read()))
            return await self._answered(service, brought)

    async def _answered(self, service: str, brought: Parcel) -> web.Response:
        async with self._slots:
            said, forged = await asyncio.to_thread(self._settle, service, brought)
        if forged:
            epoch = int(self._depot.copies_of(service)[0].name)
            await self._logs.incident(service, Incident("evidence_forged", _FORGED, epoch))
        return answer(said.to_json())

    # -- in a thread

    def _settle(self, service: str, brought: Parcel) -> tuple[Answer, bool]:
        """Keep what was brought; what is asked for next, and whether something was not what it was named."""
        copies = self._depot.copies_of(service)
        if not copies:
            return Answer([], 0), False
        newest, now = copies[0], self._clock.now_ns()
        with Collection(newest) as collection:
            if full := self._full(newest):
                return Answer([], collection.left(), full), False
            forged = collection.take(brought.contents, brought.missing, now)
            self._look_through(service, newest, collection)
            with Kept([self._own]) as own:
                collection.copy(own.contents(collection.bundles()))
            if copies[1:]:
                with Kept(copies[1:]) as earlier:
                    collection.copy(earlier.contents(collection.due(now)))
            return Answer(collection.due(now), collection.left()), bool(forged)

    def _look_through(self, service: str, directory: Path, collection: Collection) -> None:
        """Want what the records name that came since."""
        source = self._source(service, directory)
        if not (directory / CHECKPOINTS).stat().st_size:
            return  # begun, and nothing was shipped yet
        read = collection.read
        if read > source.newest()[0].size:
            collection.start_anew()
            read = 0
        for _ in range(_PIECES):
            batch = source.batch(read)
            if batch is None:
                break
            collection.note(named(batch.lines), batch.size)
            read = batch.size

    def _source(self, service: str, directory: Path) -> LogSource:
        known = self._sources.get(service)
        if known is None or known[0] != directory:
            known = self._sources[service] = (directory, LogSource(directory))
        return known[1]

    def _full(self, directory: Path) -> str:
        """Why a service may bring nothing now; empty when it may."""
        try:
            used = SystemFiles().used(directory)
            log = sum(segment.log.stat().st_size for segment in segments(directory))
            days = max(0.0, self._clock.now_ns() / 1e9 - (directory / KEY).stat().st_mtime) / _DAY_SECONDS
            held = sum(path.stat().st_size for path in _files(directory))
        except OSError as error:
            raise AuditError(f"the copy cannot be looked at: {error.strerror}") from error
        if used >= FULL_PERCENT:
            return f"the disk of the copies is {used} % full"
        if held > A_DAY * (1 + days) + FOR_ITS_LOG * log:
            return f"{held} bytes of evidence are more than a service brings in that time"
        return ""


_FORGED = "what was brought as evidence of decisions was not what the log named"


def _files(directory: Path) -> Iterator[Path]:
    return directory.glob(f"{FILE}*")
