"""A server's answers, walked by their lengths as they arrive; documents in them are skipped, not opened.

``Scan`` reads an answer in whatever pieces it comes. ``whole`` reads one that came in one piece, as most do,
in a fraction of the time, and finds the same; what is strange about an answer it leaves to ``Scan``.
"""

import struct
from collections.abc import Callable, Generator, Iterator, Mapping
from math import isfinite
from typing import Final, TypeAlias

from gateway.errors import ProtocolError
from gateway.protocols.mongodb import documents as bson

_I32: Final = struct.Struct("<i")
_MAX_NAME: Final = 64 << 10
_MAX_TEXT: Final = 4096  # bytes of a text that is kept
_KEPT: Final = frozenset({"ok", "code", "codeName", "n", "nModified", "nErrors"})
_LISTS: Final = frozenset({"firstBatch", "nextBatch"})

_KEPT_BYTES: Final = frozenset(name.encode() for name in _KEPT)
_LISTS_BYTES: Final = frozenset(name.encode() for name in _LISTS)
_ERRORS: Final = frozenset({b"writeErrors", b"writeConcernError"})
_NUMBERS: Final = {
    bson.DOUBLE: struct.Struct("<d"), bson.INT32: struct.Struct("<i"),
    bson.INT64: struct.Struct("<q"), bson.BOOLEAN: struct.Struct("<?"),
}  # fmt: skip

_Need: TypeAlias = Generator[None, None, None]
_Element: TypeAlias = Callable[[int, str], _Need]


class Found:
    """What an answer says beside its documents."""

    __slots__ = ("cursor_id", "documents", "found", "namespace")

    def __init__(self) -> None:
        self.found: dict[str, float | str] = {}
        self.cursor_id = 0
        self.namespace = ""
        self.documents: int | None = None  # in a batch, or in a list of values

    @property
    def error(self) -> str:
        """What went wrong in the server's word; empty when nothing did."""
        if not self.found.get("ok"):
            return str(self.found.get("codeName") or self.found.get("code") or "error")[:100]
        if "writeErrors" in self.found:
            return "WriteError"
        return "WriteConcernError" if "writeConcernError" in self.found else ""

    @property
    def rows(self) -> int | None:
        """How many documents came, or were written."""
        if self.documents is not None:
            return self.documents
        written = self.found.get("n")
        return int(written) if isinstance(written, int | float) and isfinite(written) else None


def _number(found: Mapping[str, float | str]) -> int:
    """The number of a cursor; ProtocolError where it is none."""
    number = found.get("id", 0)
    if isinstance(number, str) or not isfinite(number):
        raise ProtocolError("the database server's cursor has no number")
    return int(number)


class Scan(Found):
    """One answer's sections: feed all its bytes, then read what was found."""

    __slots__ = ("_at", "_held", "_run", "is_over")

    def __init__(self) -> None:
        super().__init__()
        self.is_over = False
        self._held = b""
        self._at = 0
        self._run = self._walk()
        next(self._run)

    def feed(self, data: bytes) -> None:
        """The next bytes of the answer; ProtocolError when they go on behind its end."""
        if self.is_over:
            if data:
                raise ProtocolError("the database server's answer goes on behind its end")
            return
        self._held = self._held[self._at :] + data
        self._at = 0
        try:
            next(self._run)
        except StopIteration:
            self.is_over = True
            if self._at != len(self._held):
                raise ProtocolError("the database server's answer goes on behind its end") from None
            self._held, self._at = b"", 0

    # -- the walk

    def _walk(self) -> _Need:
        yield
        kind = yield from self._byte()
        if kind != 0:
            raise ProtocolError(f"the database server answered with a section of kind {kind}")
        yield from self._document(self._top)

    def _document(self, element: _Element) -> _Need:
        """Each element of the document that begins here."""
        yield from self._need(4)
        size = _I32.unpack_from(self._held, self._at)[0]
        if size < bson.LEAST:
            raise ProtocolError(f"the database server sent a document of {size} bytes")
        self._at += 4
        while kind := (yield from self._byte()):
            name = yield from self._name()
            yield from element(kind, name)

    def _top(self, kind: int, name: str) -> _Need:
        if name == "cursor" and kind == bson.DOCUMENT:
            yield from self._document(self._in_cursor)
        elif name == "values" and kind == bson.ARRAY:
            yield from self._count()
        elif name in {"writeErrors", "writeConcernError"}:
            self.found[name] = 1
            yield from self._skip(kind)
        elif name in _KEPT:
            yield from self._keep(kind, name)
        else:
            yield from self._skip(kind)

    def _in_cursor(self, kind: int, name: str) -> _Need:
        if name in _LISTS and kind == bson.ARRAY:
            yield from self._count()
        elif name == "id":
            yield from self._keep(kind, name)
            self.cursor_id = _number(self.found)
        elif name == "ns":
            yield from self._keep(kind, name)
            self.namespace = str(self.found.get("ns", ""))
        else:
            yield from self._skip(kind)

    def _count(self) -> _Need:
        """How many elements a list has."""
        yield from self._need(4)
        self._at += 4
        self.documents = self.documents or 0
        while kind := (yield from self._byte()):
            yield from self._name()
            yield from self._skip(kind)
            self.documents += 1

    def _keep(self, kind: int, name: str) -> _Need:
        form = _NUMBERS.get(kind)
        if form is not None:
            yield from self._need(form.size)
            self.found[name] = form.unpack_from(self._held, self._at)[0]
            self._at += form.size
        elif kind == bson.TEXT:
            yield from self._need(4)
            size = _I32.unpack_from(self._held, self._at)[0]
            if not 1 <= size <= _MAX_TEXT:
                yield from self._skip(kind)
                return
            yield from self._need(4 + size)
            self.found[name] = self._held[self._at + 4 : self._at + 3 + size].decode("utf-8", "replace")
            self._at += 4 + size
        else:
            yield from self._skip(kind)

    # -- steps; each waits for more where there is not enough

    def _need(self, size: int) -> _Need:
        while len(self._held) - self._at < size:
            yield

    def _byte(self) -> Generator[None, None, int]:
        if self._at >= len(self._held):
            yield from self._need(1)
        self._at += 1
        return self._held[self._at - 1]

    def _name(self) -> Generator[None, None, str]:
        while (stop := self._held.find(b"\0", self._at)) < 0:
            if len(self._held) - self._at > _MAX_NAME:
                raise ProtocolError("the database server sent a name without an end")
            yield
        name = self._held[self._at : stop]
        self._at = stop + 1
        return name.decode("utf-8", "replace")

    def _skip(self, kind: int) -> _Need:
        if kind == 0x0B:
            yield from self._name()
            yield from self._name()
            return
        if not bson.is_fixed(kind):
            yield from self._need(4)
        left = bson.length(self._held[self._at : self._at + 4], kind, 0)
        while left > len(self._held) - self._at:
            left -= len(self._held) - self._at
            self._at = len(self._held)
            yield
        self._at += left


def whole(answer: bytes, at: int) -> Found | None:
    """What ``Scan`` would find in *answer*, whose sections begin at *at*; None where it had better look."""
    if len(answer) < at + 6 or answer[at]:
        return None
    found = Found()
    try:
        end = _end(answer, at + 1, len(answer))
        if end != len(answer):
            return None
        for kind, name, value, after in _elements(answer, at + 5, end - 1):
            if name == b"cursor" and kind == bson.DOCUMENT:
                if not _cursor(found, answer, value, after):
                    return None
            elif name == b"values" and kind == bson.ARRAY:
                _count_in(found, answer, value, after)
            elif name in _ERRORS:
                found.found[name.decode()] = 1
            elif name in _KEPT_BYTES:
                _keep_in(found, answer, kind, name, value, after)
    except (ProtocolError, ValueError, struct.error, IndexError):
        return None
    return found


def _end(answer: bytes, at: int, limit: int) -> int:
    """Where the document at *at* ends; ValueError unless that is a NUL in front of *limit*."""
    end: int = at + _I32.unpack_from(answer, at)[0]
    if not at + bson.LEAST <= end <= limit or answer[end - 1]:
        raise ValueError
    return end


def _elements(answer: bytes, at: int, end: int) -> Iterator[tuple[int, bytes, int, int]]:
    """Type, name, and where the value begins and ends; ValueError unless they fill the space up to *end*."""
    while at < end:
        kind = answer[at]
        stop = answer.index(0, at + 1, end)
        value = stop + 1
        after = value + bson.length(answer, kind, value)
        if after > end:
            raise ValueError
        yield kind, answer[at + 1 : stop], value, after
        at = after


def _cursor(found: Found, answer: bytes, at: int, after: int) -> bool:
    if _end(answer, at, after) != after:
        return False
    for kind, name, value, stop in _elements(answer, at + 4, after - 1):
        if name in _LISTS_BYTES and kind == bson.ARRAY:
            _count_in(found, answer, value, stop)
        elif name == b"id":
            _keep_in(found, answer, kind, name, value, stop)
            found.cursor_id = _number(found.found)
        elif name == b"ns":
            _keep_in(found, answer, kind, name, value, stop)
            found.namespace = str(found.found.get("ns", ""))
    return True


def _count_in(found: Found, answer: bytes, at: int, after: int) -> None:
    """How many elements a list has: one look at the length of each."""
    end = _end(answer, at, after) - 1
    if end != after - 1:
        raise ValueError
    at, many, find, size_at = at + 4, found.documents or 0, answer.index, _I32.unpack_from
    while at < end:
        kind, value = answer[at], find(0, at + 1, end) + 1
        if kind == bson.DOCUMENT:
            size: int = size_at(answer, value)[0]
            if size < bson.LEAST:
                raise ValueError
            at = value + size
        else:
            at = value + bson.length(answer, kind, value)
        many += 1
    if at != end:
        raise ValueError
    found.documents = many


def _keep_in(found: Found, answer: bytes, kind: int, name: bytes, value: int, after: int) -> None:
    form = _NUMBERS.get(kind)
    if form is not None:
        found.found[name.decode()] = form.unpack_from(answer, value)[0]
    elif kind == bson.TEXT and after - value - 4 <= _MAX_TEXT:
        found.found[name.decode()] = answer[value + 4 : after - 1].decode("utf-8", "replace")
