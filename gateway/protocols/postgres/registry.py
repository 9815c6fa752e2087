"""What the names of prepared statements and portals stand for, as far as a session knows.

The tables run ahead of the server: a Parse counts from the moment it was read, so that a Bind behind it in
the same pipeline finds it. When the server refuses or skips it, the entry goes and what it covered comes
back. A name that is not known gives a statement that nobody can read, never a guess.
"""

from dataclasses import dataclass, field
from typing import Final

from gateway.classify.postgres.types import LOOKED_UP
from gateway.model.statement import Catalog, NameContext, Statement
from gateway.protocols.postgres.cursors import Cursor, Cursors, may_read
from gateway.protocols.postgres.messages import MAX_NAME, decode
from gateway.sansio.exchange import Facts, Request

MAX_STATEMENTS: Final = 1_000
MAX_STATEMENT_BYTES: Final = 4 << 20  # all kept texts of a session together
MAX_PORTALS: Final = 100

FIRST_OWN_TYPE: Final = 16_384  # FirstNormalObjectId: below it are the types that every server has

_MAX_CONTEXTS: Final = 16

UNKNOWN_STATEMENT: Final = "unknown_prepared_statement"
UNKNOWN_PORTAL: Final = "unknown_portal"
NOT_UTF8: Final = "invalid_encoding"


@dataclass(slots=True, eq=False)
class Prepared:
    """One Parse or Close of a name; ``text`` is None when the name stands for nothing."""

    name: bytes
    text: bytes | None
    types: tuple[int, ...]
    segment: int
    is_confirmed: bool = False
    has_failed: bool = False
    previous: "Prepared | None" = None
    statement: Statement | None = None
    bind_types: tuple[str, ...] = ()
    shown: str = ""  # its name, as records have it
    bound: "tuple[Statement, Facts] | None" = None  # admitted last as a Bind that steers nothing
    repeated: "tuple[Statement, Facts] | None" = None  # and as the Execute behind it
    sent: bytes | None = None  # the text that the server has in the place of ``text``
    masked: frozenset[tuple[int, int]] = frozenset()  # columns that no result of it may have
    may_read: bool = False  # a cursor: what it means changes with what is declared


@dataclass(slots=True, eq=False)
class Portal:
    """One Bind: the statement it holds, and the request whose record stands for its first Execute."""

    name: bytes
    prepared: Prepared
    request: Request
    segment: int
    is_admitted: bool = False
    is_confirmed: bool = False
    is_started: bool = False
    is_reported: bool = False
    passed: int = 0  # rows that the client got of it where they are counted


@dataclass(slots=True)
class Registry:
    """The two tables, and the context that makes a text a ``Statement``."""

    names: NameContext
    server_version: str
    prepared: dict[bytes, Prepared] = field(default_factory=dict)
    portals: dict[bytes, Portal] = field(default_factory=dict)
    orphans: list[Portal] = field(default_factory=list)
    cursors: Cursors = field(default_factory=Cursors)
    _bytes: int = 0
    _contexts: dict[tuple[tuple[str, ...] | None, bool], NameContext] = field(default_factory=dict)
    _unknown: dict[str, Statement] = field(default_factory=dict)

    def set_names(self, path: tuple[str, ...] | None, catalog: Catalog | None, *, temporary: bool) -> None:
        """Another context; one that stood before comes back as the same object, for others remember by it."""
        if catalog is not self.names.catalog:
            self._contexts.clear()
        known = self._contexts.get((path, temporary))
        if known is None:
            if len(self._contexts) >= _MAX_CONTEXTS:
                self._contexts.clear()
            known = NameContext(self.names.db_name, self.names.db_user, path, catalog, temporary)
            self._contexts[path, temporary] = known
        self.names = known

    # -- statements

    def statement(self, text: bytes, types: tuple[int, ...] = ()) -> Statement:
        """*text* in the context of this moment; *types* are its parameters', as the client fixed them."""
        readable = decode(text)
        if readable is None:
            return self.unreadable(NOT_UTF8)
        own = tuple(sorted({number for number in types if number >= FIRST_OWN_TYPE or number in LOOKED_UP}))
        cursor = self._read_by(readable, own)
        return Statement(
            readable, "postgres", self.names, server_version=self.server_version, parameters=own,
            cursor=None if cursor is None else cursor.facts,
        )  # fmt: skip

    def unreadable(self, reason: str) -> Statement:
        """A statement nobody can read; the same object while the context is the same."""
        known = self._unknown.get(reason)
        if known is None or known.names is not self.names:
            known = Statement(
                "", "postgres", self.names, unreadable=reason, server_version=self.server_version
            )
            self._unknown[reason] = known
        return known

    def statement_of(self, prepared: Prepared | None) -> Statement:
        """What *prepared* means now; the same object while the context is the same."""
        if prepared is None or prepared.text is None:
            return self.unreadable(UNKNOWN_STATEMENT)
        known = prepared.statement
        if (
            known is None
            or known.names is not self.names
            or (prepared.may_read and not self._still_reads(known))
        ):
            known = prepared.statement = self.statement(prepared.text, prepared.types)
        return known

    def _read_by(self, text: str, own: tuple[int, ...]) -> Cursor | None:
        """The cursor that *text* reads; with a value whose type runs code of its own that is any."""
        return self.cursors.read_by(text) if self.cursors and not own else None

    def _still_reads(self, statement: Statement) -> bool:
        cursor = self._read_by(statement.text, statement.parameters)
        return statement.cursor is (None if cursor is None else cursor.facts)

    def parse(self, name: bytes, text: bytes | None, types: tuple[int, ...], segment: int) -> Prepared:
        """A Parse was read (or, without a text, a Close)."""
        key = name[:MAX_NAME]
        made = Prepared(key, text, types, segment, previous=self.prepared.pop(key, None))
        if text is None and made.previous is None:
            return made
        made.may_read = may_read(text)
        self.prepared[key] = made
        self._bytes += len(text or b"")
        if len(self.prepared) > MAX_STATEMENTS or self._bytes > MAX_STATEMENT_BYTES:
            self._evict()
        return made

    def _evict(self) -> None:
        """Forget the oldest: its Bind is then one of an unknown statement."""
        self._bytes = sum(len(entry.text or b"") for entry in self.prepared.values())
        for key in list(self.prepared)[:-1]:
            if len(self.prepared) <= MAX_STATEMENTS and self._bytes <= MAX_STATEMENT_BYTES:
                return
            self._bytes -= len(self.prepared.pop(key).text or b"")

    def parse_done(self, entry: Prepared) -> None:
        """The server has parsed (or closed) it."""
        entry.is_confirmed = True
        entry.previous = None
        if entry.text is None and self.prepared.get(entry.name) is entry:
            del self.prepared[entry.name]

    def parse_undone(self, entry: Prepared, *, ran: bool) -> None:
        """The server refused it, or (not *ran*) skipped it."""
        entry.has_failed = True
        if self.prepared.get(entry.name) is not entry:
            return
        del self.prepared[entry.name]
        if ran and not entry.name:
            return  # a failed Parse of the unnamed statement has dropped the one before
        before = entry.previous
        while before is not None and before.has_failed:
            before = before.previous
        if before is not None and before.text is not None:
            self.prepared[entry.name] = before

    def forget_statements(self) -> None:
        """Something may have changed what names stand for: only what is not yet answered stays."""
        for entry in self.prepared.values():
            entry.previous = None
        self.prepared = {key: entry for key, entry in self.prepared.items() if not entry.is_confirmed}

    # -- portals

    def bind(self, portal: Portal) -> None:
        """A Bind was read; it takes the place of the portal of that name."""
        key = portal.name
        self.cursors.drop(key)
        before = self.portals.pop(key, None)
        if before is not None:
            self._orphan(before)
        self.portals[key] = portal
        if len(self.portals) > MAX_PORTALS:
            self._orphan(self.portals.pop(next(iter(self.portals))))

    def drop_portal(self, name: bytes) -> None:
        """A Close, or a Query for the unnamed one."""
        portal = self.portals.pop(name[:MAX_NAME], None)
        if portal is not None:
            self._orphan(portal)

    def bind_undone(self, portal: Portal) -> None:
        """The server refused or skipped it."""
        if self.portals.get(portal.name) is portal:
            del self.portals[portal.name]
        elif portal in self.orphans:
            self.orphans.remove(portal)

    def forget_portals(self, keep: Portal | None = None) -> None:
        """Something may have changed what portals stand for; *keep* is the one that just ran."""
        for portal in list(self.portals.values()):
            if portal is not keep and portal.is_confirmed:
                del self.portals[portal.name]
                self._orphan(portal)

    def _orphan(self, portal: Portal) -> None:
        if not portal.is_started:
            self.orphans.append(portal)

    def ended(self, *, transaction_over: bool) -> list[Portal]:
        """At ReadyForQuery: the admitted portals that will never run."""
        if transaction_over:
            for portal in tuple(self.portals.values()):
                if portal.is_confirmed:
                    del self.portals[portal.name]
                    if not portal.is_started:
                        self.orphans.append(portal)
        if not self.orphans:
            return []
        over = [portal for portal in self.orphans if portal.is_confirmed]
        self.orphans = [portal for portal in self.orphans if not portal.is_confirmed]
        return [portal for portal in over if portal.is_admitted and not portal.is_reported]
