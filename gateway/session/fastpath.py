"""The short way for a request that repeats one: decide, record, forward, without a task for it.

A chunk that is one whole request, of which only the values are new.
"""

import asyncio  # noqa: TID251

from gateway.model.decision import Allowed, Decision
from gateway.model.obligation import NONE
from gateway.sansio.conversation import Repeating
from gateway.sansio.exchange import Outcome, Repetition
from gateway.session.grant import Grant
from gateway.session.judge import Judge
from gateway.session.legs import Legs
from gateway.session.shortway import ShortWay, give_up
from gateway.transport.stream import Stream


class FastPath(ShortWay[Repetition]):
    """One request at a time."""

    def __init__(
        self, grant: Grant, client: Stream, backend: Stream | Legs, conversation: Repeating, judge: Judge
    ) -> None:
        super().__init__(grant, client, backend, judge)
        self._conversation = conversation

    def take(self, data: bytes) -> bool:
        """True when *data* goes this way; it may still be given back."""
        if not self._is_open():
            return False
        found = self._conversation.repeat(data)
        if found is None or not self._grant.knows_names(self._conversation):
            return False
        self._begin(found)
        self._grant.ask_once(found.facts, self._decided)
        return True

    def close(self) -> None:
        """The session is over: what was recorded and not forwarded is withdrawn in the log."""
        current, self._current = self._current, None
        record, self._record = self._record, None
        if record is None or current is None:
            return
        if give_up(record):
            self._judge.forget(current.request)
        else:  # nobody was told yet
            self._judge.finished(Outcome(current.request, executed=False))

    def _decided(self, decision: Decision) -> None:
        current = self._current
        if current is None:
            return
        if not isinstance(decision, Allowed) or decision.obligations is not NONE or self._is_withdrawn:
            self._give_back(current.request.raw)
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
            self._give_back(current.request.raw)
        elif self._is_withdrawn or self._judge.is_held or not self._conversation.is_still(current):
            self._judge.finished(Outcome(current.request, executed=False))
            self._give_back(current.request.raw)
        else:
            self._backend.write(self._conversation.admit_again(current))
            self._end()
