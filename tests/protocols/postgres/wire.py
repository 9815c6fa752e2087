"""Client messages for tests, made from the specification and not with the gateway's own encoder."""

import struct


def message(kind: str, body: bytes = b"") -> bytes:
    return kind.encode() + struct.pack(">i", len(body) + 4) + body


def query(sql: str) -> bytes:
    return message("Q", sql.encode() + b"\0")


def parse(sql: str, name: str = "", types: tuple[int, ...] = ()) -> bytes:
    fixed = struct.pack(f">h{len(types)}i", len(types), *types)
    return message("P", name.encode() + b"\0" + sql.encode() + b"\0" + fixed)


def bind(name: str = "", portal: str = "", values: tuple[bytes | None, ...] = ()) -> bytes:
    body = portal.encode() + b"\0" + name.encode() + b"\0" + struct.pack(">hh", 0, len(values))
    for value in values:
        body += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
    return message("B", body + struct.pack(">h", 0))


def execute(portal: str = "", rows: int = 0) -> bytes:
    return message("E", portal.encode() + b"\0" + struct.pack(">i", rows))


def describe(kind: str, name: str = "") -> bytes:
    return message("D", kind.encode() + name.encode() + b"\0")


def close(kind: str, name: str = "") -> bytes:
    return message("C", kind.encode() + name.encode() + b"\0")


SYNC = message("S")
FLUSH = message("H")
COPY_DONE = message("c")
TERMINATE = message("X")


def copy_data(data: bytes) -> bytes:
    return message("d", data)


def startup(version: int = 0x30000, **parameters: str) -> bytes:
    body = struct.pack(">i", version)
    for name, value in parameters.items():
        body += name.encode() + b"\0" + value.encode() + b"\0"
    return struct.pack(">i", len(body) + 5) + body + b"\0"


SSL_REQUEST = struct.pack(">ii", 8, 80877103)
GSSENC_REQUEST = struct.pack(">ii", 8, 80877104)


def cancel(key: bytes) -> bytes:
    return struct.pack(">ii", 8 + len(key), 80877102) + key


def kinds(frames: list[tuple[str, bytes]]) -> str:
    return "".join(kind for kind, _ in frames)


def error_fields(body: bytes) -> dict[str, str]:
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}
