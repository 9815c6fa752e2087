"""The server's replies: whole chunks pass, and what ended with them is told.

One thing is asked of the server that no client asked: how it reads statements, behind each that may have
changed it. Its answer stays here.
"""

from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.mysql import commands, context, errors
from gateway.protocols.mysql.packets import ERR, HEADER, packet
from gateway.protocols.mysql.prepared import Prepared
from gateway.protocols.mysql.replies import Shape
from gateway.protocols.mysql.state import Running, State
from gateway.sansio.exchange import Outcome, Relay, Request

MOST_TRIES: Final = 3  # of the gateway's own question
MOST_OWN: Final = 64 << 10  # bytes of the answer to it
_CANCELLED: Final = b"\xff\x25\x05"  # ERR 1317: query execution was interrupted


class Server:
    """What has come of a reply that is not whole."""

    __slots__ = ("_held", "_own", "_question", "_state", "_tries")

    def __init__(self, state: State) -> None:
        self._state = state
        self._question = context.question(state.flags)
        self._held = b""  # the beginning of a packet that must be whole before it passes
        self._own = b""  # of the answer to the gateway's own question
        self._tries = 0

    def receive(self, data: bytes) -> Relay:
        """What the server's next bytes become."""
        if self._held:
            data, self._held = self._held + data, b""
        state, replies = self._state, self._state.replies
        running = state.running
        if running is None:
            return Relay(_unasked(data))
        taken = replies.feed(data)
        if replies.is_over and taken == len(data) and running.leaves_nothing and not replies.infile:
            # Nearly every reply: one chunk, which passes.
            state.running = None
            running.passed += taken
            assert running.request is not None
            return Relay(data, (self._outcome(running, running.request),))
        return self._in_parts(data, taken)

    def _in_parts(self, data: bytes, taken: int) -> Relay:
        """The general case: *taken* bytes of *data* belong to the reply that is running."""
        to_client: list[bytes] = []
        to_backend: list[bytes] = []
        outcomes: list[Outcome] = []
        replies = self._state.replies
        while True:
            running = self._state.running
            if running is None:
                to_client.append(_unasked(data))
                break
            chunk, data = (data, b"") if taken == len(data) else (data[:taken], data[taken:])
            if not replies.is_over:
                self._held = data
                to_client.append(self._passed(running, chunk))
                break
            self._over(running, chunk, to_client, to_backend, outcomes)
            if not data:
                break
            taken = replies.feed(data) if self._state.running is not None else 0
        return Relay(b"".join(to_client), tuple(outcomes), b"".join(to_backend))

    def _passed(self, running: Running, chunk: bytes) -> bytes:
        if running.is_own:
            self._own += chunk
            if len(self._own) > MOST_OWN:
                raise ProtocolError("the database server does not say how it reads statements")
            return b""
        if running.is_drained:
            return b""
        running.passed += len(chunk)
        return chunk

    def _over(
        self,
        running: Running,
        chunk: bytes,
        to_client: list[bytes],
        to_backend: list[bytes],
        outcomes: list[Outcome],
    ) -> None:
        """A reply is whole: what follows from it."""
        replies = self._state.replies
        if replies.infile:
            # No server may ask for a file: it gets an empty one, and the client an error.
            to_client.append(self._passed(running, chunk[: replies.last]))
            running.instead = errors.error(
                replies.sequence, errors.NO_INFILE, "LOAD DATA LOCAL is not offered here"
            )
            running.is_drained = True
            to_backend.append(packet(replies.sequence + 1, b""))
            replies.begin(Shape.RESULT)
            return
        if running.late is not None and replies.error.startswith(_CANCELLED):
            chunk = chunk[: replies.last] + errors.refused(replies.sequence, running.late)
        to_client.append(self._passed(running, chunk))
        if running.instead:
            to_client.append(running.instead)
        self._state.running = None
        if running.is_own:
            self._learn()
            if 0 < self._tries < MOST_TRIES:  # a KILL that was meant for the client's statement
                self._ask_context(to_backend)
            return
        self._note(running)
        if running.request is not None:
            outcomes.append(self._outcome(running, running.request))
        if running.steers:
            self._tries = 0
            self._ask_context(to_backend)

    def _ask_context(self, to_backend: list[bytes]) -> None:
        self._state.begin(Running(commands.QUERY, Shape.RESULT, is_own=True))
        to_backend.append(self._question)

    def _note(self, running: Running) -> None:
        """What a command left behind."""
        state, replies = self._state, self._state.replies
        state.is_stale = state.is_stale or running.defines
        if running.code == commands.RESET_CONNECTION and not replies.error:
            state.statements.forget()
        if running.statement is None:
            return
        if replies.error or state.statements.is_full:
            state.statements.failed()
        else:
            made = Prepared(replies.statement, running.statement, replies.parameters, state.charset)
            state.statements.add(made)

    def _outcome(self, running: Running, request: Request) -> Outcome:
        replies = self._state.replies
        if running.instead:
            return Outcome(request, None, 0, str(errors.NO_INFILE[0]), executed=False)
        code = str(errors.read(replies.error).number) if replies.error else ""
        return Outcome(request, replies.rows, running.passed, code)

    def _learn(self) -> None:
        """The answer to the gateway's own question."""
        reply, self._own = self._own, b""
        found = context.parse(reply)
        self._tries = 0 if found is not None else self._tries + 1
        self._state.learn(found)


def _unasked(data: bytes) -> bytes:
    """A server says one thing unasked: that it closes the connection, and why."""
    if (
        len(data) > HEADER
        and data[HEADER] == ERR
        and len(data) == HEADER + int.from_bytes(data[:3], "little")
    ):
        return data
    raise ProtocolError("the database server answered what nobody asked")
