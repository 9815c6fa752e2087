"""What is looked at in a result that a duty is on: where its columns come from, and how many rows it has.

Results without a duty never come here. The numbers of table and column in a description are the server's own
word for where a column comes from, so they confirm that a rewritten statement shows what it was meant to.
"""

import re
from typing import Final

from gateway.errors import ProtocolError
from gateway.protocols.postgres import errors, messages
from gateway.protocols.postgres.pipeline import Expected
from gateway.sansio.reader import Reader

_BEHIND_ORIGIN: Final = 4 + 2 + 4 + 2  # type, its size, its modifier, the format
_ROWS_SHOWN: Final = re.compile(rb"^((?:SELECT|FETCH) )\d+\0$")


def check_origins(body: bytes, masked: frozenset[tuple[int, int]]) -> None:
    """Raise ProtocolError if a RowDescription has a column that must not be seen as it is.

    Number 0 stands for a whole row, and so for every column of it.
    """
    tables = {table for table, _ in masked}
    reader = Reader(body)
    for _ in range(reader.u16()):
        reader.cstring()
        table, column = reader.u32(), reader.u16()
        reader.raw(_BEHIND_ORIGIN)
        if (table, column) in masked or (column == 0 and table in tables):
            raise ProtocolError("the database would show a masked column: the session ends here")
    reader.finish()


def may_pass(head: Expected) -> bool:
    """Count one row of a bounded result; False for one beyond the bound. A portal counts all that it gave."""
    assert head.bound is not None, "called for a bounded result"
    passed = head.passed if head.portal is None else head.portal.passed
    if passed >= head.bound:
        head.dropped += 1
        return False
    if head.portal is None:
        head.passed += 1
    else:
        head.portal.passed += 1
    head.counted += 1
    return True


def ended(head: Expected, message: bytes) -> bytes | None:
    """The end of a bounded result, with a notice where rows were left out; None where none were."""
    dropped, counted = head.dropped, head.counted
    head.passed = head.dropped = head.counted = 0
    if not dropped:
        return None
    notice = errors.notice(f"rows beyond the first {head.bound} were left out: max_rows")
    found = _ROWS_SHOWN.match(message[5:])
    if message[0] == messages.COMMAND_COMPLETE and found is not None:
        message = messages.frame(messages.COMMAND_COMPLETE, b"%b%d\0" % (found[1], counted))
    return notice + message
