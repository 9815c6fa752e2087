"""The short way for pipelines: what arrived together is decided, recorded, forwarded and settled as a whole.

Each request is judged by the policy (equal facts are one question) and has its own records, which are made
from templates and reach the log in one piece. Only a plain yes to all of it goes this way to its end. With
anything else the chunk is given back, and the ordinary way judges it from the start: it knows how to refuse,
and this does not.
"""

import asyncio  # noqa: TID251
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.errors import AuditError
from gateway.model.decision import Allowed, Decision
from gateway.model.obligation import NONE
from gateway.sansio.protocol import Ends, Facts, Pipeline, Pipelining
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.judge import Judge
from gateway.session.legs import Legs
from gateway.session.stream import Stream

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
    is_withdrawn: bool = False


class Pipelines:
    """At most one pipeline is judged at a time; what arrives behind it waits until it is forwarded."""

    def __init__(
        self,
        grant: Grant,
        client: Stream,
        backend: Stream | Legs,
        conversation: Pipelining,
        judge: Judge,
        env: Environment,
    ) -> None:
        self._grant = grant
        self._client = client
        self._backend = backend
        self._conversation = conversation
        self._judge = judge
        self._env = env
        self._current: _Current | None = None
        self._record: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._running: dict[Pipeline, int] = {}  # how many of its requests have ended
        judge.withdraw_other = self._withdraw

    @property
    def is_busy(self) -> bool:
        """True while the backend owes an answer to what went this way."""
        return bool(self._running)

    def take(self, data: bytes) -> bool:
        """True when *data* goes this way; it may still be given back."""
        if self._current is not None or self._backend.is_paused or self._judge.is_held:
            return False
        found = self._conversation.pipeline(data)
        if found is None or not self._grant.knows_names(self._conversation):
            return False
        todo = list({id(facts): facts for facts in found.facts}.values())
        self._current = current = _Current(data, found, todo)
        self._ask(current)
        return True

    async def idle(self) -> None:
        """Wait until nothing is on this way."""
        if self._current is not None:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def finished(self, several: Sequence[Ends]) -> None:
        """Requests that went this way came to their end."""
        for ends in several:
            self._settle(ends)

    def close(self) -> None:
        """The session is over: what was not forwarded is withdrawn, and of the rest nothing is known."""
        current, self._current = self._current, None
        record, self._record = self._record, None
        # Should a record be in the log after all that was refused or given up, the log says how it went.
        if (
            record is not None
            and current is not None
            and not (record.cancel() or record.cancelled() or record.exception() is not None)
        ):
            self._withdrawn(current.pipeline)  # it is there, and nobody was told yet
        for pipeline, ended in list(self._running.items()):
            self._settle(Ends(pipeline, ended, [(None, 0, _UNKNOWN)] * (len(pipeline.ids) - ended)))

    # -- own

    def _withdraw(self) -> bool:
        if self._current is None:
            return False
        self._current.is_withdrawn = True
        return True

    def _ask(self, current: _Current) -> None:
        while current.todo and current.asked < _AT_A_TIME and self._current is current:
            facts = current.todo.pop()
            current.asked += 1
            self._grant.ask_once(facts, partial(self._decided, current, id(facts)))

    def _decided(self, current: _Current, key: int, decision: Decision) -> None:
        if self._current is not current:
            return
        if not isinstance(decision, Allowed) or decision.obligations is not NONE or current.is_withdrawn:
            self._give_back(current)
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
            self._give_back(current)
            return
        self._record = asyncio.ensure_future(self._env.audit.append_lines(lines))
        self._record.add_done_callback(partial(self._recorded, current))

    def _recorded(self, current: _Current, record: "asyncio.Future[None]") -> None:
        self._record = None
        if record.cancelled() or self._current is not current:
            return
        if record.exception() is not None:
            self._give_back(current)
        elif current.is_withdrawn or self._judge.is_held:
            self._withdrawn(current.pipeline)
            self._give_back(current)
        else:
            self._running[current.pipeline] = 0
            self._backend.write(self._conversation.admit_pipeline(current.pipeline))
            self._end()

    def _withdrawn(self, pipeline: Pipeline) -> None:
        ends = Ends(pipeline, 0, [(None, 0, "")] * len(pipeline.ids))
        self._env.audit.post_lines(self._grant.unpiped(ends, executed=False))

    def _settle(self, ends: Ends) -> None:
        pipeline = ends.pipeline
        ended = self._running.get(pipeline)
        if ended is None:
            return
        self._env.audit.post_lines(self._grant.unpiped(ends))
        if ended + len(ends.ends) >= len(pipeline.ids):
            del self._running[pipeline]
        else:
            self._running[pipeline] = ended + len(ends.ends)

    def _give_back(self, current: _Current) -> None:
        if current.is_withdrawn:
            self._judge.withdraw_next()
        self._client.give_back(current.data)
        self._end()

    def _end(self) -> None:
        self._current = None
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        self._idle = None
