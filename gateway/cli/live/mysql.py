"""A session at a MySQL or MariaDB server, with COM_QUERY alone; rows are read and dropped.

What is sent is in a transaction, which is rolled back: many statements end it by themselves, and last.
"""

from typing import Final

from gateway.cli.live.answer import Answer, no_session
from gateway.cli.live.channel import Channel
from gateway.errors import AccessError, ProtocolError
from gateway.model.identity import Route
from gateway.protocols.mysql import capabilities, errors, greeting
from gateway.protocols.mysql.packets import ERR, HEADER, OK, counted, packet
from gateway.protocols.mysql.replies import Replies, Shape

_WANTED: Final = (
    capabilities.LONG_PASSWORD
    | capabilities.PROTOCOL_41
    | capabilities.TRANSACTIONS
    | capabilities.SECURE_CONNECTION
    | capabilities.MULTI_STATEMENTS
    | capabilities.MULTI_RESULTS
    | capabilities.PLUGIN_AUTH
    | capabilities.CONNECT_WITH_DB
)
_UTF8MB4: Final = 45
_MAX_PACKET: Final = 16 << 20
_QUIT: Final = packet(0, b"\x01")
_DENIALS: Final = frozenset({errors.NOT_ALLOWED[0], errors.ACCESS_DENIED[0]})
_MOST_STEPS: Final = 10  # of a login


class MysqlSender:
    """The session."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def open(self, route: Route) -> None:
        """Log in, and begin a transaction."""
        try:
            said = self._login(route)
        except EOFError:
            said = Answer(lives=False)
        if not said.lives or said.code:
            raise AccessError(no_session(route, said.sentence))
        begun = self._run(b"begin")
        if begun.code or not begun.lives:
            raise AccessError(
                f"no transaction begins on {route.database}: {begun.sentence or 'the connection ended'}",
                hint="what is let through would last; nothing more was sent",
            )

    def send(self, payload: str | bytes) -> Answer:
        """What a text gets; where it holds several statements, the first error."""
        answer = self._run(payload if isinstance(payload, bytes) else payload.encode())
        if answer.lives:
            self._run(b"rollback")
        return answer

    def close(self) -> None:
        """Say goodbye, if anybody listens."""
        self._channel.close(_QUIT)

    def _login(self, route: Route) -> Answer:
        """Answer the greeting without a password: the certificate in TLS is the proof."""
        offered = self._packet()
        if offered[0] == ERR:
            return _error(offered)
        flags = _WANTED & greeting.decode(offered).capabilities
        body = (
            flags.to_bytes(4, "little") + _MAX_PACKET.to_bytes(4, "little") + bytes((_UTF8MB4,)) + bytes(23)
        )
        body += route.db_user.encode() + b"\0" + counted(b"")
        if flags & capabilities.CONNECT_WITH_DB:
            body += route.db_name.encode() + b"\0"
        self._channel.send(packet(1, body + greeting.NATIVE.encode() + b"\0"))
        for _ in range(_MOST_STEPS):
            said = self._packet()
            if said[0] == ERR:
                return _error(said)
            if said[0] == OK:
                return Answer(lives=True)
        raise ProtocolError("the proxy asks for a password, which a gateway never does")

    def _run(self, text: bytes) -> Answer:
        replies = Replies(deprecate_eof=False)
        replies.begin(Shape.RESULT)
        left = b""
        try:
            self._channel.send(packet(0, b"\x03" + text))
            while not replies.is_over:
                left += self._channel.some()
                left = left[replies.feed(left) :]
                if replies.infile:
                    raise ProtocolError("the proxy asks for a file, which a gateway never does")
        except EOFError:
            is_error = left[HEADER : HEADER + 1] == bytes((ERR,))
            return _error(left[HEADER:], lives=False) if is_error else Answer(lives=False)
        return _error(replies.error) if replies.error else Answer(lives=True)

    def _packet(self) -> bytes:
        size = int.from_bytes(self._channel.exactly(HEADER)[:3], "little")
        if not size:
            raise ProtocolError("an empty packet")
        return self._channel.exactly(size)


def _error(payload: bytes, *, lives: bool = True) -> Answer:
    said = errors.read(payload)
    return Answer(lives, str(said.number), said.words, said.number in _DENIALS)
