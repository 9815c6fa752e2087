"""Decide and record: no request leaves here with a yes that is not on disk.

What arrived together is one question and one group in the log, with a verdict and a record for each request.
"""

import asyncio  # noqa: TID251
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from gateway.errors import AuditError
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.event import Event
from gateway.model.obligation import NONE
from gateway.model.statement import Phase, Statement
from gateway.sansio.conversation import Conversation
from gateway.sansio.exchange import Facts, Outcome, Request
from gateway.session.denial import local_denial
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.obliging import Obliging
from gateway.session.timeouts import Timeouts

_MOST_OF_LAST = 64 << 10  # bytes of a request whose statement is known again
_AT_A_TIME = 8  # questions of one session that wait for the policy together


@dataclass(slots=True)
class Judged:
    """A request with what it does, as it waits to be decided."""

    request: Request
    facts: Facts


class Judge:
    """The verdicts of one session, and the requests that were let through and have no end yet."""

    def __init__(self, grant: Grant, conversation: Conversation, env: Environment) -> None:
        self._grant = grant
        self._conversation = conversation
        self._env = env
        self._running: dict[Request, tuple[list[str], int]] = {}
        self._refused: Statement | None = None  # the subject of the last verdict of this call, if a no
        self._subject: Statement | None = None  # classified last: a Bind's statement is its Execute's
        self._facts: Facts = ()
        self._is_judging = False
        self._withdrawn = False
        self._withdraws_next = False
        self._cancels = 0
        self._released = asyncio.Event()
        self.obliging = Obliging(grant, conversation, env, self.classify)
        self._timeouts = Timeouts(self._overdue)
        self.cancel_running: Callable[[], None] | None = None  # the session's way to have the backend stop
        self.withdraw_other: Callable[[], bool] | None = None  # what is judged beside this, on the fast path

    @property
    def is_busy(self) -> bool:
        """True while the backend owes an answer."""
        return bool(self._running)

    async def classify(self, request: Request) -> Facts:
        """What *request* does; a statement is a value with its names, so the last one is known again."""
        subject = _subject(request)
        if subject is not None and subject is self._subject and len(request.statements) == 1:
            return self._facts
        facts = self._env.classifier.now(self._grant.protocol, request)
        if facts is None:
            facts = await self._env.classifier.later(self._grant.protocol, request)
        if len(request.statements) == 1:
            is_small = len(request.raw) <= _MOST_OF_LAST
            self._subject, self._facts = (subject, facts) if is_small else (None, ())
        return facts

    async def decide(self, requests: Sequence[Judged]) -> list[Decision]:
        """A durable verdict for each request; a cancel that came meanwhile withdraws them all."""
        self._is_judging, self._withdrawn, self._withdraws_next = True, self._withdraws_next, False
        self._refused = None  # what comes later is an attempt of its own
        try:
            decisions = await self._judge(requests)
            if any(isinstance(each, Allowed) and each.obligations is not NONE for each in decisions):
                decisions = await self._carry(requests, decisions)
            decisions = await self._record(requests, decisions)
            while self._cancels:
                self._released.clear()
                await self._released.wait()
        except asyncio.CancelledError:
            for item in requests:  # the session is over: what is in the log by now was not forwarded
                self.finished(Outcome(item.request, executed=False))
            raise
        finally:
            self._is_judging = False
        if not self._withdrawn:
            return decisions
        for item in requests:
            self.finished(Outcome(item.request, executed=False))
        withdrawn = self.local("query_canceled", "canceling statement due to user request")
        return [withdrawn] * len(requests)

    def record(self, request: Request, facts: Facts, decision: Allowed) -> asyncio.Future[None]:
        """Make one yes durable; with an AuditError the request must be forgotten."""
        made = self._grant.events(request, facts, decision)
        self._refused = None
        self._running[request] = ([event.id for event in made], self._env.clock.now_ns())
        return asyncio.ensure_future(self._env.audit.append(made))

    def forget(self, request: Request) -> None:
        """A request whose record failed was never let through."""
        self._running.pop(request, None)

    def finished(self, outcome: Outcome) -> None:
        """A request that was let through came to its end."""
        running = self._running.pop(outcome.request, None)
        if running is None:
            return
        self._timeouts.ended(outcome.request)
        queries, started_ns = running
        duration_ns = max(0, self._env.clock.now_ns() - started_ns)
        for event in self._grant.finished(queries, outcome, duration_ns):
            self._env.audit.post(event)

    def close(self) -> None:
        """The session is over."""
        self._timeouts.close()

    def local(self, code: str, message: str) -> Denied:
        """A refusal that no policy had to be asked for."""
        return local_denial(self._env.clock, code, message)

    # -- cancelling

    def cancel(self) -> bool:
        """Withdraw what is being judged; False when nothing is, so that the backend must be asked."""
        if self.withdraw_other is not None and self.withdraw_other():
            return True
        self._withdrawn = self._is_judging
        self.obliging.withdraw()
        return self._is_judging

    def withdraw_next(self) -> None:
        """The client has cancelled what is judged next."""
        self._withdraws_next = True

    @property
    def is_held(self) -> bool:
        """True while a cancel is on its way to the backend."""
        return self._cancels > 0

    def hold(self) -> None:
        """A cancel is on its way to the backend: nothing new may start, or it could be hit."""
        self._cancels += 1

    def release(self) -> None:
        """The backend took the cancel, or cannot."""
        self._cancels -= 1
        self._released.set()

    # -- own

    async def _carry(self, requests: Sequence[Judged], decisions: Sequence[Decision]) -> list[Decision]:
        """Carry out what the decisions are tied to, one after the other."""
        carried: list[Decision] = []
        for item, decision in zip(requests, decisions, strict=True):
            if isinstance(decision, Allowed) and decision.obligations is not NONE:
                carried.append(await self.obliging.carry(item.request, item.facts, decision))
            else:
                carried.append(decision)
        return carried

    def _overdue(self, request: Request, limit_ms: int) -> bool:
        denial = self.local("timeout", f"the policy lets a statement run for {limit_ms} ms")
        if self.cancel_running is None or not self._conversation.overdue(request, denial):
            return False
        self.cancel_running()
        return True

    def _time(self, request: Request, decision: Allowed) -> None:
        """The clock of what is sent now; an Execute goes on with its Bind's, from the start."""
        limit = decision.obligations.timeout_ms
        if limit is not None:
            bound = request.covered_by
            self._timeouts.started(bound if bound is not None and bound in self._running else request, limit)

    async def _judge(self, requests: Sequence[Judged]) -> list[Decision]:
        """Ask; and ask once more when a refusal may be due to a catalogue that was read before."""
        decisions = await self._ask(requests)
        if not self._grant.restricted or all(isinstance(decision, Allowed) for decision in decisions):
            return decisions
        if not await self._grant.has_newer_catalog(self._conversation):
            return decisions
        names = self._conversation.names()
        for item in requests:
            statements = tuple(replace(statement, names=names) for statement in item.request.statements)
            item.facts = await self.classify(replace(item.request, statements=statements))
        return await self._ask(requests)

    async def _ask(self, requests: Sequence[Judged]) -> list[Decision]:
        """One question for each different set of facts, a few at a time.

        Each has a deadline of its own, which must not run while a long pipeline's others are answered.
        """
        first = requests[0].facts
        if all(item.facts is first for item in requests):
            return [await self._grant.ask(first)] * len(requests)
        distinct = list({id(item.facts): item.facts for item in requests}.values())
        verdicts: dict[int, Decision] = {}
        for at in range(0, len(distinct), _AT_A_TIME):
            several = distinct[at : at + _AT_A_TIME]
            async with asyncio.TaskGroup() as tasks:
                asked = [(id(facts), tasks.create_task(self._grant.ask(facts))) for facts in several]
            verdicts |= {key: task.result() for key, task in asked}
        return [verdicts[id(item.facts)] for item in requests]

    async def _record(self, requests: Sequence[Judged], decisions: list[Decision]) -> list[Decision]:
        """Make every verdict durable; what cannot be recorded is refused."""
        events: list[Event] = []
        now = self._env.clock.now_ns()
        for item, decision in zip(requests, decisions, strict=True):
            request = item.request
            if self._stands_already(request, decision):
                if isinstance(decision, Allowed):
                    self._time(request, decision)
                continue
            made = self._grant.events(request, item.facts, decision)
            events += made
            match decision:
                case Allowed():
                    self._refused = None
                    self._running[request] = ([event.id for event in made], now)
                    self._time(request, decision)
                case Denied():
                    self._refused = _subject(request)
                case other:
                    assert_never(other)
        try:
            await self._write(requests, events)
        except AuditError as error:
            return [self.local("audit_unavailable", str(error))] * len(requests)
        return decisions

    async def _write(self, requests: Sequence[Judged], events: Sequence[Event]) -> None:
        """Until *events* are durable; whoever gets an error instead has let nothing through."""
        if not events:
            return
        written = asyncio.ensure_future(self._env.audit.append(events))
        try:
            await written
        finally:
            if not _is_durable(written):  # should it be in the log after all, the log says how it went
                for item in requests:
                    self._running.pop(item.request, None)
                    self._timeouts.ended(item.request)

    def _stands_already(self, request: Request, decision: Decision) -> bool:
        """True when a record says this already: an Execute behind its Bind, a Bind behind a refused Parse."""
        match decision:
            case Allowed():
                return request.covered_by is not None and request.covered_by in self._running
            case Denied():
                again = request.phase in {Phase.BIND, Phase.EXECUTE}
                return again and self._refused is not None and _subject(request) is self._refused
            case other:
                assert_never(other)


def _subject(request: Request) -> Statement | None:
    return request.statements[0] if request.statements else None


def _is_durable(written: "asyncio.Future[None]") -> bool:
    return written.done() and not written.cancelled() and written.exception() is None
