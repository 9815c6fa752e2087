"""What a TLS client offers to speak, read from its first message without answering it. Pure.

RFC 8446, section 4.1.2 (ClientHello) and RFC 7301, section 3.1 (ALPN). Used only to choose who serves a
connection: whoever gets it does the handshake, and believes nothing that was read here.
"""

from gateway.errors import ProtocolError
from gateway.sansio.reader import Reader

PEEK = 16 * 1024 + 5
_HANDSHAKE = 0x16
_HEADER = 5  # of a record: kind, version, length
_LENGTHS = 4  # of a message: kind, length
_MOST_RECORDS = 16  # of one message; clients send one or two
_CLIENT_HELLO = 1
_ALPN = 16


def alpn(data: bytes) -> tuple[str, ...] | None:
    """The protocols that the client offers, in its order; None where *data* is no whole ClientHello."""
    try:
        return _alpn(_client_hello(data))
    except ProtocolError:
        return None


def wanted(data: bytes) -> int:
    """How many bytes there must be to tell more about the message than *data* does.

    No more than there are where it is whole, or is nothing that ``alpn`` could read.
    """
    at, message = 0, b""
    for _ in range(_MOST_RECORDS):
        begin = at + _HEADER
        if len(data) < begin:
            return begin
        at = begin + int.from_bytes(data[begin - 2 : begin])
        message += data[begin:at]
        is_none = data[begin - _HEADER] != _HANDSHAKE or at == begin or at > PEEK
        if is_none or (message and message[0] != _CLIENT_HELLO):
            break
        if len(data) < at:
            return at
        if len(message) >= _LENGTHS and len(message) >= _LENGTHS + int.from_bytes(message[1:_LENGTHS]):
            break
    return len(data)


def _client_hello(data: bytes) -> bytes:
    """The message inside its records, which may be several."""
    records, message = Reader(data), b""
    while True:
        if records.u8() != _HANDSHAKE:
            raise ProtocolError("not a handshake")
        records.u16()
        message += records.raw(records.u16())
        if len(message) >= 4:
            size = int.from_bytes(message[1:4])
            if len(message) >= 4 + size:
                break
    if message[0] != _CLIENT_HELLO:
        raise ProtocolError("not a ClientHello")
    return message[4 : 4 + size]


def _alpn(hello: bytes) -> tuple[str, ...]:
    reader = Reader(hello)
    reader.raw(2 + 32)  # legacy version, random
    reader.raw(reader.u8())  # legacy session id
    reader.raw(reader.u16())  # cipher suites
    reader.raw(reader.u8())  # legacy compression methods
    if not reader.left():
        return ()
    extensions = Reader(reader.raw(reader.u16()))
    while extensions.left():
        kind, body = extensions.u16(), extensions.raw(extensions.u16())
        if kind == _ALPN:
            return _names(Reader(body))
    return ()


def _names(reader: Reader) -> tuple[str, ...]:
    listed, names = Reader(reader.raw(reader.u16())), []
    while listed.left():
        names.append(listed.raw(listed.u8()).decode("ascii", "replace"))
    return tuple(names)
