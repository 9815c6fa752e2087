"""The short way for a request that repeats one: decide, record, forward, without a task for it.

A chunk that is one whole request, of which only the values are new, needs nothing to be read, classified or
waited for but the decision and its record. Only a plain yes goes this way to its end. With anything else the
chunk is given back, and the ordinary way judges it from the start: it knows how to refuse, and this does not.
"""

import asyncio  # noqa: TID251

from gateway.model.decision import Allowed, Decision
from gateway.model.obligation import NONE
from gateway.sansio.protocol import Outcome, Repeating, Repetition
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.judge import Judge
from gateway.session.legs import Legs
from gateway.session.stream import Stream


class FastPath:
    """At most one request at a time; what arrives behind it waits until it is forwarded or given back."""

    def __init__(
        self,
        grant: Grant,
        client: Stream,
        backend: Stream | Legs,
        conversation: Repeating,
        judge: Judge,
        env: Environment,
    ) -> None:
        self._grant = grant
        self._client = client
        self._backend = backend
        self._conversation = conversation
        self._judge = judge
        self._env = env
        self._current: Repetition | None = None
        self._record: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._is_withdrawn = False
        judge.withdraw_other = self._withdraw

    def take(self, data: bytes) -> bool:
        """True when *data* goes this way; it may still be given back."""
        if self._current is not None or self._backend.is_paused or self._judge.is_held:
            return False
        found = self._conversation.repeat(data)
        if found is None or not self._grant.knows_names(self._conversation):
            return False
        self._current = found
        self._is_withdrawn = False
        self._grant.ask_once(found.facts, self._decided)
        return True

    async def idle(self) -> None:
        """Wait until nothing is on this way."""
        if self._current is not None:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def close(self) -> None:
        """The session is over: what was recorded and not forwarded is withdrawn in the log."""
        current, self._current = self._current, None
        record, self._record = self._record, None
        if record is None or current is None:
            return
        if record.cancel() or record.cancelled() or record.exception() is not None:
            self._judge.forget(current.request)  # should it be in the log after all, the log says how it went
        else:  # it is there, and nobody was told yet
            self._judge.finished(Outcome(current.request, executed=False))

    def _withdraw(self) -> bool:
        self._is_withdrawn = self._current is not None
        return self._is_withdrawn

    def _decided(self, decision: Decision) -> None:
        current = self._current
        if current is None:
            return
        if not isinstance(decision, Allowed) or decision.obligations is not NONE or self._is_withdrawn:
            self._give_back(current)
            return
        self._record = self._judge.record(current.request, current.facts, decision)
        self._record.add_done_callback(self._recorded)

    def _recorded(self, record: "asyncio.Future[None]") -> None:
        self._record = None
        current = self._current
        if record.cancelled() or current is None:
            return
        if record.exception() is not None:
            self._judge.forget(current.request)
            self._give_back(current)
        elif self._is_withdrawn or self._judge.is_held or not self._conversation.is_still(current):
            self._judge.finished(Outcome(current.request, executed=False))
            self._give_back(current)
        else:
            self._backend.write(self._conversation.admit_again(current))
            self._end()

    def _give_back(self, current: Repetition) -> None:
        if self._is_withdrawn:
            self._judge.withdraw_next()
        self._client.give_back(current.request.raw)
        self._end()

    def _end(self) -> None:
        self._current = None
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        self._idle = None
