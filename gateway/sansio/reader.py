"""A bounded reader over one whole message: no codec indexes a buffer by hand."""

import struct

from gateway.errors import ProtocolError

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")


class Reader:
    """Reads big-endian integers, counted bytes and NUL-terminated text; every overrun is a ProtocolError."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = bytes(data)
        self._at = 0
        self._end = len(self._data)

    def _take(self, size: int) -> int:
        at = self._at
        if size < 0 or at + size > self._end:
            raise ProtocolError(f"message ends {at + size - self._end} bytes early")
        self._at = at + size
        return at

    def u8(self) -> int:
        """One unsigned byte."""
        return self._data[self._take(1)]

    def u16(self) -> int:
        """Two bytes, unsigned."""
        return int(_U16.unpack_from(self._data, self._take(2))[0])

    def u32(self) -> int:
        """Four bytes, unsigned."""
        return int(_U32.unpack_from(self._data, self._take(4))[0])

    def i32(self) -> int:
        """Four bytes, signed."""
        return int(_I32.unpack_from(self._data, self._take(4))[0])

    def raw(self, size: int) -> bytes:
        """Exactly *size* bytes."""
        at = self._take(size)
        return self._data[at : at + size]

    def cstring(self) -> bytes:
        """Bytes up to a NUL, which is consumed and not returned."""
        stop = self._data.find(b"\0", self._at)
        if stop < 0:
            raise ProtocolError("text is not terminated")
        text = self._data[self._at : stop]
        self._at = stop + 1
        return text

    def rest(self) -> bytes:
        """All that is left."""
        at = self._take(self._end - self._at)
        return self._data[at:]

    def left(self) -> int:
        """How many bytes are left."""
        return self._end - self._at

    def finish(self) -> None:
        """Nothing may be left: trailing bytes are a fault, not padding."""
        if self._at != self._end:
            raise ProtocolError(f"{self._end - self._at} bytes behind the end of a message")
