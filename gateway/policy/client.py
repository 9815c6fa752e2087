"""Asks OPA, and obeys. Queries go out in batches; whatever goes wrong is a refusal, within the deadline.

Use it as ``async with``: the questions about statements are carried by one task for each slot, so that as
many batches are in flight as OPA has cores, and what waits meanwhile goes out together in the next.
"""

import asyncio  # noqa: TID251
import os
import typing
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from gateway.clock import Clock
from gateway.errors import PolicyError
from gateway.model.classification import Classification
from gateway.model.decision import Decision, Reason, Revisions
from gateway.model.identity import Identity, Subject
from gateway.model.joining import Admission, Grant, Joining
from gateway.model.resource import Database
from gateway.policy import answer, document
from gateway.policy.answer import Problem, Verdict, Visible
from gateway.policy.client_batches import BatchIds, Carrier, default_slots
from gateway.policy.client_endpoint import Endpoint
from gateway.policy.client_exchange import Exchange
from gateway.policy.client_filters import RowFilters
from gateway.policy.client_issue import Issuer, PolicyMetrics
from gateway.policy.client_line import Lines
from gateway.policy.client_rejudge import CONNECT, Rejudging
from gateway.policy.client_shadow import Shadow
from gateway.policy.document import AgentQuestion, ConnectQuestion, FactsCache, SessionQuestion

# A built-in that fails would otherwise silently remove its rule.
_STRICT = "?strict-builtin-errors=true"
_VISIBLE = "/v1/data/gateway/visible/decision" + _STRICT
_ADMIN = "/v1/data/gateway/admin/decision" + _STRICT
_JOIN = "/v1/data/gateway/join/decision" + _STRICT
_AGENT = "/v1/data/gateway/agent/decision" + _STRICT
_LOGIN = "/v1/data/gateway/login/decision" + _STRICT
# Documents that nobody has checked yet: there one bad built-in call must cost one document, not all.
_INDEX = "/v1/data/gateway/prepare/index"
_INDEX_KEYS = frozenset({"contract", "roles", "locks", "denying", "obliging", "guards", "asleep"})
_PROBLEMS = "/v1/data/gateway/prepare/problems"

# Lists and administration hold nobody's statement up, and may be long.
_SLOW_SECONDS = 5.0
_TOO_LARGE = (answer.TOO_LARGE,)

Facts: typing.TypeAlias = tuple[Classification, ...]


class Keeps(typing.Protocol):
    """Keeps what decisions are made from; ``gateway.policy.keeper.Keeper`` does."""

    def asked(self, digest: str, *parts: bytes) -> None:
        """A question was asked: *parts* are a query's session and facts, or a connect's whole input."""
        ...


class PolicyClient:
    """The one way from Python to a decision.

    ``available`` is set by whoever supervises OPA: while it is False every answer is a refusal at once.
    ``revisions`` are those of the policy and the data that are in force, as the supervisor knows them.
    ``shadow`` is asked the same at the same time, where there is one; nobody waits for it.
    ``keeper``, where there is one, gets what is asked about connects and queries.
    """

    def __init__(
        self,
        socket_path: Endpoint | str | os.PathLike[str],
        token: str,
        *,
        clock: Clock,
        slots: int | None = None,
        deadline_seconds: float = 0.25,
        metrics: PolicyMetrics | None = None,
    ) -> None:
        self.revisions = Revisions("", -1)
        self.keeper: Keeps | None = None
        self.shadow: Shadow | None = None
        self._clock = clock
        self._slots = slots or default_slots()
        self.deadline_seconds = deadline_seconds
        self._slow = max(_SLOW_SECONDS, deadline_seconds)
        self._issuer = Issuer(clock, metrics)
        self._exchange = Exchange(socket_path, token)
        self._ids = BatchIds()
        self._carrier = Carrier(self._exchange, clock, self._ids, self._issuer.count_batch)
        self._rejudging = Rejudging(self._exchange, self._ids, deadline_seconds)
        self._facts = FactsCache()
        self._row_filters = RowFilters(self._exchange, self._slow)
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> typing.Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._carrier.start(self._tasks, self._slots)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        tasks, self._tasks = self._tasks, None
        self._carrier.close()
        try:
            await tasks.__aexit__(kind, error, trace)
        finally:
            self._exchange.close()

    @property
    def alarm(self) -> Callable[[Reason], None] | None:
        """Who is told of every refusal for want of a usable answer."""
        return self._issuer.alarm

    @alarm.setter
    def alarm(self, alarm: Callable[[Reason], None] | None) -> None:
        self._issuer.alarm = alarm

    @property
    def available(self) -> bool:
        """False while OPA is down: then every answer is a refusal at once."""
        return self._exchange.available

    @available.setter
    def available(self, available: bool) -> None:
        self._exchange.available = available

    @property
    def place(self) -> tuple[str, str]:
        """The socket that is asked, and the token that opens it."""
        return self._exchange.place

    def move_to(self, socket_path: Endpoint | str | os.PathLike[str]) -> Lines:
        """Ask another socket from now on; returns the old connections, to be closed once they are idle."""
        return self._exchange.move_to(socket_path)

    def close(self) -> None:
        """Close the connections; for a client that was never entered."""
        self._exchange.close()

    # Questions

    async def query(self, session: SessionQuestion, facts: Facts) -> Decision:
        """May these statements run, as one request."""
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()

        def tell(decision: Decision) -> None:
            if not decided.done():
                decided.set_result(decision)

        self.ask(session, facts, tell)
        return await decided

    def ask(self, session: SessionQuestion, facts: Facts, tell: Callable[[Decision], None]) -> None:
        """As ``query``, for who does not wait: *tell* gets the decision, at once or later, once."""
        started = self._clock.monotonic()
        encoded = self._facts.encode(facts)
        input_digest = session.digest(encoded)
        if self.keeper is not None:
            self.keeper.asked(input_digest, session.content, encoded)
        compare = None if self.shadow is None else self.shadow.query(session, facts)

        def answered(verdict: Verdict) -> None:
            # A yes from other data than the session was opened on is not an answer to this question.
            if verdict.allow and (
                verdict.revisions is None or verdict.revisions.data != session.data_revision
            ):
                verdict = answer.refused(answer.INVALID)
            decision = self._issuer.issue(verdict, input_digest, started)
            if compare is not None:
                compare(decision)
            tell(decision)

        if not self.available or self._tasks is None:
            answered(answer.refused(answer.UNAVAILABLE))
        elif len(encoded) + len(session.content) > document.MAX_ITEM:
            answered(answer.refused(answer.TOO_LARGE))
        else:
            self._carrier.add(session.content, encoded, started + self.deadline_seconds, answered)

    async def row_filter(self, session: SessionQuestion, guard: str) -> str | None:
        """The condition that a guard sets on the rows of its relation, for a session: ``""`` all, None none.

        Raises:
            PolicyError: there was no usable answer.
        """
        return await self._row_filters.condition(session, guard, lambda: self.revisions)

    async def connect(self, question: ConnectQuestion) -> Decision:
        """May this identity open this database; an ``Allowed`` carries the granting roles and the limits."""
        asked = question.to_json()
        compare = None if self.shadow is None else self.shadow.connect(question)
        decision = await self._decide(CONNECT, asked, answer.connect, self.deadline_seconds)
        if compare is not None:
            compare(decision)
        return decision

    async def rejudge(
        self, questions: Sequence[ConnectQuestion], known: dict[bytes, Verdict] | None = None
    ) -> list[Decision]:
        """Connects of live sessions, judged again in batches; the decisions stand in the questions' order.

        They carry no session's id, so that sessions which differ in nothing else are asked about once;
        *known* keeps what was answered for those that come with the next call of the same round.
        """
        started = self._clock.monotonic()
        asked = [document.connect_item(question) for question in questions]
        verdicts = await self._rejudging.verdicts(
            dict(zip(asked, questions, strict=True)), {} if known is None else known
        )
        return [self._issuer.issue(verdicts[item], document.digest(item), started) for item in asked]

    async def visible(self, identity: Identity, databases: Sequence[Database], time_ns: int) -> list[Visible]:
        """The databases this identity sees, and as whom.

        Raises:
            PolicyError: there was no usable answer.
        """
        asked = document.question(document.visible(identity, databases, time_ns))
        return answer.visible(await self._exchange.result(_VISIBLE, asked, self._slow))

    async def admin(self, subject: Subject, verb: str, kind: str, name: str) -> Decision:
        """May this subject do this to a resource."""
        asked = document.admin(subject, verb, kind, name, self._clock.now_ns())
        return await self._decide(_ADMIN, asked, answer.admin, self._slow)

    async def agent(self, question: AgentQuestion) -> Decision:
        """May a service that joined with a token do this."""
        asked = question.to_json(self._clock.now_ns())
        return await self._decide(_AGENT, asked, answer.admin, self._slow)

    async def login(self, user: str) -> Decision:
        """May this user log in; ``limits.max_session_seconds`` bounds the login."""
        asked = document.login(user, self._clock.now_ns())
        return await self._decide(_LOGIN, asked, answer.login, self._slow)

    async def join(self, grant: Grant, joining: Joining) -> Admission:
        """May this service join, and which of its databases may it serve."""
        granted: list[str] = []

        def parse(value: Any) -> Verdict:
            verdict, names = answer.join(value)
            granted.extend(names)
            return verdict

        asked = document.join(grant, joining, self._clock.now_ns())
        decision = await self._decide(_JOIN, asked, parse, self._slow)
        return Admission(decision, tuple(granted))

    async def validate_patterns(self, resource: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with a role or lock document, before it is stored.

        Raises:
            PolicyError: there was no usable answer; then nothing may be stored.
        """
        asked = document.question(document.problems(resource))
        return answer.problems(await self._exchange.result(_PROBLEMS, asked, self._slow))

    async def index(
        self, roles: Mapping[str, Any], locks: Sequence[Any], guards: Sequence[Any] = ()
    ) -> dict[str, Any]:
        """The index that decisions read, made of these documents by the policy itself.

        Raises:
            PolicyError: there was no usable answer.
        """
        asked = document.question(document.index(roles, locks, guards))
        value = await self._exchange.result(_INDEX, asked, 60.0, even_if_unavailable=True)
        if type(value) is not dict or value.keys() != _INDEX_KEYS:
            raise PolicyError("the prepared index is not one")
        return value

    # Single questions

    async def ask_raw(self, path: str, body: bytes, seconds: float) -> Any:
        """The result at *path* below ``gateway``, even while nobody else may ask; for canaries.

        Raises:
            PolicyError: there was no usable answer.
        """
        return await self._exchange.result(
            f"/v1/data/gateway/{path}{_STRICT}", body, seconds, even_if_unavailable=True
        )

    async def _decide(
        self, path: str, asked: Mapping[str, Any], parse: Callable[[Any], Verdict], seconds: float
    ) -> Decision:
        started = self._clock.monotonic()
        content = document.encode(asked)
        input_digest = document.digest(content)
        if len(content) > document.MAX_ITEM:
            return self._issuer.issue(answer.refused(answer.TOO_LARGE), input_digest, started)
        if self.keeper is not None and path is CONNECT:
            self.keeper.asked(input_digest, content)
        verdict = await self._exchange.verdict(path, content, parse, seconds)
        return self._issuer.issue(verdict, input_digest, started)
