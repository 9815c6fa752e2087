"""Which character sets a client may send its text in, and how that text is read.

A statement is read as the server reads it, or not at all. In gbk, sjis and their like the second byte of a
letter may be a backslash or a quote; such text is never taken apart here. Text of nothing but ASCII means the
same in every character set that a server takes from clients, but in swe7, where ``@`` and ``~`` are letters.
"""

from typing import Final

from gateway.errors import ProtocolError

_UTF8: Final = frozenset({"utf8", "utf8mb3", "utf8mb4", "binary"})
_LATIN: Final = "latin1"
_NOT_ASCII: Final = "swe7"
# The servers' latin1 is the Windows code page 1252, and has control characters where that has nothing.
_WINDOWS: Final = {
    byte: letter
    for byte in range(0x80, 0xA0)
    if (letter := bytes((byte,)).decode("cp1252", "replace")) != "\ufffd"
}

# Collations that a client may name in its first packet, by number: utf8mb3, utf8mb4, latin1, ascii, binary.
_COLLATIONS: Final = frozenset(
    {33, 76, 83, 45, 46, 5, 8, 15, 31, 47, 48, 49, 94, 11, 65, 63}
    | set(range(192, 216))
    | {223}
    | set(range(224, 248))
    | {255}
)
UTF8MB4: Final = 45
UNREADABLE: Final = "character_set"


def check_collation(number: int) -> int:
    """*number*; ProtocolError where it stands for a character set that statements are not read in.

    0 is what old clients send for the server's own.
    """
    if not number:
        return UTF8MB4
    if number not in _COLLATIONS:
        raise ProtocolError(f"collation {number} is not offered: connect with character set utf8mb4")
    return number


def read(data: bytes, charset: str) -> str | None:
    """The text of *data*, sent under ``character_set_client`` *charset*; None if it cannot be read."""
    try:
        if charset in _UTF8:
            return data.decode("utf-8")
        if charset == _LATIN:
            return data.decode("latin-1").translate(_WINDOWS)
        if charset == _NOT_ASCII:
            return None
        return data.decode("ascii")
    except UnicodeDecodeError:
        return None
