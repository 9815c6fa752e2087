"""Asks a second policy the same questions at the same time, and tells where it would have said otherwise.

Nobody waits for it, and its answers decide nothing. A session that it would not have opened is told of once;
one that it would have opened with other roles is asked about with those. What comes faster than it answers is
let go, and counted.
"""

import asyncio  # noqa: TID251
import typing
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from gateway.model.decision import Allowed, Decision
from gateway.policy.document import ConnectQuestion, SessionQuestion
from gateway.sansio.exchange import Facts

_MOST_PENDING = 256
_MOST_SESSIONS = 10_000
_MOST_TOLD = 10_000
_PATIENCE_SECONDS = 10.0

Compare: typing.TypeAlias = Callable[[Decision], None]


class Asks(typing.Protocol):
    """The shadow's own ``PolicyClient``."""

    async def query(self, session: SessionQuestion, facts: Facts) -> Decision:
        """May these statements run."""
        ...

    async def connect(self, question: ConnectQuestion) -> Decision:
        """May this identity open this database."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the two policies disagree, about one question of one user."""

    user: str
    database: str
    decision: Decision
    shadow: Decision


@dataclass(slots=True)
class Tally:
    """How the shadow has fared."""

    asked: int = 0
    differed: int = 0
    dropped: int = 0
    unanswered: int = 0


class Shadow:
    """Between the client that decides and the one that does not; *tell* gets each difference once."""

    def __init__(self, asker: Asks, tell: Callable[[Difference], None]) -> None:
        self.tally = Tally()
        self._asker = asker
        self._tell = tell
        self._pending: set[asyncio.Task[None]] = set()
        self._roles: dict[str, tuple[str, ...] | None] = {}
        self._told: set[tuple[str, bool, bool]] = set()

    def query(self, session: SessionQuestion, facts: Facts) -> Compare:
        """Ask, and return what is to be called with the decision that counts."""
        roles = self._roles.get(session.session_id, session.roles)
        if roles is None:
            return _ignore  # it would not even have opened this session
        asked = session if roles == session.roles else replace(session, roles=roles)
        return self._ask(self._asker.query(asked, facts), session.user, session.database.name)

    def connect(self, question: ConnectQuestion) -> Compare:
        """Ask, and return what is to be called with the decision that counts."""
        name = question.database.name if question.database is not None else ""
        asking = self._asker.connect(question)
        return self._ask(asking, question.identity.user, name, session=question.session_id)

    def close(self) -> None:
        """Ask no more."""
        for task in self._pending:
            task.cancel()

    def _ask(
        self, asking: Coroutine[Any, Any, Decision], user: str, database: str, session: str = ""
    ) -> Compare:
        if len(self._pending) >= _MOST_PENDING:
            asking.close()
            self.tally.dropped += 1
            return _ignore
        counts: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        task = asyncio.get_running_loop().create_task(self._compare(asking, counts, user, database, session))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

        def compare(decision: Decision) -> None:
            if not counts.done():
                counts.set_result(decision)

        return compare

    async def _compare(
        self,
        asking: Coroutine[Any, Any, Decision],
        counts: "asyncio.Future[Decision]",
        user: str,
        database: str,
        session: str,
    ) -> None:
        shadow = await asking
        if session:
            self._remember(session, shadow)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                decision = await counts
        except TimeoutError:
            return  # whoever asked went away before there was an answer
        self.tally.asked += 1
        if not _comparable(decision, shadow):
            self.tally.unanswered += 1
            return
        allows = isinstance(decision, Allowed), isinstance(shadow, Allowed)
        if allows[0] is allows[1]:
            return
        self.tally.differed += 1
        # A connect's input is new each time, so its difference is one of the user and the database.
        about = f"{user}\0{database}" if session else decision.input_digest
        key = (about, *allows)
        if key in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(key)
        self._tell(Difference(user, database, decision, shadow))

    def _remember(self, session: str, shadow: Decision) -> None:
        if len(self._roles) >= _MOST_SESSIONS:
            del self._roles[next(iter(self._roles))]
        if isinstance(shadow, Allowed):
            self._roles[session] = shadow.roles
        elif shadow.revisions is not None:
            self._roles[session] = None


def _comparable(decision: Decision, shadow: Decision) -> bool:
    """True when both were answered by a policy, from the same data: changes reach the shadow a bit later."""
    if decision.revisions is None or shadow.revisions is None:
        return False
    return decision.revisions.data == shadow.revisions.data


def _ignore(_decision: Decision) -> None:
    """Nothing to compare with."""
