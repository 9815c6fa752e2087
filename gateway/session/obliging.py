"""Carrying out what a decision is tied to, before it is recorded; what cannot be carried out is refused."""

import asyncio  # noqa: TID251
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import assert_never

from gateway.clock import new_id
from gateway.errors import PolicyError
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.hold import Answer, Held
from gateway.model.obligation import Hold, Obligations, RowFilter
from gateway.model.statement import Phase
from gateway.sansio.conversation import Conversation
from gateway.sansio.exchange import (
    Duty,
    Facts,
    Obliged,
    Request,
    Unable,
)
from gateway.session.denial import local_denial
from gateway.session.environment import Environment
from gateway.session.grant import Grant

HIDDEN = "…"  # recorded in the place of the salt
UNKNOWN = "relation_unknown"  # nothing is known of it yet: it may have been made a moment ago
_RUNS = frozenset({Phase.QUERY, Phase.BIND, Phase.EXECUTE})

Classify = Callable[[Request], Awaitable[Facts]]


class Obliging:
    """The obligations of one session."""

    def __init__(
        self, grant: Grant, conversation: Conversation, env: Environment, classify: Classify
    ) -> None:
        self._grant = grant
        self._conversation = conversation
        self._env = env
        self._classify = classify
        self._held = ""  # the id of what waits now
        self.client_left: Callable[[], Awaitable[None]] | None = None

    async def carry(self, request: Request, facts: Facts, decision: Allowed) -> Decision:
        """*decision* with its obligations carried out, as far as that comes before sending."""
        obligations = decision.obligations
        missing = obligations.kinds - self._grant.protocol.obligations
        if missing:
            told = ", ".join(sorted(missing)) + " cannot be carried out here"
            return self._denied("obligation_unsupported", told)
        try:
            conditions = await self._conditions(obligations)
        except PolicyError as error:
            return self._denied("row_filter_unfit", str(error))
        duty = Duty(obligations, conditions, self._env.salt)
        done = await self._oblige(request, facts, duty)
        if isinstance(done, Unable):
            return self._denied(done.code, done.message)
        carried = await self._rejudged(request, done, decision)
        match carried:
            case Denied():
                return carried
            case Allowed():
                return await self._let_go(request, facts, carried)
            case other:
                assert_never(other)

    def withdraw(self) -> None:
        """Whoever asked wants it no more."""
        if self._held:
            self._env.holds.answer(self._held, Answer.WITHDRAWN)

    # -- what is concealed

    async def _conditions(self, obligations: Obligations) -> tuple[tuple[RowFilter, str | None], ...]:
        return tuple([(each, await self._grant.row_filter(each.guard)) for each in obligations.row_filters])

    async def _oblige(self, request: Request, facts: Facts, duty: Duty) -> Obliged | Unable:
        """Once more with a newer catalogue where something was not known."""
        done = self._conversation.oblige(request, facts, duty)
        if not isinstance(done, Unable) or done.code != UNKNOWN:
            return done
        await self._grant.has_newer_catalog(self._conversation)
        return self._conversation.oblige(request, facts, duty)

    async def _rejudged(self, request: Request, done: Obliged, decision: Allowed) -> Decision:
        """The verdict about what will be sent; the same obligations must hold for it."""
        if not done.statements:
            return decision
        facts = await self._classify(replace(request, statements=done.statements))
        again = await self._grant.ask(facts)
        match again:
            case Denied():
                return again
            case Allowed():
                if again.obligations != decision.obligations:
                    return self._denied("obligations_changed", "what is concealed has changed; try again")
                salt, shown = self._env.salt, self._env.wording.shown
                return replace(decision, sent=tuple(shown(item).replace(salt, HIDDEN) for item in facts))
            case other:
                assert_never(other)

    # -- the second person

    async def _let_go(self, request: Request, facts: Facts, decision: Allowed) -> Decision:
        hold = decision.obligations.hold
        if hold is None or request.phase not in _RUNS or request.covered_by is not None:
            return decision
        answer, who = await self._wait(hold, facts)
        if answer is Answer.APPROVED:
            return await self._still_allowed(facts, replace(decision, approved_by=who))
        message = {
            Answer.DENIED: f"{who} did not agree",
            Answer.EXPIRED: f"nobody agreed within {hold.seconds} s",
            Answer.WITHDRAWN: "canceling statement due to user request",
        }[answer]
        return self._denied("query_canceled" if answer is Answer.WITHDRAWN else f"hold_{answer}", message)

    async def _wait(self, hold: Hold, facts: Facts) -> tuple[Answer, str]:
        holds, now = self._env.holds, self._env.clock.now_ns()
        if holds.is_full:
            return Answer.EXPIRED, ""
        grant = self._grant
        held = Held(
            id=new_id(now),
            session_id=grant.session_id,
            user=grant.identity.user,
            database=grant.database.name,
            db_user=grant.route.db_user,
            db_name=grant.route.db_name,
            statements=tuple(item.redacted for item in facts),
            reason=hold.reason,
            asked_ns=now,
            expires_ns=now + hold.seconds * 1_000_000_000,
        )
        self._env.audit.post(grant.held(held, facts))
        self._held = held.id
        try:
            async with asyncio.TaskGroup() as tasks:
                leaving = tasks.create_task(self._withdraw_when_left())
                answer = await holds.wait(held, hold.seconds)
                leaving.cancel()
        finally:
            self._held = ""
        return answer

    async def _withdraw_when_left(self) -> None:
        if self.client_left is not None:
            await self.client_left()
            self.withdraw()

    async def _still_allowed(self, facts: Facts, decision: Allowed) -> Decision:
        """Time has passed: roles, locks and policy are asked again."""
        again = await self._grant.ask(facts)
        match again:
            case Denied():
                return again
            case Allowed():
                if again.obligations != decision.obligations:
                    return self._denied("obligations_changed", "what it is tied to has changed; try again")
                return decision
            case other:
                assert_never(other)

    def _denied(self, code: str, message: str) -> Denied:
        return local_denial(self._env.clock, code, message)
