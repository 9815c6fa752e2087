"""What the short ways share: one thing at a time is judged and recorded, and then forwarded or given back.

A chunk that is taken needs nothing to be read or waited for but decisions and records. Only a plain yes goes
such a way to its end. With anything else the chunk is given back, and the ordinary way judges it from the
start: it knows how to refuse, and a short way does not.
"""

import asyncio  # noqa: TID251
import typing

from gateway.session.grant import Grant
from gateway.session.judge import Judge
from gateway.session.legs import Legs
from gateway.transport.stream import Stream

Current = typing.TypeVar("Current")


class ShortWay(typing.Generic[Current]):
    """At most one *Current* is judged at a time; what arrives behind it waits until this one is off."""

    def __init__(self, grant: Grant, client: Stream, backend: Stream | Legs, judge: Judge) -> None:
        self._grant = grant
        self._client = client
        self._backend = backend
        self._judge = judge
        self._current: Current | None = None
        self._record: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._is_withdrawn = False
        judge.withdraw_other = self._withdraw

    async def idle(self) -> None:
        """Wait until nothing is on this way."""
        if self._current is not None:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def _is_open(self) -> bool:
        return not (self._current is not None or self._backend.is_paused or self._judge.is_held)

    def _begin(self, current: Current) -> None:
        self._current = current
        self._is_withdrawn = False

    def _withdraw(self) -> bool:
        self._is_withdrawn = self._current is not None
        return self._is_withdrawn

    def _give_back(self, data: bytes) -> None:
        if self._is_withdrawn:
            self._judge.withdraw_next()
        self._client.give_back(data)
        self._end()

    def _end(self) -> None:
        self._current = None
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        self._idle = None


def give_up(record: "asyncio.Future[None]") -> bool:
    """Give up a record that is on its way, or has failed; False when it is in the log already.

    Should one that was given up get there after all, the log itself says how it went.
    """
    return record.cancel() or record.cancelled() or record.exception() is not None
