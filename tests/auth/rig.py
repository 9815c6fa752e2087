"""An auth service over a real store, with a clock that stands still and a policy that is told what to say."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.auth.authority import Auth
from gateway.auth.desk import ConnectAttempt, Hooks
from gateway.auth.keyring import Keyring
from gateway.auth.login import Login, LoginRequest
from gateway.auth.store import Store
from gateway.ca.seal import SealingKey
from gateway.errors import AuditError
from gateway.model.decision import Allowed, Decision, Denied, Limits, Reason, Revisions
from gateway.model.event import Event, Kind
from gateway.model.identity import Subject
from gateway.model.joining import Admission, Grant, Joining
from gateway.policy.document import AgentQuestion
from tests.audit.shape import problems
from tests.ca.material import FakeClock, authorities, request_for

ADMIN = Subject("local", "admin")
PASSWORD = "correct horse battery staple"
REVISIONS = Revisions("policy-1", 1)


def allowed(limits: Limits | None = None) -> Allowed:
    return Allowed("decision-1", REVISIONS, limits=limits or Limits())


def denied(code: str, message: str = "") -> Denied:
    return Denied("decision-2", (Reason(code, message),), REVISIONS)


@dataclass(frozen=True)
class FoundProblem:
    severity: str
    path: str
    message: str


@dataclass
class FakePolicy:
    """Answers what it was given, and remembers what it was asked."""

    admin_answer: Decision = field(default_factory=allowed)
    login_answer: Decision = field(default_factory=allowed)
    connect_answer: Decision = field(default_factory=allowed)
    join_answer: Decision = field(default_factory=allowed)
    joins: list[tuple[Grant, Joining]] = field(default_factory=list)
    agent_answer: Decision = field(default_factory=allowed)
    problems: Sequence[FoundProblem] = ()
    asked: list[tuple[str, ...]] = field(default_factory=list)
    attempts: list[ConnectAttempt] = field(default_factory=list)

    async def admin(self, subject: Subject, verb: str, kind: str, name: str) -> Decision:
        self.asked.append((subject.name, verb, kind, name))
        return self.admin_answer

    async def login(self, user: str) -> Decision:
        self.asked.append((user, "login"))
        return self.login_answer

    async def join(self, grant: Grant, joining: Joining) -> Admission:
        self.joins.append((grant, joining))
        return Admission(self.join_answer, tuple(database.name for database in joining.databases))

    async def agent(self, question: AgentQuestion) -> Decision:
        self.asked.append((question.id, question.verb))
        return self.agent_answer

    async def validate_patterns(self, resource: Mapping[str, Any]) -> Sequence[FoundProblem]:
        self.asked.append(("", "validate", str(resource["kind"]), str(resource["metadata"]["name"])))
        return self.problems

    async def connect(self, attempt: ConnectAttempt) -> Decision:
        self.attempts.append(attempt)
        return self.connect_answer


@dataclass
class FakeLog:
    """An audit log that can break, and takes only records of the published shape."""

    events: list[tuple[Kind, Mapping[str, Any]]] = field(default_factory=list)
    broken: bool = False

    async def record(self, kind: Kind, fields: Mapping[str, Any]) -> None:
        if self.broken:
            raise AuditError("the audit log cannot be written")
        event = Event(kind, f"event-{len(self.events)}", 0, fields)
        assert problems(event) == []
        self.events.append((kind, fields))

    def of(self, kind: Kind) -> list[Mapping[str, Any]]:
        return [fields for found, fields in self.events if found is kind]


@dataclass
class Rig:
    """The service and all it stands on."""

    auth: Auth
    store: Store
    policy: FakePolicy
    log: FakeLog
    clock: FakeClock

    async def add(self, name: str = "ada", roles: Sequence[str] = ("access",), **accept: Any) -> str | None:
        """A user who has chosen a password; the answer is the TOTP URI, if one was wanted."""
        invitation = await self.auth.add_user(ADMIN, name, roles=roles)
        return (await self.auth.accept_signup(invitation.token, PASSWORD, **accept)).totp_uri

    async def login(self, user: str = "ada", password: str = PASSWORD, **more: Any) -> Login:
        return await self.auth.login(LoginRequest(user, password, CSR, **more))


CSR = request_for()


def keyring_of(store: Store) -> Keyring:
    """The keys that all tests share, not from this store."""
    return Keyring(store, SealingKey(bytes(32)), authorities())


@asynccontextmanager
async def running(folder: Path, clock: FakeClock | None = None) -> AsyncIterator[Rig]:
    """The service over the store in *folder*."""
    clock, policy, log = clock or FakeClock(), FakePolicy(), FakeLog()
    async with await Store.open(f"sqlite:///{folder / 'state.db'}") as store:
        hooks = Hooks(policy=policy, record=log.record, may_connect=policy.connect)
        auth = await Auth.open(store, keyring_of(store), clock, hooks)
        try:
            yield Rig(auth, store, policy, log, clock)
        finally:
            await auth.close()
