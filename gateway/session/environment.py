"""What a session needs from the service around it, in one value."""

import asyncio  # noqa: TID251
import secrets
import typing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from gateway.audit.encode import Body
from gateway.audit.wording import PLAIN, Wording
from gateway.clock import Clock
from gateway.model.event import Event
from gateway.model.resource import Database
from gateway.observe.metrics import Metrics
from gateway.policy.client import PolicyClient
from gateway.sansio.protocol import Protocol, Startup
from gateway.session.catalog import Catalogs
from gateway.session.dial import Dialler
from gateway.session.facts import Classifier
from gateway.session.hold import Holds
from gateway.session.lease import Lease
from gateway.session.live import Live
from gateway.transport.line import Line


class Record(typing.Protocol):
    """Where a session's events go: ``gateway.audit.log.AuditLog``, or the way to one in another process."""

    def append(self, events: Sequence[Event]) -> Awaitable[None]:
        """Record *events*; ends when they are durable, or with AuditError: then nothing may be done."""
        ...

    def post(self, event: Event) -> None:
        """Record *event* with the next group; nobody waits."""
        ...

    def append_lines(self, records: "Sequence[tuple[Event, Body]]") -> "asyncio.Future[None]":
        """As ``append``, for lines that were made already."""
        ...

    def post_lines(self, records: "Sequence[tuple[Event, Body]]") -> None:
        """As ``post``, for lines that were made already."""
        ...


class Elsewhere(typing.Protocol):
    """Sessions that services elsewhere take: ``gateway.tunnel.relay`` brings them there."""

    async def carry(self, protocol: Protocol, startup: Startup, line: Line) -> bool:
        """Serve *line* to its end if its certificate is for a database elsewhere; False if it is not."""
        ...

    async def cancel(self, key: bytes, user: str | None) -> None:
        """Pass on a cancel whose key nobody here knows."""
        ...


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a peer may take, in seconds (security checklist: C3, C4, 15, 16)."""

    handshake: float = 10.0  # from the first byte to a complete start-up
    idle: float = 1800.0
    farewell: float = 2.0


@dataclass(frozen=True, slots=True)
class Environment:
    """One database service: its policy, its log, its keys and its sessions."""

    cluster: str
    clock: Clock
    policy: PolicyClient
    audit: Record
    dialler: Dialler
    databases: Callable[[str], Database | None]
    live: Live
    lease: Lease
    classifier: Classifier
    catalogs: Catalogs
    metrics: Metrics
    log: FilteringBoundLogger
    deadlines: Deadlines = field(default_factory=Deadlines)
    holds: Holds = field(default_factory=Holds)
    salt: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)  # of masks that hash
    wording: Wording = PLAIN  # of statements, in records
    elsewhere: Elsewhere | None = None
    agent: str = ""  # this service's identifier, where it takes sessions that a proxy brings
