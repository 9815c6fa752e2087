"""A server's answers, walked by their lengths as they arrive; documents in them are skipped, not opened."""

import struct
from collections.abc import Callable, Generator
from typing import Final, TypeAlias

from gateway.errors import ProtocolError
from gateway.protocols.mongodb import documents as bson

_I32: Final = struct.Struct("<i")
_MAX_NAME: Final = 64 << 10
_MAX_TEXT: Final = 4096  # bytes of a text that is kept
_KEPT: Final = frozenset({"ok", "code", "codeName", "n", "nModified", "nErrors"})
_LISTS: Final = frozenset({"firstBatch", "nextBatch"})

_Need: TypeAlias = Generator[None, None, None]
_Element: TypeAlias = Callable[[int, str], _Need]


class Scan:
    """One answer's sections: feed all its bytes, then read what was found."""

    __slots__ = (
        "_at",
        "_held",
        "_run",
        "cursor_id",
        "documents",
        "found",
        "has_cursor",
        "is_over",
        "namespace",
    )

    def __init__(self) -> None:
        self.found: dict[str, float | str] = {}
        self.has_cursor = False
        self.cursor_id = 0
        self.namespace = ""
        self.documents: int | None = None  # in a batch, or in a list of values
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
        return int(written) if isinstance(written, int | float) else None

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
            self.has_cursor = True
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
            self.cursor_id = int(self.found.get("id", 0))
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
        formats = {bson.DOUBLE: "<d", bson.INT32: "<i", bson.INT64: "<q", bson.BOOLEAN: "<?"}
        if kind in formats:
            form = struct.Struct(formats[kind])
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
