"""The packet that a server opens a connection with: its version, a salt, and what it can do.

Read from a backend and written to a client. A client is told the backend's own version: drivers choose their
first statements by it (``protocols-legs`` of the design; Connector/J before MariaDB dies of a wrong one).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.mysql import capabilities, errors
from gateway.protocols.mysql.capabilities import STATUS_AUTOCOMMIT
from gateway.protocols.mysql.errors import LoginError
from gateway.protocols.mysql.packets import ERR, Fields
from gateway.sansio.flow import Flow, Read

NATIVE: Final = "mysql_native_password"
MARIADB: Final = "MariaDB"
_PREFIX: Final = "5.5.5-"  # of MariaDB 10 and later in the greeting, for the sake of old replicas
_VERSION: Final = 10
_MAX_GREETING: Final = 4096
_UTF8MB4: Final = 45
_SALT: Final = 20


@dataclass(frozen=True, slots=True)
class Greeting:
    """A server's first packet; ``salt`` has 20 bytes without a zero, ``plugin`` is how it would log in."""

    version: str
    thread_id: int
    salt: bytes
    capabilities: int
    charset: int = _UTF8MB4
    status: int = STATUS_AUTOCOMMIT
    plugin: str = NATIVE
    extended: int = 0

    @property
    def is_mariadb(self) -> bool:
        """True when the server says so."""
        return is_mariadb(self.version)

    @property
    def all_capabilities(self) -> int:
        """With MariaDB's own behind the first word."""
        return capabilities.combined(self.capabilities, self.extended)

    @property
    def plain_version(self) -> str:
        """The version as ``SELECT VERSION()`` has it."""
        return self.version.removeprefix(_PREFIX) if self.is_mariadb else self.version

    def encode(self) -> bytes:
        """The payload."""
        low, high = self.capabilities & 0xFFFF, self.capabilities >> 16
        return b"".join(
            (
                bytes((_VERSION,)),
                self.version.encode("ascii", "replace") + b"\0",
                self.thread_id.to_bytes(4, "little"),
                self.salt[:8] + b"\0",
                low.to_bytes(2, "little"),
                bytes((self.charset,)),
                self.status.to_bytes(2, "little"),
                high.to_bytes(2, "little"),
                bytes((_SALT + 1,)),
                bytes(6) + self.extended.to_bytes(4, "little"),
                self.salt[8:] + b"\0",
                self.plugin.encode() + b"\0",
            )
        )

    def offered(self, salt: bytes, *, tls: bool) -> "Greeting":
        """What a client is told in the place of this: no more than the gateway understands."""
        offered = self.all_capabilities & capabilities.OFFERED
        return replace(
            self,
            thread_id=1,
            salt=salt,
            capabilities=offered & capabilities.LOW | (capabilities.SSL if tls else 0),
            status=STATUS_AUTOCOMMIT,
            plugin=NATIVE,
            extended=offered >> capabilities.WORD,
        )


def is_mariadb(version: str) -> bool:
    """True when a server with this version is MariaDB."""
    return MARIADB.lower() in version.lower()


def decode(payload: bytes) -> Greeting:
    """A server's greeting; LoginError with its words where it is an error instead."""
    fields = Fields(payload)
    first = fields.number(1)
    if first == ERR:
        raise LoginError(f"the database server refused the connection: {errors.read(payload)}")
    if first != _VERSION:
        raise ProtocolError(f"the database server greets with protocol {first}")
    version = fields.cstring().decode("ascii", "replace")
    thread_id = fields.number(4)
    salt = fields.raw(8)
    fields.raw(1)
    offered = fields.number(2)
    charset, status = fields.number(1), fields.number(2)
    offered |= fields.number(2) << 16
    size = fields.number(1)
    fields.raw(6)
    extended = fields.number(4)
    if offered & capabilities.SECURE_CONNECTION:
        salt += fields.raw(max(13, size - 8))[: _SALT - 8]
    plugin = fields.rest().partition(b"\0")[0].decode("ascii", "replace")
    return Greeting(version, thread_id, salt, offered, charset, status, plugin or NATIVE, extended)


def read_packet(limit: int) -> Flow[tuple[int, bytes]]:
    """One packet of at most *limit* bytes: its number and its payload."""
    head = yield Read(4)
    size = int.from_bytes(head[:3], "little")
    if not 0 < size <= limit:
        raise ProtocolError(f"a packet of {size} bytes before the login is over")
    payload = yield Read(size)
    return head[3], payload


def probe() -> Flow[bytes]:
    """The payload of a server's greeting, once it was understood."""
    _, payload = yield from read_packet(_MAX_GREETING)
    decode(payload)
    return payload


def shared(known: Sequence[bytes]) -> bytes:
    """One greeting for several servers: the lowest version, and what all of them can do. Empty for none."""
    greetings = [decode(payload) for payload in known]
    if not greetings:
        return b""
    lowest = min(greetings, key=lambda item: _numbers(item.plain_version))
    common, extended = lowest.capabilities, lowest.extended
    for item in greetings:
        common &= item.capabilities
        extended &= item.extended
    return replace(lowest, capabilities=common, extended=extended).encode()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"[0-9]+", version)[:3])
