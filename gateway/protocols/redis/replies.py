"""A server's replies as frames with a length: where each ends, what it is, and nothing of what is in it.

https://redis.io/docs/latest/develop/reference/protocol-spec/. They are walked by their headers
and never decoded.
"""

import typing
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.redis.resp import CRLF, SIZES, number, repeats
from gateway.sansio.exchange import End

MAX_DEPTH: Final = 32
ERRORS: Final = frozenset(b"-!")  # the kinds of reply that say no
_MAX_LINE: Final = 64 << 10
_LINES: Final = frozenset(b"+-:,#_(")
_BULKS: Final = frozenset(b"$!=")
_LISTS: Final = frozenset(b"*~>")
_PAIRS: Final = frozenset(b"%|")
_ATTRIBUTE: Final = 0x7C
_BULK, _ERROR = 0x24, 0x2D
_SHORT: Final = frozenset(b"+-:$")
_WORD: Final = 32  # bytes of a first word that are looked at


class Reply(typing.NamedTuple):  # one for every command: a tuple is made in a third of the time
    """What a whole reply was: its first byte, its first word, its size, and how many elements a list has."""

    kind: int
    word: bytes
    size: int
    elements: int | None


class Part(typing.NamedTuple):
    """Bytes of one reply; ``reply`` is set with the last of them. A reply of one line is one part."""

    data: bytes
    reply: Reply | None


class ReplyReader:
    """Walks a server's replies: where each ends, what it is, and nothing of what is in it."""

    __slots__ = ("_elements", "_held", "_kind", "_left", "_size", "_skip", "_wants_word", "_word")

    def __init__(self) -> None:
        self._held = b""  # a line that is not whole
        self._left: list[int] = []  # elements that are missing, for each open list
        self._skip = 0  # bytes of a bulk string that has begun
        self._begin()

    @property
    def is_between(self) -> bool:
        """True where the next byte begins a reply."""
        return not (self._held or self._kind or self._skip or self._size or self._left)

    def feed(self, data: bytes) -> list[Part]:
        """All of *data*, but for a line at its end that is not whole, in the order it came."""
        data = self._held + data if self._held else data
        self._held = b""
        parts: list[Part] = []
        begin = at = 0
        size = len(data)
        while at < size:
            if at == begin and not (self._kind or self._skip or self._size):
                part = _short(data, at)
                if part is not None:
                    parts.append(part)
                    begin = at = at + len(part.data)
                    continue
            if self._skip:
                step = min(self._skip, size - at)
                self._skip -= step
                at += step
            else:
                stop = self._line(data, at)
                if stop < 0:
                    break
                at = stop
            if not self._skip and self._is_whole():
                self._size += at - begin
                reply = Reply(self._kind, self._word, self._size, self._elements)
                parts.append(Part(data[begin:at], reply))
                begin = at
                self._begin()
        if begin < at:
            self._size += at - begin
            parts.append(Part(data[begin:at], None))
        self._held = data[at:]
        return parts

    def _begin(self) -> None:
        self._kind = 0
        self._word = b""
        self._elements: int | None = None
        self._wants_word = True
        self._size = 0

    def _is_whole(self) -> bool:
        while self._left and self._left[-1] == 0:
            self._left.pop()
        if self._left:
            return False
        if self._kind == _ATTRIBUTE:  # it stands in front of the reply that it is about
            self._kind, self._elements, self._wants_word = 0, None, True
            return False
        return True

    def _line(self, data: bytes, at: int) -> int:
        """Take the line at *at*, with a short first word behind it; where the walk goes on, or -1."""
        kind = data[at]
        end = data.find(CRLF, at, at + _MAX_LINE)
        if end < 0:
            if len(data) - at > _MAX_LINE:
                raise ProtocolError("the database server sent a line without an end")
            return -1
        size = 0 if kind in _LINES else number(data[at + 1 : end])
        if kind in _BULKS and self._wants_word and 0 <= size <= _WORD and len(data) < end + 4 + size:
            return -1
        if not self._kind:
            self._kind = kind
        if self._left:
            self._left[-1] -= 1
        if kind in _LINES:
            self._note(data[at + 1 : end].split(b" ", 1)[0])
        elif kind in _BULKS:
            self._note(data[end + 2 : end + 2 + size] if 0 <= size <= _WORD else b"")
            self._skip = max(0, size + 2) if size >= 0 else 0
        elif kind in _LISTS or kind in _PAIRS:
            self._open(kind, size)
        else:
            raise ProtocolError(f"the database server sent {data[at : at + 1]!r}, which begins no reply")
        return end + 2

    def _note(self, word: bytes) -> None:
        if self._wants_word:
            self._word, self._wants_word = word[:_WORD], False

    def _open(self, kind: int, number: int) -> None:
        if self._elements is None and not self._left:
            self._elements = max(0, number)
        count = 2 * number if kind in _PAIRS else number
        if count > 0:
            if len(self._left) >= MAX_DEPTH:
                raise ProtocolError("the database server's reply is nested too deeply")
            self._left.append(count)


def _short(data: bytes, at: int) -> Part | None:
    """A whole reply of one line or one short text, which most are, in few steps; None for all others."""
    kind = data[at]
    if kind not in _SHORT:
        return None
    end = data.find(CRLF, at, at + _MAX_LINE)
    if end < 0:
        return None
    word = b""
    stop = end + 2
    if kind != _BULK:
        word = data[at + 1 : end].split(b" ", 1)[0][:_WORD]
    elif data[at:end] != b"$-1":
        known = SIZES.get(data[at:stop])
        if known is None or stop + known[1] + 2 > len(data):
            return None
        if known[1] <= _WORD:
            word = data[stop : stop + known[1]]
        stop += known[1] + 2
    return Part(data[at:stop], Reply(kind, word, stop - at, None))


def short_ends(data: bytes, at: int, most: int) -> tuple[list[tuple[End, int]], int, int]:
    """How the next commands ended, up to *most* while their replies are short.

    Each end comes with how many in a row have it; behind them stand how many ended, and where their replies
    end in *data*. What begins at *at* must be a reply.
    """
    ends: list[tuple[End, int]] = []
    left = most
    while left and at < len(data):
        part = _short(data, at)
        if part is None or part.reply is None:
            break
        error = part.reply.word.decode("latin-1") if part.reply.kind == _ERROR else ""
        count = repeats(data, at, part.data, left)
        ends.append(((None, part.reply.size, error), count))
        at += count * part.reply.size
        left -= count
    return ends, most - left, at
