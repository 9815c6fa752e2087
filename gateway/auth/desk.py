"""What every operation of the auth service works with: the store, the keys, the policy and the record."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, assert_never

from gateway.auth.databases import to_database
from gateway.auth.keyring import Keyring
from gateway.auth.store import Change, Store
from gateway.auth.store.workers import Workers
from gateway.ca.keys import Authorities
from gateway.ca.sign import Issued, MintedCertificate
from gateway.ca.steady import SteadyClock
from gateway.clock import Clock
from gateway.errors import AccessError
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.event import Kind
from gateway.model.identity import Identity, Subject, Use
from gateway.model.joining import Admission, Grant, Joining
from gateway.model.resource import Database
from gateway.policy.document import AgentQuestion

ISSUED_AT = "issued_at_ns"
"""The store's counter for the latest time at which a certificate was issued."""


class PatternProblem(Protocol):
    """What OPA found in a document: ``severity`` is ``error`` or ``warning``, ``path`` is dotted."""

    @property
    def severity(self) -> str:
        """``error`` or ``warning``."""
        ...

    @property
    def path(self) -> str:
        """Where in the document."""
        ...

    @property
    def message(self) -> str:
        """What is wrong."""
        ...


class AdminPolicy(Protocol):
    """The policy's answer to ``gateway.admin``."""

    async def admin(self, subject: Subject, verb: str, kind: str, name: str) -> Decision:
        """May *subject* do this to that?"""
        ...


class Policy(AdminPolicy, Protocol):
    """What the auth service asks of the policy; ``gateway.policy.client.PolicyClient`` answers it."""

    async def login(self, user: str) -> Decision:
        """May this user log in; ``limits.max_session_seconds`` bounds the login."""
        ...

    async def join(self, grant: Grant, joining: Joining) -> Admission:
        """May this service join, and which of its databases may it serve."""
        ...

    async def agent(self, question: AgentQuestion) -> Decision:
        """May a service that joined do this."""
        ...

    async def validate_patterns(self, resource: Mapping[str, Any]) -> Sequence[PatternProblem]:
        """What is wrong with a document; raises when nobody can say."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectAttempt:
    """What a per-database certificate would be for."""

    identity: Identity
    database: Database
    db_user: str
    db_name: str
    source: str


Record: TypeAlias = Callable[[Kind, Mapping[str, Any]], Awaitable[None]]
RecordAll: TypeAlias = Callable[[Sequence[tuple[Kind, Mapping[str, Any]]]], Awaitable[None]]
MayConnect: TypeAlias = Callable[[ConnectAttempt], Awaitable[Decision]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the auth service asks of others.

    ``record`` returns when the event is durable, and raises when it cannot be. ``may_connect`` is asked
    before a per-database certificate is given. ``protocols`` are those a database may have; empty: any.
    ``find_database`` knows every enrolled database; without it, those in the store are all. ``record_all`` is
    ``record`` for several that wait for the disk together; without it each waits for itself.
    """

    policy: Policy
    record: Record
    may_connect: MayConnect
    protocols: frozenset[str] = frozenset()
    find_database: Callable[[str], Database | None] | None = None
    record_all: RecordAll | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """The auth service's tools, in one value."""

    store: Store
    keyring: Keyring
    clock: Clock
    steady: SteadyClock
    hooks: Hooks
    workers: Workers = field(repr=False)

    @property
    def authorities(self) -> Authorities:
        """The cluster's keys as of now."""
        return self.keyring.authorities

    def seconds(self) -> int:
        """Now, in seconds since the epoch."""
        return self.clock.now_ns() // 1_000_000_000

    async def authorise(self, subject: Subject, verb: str, kind: str, name: str = "") -> None:
        """Ask the policy; a refusal is an AccessError with its code."""
        match await self.hooks.policy.admin(subject, verb, kind, name):
            case Allowed():
                return
            case Denied() as denial:
                raise AccessError(denial.sentence, code=denial.code)
            case other:
                assert_never(other)

    async def record(self, event: Kind, subject: Subject, **fields: Any) -> None:
        """Write an event about what *subject* does."""
        await self.hooks.record(event, {**actor(subject), **fields})

    async def record_all(self, events: Sequence[tuple[Kind, Mapping[str, Any]]]) -> None:
        """Write several events; all are durable when this returns."""
        if self.hooks.record_all is not None:
            await self.hooks.record_all(events)
            return
        for kind, fields in events:
            await self.hooks.record(kind, fields)

    async def database(self, name: str) -> Database | None:
        """The enrolled database of that name."""
        if self.hooks.find_database is not None:
            return self.hooks.find_database(name)
        resource = await self.store.find("db", name)
        return None if resource is None else to_database(resource)

    async def issued(
        self, change: Change, certificate: Issued | MintedCertificate, use: Use, owner: str
    ) -> None:
        """Keep a new certificate's serial number, and the time, before anybody gets to see it."""
        assert certificate.expires is not None
        await change.record_certificate(
            certificate.serial,
            use=use.value,
            owner=owner,
            issued_at=self.steady.latest_ns // 1_000_000_000,
            expires_at=int(certificate.expires.timestamp()),
        )
        await change.set_counter(ISSUED_AT, self.steady.latest_ns)


def actor(subject: Subject) -> dict[str, Any]:
    """How a subject is named in the record."""
    return {"user": subject.name, "subject": subject.kind, "roles": list(subject.roles)}
