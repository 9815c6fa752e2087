"""One client connection from its first byte to its last record."""

import asyncio  # noqa: TID251
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import assert_never

from gateway.ca.identity import from_certificate
from gateway.clock import new_id, utc
from gateway.errors import AuditError, BackendError, CertificateError, ProtocolError
from gateway.model.decision import Allowed, Denied
from gateway.model.event import Event
from gateway.model.resource import Database
from gateway.policy.document import ConnectQuestion
from gateway.sansio.conversation import Conversation
from gateway.sansio.protocol import Hello, Protocol, Startup
from gateway.sansio.spread import Node
from gateway.session.admission import Admission
from gateway.session.bounds import Standing, reason_to_end
from gateway.session.denial import local_denial, turn_away
from gateway.session.dial import Backend
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.legs import Legs
from gateway.session.session import Session, SessionOver
from gateway.transport.line import Line, drive
from gateway.transport.opening import source_of
from gateway.transport.stream import Stream


class Connection:
    """What the registry sees of a live session, and the steps that lead to one."""

    def __init__(self, protocol: Protocol, env: Environment) -> None:
        self.session_id = new_id(env.clock.now_ns())
        self.user = ""
        self.cancel_key = b""
        self._protocol = protocol
        self._env = env
        self._admission = Admission(protocol, env)
        self._grant: Grant | None = None
        self._session: Session | None = None
        self._backend: Backend | None = None
        self._started = env.clock.monotonic()

    # -- what the registry asks

    def question(self) -> ConnectQuestion:
        """The connect question, asked as of now."""
        assert self._grant is not None
        return self._grant.question()

    def granted(self, decision: Allowed) -> None:
        """Still allowed, with these roles."""
        assert self._grant is not None
        self._grant.renew(decision)

    def end(self, denial: Denied) -> None:
        """The session is over, and the client is told why."""
        if self._session is not None:
            self._session.stop(denial.code, denial)

    async def cancel(self) -> None:
        """Withdraw what is judged now, or ask the database to stop what it runs."""
        session = self._session
        if session is not None and not session.judge.cancel() and session.judge.is_busy:
            await self._cancel_backend()

    async def _cancel_backend(self) -> None:
        session, grant, backend = self._session, self._grant, self._backend
        if session is None or grant is None or backend is None:
            return
        session.judge.hold()
        try:
            await grant.cancel_backend(backend.ready.cancel_key)
        finally:
            session.judge.release()

    def sweep(self) -> None:
        """Look at the clocks: the login's end, the session's longest life, the idle limit."""
        session, grant = self._session, self._grant
        if session is None or grant is None or grant.decision is None:
            return
        now = self._env.clock.monotonic()
        standing = Standing(
            grant.identity,
            grant.decision.limits,
            is_alone=self._env.lease.has_lapsed,
            age=now - self._started,
            idle=0.0 if session.judge.is_busy else now - session.last_active,
        )
        reason = reason_to_end(standing, utc(self._env.clock), self._env.deadlines.idle)
        if reason is not None:
            self.end(self._denial(reason.code, reason.message))

    # -- the steps

    async def serve(self, line: Line, hello: Hello) -> None:
        """Serve *line* to its end; nothing but a bug or a cancellation leaves here."""
        startup: Startup | None = None
        try:
            elsewhere = self._env.elsewhere
            if self._protocol.speaks_first is not None and hello.encrypted:
                # The certificate says whose greeting the client is to get.
                if elsewhere is not None and await elsewhere.carry(self._protocol, Startup(), line):
                    return
                hello = replace(hello, said=await self._greeting(line))
            async with asyncio.timeout(self._env.deadlines.handshake):
                startup = await drive(self._protocol.accept(hello), line)
            if elsewhere is not None and await elsewhere.carry(self._protocol, startup, line):
                return
            line.heard = None
            if startup.kind == "cancel":
                await self._cancel_other(startup, line)
            else:
                await self._open(startup, line)
        except (ProtocolError, TimeoutError, OSError, ssl.SSLError) as error:
            await self._give_up(line, startup, str(error) or "the start-up took too long")
        finally:
            line.close()

    async def _greeting(self, line: Line) -> bytes:
        """How the database greets that the client's certificate opens; empty where it opens none."""
        der = line.peer_certificate()
        try:
            route = None if der is None else from_certificate(der, now=utc(self._env.clock)).route
        except CertificateError:
            route = None
        database = None if route is None else self._env.databases(route.database)
        if database is None or database.protocol != self._protocol.name:
            return b""
        return await self._env.dialler.greeting(self._protocol, database)

    async def _give_up(self, line: Line, startup: Startup | None, reason: str) -> None:
        """Tell a client that did not get as far as a session, if it can still be told."""
        self._env.log.info(
            "connection refused", protocol=self._protocol.name, client_address=line.peer, error=reason
        )
        with suppress(TimeoutError, OSError, ProtocolError):
            await self._tell(line, startup, self._denial("protocol_error", reason))

    async def _tell(self, line: Line, startup: Startup | None, denial: Denied) -> None:
        """Say no to a client that gets no session; it has the time of a farewell to listen."""
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(self._env.deadlines.farewell):
                await turn_away(self._protocol, line, startup, denial)

    async def _cancel_other(self, startup: Startup, line: Line) -> None:
        if not await self._env.live.may_cancel(source_of(line.peer)):
            self._env.log.info("cancel refused", client_address=line.peer, code="rate_limited")
            return
        der = line.peer_certificate()
        user = None if der is None else from_certificate(der, now=utc(self._env.clock)).user
        found = await self._env.live.cancel(startup.cancel_key, user)
        if not found and self._env.elsewhere is not None:
            await self._env.elsewhere.cancel(startup.cancel_key, user)

    async def _open(self, startup: Startup, line: Line) -> None:
        found = self._admission.route(startup, line.peer_certificate())
        if isinstance(found, Denied):
            await self._turn_away(startup, line, found)
            return
        identity, route = found
        database = self._env.databases(route.database) or Database(route.database, route.protocol, uri="")
        self.user = identity.user
        self._grant = Grant(self.session_id, self._protocol, identity, route, database, line.peer, self._env)
        count = await self._env.live.enter(identity.user, database.name)
        self._grant.connections = count.of_user - 1
        try:
            decision = await self._admission.decide(startup, self._grant, count)
            match decision:
                case Allowed():
                    await self._connect(startup, line, self._grant)
                case Denied():
                    await self._turn_away(startup, line, decision)
                case other:
                    assert_never(other)
        finally:
            self._env.live.leave(identity.user, database.name)

    async def _turn_away(self, startup: Startup | None, line: Line, denial: Denied) -> None:
        if self._grant is not None:
            with suppress(AuditError):  # refused either way
                await self._env.audit.append([self._grant.denied(denial)])
        self._env.log.info(
            "connect refused", user=self.user, code=denial.code, decision_id=denial.decision_id
        )
        await self._tell(line, startup, denial)

    async def _connect(self, startup: Startup, line: Line, grant: Grant) -> None:
        """Record, dial, log in, greet, converse, record."""
        try:
            await self._env.audit.append([grant.started(startup.application)])
        except AuditError as error:
            await self._tell(line, startup, self._denial("audit_unavailable", str(error)))
            return
        over = SessionOver("not_started")
        try:
            over = await self._converse(startup, line, grant)
        except BackendError as error:
            over = SessionOver("backend_unreachable", self._denial("backend_unreachable", str(error)))
            assert over.denial is not None
            await self._tell(line, startup, over.denial)
        except asyncio.CancelledError:
            over = SessionOver("service_stopped")
            raise
        finally:
            self._env.audit.post(self._ended(grant, line, over))

    async def _converse(self, startup: Startup, line: Line, grant: Grant) -> SessionOver:
        backend = await self._env.dialler.login(self._protocol, startup, grant.route, grant.database)
        self._backend = backend
        self.cancel_key = self._protocol.new_cancel_key(startup)
        client = await line.adopt()
        startup = replace(startup, person=self.user)
        conversation = self._protocol.converse(startup, backend.ready, grant.route)
        far = self._spread(startup, grant, backend)
        self._session = Session(grant, client, far, conversation, self._env)
        self._session.cancel_backend = self._cancel_backend
        self._env.live.add(self)
        self._env.metrics.session_started(grant.database.name, grant.database.protocol)
        over = SessionOver("service_stopped")
        try:
            client.write(self._protocol.greet(startup, backend.ready, self.cancel_key))
            over = await self._session.run()
            await self._close(over, line, conversation, grant)
        finally:
            self._env.live.remove(self)
            self._env.metrics.session_ended(grant.database.name, grant.database.protocol, over.code)
            far.close()
        return over

    def _spread(self, startup: Startup, grant: Grant, backend: Backend) -> Stream | Legs:
        """The other side of the session: the one connection, or as many as the database has servers."""
        spread, database = self._protocol.spread, grant.database
        router = None if spread is None else spread(startup, backend.ready, grant.route)
        if router is None:
            return backend.stream

        async def dial(node: Node) -> Stream:
            tls = replace(database.tls, server_name=database.tls.server_name or node.server_name)
            there = replace(database, uri=node.uri, tls=tls)
            return (await self._env.dialler.login(self._protocol, startup, grant.route, there)).stream

        return Legs(router, backend.stream, dial)

    async def _close(self, over: SessionOver, line: Line, conversation: Conversation, grant: Grant) -> None:
        """Tell the client why, and leave nothing running behind it."""
        if over.denial is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._env.deadlines.farewell):
                    await line.write(conversation.farewell(over.denial))
        assert self._session is not None
        assert self._backend is not None
        if self._session.left_running and over.code != "backend_closed":
            await grant.cancel_backend(self._backend.ready.cancel_key)

    def _ended(self, grant: Grant, line: Line, over: SessionOver) -> Event:
        totals = {
            "bytes_sent": 0 if line.stream is None else line.stream.sent,
            "bytes_received": 0 if line.stream is None else line.stream.received,
        }
        return grant.ended(over.code, "" if over.denial is None else over.denial.sentence, totals)

    def _denial(self, code: str, message: str) -> Denied:
        return local_denial(self._env.clock, code, message)


def serving(env: Environment) -> Callable[[Protocol, Line, Hello], Awaitable[None]]:
    """How a listener serves each connection: with one of these."""

    async def serve(protocol: Protocol, line: Line, hello: Hello) -> None:
        await Connection(protocol, env).serve(line, hello)

    return serve
