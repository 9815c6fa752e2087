"""The heart: decide, record, forward, for every request of one session.

Two independent pumps: the client's requests are judged by a task, the backend's answers flow back as they
arrive, so that a client that pipelines without reading cannot hold up its own answers.
"""

import asyncio  # noqa: TID251
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.clock import new_id
from gateway.errors import AuditError, ProtocolError
from gateway.model.decision import Allowed, Decision, Denied, Reason
from gateway.model.event import Event
from gateway.model.statement import Phase, Statement
from gateway.sansio.protocol import Conversation, Facts, Housekeeping, Outcome, Request, Settle
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.stream import Stream


@dataclass(slots=True)
class Judged:
    """A request with what it does, as it waits to be decided."""

    request: Request
    facts: Facts


class SessionOver(Exception):  # noqa: N818  # an end is not an error
    """The session ends; *denial* is told to the client unless it left by itself."""

    def __init__(self, code: str, denial: Denied | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.denial = denial


class Session:
    """The command phase of one connection, from the first command to the last."""

    def __init__(
        self, grant: Grant, client: Stream, backend: Stream, conversation: Conversation, env: Environment
    ) -> None:
        self._grant = grant
        self._client = client
        self._backend = backend
        self._conversation = conversation
        self._env = env
        self._running: dict[Request, tuple[list[str], int]] = {}
        self._refused: Statement | None = None
        self._withdrawn = False
        self._judging = False
        self._cancels = 0
        self._settled = asyncio.Event()
        self.left_running = False  # known once the session is over: the backend still owed an answer
        self.last_active = env.clock.monotonic()
        self.over: asyncio.Future[SessionOver] = asyncio.get_running_loop().create_future()

    async def run(self) -> SessionOver:
        """Move requests and answers until either side, the policy or the clock ends it."""
        self._client.pair(self._backend)
        self._backend.relay_to(self._from_backend)
        over: SessionOver | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump())
                tasks.create_task(self._watch_backend())
                tasks.create_task(self._watch_end())
        except* SessionOver as group:
            over = next(error for error in group.exceptions if isinstance(error, SessionOver))
        finally:
            self.left_running = bool(self._running)
            for outcome in self._conversation.abandon():
                self._finished(outcome)
        assert over is not None, "a session ends only by being over"
        return over

    def stop(self, code: str, denial: Denied | None) -> None:
        """End the session from outside: a lock, the clock, the service."""
        if not self.over.done():
            self.over.set_result(SessionOver(code, denial))

    def cancel(self) -> bool:
        """Withdraw what is being judged; False when nothing is, so that the backend must be asked."""
        self._withdrawn = self._judging
        return self._judging

    def is_busy(self) -> bool:
        """True while the backend owes an answer."""
        return bool(self._running)

    def holding(self, change: int) -> None:
        """A cancel is on its way to the backend (+1) or done (-1): nothing new may start meanwhile."""
        self._cancels += change
        self._settled.set()

    # -- client to backend

    async def _pump(self) -> None:
        while True:
            data = await self._client.receive()
            if not data:
                raise SessionOver("client_closed")
            self.last_active = self._env.clock.monotonic()
            try:
                await self._take(data)
            except ProtocolError as error:
                raise SessionOver("protocol_error", self._local("protocol_error", str(error))) from error

    async def _take(self, data: bytes) -> None:
        queue: list[Housekeeping | Judged] = []
        items = self._conversation.from_client(data)
        while True:
            await self._refresh_names()
            item = next(items, None)
            match item:
                case None:
                    break
                case Housekeeping():
                    queue.append(item)
                case Request():
                    facts = await self._classify(item)
                    queue.append(Judged(item, facts))
                    if self._conversation.must_settle(item, facts):
                        await self._flush(queue)
                        queue = []
                case Settle(raw):
                    queue.append(Housekeeping(raw))
                    await self._flush(queue)
                    queue = []
                    await self._until_settled()
        await self._flush(queue)

    async def _refresh_names(self) -> None:
        """Before a request is read: it carries the catalogue of that moment.

        While something that changes the catalogue is unanswered, reading it would find what was before.
        """
        if self._grant.restricted and self._conversation.is_settled():
            await self._grant.refresh_catalog(self._conversation)

    async def _classify(self, request: Request) -> Facts:
        facts = self._env.classifier.now(self._grant.protocol, request)
        if facts is None:
            facts = await self._env.classifier.later(self._grant.protocol, request)
        return facts

    async def _flush(self, queue: Sequence[Housekeeping | Judged]) -> None:
        """Decide, record, forward: all that is queued, in its order."""
        requests = [item for item in queue if isinstance(item, Judged)]
        decisions = iter(await self._decide(requests) if requests else ())
        out: list[bytes] = []
        for item in queue:
            if isinstance(item, Housekeeping):
                out.append(item.raw)
                continue
            request, facts = item.request, item.facts
            match next(decisions):
                case Allowed():
                    self._refused = None
                    out.append(self._conversation.admit(request, facts))
                case Denied() as denial:
                    self._refused = _subject(request)
                    out.append(self._refuse(request, facts, denial))
        data = b"".join(out)
        if data:
            self._backend.write(data)
            await self._backend.drain()

    def _refuse(self, request: Request, facts: Facts, denial: Denied) -> bytes:
        self._running.pop(request, None)
        refusal = self._conversation.refuse(request, facts, denial)
        if refusal.to_client:
            self._client.write(refusal.to_client)
        if refusal.close:
            raise SessionOver(denial.code, denial)
        return refusal.to_backend

    # -- decide and record

    async def _decide(self, requests: Sequence[Judged]) -> list[Decision]:
        self._judging, self._withdrawn = True, False
        try:
            decisions = await self._judge(requests)
            decisions = await self._record(requests, decisions)
            await self._until_released()
        finally:
            self._judging = False
        if self._withdrawn:
            withdrawn = self._local("query_canceled", "canceling statement due to user request")
            for item in requests:
                self._not_run(item.request)
            return [withdrawn for _ in requests]
        return decisions

    async def _judge(self, requests: Sequence[Judged]) -> list[Decision]:
        """Ask; and ask once more when a refusal may be due to a catalogue that was read before."""
        decisions = await self._ask(requests)
        refused = any(isinstance(decision, Denied) for decision in decisions)
        if not (
            refused and self._grant.restricted and await self._grant.has_newer_catalog(self._conversation)
        ):
            return decisions
        names = self._conversation.names()
        for item in requests:
            statements = tuple(replace(statement, names=names) for statement in item.request.statements)
            item.facts = await self._classify(replace(item.request, statements=statements))
        return await self._ask(requests)

    async def _ask(self, requests: Sequence[Judged]) -> list[Decision]:
        """One question for each different set of facts; what arrived together is asked together."""
        first = requests[0].facts
        if all(item.facts is first for item in requests):
            return [await self._grant.ask(first)] * len(requests)
        distinct = {id(item.facts): item.facts for item in requests}
        async with asyncio.TaskGroup() as tasks:
            asked = {key: tasks.create_task(self._grant.ask(facts)) for key, facts in distinct.items()}
        return [asked[id(item.facts)].result() for item in requests]

    async def _record(self, requests: Sequence[Judged], decisions: Sequence[Decision]) -> list[Decision]:
        """Make every verdict durable; what cannot be recorded is refused."""
        events: list[Event] = []
        now = self._env.clock.now_ns()
        refused = self._refused
        for item, decision in zip(requests, decisions, strict=True):
            request = item.request
            if self._stands_already(request, decision, refused):
                continue
            made = self._grant.events(request, item.facts, decision)
            events += made
            match decision:
                case Allowed():
                    self._running[request] = ([event.id for event in made], now)
                case Denied():
                    refused = _subject(request)
        if not events:
            return list(decisions)
        try:
            await self._env.audit.append(events)
        except AuditError as error:
            for item in requests:
                self._running.pop(item.request, None)
            return [self._local("audit_unavailable", str(error))] * len(requests)
        return list(decisions)

    def _stands_already(self, request: Request, decision: Decision, refused: Statement | None) -> bool:
        """True when a record says this already: an Execute behind its Bind, a Bind behind a refused Parse."""
        match decision:
            case Allowed():
                return request.covered_by is not None and request.covered_by in self._running
            case Denied():
                again = request.phase in {Phase.BIND, Phase.EXECUTE}
                return again and refused is not None and _subject(request) is refused

    def _local(self, code: str, message: str) -> Denied:
        return Denied(new_id(self._env.clock.now_ns()), (Reason(code, message),))

    # -- backend to client

    def _from_backend(self, data: bytes) -> None:
        relay = self._conversation.from_backend(data)
        if relay.to_client:
            self._client.write(relay.to_client)
        for outcome in relay.outcomes:
            self._finished(outcome)
        if self._conversation.is_settled():
            self._settled.set()

    def _finished(self, outcome: Outcome) -> None:
        running = self._running.pop(outcome.request, None)
        if running is not None:
            queries, started_ns = running
            duration_ns = max(0, self._env.clock.now_ns() - started_ns)
            for event in self._grant.finished(queries, outcome, duration_ns):
                self._env.audit.post(event)

    def _not_run(self, request: Request) -> None:
        self._finished(Outcome(request, executed=False))

    # -- waiting

    async def _until_settled(self) -> None:
        while not self._conversation.is_settled():
            self._settled.clear()
            await self._settled.wait()

    async def _until_released(self) -> None:
        while self._cancels:
            self._settled.clear()
            await self._settled.wait()

    async def _watch_backend(self) -> None:
        await self._backend.closed()
        failure = self._backend.failure
        if failure is not None:
            raise SessionOver("backend_protocol_error", self._local("backend_protocol_error", str(failure)))
        raise SessionOver(
            "backend_closed", self._local("backend_closed", "the database closed the connection")
        )

    async def _watch_end(self) -> None:
        raise await asyncio.shield(self.over)


def _subject(request: Request) -> Statement | None:
    return request.statements[0] if request.statements else None
