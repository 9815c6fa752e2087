"""Every log that the auth service can show and prove: its own, and the copies of all others.

The own log is also where incidents with the others were recorded. An incident, a silence or an earlier
beginning of a log stays a finding until somebody settles it; then it is a warning.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.api import proof
from gateway.audit import read, wording
from gateway.audit.depot import Copy, Depot
from gateway.audit.encode import Record
from gateway.audit.layout import CHECKPOINTS
from gateway.audit.read import OWN, Query
from gateway.audit.ship import SILENT_SECONDS, origin_of, service_of
from gateway.audit.verify import Finding, Report
from gateway.auth.logs import Registered
from gateway.clock import Clock
from gateway.errors import ConfigError, NotFoundError
from gateway.model.event import Event, Kind
from gateway.policy.kept import Kept

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Examined:
    """One log, or one of its beginnings, and what was found about it."""

    origin: str
    epoch: int
    report: Report


@dataclass(frozen=True, slots=True)
class Estate:
    """The log in *directory*, signed as *origin*, and the others in *depot*; the methods block.

    *cluster* is what the names of the others begin with; *started_ns* is since when they could be heard;
    *secret* is what the keys of their digests are made from.
    """

    directory: Path
    public_key: Ed25519PublicKey
    origin: str
    cluster: str
    clock: Clock
    depot: Depot
    started_ns: int = 0
    secret: str = field(default="", repr=False)

    def records(self, query: Query, origin: str = "") -> Iterator[tuple[str, Record]]:
        """The records of every log that pass *query*, in order of time; or those of one log."""
        sources = [
            _named(name, read.records(directory, query)) for name, directory in self._directories(origin)
        ]
        merged = heapq.merge(*sources, key=_time, reverse=not query.oldest_first)
        for number, found in enumerate(merged):
            if query.limit is not None and number >= query.limit:
                return
            yield found

    def verify(self, kept: bytes, registered: Sequence[Registered]) -> list[Examined]:
        """Whether each log is whole; the own one first. *kept* belongs to the log that it names."""
        named = kept.split(b"\n", 1)[0].decode("utf-8", "replace") if kept else ""
        known = {origin_of(self.cluster, item.service): item for item in registered}
        own = proof.prove(
            self.directory, self.public_key, origin=self.origin, kept=b"" if named in known else kept
        )
        found = [Examined(self.origin, 1, own)]
        incidents, settled = self._incidents()
        copies = self._copies()
        for copy in copies:
            origin = origin_of(self.cluster, copy.service)
            is_kept = named == origin and copy.is_current
            report = _prove(copy, origin, kept if is_kept else b"")
            more = list(_about(copy, known.get(origin), incidents, settled.get(origin, 0)))
            found.append(Examined(origin, copy.epoch, _with(report, more)))
        for origin, item in known.items():
            self._add_silence(found, origin, item, settled.get(origin, 0))
        return found

    def checkpoint(self) -> str:
        """The newest signed checkpoint of the own log."""
        return proof.newest(self.directory, self.public_key, self.origin)

    def digests(self, text: str) -> dict[str, str]:
        """By the name of each log, what it has in the place of a statement of this *text*."""
        names = [name for name, _ in self._directories("")]
        return {name: wording.digest(wording.key_of(self.secret, name), text) for name in names}

    def evidence(self, origin: str = "") -> Kept:
        """What the decisions in the log of that name were made from; without one, in the own log."""
        if origin in {"", OWN, self.origin}:
            return Kept([self.directory])
        return Kept([directory for _, directory in reversed(self._directories(origin))])

    def _copies(self) -> list[Copy]:
        return self.depot.copies()

    def _directories(self, origin: str) -> list[tuple[str, Path]]:
        """The folders to read; a name is a log's, ``OWN``, or that of the service that writes it."""
        every = [(self.origin, self.directory)]
        if origin == OWN:
            return every
        every += [(origin_of(self.cluster, copy.service), copy.directory) for copy in self._copies()]
        if not origin:
            return every
        wanted = {origin, origin_of(self.cluster, origin)}
        found = [item for item in every if item[0] in wanted]
        if not found:
            raise NotFoundError(f"there is no log {origin!r}", hint="regate audit verify lists them")
        return found

    def _incidents(self) -> tuple[list[Event], dict[str, int]]:
        """What was recorded about the other logs, and when each was last settled."""
        query = Query(kinds=(Kind.AUDIT_FINDING, Kind.AUDIT_SETTLED), oldest_first=True)
        found = [record.event for record in read.records(self.directory, query)]
        settled = {
            str(event.fields["origin"]): event.time_ns for event in found if event.kind is Kind.AUDIT_SETTLED
        }
        return [event for event in found if event.kind is Kind.AUDIT_FINDING], settled

    def _add_silence(self, found: list[Examined], origin: str, item: Registered, settled: int) -> None:
        """A log that has shown nothing for too long; the clock starts when it could be heard."""
        seen = self.depot.seen_ns(item.service)
        last = max(seen or 0, item.since_ns, self.started_ns)
        quiet = (self.clock.now_ns() - last) // _SECOND_NS
        at = max((at for at, done in enumerate(found) if done.origin == origin), default=-1)
        more: list[Finding] = []
        if item.has_left:
            more.append(Finding("its service was removed from the cluster", warning=True))
        elif quiet > SILENT_SECONDS:
            what = "nothing was ever shipped" if seen is None else "its service is silent"
            more.append(Finding(f"{what}: no checkpoint for {quiet // 60} minutes", warning=settled > last))
        if at >= 0:
            found[at] = replace(found[at], report=_with(found[at].report, more))
        else:
            found.append(Examined(origin, 0, _with(_EMPTY, more)))


_EMPTY = Report(ok=True, records=0, first_bad=None, findings=(), checkpoint=None)


def shown(found: Sequence[Examined]) -> dict[str, Any]:
    """The answer of the API: the own log's report, and one for each log; ``ok`` is about all of them."""
    own = proof.shown(found[0].report)
    every = [{"origin": item.origin, "epoch": item.epoch, **proof.shown(item.report)} for item in found]
    return {**own, "ok": all(item.report.ok for item in found), "origins": every}


def settled_origin(cluster: str, name: str, registered: Iterable[Registered]) -> str:
    """The log that *name* means, for settling; only those of other services can be."""
    services = {item.service for item in registered}
    service = name if name in services else service_of(cluster, name)
    if service not in services:
        raise ConfigError(f"no log {name!r} is registered", hint="regate audit verify lists them")
    return origin_of(cluster, service)


def _prove(copy: Copy, origin: str, kept: bytes) -> Report:
    path = copy.directory / CHECKPOINTS
    if path.exists() and not path.stat().st_size and not kept:
        return _EMPTY  # begun, and nothing was shipped yet
    key = Ed25519PublicKey.from_public_bytes(copy.trusted.public)
    return proof.prove(copy.directory, key, origin=origin, kept=kept)


def _about(
    copy: Copy, known: Registered | None, incidents: Sequence[Event], settled: int
) -> Iterator[Finding]:
    """What is to be said about a copy besides its proof."""
    if known is None:
        yield Finding("nobody registered this log")
    elif copy.trusted.encode() not in known.signers:
        yield Finding("this copy is signed with a key that was never registered")
    mine = [
        event
        for event in incidents
        if event.fields.get("origin") == copy.trusted.name and _is_about(event.fields, copy)
    ]
    for event in mine:
        yield Finding(str(event.fields.get("message", "")), warning=settled > event.time_ns)
    if copy.epoch > 1 and not any(event.fields.get("code") == "log_restarted" for event in mine):
        yield Finding("this log began anew, and the own log does not say so")


def _is_about(fields: Mapping[str, Any], copy: Copy) -> bool:
    """An incident without an epoch is about the log as a whole: it is told with the current one."""
    epoch = fields.get("epoch")
    return epoch == copy.epoch or (not epoch and copy.is_current)


def _with(report: Report, more: Sequence[Finding]) -> Report:
    bad = any(not item.warning for item in more)
    return replace(report, ok=report.ok and not bad, findings=(*report.findings, *more))


def _named(origin: str, found: Iterator[Record]) -> Iterator[tuple[str, Record]]:
    return ((origin, record) for record in found)


def _time(found: tuple[str, Record]) -> int:
    return found[1].event.time_ns
