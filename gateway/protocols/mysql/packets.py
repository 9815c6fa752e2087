"""Packets: three bytes of length, one of order, and 16 MiB of payload at most; longer payloads take several.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html. Integers are
little-endian, lengths are written in one to nine bytes (``lenenc``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.errors import ProtocolError

HEADER: Final = 4
FULL: Final = 0xFFFFFF  # a packet of this size is continued in the next, which may be empty
MAX_COMMAND: Final = 64 << 20  # bytes of one command; servers take 16 or 64 MiB unless told otherwise

OK: Final = 0x00
LOCAL_INFILE: Final = 0xFB
EOF: Final = 0xFE
ERR: Final = 0xFF


def packet(sequence: int, payload: bytes) -> bytes:
    """*payload* as one packet, or as many as it takes."""
    if len(payload) < FULL:
        return len(payload).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload
    out = []
    for number, at in enumerate(range(0, len(payload) + 1, FULL)):
        part = payload[at : at + FULL]
        out.append(len(part).to_bytes(3, "little") + bytes((sequence + number & 0xFF,)) + part)
    return b"".join(out)


def lenenc(value: int) -> bytes:
    """An integer in the fewest bytes."""
    if value < 0xFB:
        return bytes((value,))
    for mark, size in ((0xFC, 2), (0xFD, 3)):
        if value < 1 << 8 * size:
            return bytes((mark,)) + value.to_bytes(size, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def counted(data: bytes) -> bytes:
    """Bytes behind their length."""
    return lenenc(len(data)) + data


class Fields:
    """Reads the fields of one payload; every overrun is a ProtocolError."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def raw(self, size: int) -> bytes:
        """Exactly *size* bytes."""
        if size > self.left():
            raise ProtocolError(f"a packet ends {size - self.left()} bytes early")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        """An unsigned integer of *size* bytes."""
        return int.from_bytes(self.raw(size), "little")

    def lenenc(self) -> int:
        """An integer in one to nine bytes; ProtocolError for the marks that stand for no number."""
        first = self.number(1)
        if first < 0xFB:
            return first
        sizes = {0xFC: 2, 0xFD: 3, 0xFE: 8}
        if first not in sizes:
            raise ProtocolError(f"a length begins with {first:#04x}")
        return self.number(sizes[first])

    def counted(self) -> bytes:
        """Bytes behind their length."""
        return self.raw(self.lenenc())

    def value(self) -> bytes | None:
        """A value of a text row; None for NULL."""
        if self.left() and self._data[self._at] == 0xFB:
            self._at += 1
            return None
        return self.counted()

    def cstring(self) -> bytes:
        """Bytes up to a NUL, which is consumed and not returned."""
        stop = self._data.find(b"\0", self._at)
        if stop < 0:
            raise ProtocolError("text is not terminated")
        return self.raw(stop - self._at + 1)[:-1]

    def rest(self) -> bytes:
        """All that is left."""
        return self.raw(self.left())


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a client: its bytes as they came, what is in them, and the number of its last packet."""

    raw: bytes
    payload: bytes
    sequence: int


class CommandReader:
    """Cuts a client's bytes into commands."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_empty(self) -> bool:
        """True when no command has begun."""
        return not self._buffer

    def feed(self, data: bytes) -> Iterator[Command]:
        """The commands that are whole now; ProtocolError for one that is out of order, empty or too long."""
        if not self._buffer and len(data) > HEADER:
            size = data[0] | data[1] << 8 | data[2] << 16
            if len(data) == size + HEADER and size < FULL and not data[3]:
                yield Command(data, data[HEADER:], 0)
                return
        self._buffer += data
        while (found := self._next()) is not None:
            yield found

    def _next(self) -> Command | None:
        buffer, at, sequence = self._buffer, 0, 0
        parts: list[tuple[int, int]] = []
        while True:
            if len(buffer) - at < HEADER:
                return None
            size = int.from_bytes(buffer[at : at + 3], "little")
            if buffer[at + 3] != sequence & 0xFF:
                raise ProtocolError(f"packet {buffer[at + 3]} came where packet {sequence & 0xFF} was due")
            if at - HEADER * len(parts) + size > MAX_COMMAND:
                raise ProtocolError(f"a command of more than {MAX_COMMAND >> 20} MiB")
            if not size and not parts:
                raise ProtocolError("a command without a word in it")
            stop = at + HEADER + size
            if len(buffer) < stop:
                return None
            parts.append((at + HEADER, stop))
            at = stop
            if size < FULL:
                break
            sequence += 1
        raw = bytes(buffer[:at])
        payload = raw[HEADER:] if len(parts) == 1 else b"".join([raw[start:stop] for start, stop in parts])
        del buffer[:at]
        return Command(raw, payload, sequence & 0xFF)
