"""What the OPA children are fed: the documents in force, with an index of them, and the canaries behind."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp
import structlog
from opa_client.errors import PatchDataError, RegoParseError

from gateway.clock import Clock
from gateway.errors import PolicyError
from gateway.model.decision import Revisions
from gateway.policy import canary, indexing
from gateway.policy.client import PolicyClient
from gateway.policy.sidecar.child import Child

_CANARY_SECONDS = 5.0

_say = structlog.get_logger("regate.policy")


@dataclass(frozen=True, slots=True)
class Data:
    """What is in force: the documents as they came, and what was pushed of them."""

    documents: Mapping[str, Any]
    pushed: Mapping[str, Any]
    revision: int


Put: TypeAlias = Callable[[Child, Mapping[str, Any], Mapping[str, Any] | None], Awaitable[None]]
"""Puts data into a child, which holds the last argument already unless that is None."""
State: TypeAlias = tuple[Data | None, indexing.Index | None, tuple[Child, Mapping[str, Any]] | None]


class Feeding:
    """``data`` is in force, or None; ``preparing`` is how many roles are prepared, of how many."""

    def __init__(self, token: str, clock: Clock, put: Put) -> None:
        """*put* raises what its library does, an OSError or a ValueError when OPA did not take the data."""
        self.data: Data | None = None
        self.preparing = (0, 0)
        self._token = token
        self._clock = clock
        self._put = put
        self._index: indexing.Index | None = None
        self._held: tuple[Child, Mapping[str, Any]] | None = None

    def state(self) -> State:
        """What ``go_back`` takes, before another child is tried."""
        return self.data, self._index, self._held

    def go_back(self, state: State) -> None:
        """The other child came to nothing: what was in force still is."""
        self.data, self._index, self._held = state

    async def change(self, child: Child, documents: Mapping[str, Any], revision: int) -> None:
        """Put *documents* in force; whatever goes wrong leaves nothing in force.

        Raises:
            PolicyError: they are older than those in force, the child did not take them, or answers wrongly.
        """
        last, self.data = self.data, None
        if last is not None and revision < last.revision:
            raise PolicyError(f"data revision {revision} is older than {last.revision}, which is in force")
        fresh = await self._indexed(child, documents, revision)
        await self._feed(child, fresh)
        self.data = fresh

    async def move(self, child: Child) -> None:
        """The same documents for a child whose policy may prepare another index of them; as ``change``."""
        if self.data is not None:
            self.data = await self._indexed(child, self.data.documents, self.data.revision)
            await self._feed(child, self.data)

    async def repeat(self, child: Child) -> None:
        """The same once more, for a child in the place of one that ended; as ``change``."""
        if self.data is not None:
            await self._feed(child, self.data)

    async def check(self, child: Child) -> None:
        """Ask the canaries, if data is in force; PolicyError when the child answers wrongly."""
        if self.data is not None:
            await self._check(child, self.data)

    async def _indexed(self, child: Child, documents: Mapping[str, Any], revision: int) -> Data:
        """The documents with the index that this child's policy makes of them."""
        whole = canary.with_canary({**documents, "data_revision": revision})
        policy = child.bundle.revision
        try:
            with closing(PolicyClient(child.socket, self._token, clock=self._clock)) as asker:
                self._index = await indexing.indexed(asker, policy, whole, self._index, self._prepared)
        finally:
            self.preparing = (0, 0)
        return Data(documents, {**whole, "index": self._index.value}, revision)

    def _prepared(self, done: int, of: int) -> None:
        self.preparing = (done, of)
        if of > indexing.PORTION:
            _say.info("roles are prepared for the policy", prepared=done, of=of)

    async def _feed(self, child: Child, data: Data) -> None:
        held, self._held = self._held, None  # should this fail, nobody knows what OPA holds
        try:
            await self._put(child, data.pushed, held[1] if held is not None and held[0] is child else None)
        except (aiohttp.ClientError, PatchDataError, RegoParseError, OSError, ValueError, KeyError) as error:
            raise PolicyError("opa did not take the data") from error
        self._held = (child, data.pushed)
        await self._check(child, data)

    async def _check(self, child: Child, data: Data) -> None:
        revisions = Revisions(child.bundle.revision, data.revision)
        with closing(PolicyClient(child.socket, self._token, clock=self._clock)) as asker:
            for question in canary.canaries(data.revision, self._clock.now_ns()):
                result = await asker.ask_raw(question.path, question.body, _CANARY_SECONDS)
                question.check(result, revisions)
