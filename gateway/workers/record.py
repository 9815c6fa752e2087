"""A worker's way to the one log: the same promises as ``AuditLog``, kept by the process that writes.

Lines are made in the worker; what crosses is those bytes, and of each event the little that the log must know
to close what a crash leaves open. What is handed in during one turn of the loop crosses together.
"""

import asyncio  # noqa: TID251
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

from gateway.audit.encode import Body, body
from gateway.audit.intents import NOT_FORWARDED, closing, opens
from gateway.clock import Clock, new_id
from gateway.errors import AuditError
from gateway.model.event import Event, Kind
from gateway.workers.channel import Channel, ChannelError

LINGER_SECONDS = 0.01  # an outcome waits so long for a statement to share its message with
DEADLINE_SECONDS = 4.0  # the log has its own, shorter one; this is for a main process that stands still

Records: TypeAlias = list[tuple[Event, Body]]
_Entry: TypeAlias = "tuple[Records, asyncio.Future[None]]"

_KNOWN_OF = {
    Kind.SESSION_START: ("user", "session_id", "client_address", "database", "protocol", "db_user", "db_name",
                         "decision_id"),
    Kind.SESSION_QUERY: ("user", "session_id", "client_address", "database", "protocol", "db_user", "db_name",
                         "decision_id"),
    Kind.SESSION_QUERY_END: ("session_id", "query_id"),
    Kind.SESSION_END: ("session_id",),
}  # fmt: skip


def pack(records: Sequence[tuple[Event, Body]]) -> tuple[list[Any], bytes]:
    """Records as values for a message, and their lines' bytes."""
    listed: list[Any] = []
    parts: list[bytes] = []
    for event, line in records:
        known = {key: event.fields[key] for key in _KNOWN_OF.get(event.kind, ()) if key in event.fields}
        listed.append((event.kind.value, event.id, event.time_ns, known, len(line.head), len(line.tail)))
        parts += (line.head, line.tail)
    return listed, b"".join(parts)


def unpack(listed: Sequence[Any], blob: bytes, at: int = 0) -> tuple[Records, int]:
    """What ``pack`` made, from *at* in *blob*, and where it ends there."""
    records: Records = []
    for kind, id_, time_ns, known, head, tail in listed:
        middle, stop = at + head, at + head + tail
        records.append((Event(Kind(kind), id_, time_ns, known), Body(blob[at:middle], blob[middle:stop])))
        at = stop
    return records, at


class RemoteLog:
    """The log as a session sees it."""

    def __init__(self, channel: Channel, clock: Clock) -> None:
        self._channel = channel
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._appends: list[_Entry] = []
        self._posts: Records = []
        self._soon = self._lingers = False

    def append(self, events: Sequence[Event]) -> "asyncio.Future[None]":
        """Record *events*; the future ends when they are durable, or with AuditError."""
        future: asyncio.Future[None] = self._loop.create_future()
        try:
            records = [(event, body(event)) for event in events]
        except AuditError as error:
            future.set_exception(error)
            return future
        return self._hand_in(records, future)

    def append_lines(self, records: Sequence[tuple[Event, Body]]) -> "asyncio.Future[None]":
        """As ``append``, for lines that were made already."""
        return self._hand_in(list(records), self._loop.create_future())

    def _hand_in(self, records: Records, future: "asyncio.Future[None]") -> "asyncio.Future[None]":
        self._appends.append((records, future))
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self.flush)
        return future

    def post(self, event: Event) -> None:
        """Record *event* with the next message; nobody waits."""
        self.post_lines([(event, body(event))])

    def post_lines(self, records: Sequence[tuple[Event, Body]]) -> None:
        """As ``post``, for lines that were made already."""
        self._posts += records
        if not self._soon and not self._lingers:
            self._lingers = True
            self._loop.call_later(LINGER_SECONDS, self.flush)

    def flush(self) -> None:
        """Send what waits now."""
        self._soon = self._lingers = False
        entries, posts = self._appends, self._posts
        if not entries and not posts:
            return
        self._appends, self._posts = [], []
        posted, first = pack(posts)
        if not entries:
            self._channel.send("audit", {"posts": posted, "appends": []}, first)
            return
        waiting, second = pack([record for records, _ in entries for record in records])
        answer = self._channel.ask("audit", {"posts": posted, "appends": waiting}, first + second)
        late = self._loop.call_later(DEADLINE_SECONDS, self._give_up, answer)
        answer.add_done_callback(lambda _: late.cancel())
        answer.add_done_callback(partial(self._settle, entries))

    def _give_up(self, answer: "asyncio.Future[Any]") -> None:
        if not answer.done():
            answer.set_exception(ChannelError("the main process does not answer"))

    def _settle(self, entries: list[_Entry], answer: "asyncio.Future[Any]") -> None:
        error = asyncio.CancelledError() if answer.cancelled() else answer.exception()
        for records, future in entries:
            if error is not None:
                if not future.done():
                    future.set_exception(AuditError(str(error) or "audit log cannot be written"))
            elif future.done():  # nobody wants it any more
                self._disown(records)
            else:
                future.set_result(None)

    def _disown(self, records: Records) -> None:
        """Say in the log that what it says was let through was not."""
        for event, _ in reversed(records):
            if opens(event):
                now = self._clock.now_ns()
                end = closing(event, outcome=NOT_FORWARDED, id_=new_id(now), time_ns=now, reason="withdrawn")
                self.post(end)
