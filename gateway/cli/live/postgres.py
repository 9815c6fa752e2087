"""A session at a PostgreSQL database, in the simple query protocol; rows are read and dropped.

Implements the parts "Start-up" and "Simple Query" of https://www.postgresql.org/docs/current/protocol-flow.html;
authentication is the certificate's, in TLS. What is sent is in a transaction, which is rolled back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.cli.live.answer import Answer, no_session
from gateway.cli.live.channel import Channel
from gateway.errors import AccessError, ProtocolError
from gateway.model.identity import Route
from gateway.protocols.postgres import errors, messages

IDLE: Final = "I"  # the status of a session without a transaction; T is in one, E in one that failed
_AUTHENTICATED: Final = messages.u32(0)
_NO_COPY: Final = messages.frame(messages.COPY_FAIL, messages.text("a corpus has no rows"))
_TERMINATE: Final = messages.frame(messages.TERMINATE)


@dataclass(frozen=True, slots=True)
class Said:
    """What came back. ``status`` is the transaction's, empty when the connection ended instead.

    ``error`` holds the fields of the first error by their letter; empty when there was none.
    """

    status: str
    error: Mapping[str, str] = field(default_factory=dict)

    @property
    def answer(self) -> Answer:
        """In the words of all protocols; what is cancelled in the end has run, and is no refusal."""
        code = self.error.get("C", "")
        is_denial = code == errors.INSUFFICIENT_PRIVILEGE
        return Answer(bool(self.status), code, self.error.get("M", ""), is_denial)


class PostgresSender:
    """The session."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def open(self, route: Route) -> None:
        """Log in, and begin a transaction."""
        wanted = {"user": route.db_user, "database": route.db_name}
        given = {name: value for name, value in wanted.items() if value}
        said = self._asked(messages.startup_message(messages.VERSION_3_0, given))
        if said.status != IDLE:
            raise AccessError(no_session(route, said.answer.sentence))
        begun = self._run(b"begin")
        if begun.error or not begun.status:
            why = begun.answer.sentence or "the connection ended"
            raise AccessError(
                f"no transaction begins on {route.database}: {why}",
                hint="what is let through would last; nothing more was sent",
            )

    def send(self, payload: str | bytes) -> Answer:
        """What a statement gets."""
        said = self._run(payload if isinstance(payload, bytes) else payload.encode())
        if said.status not in {"", IDLE}:
            self._run(b"rollback")
        return said.answer

    def close(self) -> None:
        """Say goodbye, if anybody listens."""
        self._channel.close(_TERMINATE)

    def _run(self, text: bytes) -> Said:
        return self._asked(messages.frame(messages.QUERY, text + b"\0"))

    def _asked(self, data: bytes) -> Said:
        found: dict[str, str] = {}
        try:
            self._channel.send(data)
            while True:
                kind, body = self._message()
                match kind:
                    case messages.READY_FOR_QUERY:
                        return Said(body.decode("ascii", "replace"), found)
                    case messages.ERROR_RESPONSE:
                        found = found or errors.fields(body)
                    case messages.COPY_IN_RESPONSE:
                        self._channel.send(_NO_COPY)
                    case messages.AUTHENTICATION if body != _AUTHENTICATED:
                        raise ProtocolError("the proxy asks for a password, which a gateway never does")
        except EOFError:
            return Said("", found)

    def _message(self) -> tuple[int, bytes]:
        head = self._channel.exactly(5)
        size = messages.length_at(head, 1)[0] - 4
        if size < 0:
            raise ProtocolError("a message is shorter than its length")
        return head[0], self._channel.exactly(size)
