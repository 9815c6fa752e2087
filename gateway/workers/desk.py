"""What the main process does for one worker, and what it takes back when that worker is gone."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from gateway.audit.intents import UNKNOWN, closing
from gateway.audit.log import AuditLog
from gateway.clock import Clock, new_id
from gateway.errors import BackendError
from gateway.model.event import Event, Kind
from gateway.model.hold import Answer, Held
from gateway.policy.client import Keeps
from gateway.session.hold import Holds
from gateway.session.live import Live
from gateway.workers.channel import Handler
from gateway.workers.record import unpack

Mint: TypeAlias = Callable[[str, str], Awaitable[dict[str, Any]]]
"""A certificate for a database's name and user, as ``registry.maker`` reads it; BackendError says why not."""


class Desk:
    """Answers one worker's questions."""

    def __init__(
        self, audit: AuditLog, live: Live, holds: Holds, keeper: Keeps | None, mint: Mint, clock: Clock
    ) -> None:
        self._holds = holds
        self._audit = audit
        self._live = live
        self._keeper = keeper
        self._mint = mint
        self._clock = clock
        self._counted: Counter[tuple[str, str]] = Counter()
        self._open: dict[str, Event] = {}

    def handlers(self) -> dict[str, Handler]:
        """The kinds of message that a worker may send."""
        return {
            "audit": self._record,
            "enter": self._enter,
            "leave": self._leave,
            "mint": self._certificate,
            "cancel": self._cancel,
            "may_cancel": self._may_cancel,
            "evidence": self._evidence,
            "held": self._hold,
            "let_go": self._let_go,
        }

    @property
    def sessions(self) -> int:
        """How many connections the worker has."""
        return self._counted.total()

    def forget(self) -> None:
        """The worker is gone: nothing of its sessions is open any more, and the log says so."""
        for (user, database), number in self._counted.items():
            for _ in range(number):
                self._live.leave(user, database)
        self._counted.clear()
        for begun in self._open.values():
            now = self._clock.now_ns()
            end = closing(begun, outcome=UNKNOWN, id_=new_id(now), time_ns=now, reason="worker_ended")
            self._audit.post(end)
        self._open.clear()

    # -- messages

    async def _record(self, value: Any, blob: bytes) -> None:
        """Outcomes first: what they end was recorded before what is new was sent."""
        posts, at = unpack(value["posts"], blob)
        appends, _ = unpack(value["appends"], blob, at)
        for event, _line in (*posts, *appends):
            self._note(event)
        if posts:
            self._audit.post_lines(posts)
        if appends:
            await self._audit.append_lines(appends)

    def _note(self, event: Event) -> None:
        if event.kind is Kind.SESSION_START:
            self._open[str(event.fields["session_id"])] = event
        elif event.kind is Kind.SESSION_END:
            self._open.pop(str(event.fields["session_id"]), None)

    async def _enter(self, value: Any, _blob: bytes) -> tuple[int, int, bool]:
        user, database = value
        count = self._live.count(user, database)
        self._counted[user, database] += 1
        return count.of_user, count.on_database, count.in_pace

    async def _leave(self, value: Any, _blob: bytes) -> None:
        user, database = value
        if self._counted[user, database] > 0:
            self._counted[user, database] -= 1
            self._live.leave(user, database)

    async def _certificate(self, value: Any, _blob: bytes) -> dict[str, Any]:
        database, db_user = value
        return await self._mint(database, db_user)

    async def _may_cancel(self, value: Any, _blob: bytes) -> bool:
        return self._live.hears_cancel(value)

    async def _cancel(self, value: Any, _blob: bytes) -> bool:
        key, user = value
        return await self._live.cancel(bytes.fromhex(key), user)

    async def _hold(self, value: Any, _blob: bytes) -> list[str]:
        fields, seconds = value
        held = Held(**{**fields, "statements": tuple(fields["statements"])})
        answer, who = await self._holds.wait(held, seconds)
        return [answer.value, who]

    async def _let_go(self, value: Any, _blob: bytes) -> None:
        self._holds.answer(value, Answer.WITHDRAWN)

    async def _evidence(self, value: Any, blob: bytes) -> None:
        digest, sizes = value
        if self._keeper is None:
            return
        parts, at = [], 0
        for size in sizes:
            parts.append(blob[at : at + size])
            at += size
        self._keeper.asked(digest, *parts)


def unknown_database(name: str) -> BackendError:
    """The database left between the question and the certificate."""
    return BackendError(f"{name} is not enrolled any more")
