"""RESP2 and RESP3: a client's commands as lists of arguments, a server's replies as frames with a length.

https://redis.io/docs/latest/develop/reference/protocol-spec/. A client's frame is an array of bulk strings,
or one plain line of words (an inline command; quotes and escapes in it are refused, for two readers may split
them differently). Replies are walked by their headers and never decoded.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.errors import ProtocolError

MAX_ARGUMENTS: Final = 1 << 20
MAX_COMMAND: Final = 64 << 20  # bytes of one command: it is judged before any of it goes on
MAX_INLINE: Final = 64 << 10
MAX_DEPTH: Final = 32
_MAX_LINE: Final = 64 << 10
_DIGITS: Final = 20
_LINES: Final = frozenset(b"+-:,#_(")
_BULKS: Final = frozenset(b"$!=")
_LISTS: Final = frozenset(b"*~>")
_PAIRS: Final = frozenset(b"%|")
_CRLF: Final = b"\r\n"
_ATTRIBUTE: Final = 0x7C
_WORD: Final = 32  # bytes of a first word that are looked at
_INLINE: Final = frozenset(range(0x21, 0x7F)) - frozenset(b"'\"\\")
# What a browser that is led here would send; Redis closes the connection on them as well.
_NOT_REDIS: Final = frozenset({b"POST", b"HOST:", b"GET", b"PUT", b"OPTIONS", b"HEAD"})


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its very bytes, and its arguments; the first is the command's name."""

    raw: bytes
    arguments: tuple[bytes, ...]


def encode(*arguments: bytes) -> bytes:
    """A command as an array of bulk strings."""
    head = b"*%d\r\n" % len(arguments)
    return head + b"".join([b"$%d\r\n%b\r\n" % (len(item), item) for item in arguments])


class CommandReader:
    """Cuts a client's bytes into commands; holds no more than one that is not whole."""

    __slots__ = ("_inbox", "_need")

    def __init__(self) -> None:
        self._inbox = b""
        self._need = 1

    def feed(self, data: bytes) -> Iterator[Command]:
        """Every whole command in what came so far."""
        data = self._inbox + data if self._inbox else data
        self._inbox = b""
        at = 0
        while at < len(data) >= self._need:
            found = _command(data, at)
            if isinstance(found, int):
                self._need = found - at
                break
            command, at = found
            self._need = 1
            if command is not None:
                yield command
        self._inbox = data[at:]


def _command(data: bytes, at: int) -> "tuple[Command | None, int] | int":
    """The command at *at* and where it ends; or how many bytes of *data* it needs at least."""
    if data[at] != 0x2A:
        return _inline(data, at)
    end = _line_end(data, at, _DIGITS)
    if end < 0:
        return len(data) + 1
    count = _number(data[at + 1 : end])
    if not -1 <= count <= MAX_ARGUMENTS:
        raise ProtocolError(f"a command of {count} arguments")
    begin, at = at, end + 2
    arguments: list[bytes] = []
    for _ in range(count):
        found = _argument(data, at, begin)
        if isinstance(found, int):
            return found
        argument, at = found
        arguments.append(argument)
    return (Command(data[begin:at], tuple(arguments)) if arguments else None), at


def _argument(data: bytes, at: int, begin: int) -> "tuple[bytes, int] | int":
    """The bulk string at *at* and where it ends; or how many bytes of *data* it needs at least."""
    if at >= len(data):
        return len(data) + 1
    if data[at] != 0x24:
        raise ProtocolError(f"an argument that begins with {data[at : at + 1]!r} instead of '$'")
    end = _line_end(data, at, _DIGITS)
    if end < 0:
        return len(data) + 1
    size = _number(data[at + 1 : end])
    stop = end + 2 + size
    if size < 0 or stop - begin > MAX_COMMAND:
        raise ProtocolError(f"an argument of {size} bytes, where a command may have {MAX_COMMAND}")
    if stop + 2 > len(data):
        return stop + 2
    if data[stop : stop + 2] != _CRLF:
        raise ProtocolError("an argument has another size than it says")
    return data[end + 2 : stop], stop + 2


def _inline(data: bytes, at: int) -> "tuple[Command | None, int] | int":
    end = data.find(b"\n", at, at + MAX_INLINE)
    if end < 0:
        if len(data) - at >= MAX_INLINE:
            raise ProtocolError("a line without an end")
        _check_inline(data[at:].rstrip(b"\r"))
        return len(data) + 1
    line = data[at:end].removesuffix(b"\r")
    words = _check_inline(line)
    if words and ((words[0].upper() in _NOT_REDIS and len(words) != 2) or words[0].upper().endswith(b":")):
        raise ProtocolError("this is a request of another protocol")
    # It goes on in the one form that cannot be split in two ways.
    return (Command(encode(*words), tuple(words)) if words else None), end + 1


def _check_inline(line: bytes) -> list[bytes]:
    words = line.split(b" ")
    if not _INLINE.issuperset(line.replace(b" ", b"")):
        raise ProtocolError("an inline command with quotes, escapes or control characters")
    return [word for word in words if word]


def _line_end(data: bytes, at: int, most: int) -> int:
    """Where the CR of the line at *at* stands; -1 while it is not there."""
    end = data.find(_CRLF, at, at + most + 3)
    if end < 0 and len(data) - at > most + 2:
        raise ProtocolError("a length without an end")
    return end


def _number(text: bytes) -> int:
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(text) > _DIGITS or (len(digits) > 1 and digits[0] == 0x30):
        raise ProtocolError(f"{text[:24]!r} is no length")
    return int(text)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a whole reply was: its first byte, its first word, its size, and how many elements a list has."""

    kind: int
    word: bytes
    size: int
    elements: int | None


@dataclass(frozen=True, slots=True)
class Part:
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

    def feed(self, data: bytes) -> list[Part]:
        """All of *data*, but for a line at its end that is not whole, in the order it came."""
        data = self._held + data if self._held else data
        self._held = b""
        parts: list[Part] = []
        begin = at = 0
        size = len(data)
        while at < size:
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
        end = data.find(_CRLF, at, at + _MAX_LINE)
        if end < 0:
            if len(data) - at > _MAX_LINE:
                raise ProtocolError("the database server sent a line without an end")
            return -1
        number = 0 if kind in _LINES else _number(data[at + 1 : end])
        if kind in _BULKS and self._wants_word and 0 <= number <= _WORD and len(data) < end + 4 + number:
            return -1
        if not self._kind:
            self._kind = kind
        if self._left:
            self._left[-1] -= 1
        if kind in _LINES:
            self._note(data[at + 1 : end].split(b" ", 1)[0])
        elif kind in _BULKS:
            self._note(data[end + 2 : end + 2 + number] if 0 <= number <= _WORD else b"")
            self._skip = max(0, number + 2) if number >= 0 else 0
        elif kind in _LISTS or kind in _PAIRS:
            self._open(kind, number)
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
