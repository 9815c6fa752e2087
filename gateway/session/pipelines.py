"""The short way for pipelines: what arrived together is decided, recorded, forwarded and settled as a whole.

Each request is judged by the policy (equal facts are one question) and has its own records, which are made
from templates and reach the log in one piece. Only a plain yes to all of it goes this way to its end.
"""

import asyncio  # noqa: TID251
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.errors import AuditError
from gateway.model.decision import Allowed, Decision
from gateway.model.obligation import NONE
from gateway.sansio.conversation import Pipelining
from gateway.sansio.exchange import Ends, Facts, Pipeline
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.judge import Judge
from gateway.session.legs import Legs
from gateway.session.shortway import ShortWay, give_up
from gateway.transport.stream import Stream

_AT_A_TIME = 8  # questions of one pipeline that wait for the policy together: each has a deadline of its own
_UNKNOWN = "unknown"


@dataclass(slots=True, eq=False)
class _Current:
    """A pipeline on its way: what came for it, and what was decided about it so far."""

    data: bytes
    pipeline: Pipeline
    todo: list[Facts]
    asked: int = 0
    decisions: dict[int, Allowed] = field(default_factory=dict)


class Pipelines(ShortWay[_Current]):
    """One pipeline at a time is judged; several may wait for their answers."""

    def __init__(
        self,
        grant: Grant,
        client: Stream,
        backend: Stream | Legs,
        conversation: Pipelining,
        judge: Judge,
        env: Environment,
    ) -> None:
        super().__init__(grant, client, backend, judge)
        self._conversation = conversation
        self._env = env
        self._running: dict[Pipeline, int] = {}  # how many of its requests have ended

    @property
    def is_busy(self) -> bool:
        """True while the backend owes an answer to what went this way."""
        return bool(self._running)

    def take(self, data: bytes) -> bool:
        """True when *data* goes this way; it may still be given back."""
        if not self._is_open():
            return False
        found = self._conversation.pipeline(data)
        if found is None or not self._grant.knows_names(self._conversation):
            return False
        todo = list({id(facts): facts for _, facts, _ in found.stretches}.values())
        current = _Current(data, found, todo)
        self._begin(current)
        self._ask(current)
        return True

    def finished(self, several: Sequence[Ends]) -> None:
        """Requests that went this way came to their end."""
        for ends in several:
            self._settle(ends)

    def close(self) -> None:
        """The session is over: what was not forwarded is withdrawn, and of the rest nothing is known."""
        current, self._current = self._current, None
        record, self._record = self._record, None
        if record is not None and current is not None and not give_up(record):
            self._withdrawn(current.pipeline)  # nobody was told yet
        for pipeline, ended in list(self._running.items()):
            left = pipeline.count - ended
            self._settle(Ends(pipeline, ended, left, [((None, 0, _UNKNOWN), left)]))

    # -- own

    def _ask(self, current: _Current) -> None:
        while current.todo and current.asked < _AT_A_TIME and self._current is current:
            facts = current.todo.pop()
            current.asked += 1
            self._grant.ask_once(facts, partial(self._decided, current, id(facts)))

    def _decided(self, current: _Current, key: int, decision: Decision) -> None:
        if self._current is not current:
            return
        if not isinstance(decision, Allowed) or decision.obligations is not NONE or self._is_withdrawn:
            self._give_back(current.data)
            return
        current.asked -= 1
        current.decisions[key] = decision
        if current.todo:
            self._ask(current)
        elif not current.asked:
            self._make_durable(current)

    def _make_durable(self, current: _Current) -> None:
        try:
            lines = self._grant.piped(current.pipeline, current.decisions)
        except AuditError:  # the ordinary way says it again, and to the client
            self._give_back(current.data)
            return
        self._record = asyncio.ensure_future(self._env.audit.append_lines(lines))
        self._record.add_done_callback(partial(self._recorded, current))

    def _recorded(self, current: _Current, record: "asyncio.Future[None]") -> None:
        self._record = None
        if record.cancelled() or self._current is not current:
            return
        if record.exception() is not None:
            self._give_back(current.data)
        elif self._is_withdrawn or self._judge.is_held:
            self._withdrawn(current.pipeline)
            self._give_back(current.data)
        else:
            self._running[current.pipeline] = 0
            self._backend.write(self._conversation.admit_pipeline(current.pipeline))
            self._end()

    def _withdrawn(self, pipeline: Pipeline) -> None:
        ends = Ends(pipeline, 0, pipeline.count, [((None, 0, ""), pipeline.count)])
        self._env.audit.post_lines(self._grant.unpiped(ends, executed=False))

    def _settle(self, ends: Ends) -> None:
        pipeline = ends.pipeline
        ended = self._running.get(pipeline)
        if ended is None:
            return
        self._env.audit.post_lines(self._grant.unpiped(ends))
        if ended + ends.count >= pipeline.count:
            del self._running[pipeline]
        else:
            self._running[pipeline] = ended + ends.count
