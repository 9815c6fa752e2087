"""Logical sessions, ``lsid``, and who used each first: what runs in one is nobody else's.

https://www.mongodb.com/docs/manual/reference/server-sessions/. A server keeps them apart by the user that is
logged in, and here several people may be one database user. A driver uses one over any connection of its
pool, so they are kept beside the connections. They are this process's; an id is 122 random bits, so one that
was forgotten here is not to be guessed.
"""

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Final, TypeAlias

from gateway.errors import ProtocolError
from gateway.protocols.mongodb import documents
from gateway.protocols.mongodb.cursors import Owner

MOST: Final = 100_000  # in one process; the one that was used longest ago is forgotten
MOST_EACH: Final = 10_000  # of one person, so that nobody makes others' be forgotten; drivers keep a few
MOST_LISTED: Final = 10_000  # in one command; drivers name no more at once
_UUID: Final = b"\x1e\0\0\0\x05id\0\x10\0\0\0\x04"  # a document with nothing but an id, which is a UUID
_SIZE: Final = 30

_Key: TypeAlias = tuple[str, str, bytes]  # database, database user, session


class Sessions:
    """Who used a session first, by database, database user and id."""

    def __init__(self, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._most = most
        self._most_each = most_each
        self._of: OrderedDict[_Key, str] = OrderedDict()
        self._by: dict[str, OrderedDict[_Key, None]] = {}  # the same by person, oldest first

    def are_own(self, owner: Owner, named: Iterable[bytes]) -> bool:
        """True when every session that is *named*, as a value of ``lsid``, is a plain one of *owner*'s."""
        return all(self._is_own(owner, each) for each in named)

    def _is_own(self, owner: Owner, session: bytes) -> bool:
        if len(session) != _SIZE or not session.startswith(_UUID):
            return False  # the others name somebody else's, or one that a server made for itself
        key = (owner.database, owner.db_user, session)
        if self._of.setdefault(key, owner.user) != owner.user:
            return False
        self._of.move_to_end(key)
        held = self._by.setdefault(owner.user, OrderedDict())
        held[key] = None
        held.move_to_end(key)
        if len(held) > self._most_each:
            self._forget(next(iter(held)))
        elif len(self._of) > self._most:
            self._forget(next(iter(self._of)))
        return True

    def _forget(self, key: _Key) -> None:
        user = self._of.pop(key)
        held = self._by[user]
        del held[key]
        if not held:
            del self._by[user]


def listed(body: bytes) -> list[bytes]:
    """The sessions in the list that is a command's value; nobody's where it is none, or too long."""
    try:
        _, kind, _, value, end = next(documents.elements(body))
        held = body[value:end]
        if kind != documents.ARRAY or len(held) > documents.MAX_READ:
            return [b""]
        places = islice(documents.elements(held), MOST_LISTED + 1)
        found = [held[at:stop] for _, _, _, at, stop in places]
    except (ProtocolError, StopIteration):
        return [b""]
    return found if len(found) <= MOST_LISTED else [b""]
