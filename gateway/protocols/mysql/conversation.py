"""The command phase: one command at a time, for the next may mean another thing once this one has run.

A refused command gets an ERR packet from the gateway and nothing goes to the server, as when the server
itself finds a privilege missing: a transaction stays open. The packet says 1142 and carries the policy's
reasons.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from gateway.errors import ProtocolError
from gateway.model.decision import Denied
from gateway.model.identity import Route
from gateway.model.statement import Catalog, NameContext, Phase, Statement
from gateway.protocols.mysql import attributes, capabilities, charsets, commands, context, errors
from gateway.protocols.mysql.commands import Fate, Kind
from gateway.protocols.mysql.packets import ERR, HEADER, Command, CommandReader, Fields, packet
from gateway.protocols.mysql.prepared import Prepared, Statements
from gateway.protocols.mysql.replies import Replies, Shape
from gateway.protocols.mysql.steering import defines, steers
from gateway.sansio.protocol import (
    Duty,
    Facts,
    Housekeeping,
    Obliged,
    Outcome,
    Ready,
    Refusal,
    Relay,
    Request,
    Settle,
    Startup,
    Unable,
)

_UNKNOWN_COMMAND: Final = packet(0, b"\x00")
_NO_STATEMENT: Final = packet(0, bytes((commands.EXECUTE,)) + bytes(9))
MOST_TRIES: Final = 3  # of the gateway's own question
_CANCELLED: Final = b"\xff\x25\x05"  # ERR 1317: query execution was interrupted


@dataclass(slots=True)
class _Running:
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


@dataclass(slots=True)
class _Asked:
    """A request that is neither admitted nor refused yet."""

    request: Request
    kind: Kind
    code: int
    sequence: int
    raw: bytes  # what is sent if it is admitted


class MysqlConversation:
    """One session's machine; see ``gateway.sansio.protocol.Conversation`` for the contract."""

    __slots__ = (
        "_asked",
        "_charset",
        "_commands",
        "_dialect",
        "_has_attributes",
        "_held",
        "_is_known",
        "_is_stale",
        "_modes",
        "_names",
        "_own",
        "_question",
        "_replies",
        "_running",
        "_statements",
        "_tries",
        "_version",
    )

    def __init__(self, ready: Ready, route: Route) -> None:
        extra = ready.extra
        flags = int(extra.get("capabilities", capabilities.OFFERED & ~capabilities.QUERY_ATTRIBUTES))
        self._names = NameContext(route.db_name, route.db_user, search_path=ready.search_path)
        self._dialect = extra.get("dialect", "mysql")
        self._version = ready.server_version
        self._modes: frozenset[str] = frozenset(extra.get("modes", "").split(",")) - {""}
        self._charset = extra.get("charset", "utf8mb4")
        self._is_known = True  # how statements are read
        self._is_stale = True  # the catalogue
        self._question = context.question(flags)
        self._has_attributes = bool(flags & capabilities.QUERY_ATTRIBUTES)
        self._commands = CommandReader()
        self._replies = Replies(deprecate_eof=bool(flags & capabilities.DEPRECATE_EOF))
        self._statements = Statements()
        self._asked: _Asked | None = None
        self._running: _Running | None = None
        self._held = b""
        self._own = b""
        self._tries = 0

    # -- the client's direction

    def from_client(self, data: bytes) -> Iterator[Request | Housekeeping | Settle]:
        """What the client's next bytes hold, lazily."""
        for command in self._commands.feed(data):
            if not self.is_settled():
                yield Settle()
            yield self._read(command)

    def _read(self, command: Command) -> Request | Housekeeping:
        code = command.payload[0]
        kind = commands.kind_of(code)
        if kind.fate is Fate.PASSED:
            return self._pass(command.raw, kind, code, command.sequence)
        if kind.fate is Fate.KEPT:
            return self._about_prepared(command, kind, code)
        if kind.fate is Fate.NEVER or code in {commands.REFRESH, commands.SET_OPTION}:
            return self._ask(command, kind, code, Phase.QUERY, self._unreadable(kind.name.lower()))
        phase = Phase.PREPARE if code == commands.PREPARE else Phase.QUERY
        return self._ask(command, kind, code, phase, self._statement(kind, command.payload))

    def _pass(self, raw: bytes, kind: Kind, code: int, sequence: int) -> Housekeeping:
        if kind.shape is not None:
            self._begin(_Running(code, kind.shape, sequence, steers=code == commands.RESET_CONNECTION))
        return Housekeeping(raw, ends=code == commands.QUIT)

    def _ask(
        self,
        command: Command,
        kind: Kind,
        code: int,
        phase: Phase,
        statement: Statement,
        *,
        bind_types: tuple[str, ...] = (),
        raw: bytes = b"",
    ) -> Request:
        name = "" if phase is not Phase.EXECUTE else str(Fields(raw or command.raw).raw(9)[5:9].hex())
        request = Request(command.raw, phase, (statement,), name=name, bind_types=bind_types)
        self._asked = _Asked(request, kind, code, command.sequence, raw or command.raw)
        return request

    def _statement(self, kind: Kind, payload: bytes) -> Statement:
        if kind.words is not None and payload[0] == commands.PROCESS_KILL:
            text: str | None = kind.words(payload[1:5].decode("latin-1"))
        else:
            data = payload[1:]
            if self._has_attributes and payload[0] == commands.QUERY:
                data = attributes.behind(payload)
            text = charsets.read(data, self._charset) if self._is_known else None
            if text is not None and kind.words is not None:
                text = kind.words(text.removesuffix("\0"))
        if text is None:
            return self._unreadable(charsets.UNREADABLE)
        return Statement(text, self._dialect, self._names, server_version=self._version, modes=self._modes)

    def _unreadable(self, reason: str) -> Statement:
        return Statement("", self._dialect, self._names, unreadable=reason, server_version=self._version)

    def _about_prepared(self, command: Command, kind: Kind, code: int) -> Request | Housekeeping:
        fields = Fields(command.payload)
        fields.raw(1)
        found = self._statements.find(fields.number(4))
        if found is None:
            return self._about_nothing(command, kind, code)
        found.statement = self._as_of_now(found.statement)
        statement = found.statement if self._is_still_read(found) else self._unreadable(charsets.UNREADABLE)
        number = found.number.to_bytes(4, "little")
        raw = command.raw[: HEADER + 1] + number + command.raw[HEADER + 5 :]
        if code == commands.EXECUTE:
            types = commands.bind_types(command.payload, found.parameters, attributes=self._has_attributes)
            if types is not None:
                found.bind_types = types
            return self._ask(
                command, kind, code, Phase.EXECUTE, statement, bind_types=found.bind_types, raw=raw
            )
        if code == commands.FETCH:
            return self._ask(command, kind, code, Phase.EXECUTE, statement, raw=raw)
        if code == commands.CLOSE:
            self._statements.close(found)
        return self._pass(raw, kind, code, command.sequence)

    def _is_still_read(self, found: Prepared) -> bool:
        """False where the server may read its text again (a table has changed) in another character set."""
        text = found.statement.text
        return text.isascii() or (self._is_known and found.charset == self._charset)

    def _as_of_now(self, statement: Statement) -> Statement:
        """A prepared statement keeps its database; what the database holds is that of now."""
        names = statement.names
        if names.catalog is self._names.catalog:
            return statement
        is_here = names.search_path == self._names.search_path
        fresh = self._names if is_here else replace(names, catalog=self._names.catalog)
        return replace(statement, names=fresh)

    def _about_nothing(self, command: Command, kind: Kind, code: int) -> Request | Housekeeping:
        """A number that stands for no statement: nothing is run, whatever the server thinks of it."""
        if kind.shape is None:
            return Housekeeping(b"")
        statement = self._unreadable("unknown_statement")
        return self._ask(command, kind, code, Phase.EXECUTE, statement, raw=_NO_STATEMENT)

    def must_settle(self, request: Request, facts: Facts) -> bool:
        """Each command is settled before the next one is read."""
        del request, facts
        return False

    def is_settled(self) -> bool:
        """True when nothing is unanswered, and how statements are read is known again."""
        return self._asked is None and self._running is None

    def admit(self, request: Request, facts: Facts) -> bytes:
        """The bytes to forward; a command that is never forwarded has its place taken."""
        asked, self._asked = self._asked, None
        assert asked is not None, "one request is judged at a time"
        running = _Running(asked.code, asked.kind.shape or Shape.SIMPLE, asked.sequence, request)
        raw = asked.raw
        if asked.kind.fate is Fate.NEVER:
            raw, running.shape = _UNKNOWN_COMMAND, Shape.SIMPLE
        elif request.phase is Phase.PREPARE:
            running.statement = request.statements[0]
        elif asked.code != commands.FETCH and raw is not _NO_STATEMENT:
            running.steers = not self._is_known or steers(request.statements[0].text, facts)
            running.defines = defines(facts)
        self._begin(running)
        return raw

    def refuse(self, request: Request, facts: Facts, denial: Denied) -> Refusal:
        """An error as the server's own where a privilege is missing."""
        del facts
        asked, self._asked = self._asked, None
        assert asked is not None, "one request is judged at a time"
        if request.phase is Phase.PREPARE:
            self._statements.failed()
        return Refusal(to_client=errors.refused(asked.sequence + 1, denial))

    def oblige(self, request: Request, facts: Facts, duty: Duty) -> Obliged | Unable:
        """Time limits and second persons are the engine's; nothing is carried out on results."""
        del request, facts, duty
        return Obliged()

    def overdue(self, request: Request, denial: Denied) -> bool:
        """True when *request* is what the server is at."""
        if self._running is None or self._running.request is not request:
            return False
        self._running.late = denial
        return True

    # -- the server's direction

    def _begin(self, running: _Running) -> None:
        self._running = running
        self._replies.begin(running.shape)

    def from_backend(self, data: bytes) -> Relay:
        """What the server's next bytes become."""
        if self._held:
            data, self._held = self._held + data, b""
        to_client: list[bytes] = []
        to_backend: list[bytes] = []
        outcomes: list[Outcome] = []
        while data:
            running = self._running
            if running is None:
                to_client.append(_unasked(data))
                break
            taken = self._replies.feed(data)
            chunk, data = (data, b"") if taken == len(data) else (data[:taken], data[taken:])
            if not self._replies.is_over:
                self._held = data
                to_client.append(self._passed(running, chunk))
                break
            self._over(running, chunk, to_client, to_backend, outcomes)
        return Relay(b"".join(to_client), tuple(outcomes), b"".join(to_backend))

    def _passed(self, running: _Running, chunk: bytes) -> bytes:
        if running.is_own:
            self._own += chunk
            return b""
        if running.is_drained:
            return b""
        running.passed += len(chunk)
        return chunk

    def _over(
        self,
        running: _Running,
        chunk: bytes,
        to_client: list[bytes],
        to_backend: list[bytes],
        outcomes: list[Outcome],
    ) -> None:
        """A reply is whole: what follows from it."""
        replies = self._replies
        if replies.infile:
            # No server may ask for a file: it gets an empty one, and the client an error.
            to_client.append(self._passed(running, chunk[: replies.last]))
            running.instead = errors.error(
                replies.sequence, errors.NO_INFILE, "LOAD DATA LOCAL is not offered here"
            )
            running.is_drained = True
            to_backend.append(packet(replies.sequence + 1, b""))
            replies.begin(Shape.RESULT)
            return
        if running.late is not None and replies.error.startswith(_CANCELLED):
            chunk = chunk[: replies.last] + errors.refused(replies.sequence, running.late)
        to_client.append(self._passed(running, chunk))
        if running.instead:
            to_client.append(running.instead)
        self._running = None
        if running.is_own:
            self._learn()
            if 0 < self._tries < MOST_TRIES:  # a KILL that was meant for the client's statement
                self._ask_context(to_backend)
            return
        self._note(running)
        if running.request is not None:
            outcomes.append(self._outcome(running, running.request))
        if running.steers:
            self._tries = 0
            self._ask_context(to_backend)

    def _ask_context(self, to_backend: list[bytes]) -> None:
        self._begin(_Running(commands.QUERY, Shape.RESULT, is_own=True))
        to_backend.append(self._question)

    def _note(self, running: _Running) -> None:
        """What a command left behind."""
        replies = self._replies
        self._is_stale = self._is_stale or running.defines
        if running.code == commands.RESET_CONNECTION and not replies.error:
            self._statements.forget()
        if running.statement is None:
            return
        if replies.error or self._statements.is_full:
            self._statements.failed()
        else:
            made = Prepared(replies.statement, running.statement, replies.parameters, self._charset)
            self._statements.add(made)

    def _outcome(self, running: _Running, request: Request) -> Outcome:
        replies = self._replies
        if running.instead:
            return Outcome(request, None, 0, str(errors.NO_INFILE[0]), executed=False)
        code = str(errors.read(replies.error).number) if replies.error else ""
        return Outcome(request, replies.rows, running.passed, code)

    def _learn(self) -> None:
        """The answer to the gateway's own question."""
        reply, self._own = self._own, b""
        found = context.parse(reply)
        self._is_known = found is not None
        self._tries = 0 if found is not None else self._tries + 1
        path = None if found is None else found.path
        if found is not None:
            self._modes, self._charset = found.modes, found.charset
        if path != self._names.search_path:
            self._names = replace(self._names, search_path=path)

    # -- the rest of the contract

    def names(self) -> NameContext:
        """The context that names stand in now."""
        return self._names

    def set_catalog(self, catalog: Catalog | None) -> None:
        """The engine read the catalogue, or could not."""
        self._is_stale = False
        if catalog is not self._names.catalog:
            self._names = replace(self._names, catalog=catalog)

    def wants_catalog(self) -> bool:
        """True at the start, and once this session has defined something."""
        return self._is_stale

    def abandon(self) -> tuple[Outcome, ...]:
        """The request whose answer did not come."""
        running, self._running = self._running, None
        if running is None or running.request is None:
            return ()
        return (Outcome(running.request, error_code="unknown"),)

    def farewell(self, denial: Denied) -> bytes:
        """An error in the place of the next packet that the client reads."""
        running = self._running
        behind = self._replies.sequence if running is not None and running.passed else None
        if behind is None:
            behind = running.sequence if running is not None else 0
        return errors.farewell(behind + 1, denial)


def _unasked(data: bytes) -> bytes:
    """A server says one thing unasked: that it closes the connection, and why."""
    if (
        len(data) > HEADER
        and data[HEADER] == ERR
        and len(data) == HEADER + int.from_bytes(data[:3], "little")
    ):
        return data
    raise ProtocolError("the database server answered what nobody asked")


def converse(startup: Startup, ready: Ready, route: Route) -> MysqlConversation:
    """A conversation for a session that has been greeted."""
    del startup
    return MysqlConversation(ready, route)
