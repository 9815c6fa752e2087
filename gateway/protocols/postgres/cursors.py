"""The cursors that a session declared in SQL, so that FETCH and MOVE are judged as the query they read.

A cursor counts from the moment when the server has answered its DECLARE. It is forgotten as soon as code that
nobody reads may have closed it and opened another under its name; then FETCH says what it reads no more, and
is one of a cursor that is not known. Such code is a function that a statement names, and one that hangs on a
relation (a default, a trigger, an index) where the database has functions that open cursors by name. An entry
that the end of a transaction outlived does no harm: another cursor of that name must be declared first, or
come from such code.

Names of more than 60 bytes, and with letters beyond ASCII, are not known: the server cuts them, or takes two
for one (its encoding and locale decide), where this module might not.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

from gateway.classify.doubt import DoubtError
from gateway.classify.postgres import reader
from gateway.classify.postgres.lexer import tokenize
from gateway.classify.tokens import NAMES
from gateway.model.classification import Class, Classification
from gateway.model.statement import Catalog, NameContext, Statement
from gateway.sansio.exchange import Facts

MAX_CURSORS: Final = 100
_LONGEST_NAME: Final = 60
_LONGEST_TEXT: Final = 1_000
_OF_ROWS: Final = frozenset((Class.READ, Class.WRITE))
_OF_THE_SERVER: Final = frozenset(("information_schema", "pg_catalog"))
_ENDS: Final = frozenset(("commit", "prepare_transaction"))
_CONSTRAINTS: Final = "constraints"  # SET CONSTRAINTS … IMMEDIATE runs what waited
_READS: Final = re.compile(rb"\s*(?:fetch|move)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Cursor:
    """One DECLARE: its facts, the statement as it was judged, and the text that the server has."""

    name: str
    facts: Classification
    declared: Statement
    sent: str


def made(statement: Statement, facts: Facts, sent: str) -> Cursor | None:
    """The cursor that *statement* declares; None where it does something else, or may run unread code."""
    if len(facts) != 1 or facts[0].operation != "declare" or not facts[0].complete or runs_code(facts[0]):
        return None
    for effect in facts[0].effects:
        if effect.operation == "declare" and effect.object is not None:
            name = effect.object.name
            is_plain = name.isascii() and len(name) <= _LONGEST_NAME
            return Cursor(name, facts[0], statement, sent) if is_plain else None
    return None


class Forgets:
    """What ran may have closed any cursor and opened another."""


FORGETS: Final = Forgets()


def after(statement: Statement, facts: Facts, sent: str, *, steers_portals: bool) -> Cursor | Forgets | None:
    """What becomes of the session's cursors once *statement* has run; None for nothing."""
    cursor = made(statement, facts, sent)
    if cursor is not None:
        return cursor
    if statement.cursor is not None and not runs_code(statement.cursor):
        return None
    is_opaque = any(not item.complete for item in facts)
    return FORGETS if steers_portals or is_opaque else None


def runs_code(item: Classification) -> bool:
    """Whether what *item* runs can do anything at all to this session's cursors."""
    return any(not named.builtin for named in (*item.functions, *item.operators, *item.casts))


def may_lose(names: NameContext) -> bool:
    """Whether there is code at all that may open a cursor by name."""
    return names.catalog is None or names.catalog.ties.opens_cursors


def may_run_unseen(facts: Facts, names: NameContext) -> bool:
    """Whether code that no text names, and that may open cursors, can run while these statements do."""
    if not may_lose(names):
        return False
    return names.catalog is None or any(_meets_code(item, names.catalog) for item in facts)


def _meets_code(item: Classification, catalog: Catalog) -> bool:
    if catalog.ties.runs_late and (
        item.operation in _ENDS or _CONSTRAINTS in {s.name for s in item.settings}
    ):
        return True
    for effect in item.effects:
        found = effect.object
        if found is None or found.kind == "cursor" or found.schema in _OF_THE_SERVER:
            continue
        key = (found.schema, found.name)
        if effect.cls not in _OF_ROWS or key not in catalog.relations:
            return True  # a definition, or something that was made just now
        if not catalog.ties.code.isdisjoint(_reached(key, catalog)):
            return True
    return False


def _reached(key: tuple[str, str], catalog: Catalog) -> set[tuple[str, str]]:
    """*key*, what it shows rows of, and what foreign keys let change along with them."""
    reached = set(catalog.family(key))
    ahead = list(reached)
    while ahead:
        target = ahead.pop()
        for tie in catalog.ties.foreign_keys:
            if tie.spreads and tie.target == target and tie.relation not in reached:
                more = catalog.family(tie.relation) - reached
                reached |= more
                ahead += more
    return reached


def may_read(text: bytes | None) -> bool:
    """Whether *text* begins as FETCH or MOVE does."""
    return text is not None and len(text) <= _LONGEST_TEXT and _READS.match(text) is not None


class Cursors:
    """Those of one session, by name."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Cursor] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    def declared(self, cursor: Cursor) -> None:
        """The server has it."""
        self._known.pop(cursor.name, None)
        self._known[cursor.name] = cursor
        if len(self._known) > MAX_CURSORS:
            del self._known[next(iter(self._known))]

    def forget(self) -> None:
        """Any of them may be another by now."""
        self._known.clear()

    def met(self, facts: Facts, names: NameContext) -> None:
        """Statements go to the server: what they set going, unseen, may open any of these cursors anew."""
        if may_run_unseen(facts, names):
            self._known.clear()

    def drop(self, name: bytes) -> None:
        """A portal of the protocol has that name now."""
        self._known.pop(name.decode("utf-8", "replace"), None)

    def named(self, name: bytes) -> Cursor | None:
        """The cursor of that name."""
        return self._known.get(name.decode("utf-8", "replace"))

    def read_by(self, text: str) -> Cursor | None:
        """The cursor that *text*, a single FETCH or MOVE, reads."""
        if not self._known or not may_read(text.encode()):
            return None
        try:
            pieces = reader.split(tokenize(text))
        except DoubtError:
            return None
        if len(pieces) != 1 or pieces[0][-1].kind not in NAMES:
            return None
        return self._known.get(pieces[0][-1].value)


def as_read(facts: Facts, cursor: Classification) -> Facts:
    """The facts of a FETCH or MOVE that reads *cursor*: it does what that query does."""
    [item] = facts
    return (
        replace(
            cursor,
            operation=item.operation,
            text=item.text,
            redacted=item.redacted,
            fingerprint=item.fingerprint,
        ),
    )
