"""A command that can be asked about at once: it came whole and alone, and one like it was allowed before.

"Like it" is its fingerprint: the same command in the same collection, with the same fields and operators.
That decides nothing. It keeps what is refused, or allowed under an obligation, from being asked about twice.
"""

from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.mongodb import hello, messages
from gateway.protocols.mongodb.messages import Message
from gateway.sansio.exchange import Facts

MAX_BYTES: Final = 16 << 10  # of a command that is read where it arrives
MOST: Final = 256  # fingerprints of one session
NEVER: Final = hello.ANSWERED | {"getMore", "killCursors", "refreshSessions"}
"""Commands that are answered here, and those that ask whose a cursor or a session is."""


class Allowed:
    """The fingerprints of what a session was allowed without an obligation, the oldest first."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def keep(self, facts: Facts) -> None:
        """These were allowed, and nothing else has to be done about them."""
        for item in facts:
            if item.complete and item.fingerprint not in self._known:
                if len(self._known) >= MOST:
                    del self._known[next(iter(self._known))]
                self._known[item.fingerprint] = None

    def forget(self, facts: Facts) -> None:
        """These got a no, or an obligation."""
        for item in facts:
            self._known.pop(item.fingerprint, None)

    def knows(self, facts: Facts) -> bool:
        """True when all of them were allowed before; never for what was not understood."""
        return bool(facts) and all(item.complete and item.fingerprint in self._known for item in facts)


def alone(data: bytes) -> Message | None:
    """The message that *data* is, all of it, with no flag; None for whatever else it is."""
    size = len(data)
    if not messages.HEADER + 5 <= size <= MAX_BYTES:
        return None
    try:
        head = messages.head_at(data)
        if head.size != size or head.code != messages.OP_MSG:
            return None
        message = messages.decode(data, head)
    except ProtocolError:
        return None
    return message if isinstance(message, Message) and not message.flags else None
