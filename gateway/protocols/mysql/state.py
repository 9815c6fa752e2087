"""What a session knows between two commands, and what the server is at.

Both directions read and write it: ``client`` reads commands, ``server`` reads replies, ``repetition`` knows
a command again. None of them does anything but move this.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from gateway.classify.mysql import lexer
from gateway.model.decision import Denied
from gateway.model.identity import Route
from gateway.model.statement import NameContext, Statement
from gateway.protocols.mysql import capabilities, charsets
from gateway.protocols.mysql.commands import Kind
from gateway.protocols.mysql.context import Context
from gateway.protocols.mysql.packets import CommandReader
from gateway.protocols.mysql.prepared import Prepared, Statements, Types
from gateway.protocols.mysql.replies import Replies, Shape
from gateway.sansio.exchange import Facts, Request
from gateway.sansio.protocol import Ready

MOST_SHAPES: Final = 1_000  # kinds of statements of one session that are known as allowed before
MODE_CHANGED: Final = "sql_mode"
_STEERED: Final = ('"', "\\")  # what sql_mode gives another meaning: quotes, and escapes in them
_ASSUMED: Final = capabilities.OFFERED & ~capabilities.SHAPES | capabilities.DEPRECATE_EOF


@dataclass(slots=True)
class Running:
    """What the server is at; ``is_own`` is the gateway's question."""

    code: int
    shape: Shape
    sequence: int = 0
    request: Request | None = None
    statement: Statement | None = None  # of a PREPARE
    steers: bool = False
    defines: bool = False
    is_own: bool = False
    is_drained: bool = False  # the rest of its answer is not for the client
    instead: bytes = b""  # the client's answer, in its place
    passed: int = 0
    late: Denied | None = None

    @property
    def leaves_nothing(self) -> bool:
        """True when its whole answer is the client's, and nothing depends on it."""
        return not (
            self.steers
            or self.defines
            or self.is_own
            or self.is_drained
            or self.request is None
            or self.statement is not None
            or self.late is not None
        )


@dataclass(slots=True)
class Asked:
    """A request that is neither admitted nor refused yet."""

    request: Request
    kind: Kind
    code: int
    sequence: int
    raw: bytes  # what is sent if it is admitted
    prepared: Prepared | None = None  # what it runs
    types: Types | None = None  # that it brings
    is_obliged: bool = False  # more than a plain yes was said to it


@dataclass(slots=True)
class State:
    """One session; ``asked`` and ``running`` are never both set."""

    names: NameContext
    dialect: str
    version: str
    flags: int  # capabilities that client and server agreed on
    modes: frozenset[str]
    charset: str
    replies: Replies
    is_known: bool = True  # how statements are read
    is_stale: bool = True  # the catalogue
    commands: CommandReader = field(default_factory=CommandReader)
    statements: Statements = field(default_factory=Statements)
    shapes: dict[str, None] = field(default_factory=dict)  # fingerprints of what was allowed, oldest first
    asked: Asked | None = None
    running: Running | None = None

    @property
    def has_attributes(self) -> bool:
        """True when a COM_QUERY begins with query attributes."""
        return bool(self.flags & capabilities.QUERY_ATTRIBUTES)

    @property
    def is_settled(self) -> bool:
        """True when nothing is unanswered, and how statements are read is known again."""
        return self.asked is None and self.running is None

    def begin(self, running: Running) -> None:
        """The server gets something to answer."""
        self.running = running
        self.replies.begin(running.shape)

    def statement(self, text: str) -> Statement:
        """*text* as the server reads it now."""
        return Statement(text, self.dialect, self.names, server_version=self.version, modes=self.modes)

    def unreadable(self, reason: str) -> Statement:
        """A command that nobody can read."""
        return Statement("", self.dialect, self.names, unreadable=reason, server_version=self.version)

    def unread(self, found: Prepared) -> str:
        """Why its text may mean another thing to the server by now; empty where it means the same.

        Once a table has changed the server reads it again, in the character set of that moment, and MySQL
        with the ``sql_mode`` of that moment, too.
        """
        statement = found.statement
        if not statement.text.isascii() and not (self.is_known and found.charset == self.charset):
            return charsets.UNREADABLE
        if statement.modes is self.modes and self.is_known:
            return ""
        return "" if self._reads_alike(statement) else MODE_CHANGED

    def _reads_alike(self, statement: Statement) -> bool:
        """True where the settings of now lead to what was judged."""
        if not any(mark in statement.text for mark in _STEERED):
            return True
        then, now = (
            lexer.reading(self.dialect, self.version, modes) for modes in (statement.modes, self.modes)
        )
        return self.is_known and then == now

    def learn(self, found: Context | None) -> None:
        """What the server says of how it reads statements; None where it did not say."""
        self.is_known = found is not None
        path = None if found is None else found.path
        if found is not None:
            self.modes, self.charset = found.modes, found.charset
        if path != self.names.search_path:
            self.names = replace(self.names, search_path=path)

    def remember(self, asked: Asked, facts: Facts) -> None:
        """A request got a plain yes and changes nothing that later ones depend on."""
        if asked.prepared is not None:
            asked.prepared.repeated = (asked.request.statements[0], facts)
        for item in facts:
            if item.fingerprint not in self.shapes:
                if len(self.shapes) >= MOST_SHAPES:
                    del self.shapes[next(iter(self.shapes))]
                self.shapes[item.fingerprint] = None

    def forget(self, asked: Asked, facts: Facts) -> None:
        """A request got another answer: its like is not asked about in haste, which would be in vain."""
        if asked.prepared is not None:
            asked.prepared.repeated = None
        for item in facts:
            self.shapes.pop(item.fingerprint, None)


def begin(ready: Ready, route: Route) -> State:
    """A session that has been logged in."""
    extra = ready.extra
    flags = int(extra.get("capabilities", _ASSUMED))
    return State(
        NameContext(route.db_name, route.db_user, search_path=ready.search_path),
        extra.get("dialect", "mysql"),
        ready.server_version,
        flags,
        frozenset(extra.get("modes", "").split(",")) - {""},
        extra.get("charset", "utf8mb4"),
        Replies(deprecate_eof=bool(flags & capabilities.DEPRECATE_EOF)),
    )
