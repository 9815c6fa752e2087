"""What a message asks, with whose cursor and session it names: what is judged, before anybody has read it."""

from collections.abc import Sequence

from gateway.protocols.mongodb import commands, documents, taking
from gateway.protocols.mongodb.answers import Asked
from gateway.protocols.mongodb.cursors import Cursor, Cursors, Owner
from gateway.protocols.mongodb.documents import UnreadableError
from gateway.protocols.mongodb.messages import Message
from gateway.protocols.mongodb.sessions import Sessions, listed


class Asking:
    """Reads messages of one owner's."""

    __slots__ = ("_cursors", "_owner", "_sessions")

    def __init__(self, owner: Owner, cursors: Cursors, sessions: Sessions) -> None:
        self._owner = owner
        self._cursors = cursors
        self._sessions = sessions

    def read(self, name: str, message: Message) -> Asked:
        """The command *name* with its arguments as ``commands`` takes them."""
        body, sessions = taking.plain(message.body)
        lists = [key.encode() + b"\0" + held for key, held in message.sequences]
        asked = Asked(message, name, (name.encode(), body, *lists))
        if name == "getMore":
            asked.cursor = self._cursor(message.body)
            opener = (
                (commands.FORGOTTEN,) if asked.cursor is None else (commands.OPENED_BY, *asked.cursor.opener)
            )
            asked.arguments += opener
        elif name == "killCursors" and not self._are_own(message.body):
            asked.arguments += (commands.FORGOTTEN,)
        if not self._is_own_session(name, message.body, sessions):
            asked.arguments += (commands.FOREIGN,)
        return asked

    def _cursor(self, body: bytes) -> Cursor | None:
        try:
            number = documents.read(body).get("getMore")
        except UnreadableError:
            return None
        return self._cursors.get(self._owner, number) if isinstance(number, int) else None

    def _are_own(self, body: bytes) -> bool:
        try:
            numbers = documents.read(body).get("cursors")
        except UnreadableError:
            return False
        return isinstance(numbers, list) and self._cursors.all_of(self._owner, numbers)

    def _is_own_session(self, name: str, body: bytes, sessions: Sequence[bytes]) -> bool:
        if name == "refreshSessions":
            sessions = [*sessions, *listed(body)]
        return not sessions or self._sessions.are_own(self._owner, sessions)
