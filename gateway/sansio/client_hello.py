"""Which protocols a TLS client offers, read from its first record without taking it.

RFC 8446 section 4.1.2 (the same form since TLS 1.2) and RFC 7301. Only the offers are read; the handshake
itself is OpenSSL's, on the same bytes. A hello in several records is none that this reads: its offers count
as unknown.
"""

from gateway.errors import ProtocolError
from gateway.sansio.reader import Reader

MAX_HELLO = 16 * 1024 + 5  # one record, RFC 8446 section 5.1
_HANDSHAKE = 0x16
_CLIENT_HELLO = 1
_ALPN = 16


def is_whole(data: bytes) -> bool:
    """True when the first record is there to its end, or more of it would not help."""
    return len(data) >= MAX_HELLO or (len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[3:5]))


def offers(data: bytes) -> tuple[bytes, ...] | None:
    """The protocols, the client's favourite first; empty when it names none, None when that is not known."""
    try:
        return _offers(data)
    except ProtocolError:
        return None


def _offers(data: bytes) -> tuple[bytes, ...]:
    record = Reader(data)
    if record.u8() != _HANDSHAKE:
        raise ProtocolError("the record is no handshake")
    record.raw(2)
    hello = Reader(record.raw(record.u16()))
    if hello.u8() != _CLIENT_HELLO:
        raise ProtocolError("the handshake does not begin with a client's hello")
    body = Reader(hello.raw(int.from_bytes(hello.raw(3))))
    body.raw(2 + 32)  # version, random
    body.raw(body.u8())  # session
    body.raw(body.u16())  # ciphers
    body.raw(body.u8())  # compression
    extensions = Reader(body.raw(body.u16()))
    while extensions.left():
        kind, content = extensions.u16(), extensions.raw(extensions.u16())
        if kind == _ALPN:
            return _names(content)
    return ()


def _names(content: bytes) -> tuple[bytes, ...]:
    outer = Reader(content)
    names, found = Reader(outer.raw(outer.u16())), []
    while names.left():
        found.append(bytes(names.raw(names.u8())))
    return tuple(found)
