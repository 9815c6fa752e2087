"""Logical sessions, ``lsid``, and who used each first: what runs in one is nobody else's.

https://www.mongodb.com/docs/manual/reference/server-sessions/. A server keeps them apart by the user that is
logged in, and here several people may be one database user. A driver uses one over any connection of its
pool, so they are kept beside the connections. They are this process's; an id is 122 random bits, so one that
was forgotten here is not to be guessed.
"""

from collections import OrderedDict
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.mongodb import documents
from gateway.protocols.mongodb.cursors import Owner

MOST: Final = 100_000  # in one process; the one that was used longest ago is forgotten
_FIELD: Final = b"lsid\0"
_UUID: Final = b"\x1e\0\0\0\x05id\0\x10\0\0\0\x04"  # a document with nothing but an id, which is a UUID
_SIZE: Final = 30


class Sessions:
    """Who used a session first, by database, database user and id."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._of: OrderedDict[tuple[str, str, bytes], str] = OrderedDict()

    def are_own(self, owner: Owner, body: bytes) -> bool:
        """False for a command in a session of somebody else's, or in one that is no plain one."""
        if _FIELD not in body:
            return True
        try:
            named = [body[value:end] for name, _, _, value, end in documents.elements(body) if name == "lsid"]
        except ProtocolError:
            return False
        return all(self._is_own(owner, each) for each in named)

    def are_all_own(self, owner: Owner, body: bytes) -> bool:
        """True when the command's value is a list of nothing but sessions of *owner*'s."""
        try:
            _, kind, _, value, end = next(documents.elements(body))
            listed = [body[value:end][at:stop] for _, _, _, at, stop in documents.elements(body[value:end])]
        except (ProtocolError, StopIteration):
            return False
        return kind == documents.ARRAY and all(self._is_own(owner, each) for each in listed)

    def _is_own(self, owner: Owner, session: bytes) -> bool:
        if len(session) != _SIZE or not session.startswith(_UUID):
            return False  # the others name somebody else's, or one that a server made for itself
        key = (owner.database, owner.db_user, session)
        if self._of.setdefault(key, owner.user) != owner.user:
            return False
        self._of.move_to_end(key)
        if len(self._of) > self._most:
            self._of.popitem(last=False)
        return True
