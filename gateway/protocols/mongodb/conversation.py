"""The command phase of a MongoDB session, and how a command is refused in it.

Answers carry the number of the message that they answer, so a refused command is simply answered here and no
byte of it goes on; where it stood in a transaction, that is aborted at the server, as an error would have.
A command that was let through and yet must not be sent is replaced by a ping whose answer is exchanged.
"""

from collections.abc import Iterator
from typing import Any, Final

from bson.int64 import Int64

from gateway.errors import ProtocolError
from gateway.model.decision import Denied
from gateway.model.identity import Route
from gateway.model.statement import Catalog, NameContext, Phase, Statement
from gateway.protocols.mongodb import commands, documents, duties, hello, messages, repetition, results
from gateway.protocols.mongodb.answers import Answers, Asked, Expected
from gateway.protocols.mongodb.asking import Asking
from gateway.protocols.mongodb.cursors import Cursors, Owner
from gateway.protocols.mongodb.documents import UnreadableError
from gateway.protocols.mongodb.messages import Message, Query
from gateway.protocols.mongodb.sessions import Sessions
from gateway.sansio.exchange import (
    Answered,
    Duty,
    Facts,
    Item,
    Obliged,
    Outcome,
    Refusal,
    Relay,
    Repetition,
    Request,
    Settle,
    Unable,
)
from gateway.sansio.protocol import Ready, Startup

MAX_OUTSTANDING: Final = 1_000  # messages without their answer
MAX_HELD: Final = 64 << 20  # bytes of them
_OWN: Final = -(2**31)  # numbers of the gateway's own messages count up from here
_PING: Final = {"ping": 1, "$db": "admin"}


class MongoConversation:
    """One session's machine; see ``gateway.sansio.conversation.Conversation`` for the contract."""

    __slots__ = (
        "_allowed", "_answers", "_asked", "_asking", "_held", "_is_full", "_names", "_next_own", "_reader",
        "_ready",
    )  # fmt: skip

    def __init__(
        self, startup: Startup, ready: Ready, route: Route, cursors: Cursors, sessions: Sessions
    ) -> None:
        self._names = NameContext(route.db_name, route.db_user)
        self._ready = ready
        owner = Owner(startup.person, route.database, route.db_user, route.db_name)
        self._asking = Asking(owner, cursors, sessions)
        self._reader = messages.Reader()
        self._asked: dict[Request, Asked] = {}
        self._held = 0  # bytes of what is asked
        self._answers = Answers(owner, cursors)
        self._allowed = repetition.Allowed()
        self._is_full = False
        self._next_own = _OWN

    # -- the client's direction

    def from_client(self, data: bytes) -> Iterator[Item]:
        """What the client's next bytes hold, lazily."""
        for message in self._reader.feed(data):
            many = len(self._answers) + len(self._asked) >= MAX_OUTSTANDING
            if many or self._answers.held + self._held + len(message.raw) > MAX_HELD:
                self._is_full = True
                yield Settle()
            yield self._old_hello(message) if isinstance(message, Query) else self._item(message)

    def _old_hello(self, query: Query) -> Answered:
        answer = old_hello(query, self._ready, self._names.db_user)
        return Answered(query.raw, messages.reply(query.head.request_id, answer))

    def _item(self, message: Message) -> Item:
        name = documents.first_name(message.body)
        if name in hello.ANSWERED:
            return self._answered(name, message)
        asked = self._asking.read(name, message)
        request = self._request(asked)
        self._asked[request] = asked
        self._held += len(message.raw)
        return request

    def _request(self, asked: Asked) -> Request:
        statement = Statement("", commands.DIALECT, self._names, arguments=asked.arguments)
        return Request(asked.message.raw, Phase.QUERY, (statement,))

    def _answered(self, name: str, message: Message) -> Answered:
        if message.is_silent:
            return Answered(message.raw, b"")
        try:
            command = documents.read(message.body)
        except UnreadableError:
            raise ProtocolError(f"{name} cannot be read in one way only") from None
        answer = hello.answer(name, command, self._ready, self._names.db_user)
        return Answered(message.raw, self._reply(message, answer), is_refusal=not answer["ok"])

    def _taken(self, request: Request) -> Asked:
        self._held -= len(request.raw)
        return self._asked.pop(request)

    def must_settle(self, request: Request, facts: Facts) -> bool:
        """Nothing that a command does changes what the next one means."""
        del request, facts
        return False

    def is_settled(self) -> bool:
        """True unless too much is unanswered."""
        if self._is_full and not self._answers:
            self._is_full = False
        return not self._is_full

    def admit(self, request: Request, facts: Facts) -> bytes:
        """The bytes to forward; a command that is never forwarded is refused here after all."""
        asked = self._taken(request)
        message = asked.message
        head = message.head
        against = commands.against(asked.arguments, self._names.db_name)
        if against:
            instead = (
                b"" if message.is_silent else self._reply(message, hello.not_offered(asked.name, against))
            )
            self._answers.expect(Expected(head.request_id, request, instead))
            return messages.message(head.request_id, _PING)
        expected = Expected(head.request_id, request, is_silent=message.is_silent, asked=asked)
        self._answers.expect(expected)
        sent = message.plain()
        if asked.duty is None:
            self._allowed.keep(facts)
        else:
            passed = 0 if asked.cursor is None else asked.cursor.passed
            expected.shown = results.shown(asked.duty, asked.masks, passed)
            sent = duties.timed(message, asked.name, asked.duty.obligations.timeout_ms)
        return sent + self._let_go()

    # -- what repeats

    def repeat(self, data: bytes) -> Repetition | None:
        """A command like one that was allowed, whole and alone, where nothing is under way."""
        if not self._allowed or not self._is_quiet():
            return None
        message = repetition.alone(data)
        name = "" if message is None else documents.first_name(message.body)
        if message is None or name in repetition.NEVER:
            return None
        asked = self._asking.read(name, message)
        facts, refused = commands.judged(asked.arguments, self._names.db_name)
        if refused or not self._allowed.knows(facts):
            return None
        return Repetition(self._request(asked), facts, asked)

    def is_still(self, repeated: Repetition) -> bool:
        """True while nothing else is under way."""
        del repeated
        return self._is_quiet()

    def admit_again(self, repeated: Repetition) -> bytes:
        """The very bytes; from here on their answer is expected."""
        asked = repeated.subject
        assert isinstance(asked, Asked)
        self._answers.expect(Expected(asked.message.head.request_id, repeated.request, asked=asked))
        return repeated.request.raw + self._let_go()

    def _is_quiet(self) -> bool:
        return not (self._asked or self._answers or self._is_full) and self._reader.is_empty

    def refuse(self, request: Request, facts: Facts, denial: Denied) -> Refusal:
        """An error for the client; the server learns of it only where a transaction must end."""
        self._allowed.forget(facts)
        asked = self._taken(request)
        to_client = b"" if asked.message.is_silent else self._reply(asked.message, hello.refused(denial))
        # In a session of somebody else's the transaction is that person's: nobody ends it from here.
        is_foreign = commands.FOREIGN in asked.arguments
        return Refusal(b"" if is_foreign else self._aborted(asked.message), to_client)

    def oblige(self, request: Request, facts: Facts, duty: Duty) -> Obliged | Unable:
        """What can be done on an answer is done there; what a mask could not hide is refused."""
        self._allowed.forget(facts)
        asked = self._asked[request]
        asked.masks = duties.relevant(facts, duty.obligations.masks)
        if asked.cursor is None:
            unable = duties.beside(facts, duty.obligations.masks)
            unable = unable or duties.refused(asked.arguments, asked.masks)
            if unable:
                return Unable("mask_refused", unable)
        elif asked.cursor.masks != asked.masks:
            return Unable("obligations_changed", "what is concealed has changed since the cursor was opened")
        asked.duty = duty
        return Obliged()

    def overdue(self, request: Request, denial: Denied) -> bool:
        """The server keeps the time itself: ``maxTimeMS`` was sent along."""
        del request, denial
        return False

    def from_backend(self, data: bytes) -> Relay:
        """What the server's next bytes become."""
        return self._answers.feed(data)

    # -- own messages

    def _reply(self, message: Message, body: dict[str, Any]) -> bytes:
        self._next_own += 1
        return messages.message(self._next_own, body, response_to=message.head.request_id)

    def _own(self, body: dict[str, Any]) -> bytes:
        """A message of the gateway's, whose answer nobody sees."""
        self._next_own += 1
        self._answers.expect(Expected(self._next_own))
        return messages.message(self._next_own, body)

    def _aborted(self, message: Message) -> bytes:
        """The end of the transaction that a refused command stood in, if there is one at the server."""
        try:
            command = documents.read(message.body)
        except UnreadableError:
            return b""
        if (
            command.get("autocommit") is not False
            or command.get("startTransaction")
            or "txnNumber" not in command
        ):
            return b""
        body: dict[str, Any] = {"abortTransaction": 1}
        body |= {key: command[key] for key in ("lsid", "txnNumber") if key in command}
        return self._own({**body, "autocommit": False, "$db": "admin"})

    def _let_go(self) -> bytes:
        """Close cursors that were cut off: their rest is not to be had."""
        out = b""
        for number, namespace in self._answers.orphans():
            database, _, name = namespace.partition(".")
            if name:
                out += self._own({"killCursors": name, "cursors": [Int64(number)], "$db": database})
        return out

    # -- the rest of the contract

    def names(self) -> NameContext:
        """The database that the session opened."""
        return self._names

    def set_catalog(self, catalog: Catalog | None) -> None:
        """There is none."""

    def wants_catalog(self) -> bool:
        """There is none."""
        return False

    def abandon(self) -> tuple[Outcome, ...]:
        """Every command whose answer did not come."""
        self._asked.clear()
        return self._answers.abandon()

    def farewell(self, denial: Denied) -> bytes:
        """An error that answers the oldest open question; the connection closes behind it."""
        return messages.message(_OWN, hello.refused(denial), response_to=self._answers.oldest())


def old_hello(query: Query, ready: Ready, user: str) -> dict[str, Any]:
    """The answer to hello as OP_QUERY asks it; ProtocolError for anything else that is asked so."""
    try:
        command = documents.read(query.body)
    except UnreadableError:
        raise ProtocolError("a query cannot be read in one way only") from None
    wrapped = command.get("$query", command.get("query"))
    if isinstance(wrapped, dict):
        command = wrapped
    name = next(iter(command), "")
    if not query.collection.endswith(".$cmd") or name not in hello.HELLO:
        raise ProtocolError("only hello may be asked with OP_QUERY")
    return hello.answer(name, command, ready, user)
