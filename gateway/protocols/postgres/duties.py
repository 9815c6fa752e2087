"""How a session does what its decisions oblige it to: texts rewritten, rows counted, results looked at.

A prepared statement is rewritten when it is parsed. When it is bound or runs, the same duty must lead to the
same text, or it is refused: what it conceals was decided for another moment.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from gateway.model.decision import Denied
from gateway.model.obligation import KINDS
from gateway.model.statement import NameContext, Phase, Statement
from gateway.protocols.postgres import messages
from gateway.protocols.postgres.concealment import RefusedError
from gateway.protocols.postgres.cursors import Cursor
from gateway.protocols.postgres.pipeline import Expected
from gateway.protocols.postgres.registry import Prepared
from gateway.protocols.postgres.rewriting import LONGEST, Rewritten, rewrite
from gateway.protocols.postgres.state import State
from gateway.sansio.exchange import (
    Duty,
    Facts,
    Obliged,
    Request,
    Unable,
)

CARRIED_OUT: Final = frozenset(KINDS)
_REMEMBERED: Final = 64
_HEADER: Final = 5
_FLUSHED: Final = frozenset({messages.FUNCTION_CALL, messages.QUERY, messages.SYNC})  # answered at once


class Duties:
    """The duties of one session; what was rewritten is remembered while what it rests on stays the same."""

    __slots__ = ("_known", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._known: OrderedDict[tuple[str, int, Duty], tuple[NameContext, Rewritten | Unable]] = (
            OrderedDict()
        )

    def oblige(self, request: Request, facts: Facts, duty: Duty) -> Obliged | Unable:
        """See ``gateway.sansio.conversation.Conversation.oblige``."""
        expected = next(each for each in self._state.pipeline.unjudged if each.request is request)
        statement = request.statements[0]
        cursor = None if statement.cursor is None else self._state.registry.cursors.read_by(statement.text)
        if cursor is not None:
            return self._of_cursor(expected, cursor, duty)
        found = self._rewritten(statement, facts, duty)
        if isinstance(found, Unable):
            return found
        if duty.obligations.masks or duty.conditions:
            self._state.hides_details = True
        expected.bound = duty.obligations.max_rows
        expected.masked = found.masked
        changed = found.text != statement.text
        if request.phase is Phase.QUERY:
            expected.instead = messages.query(found.text) if changed else b""
        elif request.phase is Phase.PREPARE:
            _prepare(expected, request, found, changed=changed)
        elif not _stands(None if expected.portal is None else expected.portal.prepared, statement, found):
            return Unable(
                "obligations_changed", "this was prepared when other things were concealed; prepare it again"
            )
        return Obliged((replace(statement, text=found.text),) if changed else ())

    def _of_cursor(self, expected: Expected, cursor: Cursor, duty: Duty) -> Obliged | Unable:
        """A FETCH or MOVE: the duty was done when its cursor was declared, or it cannot be done any more."""
        found = self._rewritten(cursor.declared, (cursor.facts,), duty)
        if isinstance(found, Unable):
            return found
        if found.text != cursor.sent:
            return Unable(
                "obligations_changed",
                "this cursor was declared when other things were concealed; declare it again",
            )
        if duty.obligations.masks or duty.conditions:
            self._state.hides_details = True
        expected.bound = duty.obligations.max_rows
        expected.masked = found.masked
        return Obliged(())

    def overdue(self, request: Request, denial: Denied) -> bool:
        """See ``gateway.sansio.conversation.Conversation.overdue``."""
        for expected in self._state.pipeline.queue:
            portal = expected.portal
            if expected.request is request or (portal is not None and portal.request is request):
                return self._late(denial)
            if expected.kind in _FLUSHED:
                return False
        return False

    def _late(self, denial: Denied) -> bool:
        """Whatever the server is at, up to the next Sync: it keeps its answers until then."""
        for expected in self._state.pipeline.queue:
            if expected.request is not None:  # the others are shared, and run nothing
                expected.late = denial
            if expected.kind in _FLUSHED:
                break
        return True

    def _rewritten(self, statement: Statement, facts: Facts, duty: Duty) -> Rewritten | Unable:
        key = (statement.text, id(statement.names), duty)
        known = self._known.get(key)
        if known is not None and known[0] is statement.names:
            self._known.move_to_end(key)
            return known[1]
        found: Rewritten | Unable
        try:
            found = rewrite(statement.text, facts, statement.names, duty)
        except RefusedError as error:
            found = Unable(error.code, error.message)
        if len(statement.text) > LONGEST:  # it is not rewritten, and would only be kept
            return found
        self._known[key] = statement.names, found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found


def _prepare(expected: Expected, request: Request, found: Rewritten, *, changed: bool) -> None:
    prepared = expected.prepared
    assert prepared is not None, "a Parse makes one"
    prepared.masked = found.masked
    if changed:
        prepared.sent = found.text.encode()
        expected.instead = messages.with_text(request.raw[_HEADER:], prepared.sent)


def _stands(prepared: Prepared | None, statement: Statement, found: Rewritten) -> bool:
    """True when the server has the very text that is called for now."""
    if prepared is None or prepared.text is None:
        return found.text == statement.text
    has = prepared.text if prepared.sent is None else prepared.sent
    return has == found.text.encode()
