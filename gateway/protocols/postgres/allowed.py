"""What a client may send after its login: a table of message kinds with their limits, and a reason for each.

A kind that is not in the table ends the session; so does a message beyond its limit.
"""

from typing import Final, TypeAlias

from gateway.errors import ProtocolError
from gateway.protocols.postgres import messages

MAX_STATEMENT: Final = 1 << 20
MAX_BIND: Final = 16 << 20
MAX_COPY_DATA: Final = 1 << 30  # the server's own limit; the data is not kept here
_NAMES: Final = 4 << 10  # for messages that hold little more than a name

LIMITS: Final = {  # the longest length field of each kind of message that is understood
    messages.QUERY: MAX_STATEMENT + 5,  # judged
    messages.PARSE: MAX_STATEMENT + 5 + _NAMES + 2 + 4 * 65_535,  # judged
    messages.BIND: MAX_BIND,  # judged
    messages.EXECUTE: _NAMES,  # judged
    messages.FUNCTION_CALL: MAX_STATEMENT,  # judged, and refused by substitution whatever was decided
    messages.DESCRIBE: _NAMES,  # passed: names a statement or portal, shows columns, runs nothing
    messages.CLOSE: _NAMES,  # passed: frees a name
    messages.FLUSH: 4,  # passed: asks for answers to be sent
    messages.SYNC: 4,  # passed: ends a pipeline
    messages.TERMINATE: 4,  # passed: the client leaves
    messages.COPY_DONE: 4,  # passed inside an admitted COPY, swallowed behind a refused one
    messages.COPY_FAIL: MAX_STATEMENT,  # the same; CopyData too, which is walked and not kept
}
JUDGED: Final = frozenset(
    {messages.QUERY, messages.PARSE, messages.BIND, messages.EXECUTE, messages.FUNCTION_CALL}
)
# Data may be sent right behind its COPY, before the server has said whether it takes any.
MEANT_FOR_COPY: Final = frozenset({messages.SYNC, messages.COPY_DATA, messages.COPY_DONE, messages.COPY_FAIL})
ANSWERED: Final = frozenset({messages.SYNC, messages.DESCRIBE, messages.CLOSE})

Named: TypeAlias = tuple[bytes, bytes, int]
"""The portal, the statement and the number of values of a Bind or Execute."""

_NO_NAMES: Final[Named] = (b"", b"", 0)


def named(kind: int, data: bytes, at: int, stop: int) -> Named:
    """The names in a Bind or Execute, cut where the server cuts them, and the number of values."""
    if kind == messages.BIND:
        portal, name, values = messages.read_bind(data, at, stop)
        return portal[: messages.MAX_NAME], name[: messages.MAX_NAME], values
    if kind == messages.EXECUTE:
        return messages.read_execute(data, at, stop)[: messages.MAX_NAME], b"", 0
    return _NO_NAMES


def unwelcome(kind: int, length: int) -> ProtocolError:
    """Why a message of this kind and length ends the session."""
    if kind not in LIMITS:
        return ProtocolError(f"message kind {chr(kind)!r} is not one a client may send")
    return ProtocolError(f"a message {chr(kind)!r} of {length} bytes, where at most {LIMITS[kind]} are taken")
