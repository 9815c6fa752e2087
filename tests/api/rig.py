"""The real API over a real store, log and authorities, on a TLS port and a unix socket, in a thread.

Only the policy is played: a function that knows what each test's user may do, so that a test can say it.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from gateway.address import Address
from gateway.api import caller
from gateway.api.application import application
from gateway.api.databases import VisibleDatabase
from gateway.api.estate import Estate
from gateway.api.evidence_intake import EvidenceIntake
from gateway.api.logs import Intake
from gateway.audit.depot import Depot
from gateway.audit.log import AuditLog
from gateway.auth.authority import Auth
from gateway.auth.databases import to_database
from gateway.auth.desk import ConnectAttempt, Hooks, PatternProblem
from gateway.auth.keyring import Keyring
from gateway.auth.store import Store
from gateway.ca import keys
from gateway.ca.issue import mint_host
from gateway.ca.tls import server_context
from gateway.clock import SystemClock, new_id
from gateway.model.decision import Allowed, Decision, Denied, Limits, Reason, Revisions
from gateway.model.event import Event, Kind
from gateway.model.identity import Identity, Subject
from gateway.model.joining import Admission, Grant, Joining
from gateway.observe.health import Health
from gateway.observe.metrics import Metrics
from gateway.policy.document import AgentQuestion
from gateway.storage import SEALING_KEY

T = TypeVar("T")
CLUSTER = "test"
ALLOWED = Allowed("01D", Revisions("p", 1), roles=("access",))


def denied(code: str, sentence: str) -> Denied:
    """A refusal of the policy's."""
    return Denied("01D", (Reason(code, sentence),), Revisions("p", 1))


@dataclass
class PlayedPolicy:
    """Local administrators and editors may do everything, others what *rules* list as ``verb kind``."""

    rules: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    login_seconds: int | None = None

    async def admin(self, subject: Subject, verb: str, kind: str, name: str) -> Decision:
        if subject.kind == "local" or "editor" in subject.roles or f"{verb} {kind}" in self.rules:
            return ALLOWED
        return denied("access_denied", f"{subject.name} may not {verb} {kind} {name}".rstrip())

    async def login(self, user: str) -> Decision:
        limits = Limits(max_session_seconds=self.login_seconds)
        return Allowed("01D", Revisions("p", 1), limits=limits)

    async def join(self, grant: Grant, joining: Joining) -> Admission:
        return Admission(ALLOWED, tuple(database.name for database in joining.databases))

    async def agent(self, question: AgentQuestion) -> Decision:
        if question.id in self.hidden:
            return denied("locked", "a lock is in force")
        return ALLOWED

    async def validate_patterns(
        self,
        resource: Mapping[str, Any],
    ) -> Sequence[PatternProblem]:
        return []

    async def connect(self, attempt: ConnectAttempt) -> Decision:
        if attempt.database.name in self.hidden:
            return denied("database_not_found", "there is no such database, or none that you may see")
        if attempt.db_user != attempt.identity.user:
            return denied("db_user_not_allowed", f"no role lets you connect as {attempt.db_user}")
        return ALLOWED


class Ahead(SystemClock):
    """The machine's clock, set forward as a test wants."""

    ahead_seconds = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_seconds * 1_000_000_000


@dataclass
class Rig:
    """A running API and what a test needs to reach and steer it."""

    folder: Path
    port: int
    pin: str
    host_ca: str
    policy: PlayedPolicy
    health: Health
    metrics: Metrics
    authorities: keys.Authorities
    application: web.Application
    auth: Auth
    store: Store
    now: Ahead
    loop: asyncio.AbstractEventLoop

    def wait(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The same, from outside of any loop."""
        return asyncio.run_coroutine_threadsafe(work(), self.loop).result(30)

    async def ask(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run *work* where the API runs."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self.loop))

    @property
    def proxy(self) -> Address:
        return Address("localhost", self.port)

    @property
    def socket(self) -> Path:
        return self.folder / "data" / "admin.sock"

    @property
    def config(self) -> Path:
        return self.folder / "regate.yaml"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Rig]:
    """The API in a thread of its own, until the block ends."""
    started: list[Rig | BaseException] = []
    is_started, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        try:
            async with _serving(folder) as rig:
                started.append(rig)
                is_started.set()
                await stop.wait()
        except BaseException as error:
            started.append(error)
            raise
        finally:
            is_started.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    is_started.wait(30)
    try:
        assert isinstance(started[0], Rig), started
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


@contextlib.asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[Rig]:
    clock, now, data = SystemClock(), Ahead(), folder / "data"
    data.mkdir(mode=0o700)
    (folder / "regate.yaml").write_text(
        f"version: v3\nregate: {{data_dir: {data}, cluster_name: {CLUSTER}}}\n"
    )
    policy, health, metrics = PlayedPolicy(), Health(("policy",)), Metrics()
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(await Store.open(f"sqlite:///{data / 'regate.db'}"))
        keyring = await Keyring.open(
            store, sealing_key=data / SEALING_KEY, folder=data / "keys", cluster=CLUSTER, clock=clock
        )
        authorities = keyring.authorities
        log = await AuditLog.open(
            data / "audit",
            key=authorities.audit_key,
            origin=f"{CLUSTER}/audit",
            clock=clock,
            reserve_bytes=4096,
        )
        stack.push_async_callback(log.close)

        async def record(kind: Kind, fields: Mapping[str, Any]) -> None:
            await log.append([Event(kind, new_id(clock.now_ns()), clock.now_ns(), fields)])

        auth = await Auth.open(store, keyring, clock, Hooks(policy, record, policy.connect))
        stack.push_async_callback(auth.close)

        async def visible(identity: Identity) -> list[VisibleDatabase]:
            found = [to_database(item) for item in await store.list("db")]
            return [
                VisibleDatabase(item, (identity.user,), ("*",))
                for item in found
                if item.name not in policy.hidden
            ]

        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        host = mint_host(
            authorities.host, names=["localhost", "127.0.0.1"], ttl=timedelta(hours=1), now=auth.steady.now()
        )
        trusted = authorities.user.pem + authorities.host.pem
        context = server_context(host, trusted, alpn=["http/1.1"])
        service = caller.service_by_certificate(authorities, clock)
        depot = Depot(data / "logs", segment_bytes=20_000)
        intake = Intake(depot, auth.logs, service)
        brought = EvidenceIntake(depot, auth.logs, service, data / "audit", now)
        estate = Estate(
            data / "audit",
            authorities.audit_key.public_key(),
            f"{CLUSTER}/audit",
            CLUSTER,
            now,
            depot,
            clock.now_ns(),
            authorities.mask_salt,
        )
        for who in (caller.by_certificate(authorities, clock), caller.local):
            app = application(
                auth,
                subject_from_request=who,
                policy=policy,
                visible=visible,
                audit_reader=estate,
                health=health,
                metrics=metrics,
                public_addr=f"localhost:{port}",
                more=[*intake.routes(), *brought.routes()],
            )
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            if who is caller.local:
                await web.UnixSite(runner, str(data / "admin.sock")).start()
            else:
                await web.SockSite(runner, listening, ssl_context=context).start()
        yield Rig(
            folder,
            port,
            auth.ca_pin,
            authorities.host.pem,
            policy,
            health,
            metrics,
            authorities,
            app,
            auth,
            store,
            now,
            asyncio.get_running_loop(),
        )
