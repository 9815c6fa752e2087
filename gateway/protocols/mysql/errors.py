"""ERR packets, written and read: number, five letters of SQLSTATE, a sentence."""

from dataclasses import dataclass
from typing import Final

from gateway.errors import BackendError, ProtocolError
from gateway.model.decision import Denied
from gateway.protocols.mysql.packets import ERR, Fields, packet

ACCESS_DENIED: Final = (1045, "28000")  # of a login
USER_LIMIT: Final = (1226, "42000")  # of a login, too: a user's max_connections or the like is used up
NOT_ALLOWED: Final = (1142, "42000")  # of a statement: what the server itself says without the privilege
NO_INFILE: Final = (1148, "42000")
TOO_MANY_PREPARED: Final = (1461, "42000")
_KILLED: Final = (1927, "70100")
_LONGEST: Final = 500  # bytes: a client of the C library keeps 512


class LoginError(BackendError, ProtocolError):
    """The database server refused the gateway, or asks for what the gateway does not give."""


@dataclass(frozen=True, slots=True)
class Error:
    """What an ERR packet says."""

    number: int
    words: str
    state: str = "HY000"

    def __str__(self) -> str:
        """As an operator reads it."""
        return f"{self.words}, error {self.number} ({self.state})"


def error(sequence: int, what: tuple[int, str], words: str) -> bytes:
    """An ERR packet."""
    number, state = what
    shown = "".join(letter if letter.isprintable() else " " for letter in words).encode()
    return packet(sequence, bytes((ERR,)) + number.to_bytes(2, "little") + f"#{state}".encode() + shown)


def refused(sequence: int, denial: Denied, what: tuple[int, str] = NOT_ALLOWED) -> bytes:
    """What a refused client reads: the reasons, and the decision to ask about."""
    behind = f" (decision {denial.decision_id})"
    said = denial.sentence.encode()[: _LONGEST - len(behind.encode())].decode("utf-8", "ignore")
    return error(sequence, what, said + behind)


def farewell(sequence: int, denial: Denied) -> bytes:
    """The last packet of a session that ends against the client's will."""
    return refused(sequence, denial, _KILLED)


def read(payload: bytes) -> Error:
    """What an ERR packet says; before the login it carries no SQLSTATE."""
    fields = Fields(payload)
    fields.raw(1)
    number = fields.number(2)
    words, state = fields.rest(), "HY000"
    if words[:1] == b"#":
        state, words = words[1:6].decode("ascii", "replace"), words[6:]
    return Error(number, words[:400].decode("utf-8", "replace"), state)
