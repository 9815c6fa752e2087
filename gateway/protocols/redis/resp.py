"""RESP2 and RESP3: a client's commands as lists of arguments.

https://redis.io/docs/latest/develop/reference/protocol-spec/. A client's frame is an array of bulk strings,
or one plain line of words (an inline command; quotes and escapes in it are refused, for two readers may split
them differently).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.errors import ProtocolError

MAX_ARGUMENTS: Final = 1 << 20
MAX_COMMAND: Final = 64 << 20  # bytes of one command: it is judged before any of it goes on
MAX_INLINE: Final = 64 << 10
_MAX_AGAIN: Final = (
    1 << 10
)  # bytes of a command that is not whole which may be looked at again for each chunk
_LONGEST_LAST: Final = 16 << 10  # bytes of a command that is known again if it comes once more
_COMPARED: Final = 4 << 10  # bytes that are compared at once with what they may repeat
_DIGITS: Final = 20
CRLF: Final = b"\r\n"
_ARRAY, _BULK = 0x2A, 0x24
_INLINE: Final = frozenset(range(0x21, 0x7F)) - frozenset(b"'\"\\")
# What a browser that is led here would send; Redis closes the connection on them as well.
_NOT_REDIS: Final = frozenset({b"POST", b"HOST:", b"GET", b"PUT", b"OPTIONS", b"HEAD"})


SIZES: Final = {b"$%d\r\n" % size: (3 + len(str(size)), size) for size in range(100)}


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
    """Cuts a client's bytes into commands; holds no more than one that is not whole.

    Where such a one was left is remembered, so that no byte is looked at again for each chunk that follows.
    """

    __slots__ = ("_arguments", "_at", "_count", "_inbox", "_last", "_need")

    def __init__(self) -> None:
        self._inbox = bytearray()  # what came of a command that is not whole
        self._need = 1  # how many bytes of it there must be before it is worth another look
        self._last: Command | None = None
        self._begin()

    def feed(self, data: bytes) -> Iterator[Command]:
        """Every whole command in what came so far."""
        for command, count in self._feed(data):
            for _ in range(count):
                yield command

    def _feed(self, data: bytes) -> Iterator[tuple[Command, int]]:
        """The same, with how often each stands there in a row."""
        if self._inbox:
            self._inbox += data
            if len(self._inbox) < self._need:
                return
            command, at = self._next(self._inbox, 0)
            if at < 0:
                return
            data = bytes(self._inbox[at:])
            self._inbox.clear()
            if command is not None:
                yield command, 1
        at, size = 0, len(data)
        while at < size:
            last = self._last
            # No command is the beginning of another: what begins like one is the same to its end.
            if last is not None and data.startswith(last.raw, at):
                count = repeats(data, at, last.raw, size)
                at += count * len(last.raw)
                yield last, count
                continue
            begin = at
            command, at = self._next(data, begin)
            if at < 0:
                self._inbox += data[begin:]
                return
            if command is not None:
                yield command, 1

    def ahead(self, data: bytes) -> "tuple[list[tuple[Command, int]], bytes] | None":
        """The whole commands in what came so far with *data*, and what is left of it; changes nothing.

        With each command stands how often it comes in a row, or in a part of that.

        None where that would mean to look at much again, or where there is something that is no command.
        """
        probe = CommandReader()
        probe._last = self._last
        if self._inbox:
            if len(self._inbox) > _MAX_AGAIN:
                return None
            data = bytes(self._inbox) + data
        try:
            commands = list(probe._feed(data))
        except ProtocolError:
            return None
        self._last = probe._last  # which says nothing about what is read next
        return commands, bytes(probe._inbox)

    def skip(self, rest: bytes) -> None:
        """What ``ahead`` found is taken, and *rest* is left of it."""
        self._inbox[:] = rest
        self._need = 1
        self._begin()

    def _begin(self) -> None:
        self._count = -1  # of arguments; -1: not known yet
        self._at = 0  # where the next one begins, from the command's first byte
        self._arguments: list[bytes] = []

    def _next(self, data: bytes | bytearray, begin: int) -> tuple[Command | None, int]:
        """The command at *begin*, and where it ends; -1 while it is not whole."""
        if data[begin] != _ARRAY:
            return self._line(data, begin)
        if self._count < 0:
            end = _line_end(data, begin, _DIGITS)
            if end < 0:
                self._need = len(data) - begin + 1
                return None, -1
            count = number(bytes(data[begin + 1 : end]))
            if not -1 <= count <= MAX_ARGUMENTS:
                raise ProtocolError(f"a command of {count} arguments")
            self._count, self._at = max(0, count), end + 2 - begin
        if not self._take(data, begin):
            return None, -1
        at = begin + self._at
        arguments = tuple(self._arguments)
        self._begin()
        if not arguments:
            return None, at
        command = Command(bytes(data[begin:at]), arguments)
        self._last = command if at - begin <= _LONGEST_LAST else None
        return command, at

    def _take(self, data: bytes | bytearray, begin: int) -> bool:
        """Take the arguments that are there; False when more must come."""
        at, arguments = begin + self._at, self._arguments
        while len(arguments) < self._count:
            # Short ones first: what follows is met for every argument of every command.
            known = SIZES.get(bytes(data[at : at + 4])) or SIZES.get(bytes(data[at : at + 5]))
            start, size = (at + known[0], known[1]) if known else _argument(data, at, begin)
            stop = start + size
            self._at = at - begin
            if start < 0 or stop + 2 > len(data):
                self._need = max(stop + 2, len(data) + 1) - begin
                return False
            if data[stop : stop + 2] != CRLF:
                raise ProtocolError("an argument has another size than it says")
            arguments.append(bytes(data[stop - size : stop]))
            at = stop + 2
            if at - begin > MAX_COMMAND:
                raise ProtocolError(f"a command of more than {MAX_COMMAND} bytes")
        self._at = at - begin
        return True

    def _line(self, data: bytes | bytearray, begin: int) -> tuple[Command | None, int]:
        found = _inline(bytes(data), begin)
        if isinstance(found, int):
            self._need = found - begin
            return None, -1
        return found


def repeats(data: bytes, at: int, unit: bytes, most: int) -> int:
    """How often *unit* stands end to end in *data*, from *at* on; at most *most* times."""
    count = 0
    while True:
        several = min((len(data) - at) // len(unit), _COMPARED // len(unit), most - count)
        if several < 2 or not data.startswith(unit * several, at):
            break
        count += several
        at += several * len(unit)
    while count < most and data.startswith(unit, at):
        count += 1
        at += len(unit)
    return count


def _argument(data: bytes | bytearray, at: int, begin: int) -> tuple[int, int]:
    """Where the bulk string at *at* has its bytes, and how many; -1 while that is not known."""
    if at >= len(data):
        return -1, 0
    if data[at] != _BULK:
        raise ProtocolError(f"an argument that begins with {bytes(data[at : at + 1])!r} instead of '$'")
    end = _line_end(data, at, _DIGITS)
    if end < 0:
        return -1, 0
    size = number(bytes(data[at + 1 : end]))
    if size < 0 or end + 2 + size - begin > MAX_COMMAND:
        raise ProtocolError(f"an argument of {size} bytes, where a command may have {MAX_COMMAND}")
    return end + 2, size


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


def _line_end(data: bytes | bytearray, at: int, most: int) -> int:
    """Where the CR of the line at *at* stands; -1 while it is not there."""
    end = data.find(CRLF, at, at + most + 3)
    if end < 0 and len(data) - at > most + 2:
        raise ProtocolError("a length without an end")
    return end


def number(text: bytes) -> int:
    """The length that *text* writes; ProtocolError for what is none, or is written in more than one way."""
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(text) > _DIGITS or (len(digits) > 1 and digits[0] == 0x30):
        raise ProtocolError(f"{text[:24]!r} is no length")
    return int(text)
