"""The bytes that open a connection back to a proxy, and the words on the control channel. Pure.

The number stands for nothing by itself: whoever brings it must still prove, in the TLS handshake that
follows, to be the service that was asked, and it works once.
"""

import json
import re
from dataclasses import dataclass
from typing import TypeAlias

from gateway.errors import ProtocolError

ALPN = "regate-control"
"""What a service asks for in TLS to reach a proxy's control channel."""

PATH = "/v1/control"
VIA = "Regate-Via"
"""The header in which a service says by which address it reached a proxy: two of them may be one proxy's."""

_MAGIC = b"REGATE-BACK/1 "
FIRST_BYTE = _MAGIC[0]
SIZE = len(_MAGIC) + 32 + 1
MAX_MESSAGE = 4096
_NUMBER = re.compile(r"[0-9a-f]{32}\Z")


@dataclass(frozen=True, slots=True)
class Dial:
    """The proxy asks for a connection that brings this number; a spare one waits there for its session."""

    number: str
    is_spare: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """A client asks to cancel; *user* is who, where TLS said it."""

    key: bytes
    user: str | None


Message: TypeAlias = Dial | Cancel


def preface(number: str) -> bytes:
    """What a connection back begins with."""
    return _MAGIC + number.encode("ascii") + b"\n"


def number_of(data: bytes) -> str:
    """The number in a preface; ProtocolError when it is none."""
    number = data[len(_MAGIC) : -1].decode("ascii", "replace")
    if len(data) != SIZE or not data.startswith(_MAGIC) or data[-1:] != b"\n" or not _NUMBER.match(number):
        raise ProtocolError("the connection opens with what is no preface")
    return number


def encode(message: Message) -> str:
    """A message as the control channel carries it."""
    match message:
        case Dial(number, is_spare):
            return json.dumps({"dial": number, "spare": is_spare})
        case Cancel(key, user):
            return json.dumps({"cancel": key.hex(), "user": user})


def decode(text: str) -> Message:
    """The message in *text*; ProtocolError when it is none."""
    try:
        value = json.loads(text)
        match value:
            case {"dial": str(number), "spare": bool(is_spare)} if _NUMBER.match(number):
                return Dial(number, is_spare)
            case {"cancel": str(key), "user": None | str() as user}:
                return Cancel(bytes.fromhex(key), user)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the control channel carries what is no message") from error
    raise ProtocolError("the control channel carries an unknown message")
