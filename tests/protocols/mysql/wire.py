"""Bytes of MySQL's protocol, written here by hand so that the codec is not held against itself."""

import struct


def packet(payload: bytes, sequence: int = 0) -> bytes:
    """One packet."""
    return struct.pack("<I", len(payload))[:3] + bytes((sequence,)) + payload


def command(code: int, body: bytes = b"") -> bytes:
    """A command of a client."""
    return packet(bytes((code,)) + body)


def query(text: str) -> bytes:
    """COM_QUERY."""
    return command(3, text.encode())


def prepare(text: str) -> bytes:
    """COM_STMT_PREPARE."""
    return command(0x16, text.encode())


def execute(number: int, *, flags: int = 0, values: bytes = b"") -> bytes:
    """COM_STMT_EXECUTE."""
    return command(0x17, struct.pack("<IBI", number, flags, 1) + values)


def ok(sequence: int = 1, *, affected: int = 0, status: int = 2) -> bytes:
    """An OK packet."""
    return packet(b"\0" + bytes((affected, 0)) + struct.pack("<HH", status, 0), sequence)


def end(sequence: int, *, status: int = 2, new: bool = True) -> bytes:
    """What ends rows: in the form of an OK, or the old EOF."""
    body = b"\xfe\0\0" + struct.pack("<HH", status, 0) if new else b"\xfe" + struct.pack("<HH", 0, status)
    return packet(body, sequence)


def error(sequence: int = 1, number: int = 1064, words: str = "no") -> bytes:
    """An ERR packet."""
    return packet(b"\xff" + struct.pack("<H", number) + b"#42000" + words.encode(), sequence)


def column(sequence: int, name: bytes = b"a") -> bytes:
    """The definition of a column."""
    body = b"\3def\0\0\0" + bytes((len(name),)) + name + b"\0\x0c\x2d\0\x0a\0\0\0\xfd\0\0\0\0\0"
    return packet(body, sequence)


def rows(*values: bytes, status: int = 2, new: bool = True, first: int = 1) -> bytes:
    """A result of one column."""
    at = first
    out = packet(b"\1", at) + column(at + 1)
    at += 2
    if not new:
        out, at = out + end(at, new=False), at + 1
    for value in values:
        out, at = out + packet(bytes((len(value),)) + value, at & 0xFF), at + 1
    return out + end(at & 0xFF, status=status, new=new)


def prepared(number: int, *, parameters: int = 0, columns: int = 0, new: bool = True) -> bytes:
    """The answer to a PREPARE."""
    out, at = packet(b"\0" + struct.pack("<IHHBH", number, columns, parameters, 0, 0), 1), 2
    for count in (parameters, columns):
        for _ in range(count):
            out, at = out + column(at), at + 1
        if count and not new:
            out, at = out + end(at, new=False), at + 1
    return out


CAPABILITIES = 0x01BFF35F & ~0x400000  # what the gateway offers, as a client takes it


def handshake(
    user: str = "alice",
    database: str = "mydb",
    *,
    sequence: int = 1,
    capabilities: int = CAPABILITIES,
    collation: int = 45,
    plugin: bytes = b"mysql_native_password",
    answer: bytes = b"",
    attributes: bytes = b"\x0cprogram_name\x08contract",
) -> bytes:
    """A client's answer to the greeting."""
    body = struct.pack("<IIB", capabilities, 1 << 24, collation) + bytes(23) + user.encode() + b"\0"
    body += bytes((len(answer),)) + answer
    if capabilities & 8:
        body += database.encode() + b"\0"
    if capabilities & 1 << 19:
        body += plugin + b"\0"
    if capabilities & 1 << 20:
        body += bytes((len(attributes),)) + attributes
    return packet(body, sequence)


def context(
    database: bytes | None = b"mydb",
    modes: bytes = b"",
    charset: bytes = b"utf8mb4",
    *,
    version: bytes = b"10.11.6-MariaDB",
    new: bool = True,
) -> bytes:
    """A server's answer to the gateway's own question."""

    def text(value: bytes | None) -> bytes:
        if value is None:
            return b"\xfb"
        digits = value.hex().upper().encode()
        return bytes((len(digits),)) + digits

    out = packet(b"\5", 1) + b"".join(column(at) for at in range(2, 7))
    at = 7
    if not new:
        out, at = out + end(at, new=False), at + 1
    row = text(database) + text(modes) + text(charset) + text(version) + b"\x010"
    return out + packet(row, at) + end(at + 1, new=new)
