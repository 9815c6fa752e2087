"""Where a client reached the gateway, told ahead of its first command by whoever knows it."""

import re
from collections.abc import Sequence
from typing import Final

from gateway.protocols.redis import resp

_ADDRESS: Final = b"GATEWAY.ADDRESS"
_PLACE: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,255}):[0-9]{1,5}")


def address_line(place: str) -> bytes:
    """What the near end of a tunnel, or the proxy, says ahead of the client: where that reaches it."""
    return resp.encode(_ADDRESS, place.encode())


def is_address_line(arguments: Sequence[bytes]) -> bool:
    """True for such a line. Whoever else sends one is told what they said, and nobody hears of it."""
    return len(arguments) == 2 and arguments[0] == _ADDRESS and _PLACE.fullmatch(arguments[1]) is not None
