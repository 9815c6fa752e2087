"""The sessions that are open now: who they belong to, how to end one, and judging all of them again."""

import asyncio  # noqa: TID251
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias, assert_never

from gateway.model.decision import Allowed, Denied
from gateway.policy.answer import Verdict
from gateway.policy.client import PolicyClient
from gateway.policy.document import ConnectQuestion
from gateway.session.pace import CANCELS_PER_SECOND, Pace

REJUDGE_AT_ONCE = 256  # sessions between two looks at everything else
SWEEP_SECONDS = 1.0


class LiveSession(Protocol):
    """What the registry knows of a session."""

    session_id: str
    user: str
    cancel_key: bytes

    def question(self) -> ConnectQuestion:
        """The connect question, asked as of now."""
        ...

    def granted(self, decision: Allowed) -> None:
        """The policy still allows it, with these roles."""
        ...

    def end(self, denial: Denied) -> None:
        """Tell the client why, cancel what runs, and close."""
        ...

    async def cancel(self) -> None:
        """The client asked to cancel what runs now."""
        ...

    def sweep(self) -> None:
        """Look at the clocks: the login's end and the idle limit."""
        ...


@dataclass(frozen=True, slots=True)
class Count:
    """How many connections go through the gateway: of one user, and to one database.

    ``in_pace`` is False when this user opens them faster than anybody may.
    """

    of_user: int
    on_database: int
    in_pace: bool = True


Elsewhere: TypeAlias = Callable[[bytes, str | None], Awaitable[bool]]
"""Cancels a session that another process has; False where none has it."""


class Live:
    """The registry; a connection counts from before its question is asked, so limits cannot be raced."""

    def __init__(self, pace: Pace | None = None, cancels: Pace | None = None) -> None:
        """*pace* is that of users' connections, *cancels* that of addresses' cancels."""
        self._pace = pace
        self._cancels = cancels
        self._sessions: dict[str, LiveSession] = {}
        self._by_key: dict[bytes, LiveSession] = {}
        self._users: Counter[str] = Counter()
        self._databases: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()
        self.elsewhere: Elsewhere | None = None

    @classmethod
    def paced(cls, connects_per_second: int, monotonic: Callable[[], float]) -> "Live":
        """One that holds users to so many connections a second, and addresses to so many cancels."""
        return cls(Pace(connects_per_second, monotonic), Pace(CANCELS_PER_SECOND, monotonic))

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(list(self._sessions.values()))

    async def enter(self, user: str, database: str) -> Count:
        """Count a connection that is about to be judged; the answer includes it."""
        return self.count(user, database)

    def count(self, user: str, database: str) -> Count:
        """Count it here and now."""
        self._users[user] += 1
        self._databases[database] += 1
        in_pace = self._pace is None or self._pace.admits(user)
        return Count(self._users[user], self._databases[database], in_pace)

    def leave(self, user: str, database: str) -> None:
        """Take it back."""
        for counter, name in ((self._users, user), (self._databases, database)):
            counter[name] -= 1
            if counter[name] <= 0:
                del counter[name]

    def add(self, session: LiveSession) -> None:
        """A session began."""
        self._sessions[session.session_id] = session
        self._by_key[session.cancel_key] = session
        self._empty.clear()

    def remove(self, session: LiveSession) -> None:
        """A session is over."""
        self._sessions.pop(session.session_id, None)
        self._by_key.pop(session.cancel_key, None)
        if not self._sessions:
            self._empty.set()

    async def may_cancel(self, source: str) -> bool:
        """Whether the address *source* may ask for one more cancel; if so, it counts."""
        return self.hears_cancel(source)

    def hears_cancel(self, source: str) -> bool:
        """Count it here and now."""
        return self._cancels is None or self._cancels.admits(source)

    async def cancel(self, key: bytes, user: str | None) -> bool:
        """Cancel by key, in whichever process the session is."""
        if await self.cancel_here(key, user):
            return True
        return self.elsewhere is not None and await self.elsewhere(key, user)

    async def cancel_here(self, key: bytes, user: str | None) -> bool:
        """Cancel by key; where TLS gave an identity it must be the session's own."""
        session = self._by_key.get(key)
        if session is None or (user is not None and user != session.user):
            return False
        await session.cancel()
        return True

    async def rejudge(self, policy: PolicyClient) -> int:
        """Ask again whether each session may be open; returns how many questions nobody answered.

        Those sessions stay open, with every query refused, until somebody answers: ask again then. Sessions
        of one login, route and address are one question.
        """
        unanswered = 0
        known: dict[bytes, Verdict] = {}
        sessions = list(self._sessions.values())
        for start in range(0, len(sessions), REJUDGE_AT_ONCE):
            batch = sessions[start : start + REJUDGE_AT_ONCE]
            decisions = await policy.rejudge([session.question() for session in batch], known)
            for session, decision in zip(batch, decisions, strict=True):
                match decision:
                    case Allowed():
                        session.granted(decision)
                    case Denied(revisions=None):
                        unanswered += 1
                    case Denied():
                        session.end(decision)
                    case other:
                        assert_never(other)
            await asyncio.sleep(0)  # where all was known already, nothing was waited for
        return unanswered

    async def sweep_forever(self) -> None:
        """Look at every session's clocks once a second, for as long as the service runs."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for session in self:
                session.sweep()

    async def end_all(self, denial: Denied) -> None:
        """The service stops: every session is told; returns when all are over."""
        for session in self:
            session.end(denial)
        await self._empty.wait()
