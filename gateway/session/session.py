"""The heart: decide, record, forward, for every request of one session.

Two independent pumps: the client's requests are judged by a task, the backend's answers flow back as they
arrive, so that a client that pipelines without reading cannot hold up its own answers.
"""

import asyncio  # noqa: TID251
from collections.abc import Callable, Coroutine, Sequence
from typing import assert_never

from gateway.errors import ProtocolError
from gateway.model.decision import Allowed, Denied
from gateway.sansio.conversation import Conversation, Pipelining, Repeating
from gateway.sansio.exchange import (
    Answered,
    Facts,
    Housekeeping,
    Request,
    Settle,
)
from gateway.session.environment import Environment
from gateway.session.fastpath import FastPath
from gateway.session.grant import Grant
from gateway.session.judge import Judge, Judged
from gateway.session.legs import Legs
from gateway.session.pipelines import Pipelines
from gateway.transport.stream import Stream


class SessionOver(Exception):  # noqa: N818  # an end is not an error
    """The session ends; *denial* is told to the client unless it left by itself."""

    def __init__(self, code: str, denial: Denied | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.denial = denial


class Session:
    """The command phase of one connection, from the first command to the last."""

    def __init__(
        self,
        grant: Grant,
        client: Stream,
        backend: Stream | Legs,
        conversation: Conversation,
        env: Environment,
    ) -> None:
        self._grant = grant
        self._client = client
        self._backend = backend
        self._conversation = conversation
        self._env = env
        self.judge = Judge(grant, conversation, env)
        self.judge.obliging.client_left = client.closed
        self.cancel_backend: Callable[[], Coroutine[None, None, None]] | None = None
        self._settled = asyncio.Event()
        self._has_left = False  # the client said so
        self.left_running = False  # known once the session is over: the backend still owed an answer
        self.last_active = env.clock.monotonic()
        self.over: asyncio.Future[SessionOver] = asyncio.get_running_loop().create_future()
        self._fast: FastPath | Pipelines | None = None
        self._pipelines: Pipelines | None = None
        if isinstance(conversation, Pipelining):
            self._fast = self._pipelines = Pipelines(grant, client, backend, conversation, self.judge, env)
        elif isinstance(conversation, Repeating):
            self._fast = FastPath(grant, client, backend, conversation, self.judge)

    async def run(self) -> SessionOver:
        """Move requests and answers until either side, the policy or the clock ends it."""
        self._client.pair(self._backend)
        self._backend.relay_to(self._from_backend)
        over: SessionOver | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                self.judge.cancel_running = lambda: self._stop_running(tasks)
                tasks.create_task(self._pump())
                tasks.create_task(self._watch_backend())
                tasks.create_task(self._watch_end())
        except* SessionOver as group:
            over = next(error for error in group.exceptions if isinstance(error, SessionOver))
        finally:
            self.left_running = self.judge.is_busy or (
                self._pipelines is not None and self._pipelines.is_busy
            )
            if self._fast is not None:
                self._fast.close()
            self.judge.close()
            for outcome in self._conversation.abandon():
                self.judge.finished(outcome)
        assert over is not None, "a session ends only by being over"
        return over

    def stop(self, code: str, denial: Denied | None) -> None:
        """End the session from outside: a lock, the clock, the service. Nothing is forwarded from now on."""
        if not self.over.done():
            self.over.set_result(SessionOver(code, denial))
            self.judge.cancel()  # what is judged now is withdrawn, whichever way it goes

    def _stop_running(self, tasks: asyncio.TaskGroup) -> None:
        """Have the backend stop what it runs, beside everything else."""
        if self.cancel_backend is not None:
            tasks.create_task(self.cancel_backend())

    # -- client to backend

    def _offered(self, data: bytes) -> bool:
        taken = self._fast is not None and not self.over.done() and self._fast.take(data)
        if taken:
            self.last_active = self._env.clock.monotonic()
        return taken

    async def _pump(self) -> None:
        if self._fast is not None:
            self._client.offer_to(self._offered)
        while True:
            await self._client.arrived()
            if self._fast is not None:
                await self._fast.idle()
            data = self._client.take()
            if not data:
                raise SessionOver("client_closed")
            self.last_active = self._env.clock.monotonic()
            try:
                await self._take(data)
            except ProtocolError as error:
                raise SessionOver("protocol_error", self.judge.local("protocol_error", str(error))) from error

    async def _take(self, data: bytes) -> None:
        queue: list[Housekeeping | Answered | Judged] = []
        items = self._conversation.from_client(data)
        while True:
            if self._grant.restricted:
                await self._refresh_names()
            item = next(items, None)
            match item:
                case None:
                    break
                case Housekeeping():
                    self._has_left = self._has_left or item.ends
                    queue.append(item)
                case Answered():
                    queue.append(item)
                case Request():
                    facts = await self.judge.classify(item)
                    queue.append(Judged(item, facts))
                    if self._conversation.must_settle(item, facts):
                        await self._flush(queue)
                        queue = []
                case Settle(raw):
                    queue.append(Housekeeping(raw))
                    await self._flush(queue)
                    queue = []
                    await self._until_settled()
        await self._flush(queue)

    async def _refresh_names(self) -> None:
        """Before a request is read: it carries the catalogue of that moment.

        While something that changes the catalogue is unanswered, reading it would find what was before.
        """
        if self._conversation.is_settled():
            await self._grant.refresh_catalog(self._conversation)

    async def _flush(self, queue: Sequence[Housekeeping | Answered | Judged]) -> None:
        """Decide, record, forward: all that is queued, in its order."""
        requests = [item for item in queue if isinstance(item, Judged)]
        self._end_if_stopped()
        decisions = iter(await self.judge.decide(requests) if requests else ())
        self._end_if_stopped()
        out: list[bytes] = []
        for item in queue:
            if isinstance(item, Housekeeping):
                out.append(item.raw)
                continue
            if isinstance(item, Answered):
                self._client.write(item.to_client)
                continue
            match next(decisions):
                case Allowed():
                    out.append(self._conversation.admit(item.request, item.facts))
                case Denied() as denial:
                    out.append(self._refuse(item.request, item.facts, denial))
                case other:
                    assert_never(other)
        data = b"".join(out)
        if data:
            self._backend.write(data)
            await self._backend.drain()

    def _end_if_stopped(self) -> None:
        if self.over.done():  # the task that waits for it has not had its turn yet
            raise self.over.result()

    def _refuse(self, request: Request, facts: Facts, denial: Denied) -> bytes:
        refusal = self._conversation.refuse(request, facts, denial)
        if refusal.to_client:
            self._client.write(refusal.to_client)
        if refusal.close:
            raise SessionOver(denial.code, denial)
        return refusal.to_backend

    # -- backend to client

    def _from_backend(self, data: bytes) -> None:
        relay = self._conversation.from_backend(data)
        if relay.to_client:
            self._client.write(relay.to_client)
        if relay.to_backend:
            self._backend.write(relay.to_backend)
        for outcome in relay.outcomes:
            self.judge.finished(outcome)
        if relay.ends and self._pipelines is not None:
            self._pipelines.finished(relay.ends)
        if self._conversation.is_settled():
            self._settled.set()

    # -- waiting

    async def _until_settled(self) -> None:
        while not self._conversation.is_settled():
            self._settled.clear()
            await self._settled.wait()

    async def _watch_backend(self) -> None:
        await self._backend.closed()
        if self._has_left:
            raise SessionOver("client_closed")
        failure = self._backend.failure
        if failure is not None:
            raise SessionOver(
                "backend_protocol_error", self.judge.local("backend_protocol_error", str(failure))
            )
        raise SessionOver(
            "backend_closed", self.judge.local("backend_closed", "the database closed the connection")
        )

    async def _watch_end(self) -> None:
        raise await asyncio.shield(self.over)
