"""Finds the end of a server's reply: packets are walked by their headers, rows are never opened.

A reply is one packet, or the parts of one or more results: a count, that many columns, rows, and an end that
says whether another result follows. With ``DEPRECATE_EOF`` the packet between columns and rows is not there,
and the last one has the form of an OK.
"""

from enum import Enum, auto
from struct import Struct
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.mysql import capabilities
from gateway.protocols.mysql.packets import EOF, ERR, FULL, HEADER, LOCAL_INFILE, OK, Fields

_MAX_OPENED: Final = 1 << 20  # bytes of a packet that is read here: none of them holds a row
_OLD_EOF: Final = 9  # bytes that an EOF is shorter than; a row may begin with the same byte
_HEAD: Final = Struct("<I").unpack_from  # a packet's length, and in the last byte its number
_SHORT_EOF: Final = 5  # mark, warnings, status
_SMALL: Final = 0xFB  # an integer below it takes one byte


class Shape(Enum):
    """What a command is answered with."""

    SIMPLE = auto()  # OK, EOF or ERR
    TEXT = auto()  # one packet of words, or ERR
    RESULT = auto()  # OK, ERR, or results
    PREPARED = auto()  # ERR, or a number and the definitions of parameters and columns
    ROWS = auto()  # rows, or definitions, up to their end


class _Phase(Enum):
    FIRST = auto()
    COLUMNS = auto()
    BEFORE_ROWS = auto()
    ROWS = auto()


_WALKED: Final = frozenset({_Phase.COLUMNS, _Phase.ROWS})


class Replies:
    """One reply after the other. What it learnt of the last one stands in the attributes until ``begin``."""

    __slots__ = (
        "_continues",
        "_count",
        "_deprecate_eof",
        "_left",
        "_limit",
        "_phase",
        "_shape",
        "affected",
        "error",
        "infile",
        "is_over",
        "last",
        "parameters",
        "rows",
        "sequence",
        "statement",
        "status",
    )

    def __init__(self, *, deprecate_eof: bool) -> None:
        self._deprecate_eof = deprecate_eof
        self._limit = FULL if deprecate_eof else _OLD_EOF
        self._left = 0  # bytes of the packet that is passing
        self._continues = False
        self._count = 0
        self._shape = Shape.SIMPLE
        self._phase = _Phase.FIRST
        self.is_over = True
        self.rows: int | None = None  # that were passed, or counted as affected
        self.affected = 0
        self.error = b""  # the payload of an ERR
        self.infile = False
        self.status = 0
        self.statement = 0  # the number of a prepared statement
        self.parameters = 0
        self.sequence = 0  # of the last packet that began
        self.last = 0  # where the last opened packet began, in the bytes of the last ``feed``

    def begin(self, shape: Shape) -> None:
        """The reply to a new command comes next."""
        self._shape = shape
        self._phase = _Phase.ROWS if shape is Shape.ROWS else _Phase.FIRST
        self._left = self._count = self.affected = self.status = self.statement = self.parameters = 0
        self._continues = self.is_over = self.infile = False
        self.rows = 0 if shape is Shape.ROWS else None
        self.error = b""

    def feed(self, data: bytes) -> int:
        """How many bytes of *data* belong to this reply and can pass now.

        The rest is the next reply's if ``is_over``; otherwise it is the beginning of a packet that must be
        whole before it passes, and comes again with more behind it.
        """
        at, end = 0, len(data)
        while not self.is_over:
            if self._left:
                at = self._pass(at, end)
                if self._left:
                    break
                continue
            if not self._continues and self._phase in _WALKED:
                at = self._walk(data, at, end)
                if self.is_over:
                    break
            # The byte behind the header says what a packet is; only a continuation can be empty.
            if end - at < HEADER + (not self._continues):
                break
            size = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            self.sequence = data[at + 3]
            if self._continues or self._is_passed_unread(data[at + HEADER], size):
                self._left = size + HEADER
                self._continues = size == FULL
                continue
            stop = at + HEADER + size
            if not 0 < size <= _MAX_OPENED:
                raise ProtocolError(f"the database server sent a packet of {size} bytes where none is due")
            if stop > end:
                break
            self.last = at
            self._open(data[at + HEADER : stop])
            at = stop
        return at

    def _walk(self, data: bytes, at: int, end: int) -> int:
        """Go over the packets that are whole in *data* and pass unread: where the next one begins.

        What ``feed`` does with them one by one, and nothing else: this is where a result's time goes.
        """
        last = end - HEADER  # what begins here or behind has no byte that says what it is
        limit, start, count = self._limit, at, 0
        is_rows = self._phase is _Phase.ROWS
        most = last if is_rows else self._count
        while at < last and count < most:
            size = _HEAD(data, at)[0] & FULL
            stop = at + HEADER + size
            if stop > end or size == FULL or not size:
                break
            if is_rows:
                first = data[at + HEADER]
                if first == ERR or (first == EOF and size < limit):
                    break
            start, at = at, stop
            count += 1
        if count:
            self.sequence = data[start + HEADER - 1]
            if is_rows:
                self.rows = (self.rows or 0) + count
            else:
                self._count -= count - 1
                self._passed()
        return at

    def _pass(self, at: int, end: int) -> int:
        """Where in the data the packet that is passing ends, or the data."""
        take = min(self._left, end - at)
        self._left -= take
        if not self._left and not self._continues and self._phase is _Phase.COLUMNS:
            self._passed()
        return at + take

    def _is_passed_unread(self, first: int, size: int) -> bool:
        if self._phase is not _Phase.ROWS:
            return self._phase is _Phase.COLUMNS
        if first == ERR or (first == EOF and size < self._limit):
            return False
        self.rows = (self.rows or 0) + 1
        return True

    def _passed(self) -> None:
        """A column's definition is through."""
        self._count -= 1
        if self._count:
            return
        if self._shape is Shape.PREPARED:
            self.is_over = True
        else:
            self._phase = _Phase.ROWS if self._deprecate_eof else _Phase.BEFORE_ROWS
            self.rows = self.rows or 0

    def _open(self, payload: bytes) -> None:
        kind = payload[0]
        if kind == ERR:
            self.error = payload
            self.is_over = True
        elif self._phase is _Phase.ROWS:
            self._end_of_result(payload)
        elif self._phase is _Phase.BEFORE_ROWS:
            self._before_rows(payload)
        elif self._shape is Shape.PREPARED:
            self._prepared(payload)
        elif self._shape is Shape.TEXT:
            self.is_over = True
        elif kind == OK or (kind == EOF and self._shape is Shape.SIMPLE):
            self._end_of_result(payload)
        elif self._shape is Shape.SIMPLE:
            raise ProtocolError(f"the database server answers with {kind:#04x}")
        elif kind == LOCAL_INFILE:
            self.infile = self.is_over = True
        else:
            self._columns(payload)

    def _columns(self, payload: bytes) -> None:
        self._phase = _Phase.COLUMNS
        if len(payload) == 1 and 0 < payload[0] < _SMALL:
            self._count = payload[0]
            return
        fields = Fields(payload)
        self._count = fields.lenenc()
        if fields.left() or not self._count:
            raise ProtocolError("the database server's result begins with what is no number of columns")

    def _before_rows(self, payload: bytes) -> None:
        if payload[0] != EOF or len(payload) >= _OLD_EOF:
            raise ProtocolError("the database server's columns do not end")
        self._note_status(payload)
        # The rows stay at the server, to be fetched.
        if self.status & capabilities.STATUS_CURSOR_EXISTS:
            self.is_over = True
        else:
            self._phase = _Phase.ROWS

    def _prepared(self, payload: bytes) -> None:
        fields = Fields(payload)
        if fields.number(1) != OK:
            raise ProtocolError("the database server answers a PREPARE with something else")
        self.statement = fields.number(4)
        columns, self.parameters = fields.number(2), fields.number(2)
        ends = 0 if self._deprecate_eof else bool(columns) + bool(self.parameters)
        self._count = columns + self.parameters + ends
        self._phase = _Phase.COLUMNS
        self.is_over = not self._count

    def _end_of_result(self, payload: bytes) -> None:
        self._note_status(payload)
        if self.status & capabilities.STATUS_MORE_RESULTS and self._shape is Shape.RESULT:
            self._phase = _Phase.FIRST
        else:
            self.is_over = True

    def _note_status(self, payload: bytes) -> None:
        if payload[0] == EOF and len(payload) > _SHORT_EOF and payload[1] < _SMALL and payload[2] < _SMALL:
            self.status = payload[3] | payload[4] << 8  # as nearly every result ends
            return
        fields = Fields(payload)
        if fields.number(1) == EOF and len(payload) == _SHORT_EOF:
            fields.raw(2)
        else:
            affected = fields.lenenc()
            fields.lenenc()
            if payload[0] == OK:
                self.affected += affected
                self.rows = (self.rows or 0) + affected
        self.status = fields.number(2)
