"""How the server reads the next statement: current database, ``sql_mode``, character set, and version.

The gateway asks for these itself, after the login and after each statement that may have changed one of them.
The question needs no quotes and calls nothing that anybody could replace; its answer is one row, in
hexadecimal digits, because ``character_set_results`` may be anything.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.mysql.capabilities import DEPRECATE_EOF, QUERY_ATTRIBUTES
from gateway.protocols.mysql.errors import LoginError
from gateway.protocols.mysql.errors import read as read_error
from gateway.protocols.mysql.packets import EOF, ERR, Fields, packet
from gateway.protocols.mysql.replies import Replies, Shape
from gateway.sansio.flow import Flow, Read, Write

TEXT: Final = (
    "SELECT /* regate */ HEX(CONVERT(DATABASE() USING utf8mb4)),HEX(CONCAT(@@SESSION.sql_mode)),"
    "HEX(CONCAT(@@SESSION.character_set_client)),HEX(CONCAT(@@version)),@@lower_case_table_names"
)
QUESTION: Final = packet(0, b"\x03" + TEXT.encode())
WITH_ATTRIBUTES: Final = packet(0, b"\x03\x00\x01" + TEXT.encode())  # where they were agreed on: none
CASE: Final = "LOWER_CASE_TABLE_NAMES"  # the server folds names so; it stands among the modes
_MAX_ANSWER: Final = 64 << 10
_HEX: Final = re.compile(rb"(?:[0-9A-F]{2})*\Z")


@dataclass(frozen=True, slots=True)
class Context:
    """What the server said. ``path`` is empty where no database was chosen.

    ``version`` decides which comments run. The greeting has it too, but came before TLS: anybody in between
    may have written that.
    """

    path: tuple[str, ...]
    modes: frozenset[str]
    charset: str
    version: str


def parse(reply: bytes) -> Context | None:
    """What a whole reply to the question says; None where it was an error."""
    rows = _payloads(reply)
    if rows[0][:1] == bytes((ERR,)):
        return None
    # One count, five columns, and in the old form an EOF; then the row.
    row = next((payload for payload in rows[6:] if payload[:1] != bytes((EOF,))), None)
    if row is None:
        raise ProtocolError("the database server does not say how it reads statements")
    fields = Fields(row)
    database, modes, charset, version = (_text(fields.value()) for _ in range(4))
    folding = (fields.value() or b"").replace(b"\0", b"").decode("ascii", "replace")
    words = {word for word in (modes or "").upper().split(",") if word}
    words.add(f"{CASE}={folding}")
    return Context(
        () if database is None else (database,), frozenset(words), (charset or "").lower(), version or ""
    )


def question(flags: int) -> bytes:
    """The question in the form that was agreed on."""
    return WITH_ATTRIBUTES if flags & QUERY_ATTRIBUTES else QUESTION


def read(flags: int) -> Flow[Context]:
    """Ask right behind a login that agreed on *flags*."""
    yield Write(question(flags))
    replies = Replies(deprecate_eof=bool(flags & DEPRECATE_EOF))
    replies.begin(Shape.RESULT)
    reply = b""
    while not replies.is_over:
        head = yield Read(4)
        size = int.from_bytes(head[:3], "little")
        if not size or len(reply) + size > _MAX_ANSWER:
            raise LoginError("the database server does not say how it reads statements")
        whole = head + (yield Read(size))
        replies.feed(whole)
        reply += whole
    found = parse(reply)
    if found is None:
        said = read_error(reply[4:])
        raise LoginError(f"the database server does not say how it reads statements: {said.words}")
    return found


def _payloads(reply: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(reply):
        size = int.from_bytes(reply[at : at + 3], "little")
        found.append(reply[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    digits = value.replace(b"\0", b"")  # of two or four bytes each, in some character sets of results
    if not _HEX.match(digits):
        raise ProtocolError("the database server answers the gateway's question with something else")
    return bytes.fromhex(digits.decode("ascii")).decode("utf-8", "replace")
