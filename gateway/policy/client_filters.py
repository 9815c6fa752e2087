"""Asks for the conditions that guards set on rows, and keeps them for as long as the revisions stand."""

import asyncio  # noqa: TID251
from collections.abc import Callable

from gateway.model.decision import Revisions
from gateway.policy import answer, filters
from gateway.policy.client_exchange import Exchange, NobodyAnswersError
from gateway.policy.document import SessionQuestion


class RowFilters:
    """Each condition is compiled once for all who ask at the same time: it is work for OPA."""

    def __init__(self, exchange: Exchange, seconds: float) -> None:
        self._exchange = exchange
        self._seconds = seconds
        self._conditions = filters.Conditions()
        self._compiling = asyncio.Lock()

    async def condition(
        self, session: SessionQuestion, guard: str, revisions: Callable[[], Revisions]
    ) -> str | None:
        """As ``PolicyClient.row_filter``; *revisions* says which are in force at the moment of the call."""
        if not self._exchange.available:
            raise NobodyAnswersError(answer.UNAVAILABLE)
        key = (guard, session.content, revisions().policy, session.data_revision)
        async with self._compiling:
            known = self._conditions.find(key)
            if known is not None:
                return known[0]
            response = await self._exchange.ask(
                filters.path(guard), filters.question(session.content), self._seconds, filters.ACCEPT
            )
            found = filters.condition(response.status, response.body)
            if revisions() == Revisions(key[2], key[3]):  # nothing was published meanwhile
                self._conditions.keep(key, found)
            return found
