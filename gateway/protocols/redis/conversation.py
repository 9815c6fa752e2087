"""The command phase of a Redis session, and how a command is refused in it.

Refusal is by substitution: in the place of a refused command goes one that no server knows, without any of
its arguments. The server's own error comes at its turn and is replaced by the policy's words, so that a
pipeline keeps its order, and a transaction that was refused a command is aborted by the server itself.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.errors import ProtocolError
from gateway.model.decision import Denied
from gateway.model.statement import Catalog, NameContext, Phase, Statement
from gateway.protocols.redis import errors, pubsub, resp, table
from gateway.protocols.redis.commands import DIALECT, is_never
from gateway.protocols.redis.errors import SUBSTITUTE
from gateway.protocols.redis.pubsub import Subscriptions
from gateway.protocols.redis.resp import Part, Reply
from gateway.sansio.protocol import (
    Duty,
    Facts,
    Housekeeping,
    Obliged,
    Outcome,
    Refusal,
    Relay,
    Request,
    Settle,
    Unable,
)

MAX_OUTSTANDING: Final = 10_000  # commands without their answer
CARRIED_OUT: Final = frozenset({"hold"})
_ADDRESS: Final = b"GATEWAY.ADDRESS"
_PLACE: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,255}):[0-9]{1,5}")
_LIST, _PUSH = ord("*"), ord(">")
_ERRORS: Final = frozenset(b"-!")


@dataclass(slots=True)
class _Expected:
    """A command that was sent, and what its answer is to become."""

    name: str
    request: Request | None = None  # None: a substitute
    instead: bytes = b""  # what the client reads in the place of the answer
    channels: int = 0  # that it subscribes to, or ends: 0 ends all of them
    frames: int = 0  # confirmations that are missing, one for each channel; 0: not known yet
    version: bytes = b""  # that HELLO asks for
    passed: int = 0  # bytes of the answer so far


class RedisConversation:
    """One session's machine; see ``gateway.sansio.protocol.Conversation`` for the contract."""

    __slots__ = (
        "_commands",
        "_in_transaction",
        "_is_cluster",
        "_is_first",
        "_is_full",
        "_is_resp3",
        "_names",
        "_queue",
        "_replies",
        "_subscriptions",
    )

    def __init__(self, names: NameContext, *, is_cluster: bool = False) -> None:
        self._names = names
        self._is_cluster = is_cluster
        self._is_first = True
        self._commands = resp.CommandReader()
        self._replies = resp.ReplyReader()
        self._queue: deque[_Expected] = deque()
        self._is_full = False
        self._is_resp3 = False
        self._in_transaction = False
        self._subscriptions = Subscriptions()

    # -- the client's direction

    def from_client(self, data: bytes) -> Iterator[Request | Housekeeping | Settle]:
        """What the client's next bytes hold, lazily."""
        last: resp.Command | None = None
        statement = Statement("", DIALECT, self._names)
        for command in self._commands.feed(data):
            if self._is_first and is_address_line(command.arguments):
                if self._is_cluster:  # its router tells it to clients; one server has nothing to tell
                    yield Housekeeping(command.raw)
                continue
            self._is_first = False
            if len(self._queue) >= MAX_OUTSTANDING:
                self._is_full = True
                yield Settle()
            if command is not last:  # the same bytes are the same statement, which is classified once
                last = command
                statement = Statement("", DIALECT, self._names, arguments=command.arguments)
            yield Request(command.raw, Phase.QUERY, (statement,))

    def must_settle(self, request: Request, facts: Facts) -> bool:
        """Nothing that a command does changes what the next one means."""
        del request, facts
        return False

    def is_settled(self) -> bool:
        """True unless too much is unanswered."""
        if self._is_full and not self._queue:
            self._is_full = False
        return not self._is_full

    def admit(self, request: Request, facts: Facts) -> bytes:
        """The bytes to forward; a command that is never forwarded is refused here after all."""
        del facts
        arguments = request.statements[0].arguments
        name = table.name_of(arguments)
        against = is_never(arguments)
        if self._in_transaction and (name in pubsub.WORDS or name == "hello"):
            # Their answers come with EXEC's, or never: how answers are to be read would be a guess.
            against = "subscriptions and HELLO cannot be part of a transaction here"
        if against:
            self._queue.append(_Expected(name, request, errors.not_offered(name, against)))
            return SUBSTITUTE
        expected = _Expected(name, request)
        if name in pubsub.WORDS:
            expected.channels = len(arguments) - 1
        elif name == "hello" and len(arguments) > 1:
            expected.version = arguments[1]
        elif name in {"multi", "exec", "discard"} and len(arguments) == 1:  # else the server changes nothing
            self._in_transaction = name == "multi"
        self._queue.append(expected)
        return request.raw

    def refuse(self, request: Request, facts: Facts, denial: Denied) -> Refusal:
        """A command that nobody knows goes to the server, and its error comes back in the policy's words."""
        del facts
        name = table.name_of(request.statements[0].arguments)
        self._queue.append(_Expected(name, None, errors.refused(denial)))
        return Refusal(to_backend=SUBSTITUTE)

    def oblige(self, request: Request, facts: Facts, duty: Duty) -> Obliged | Unable:
        """Holding is the engine's, before anything is sent; nothing can be done with answers."""
        del request, facts
        other = duty.obligations.kinds - CARRIED_OUT
        if other:
            return Unable(
                "obligation_unsupported", f"{', '.join(sorted(other))} cannot be carried out on Redis"
            )
        return Obliged()

    def overdue(self, request: Request, denial: Denied) -> bool:
        """A command cannot be cancelled."""
        del request, denial
        return False

    # -- the server's direction

    def from_backend(self, data: bytes) -> Relay:
        """What the server's next bytes become."""
        outcomes: list[Outcome] = []
        out = [self._part(part, outcomes) for part in self._replies.feed(data)]
        return Relay(b"".join(out), tuple(outcomes))

    def _part(self, part: Part, outcomes: list[Outcome]) -> bytes:
        reply = part.reply
        if reply is None:
            return part.data
        if reply.kind == _PUSH or (reply.kind == _LIST and not self._is_resp3):
            confirmed = self._confirmed(part, reply, outcomes)
            if confirmed:
                return part.data
        if not self._queue:
            raise ProtocolError("the database server answered what nobody asked")
        expected = self._queue.popleft()
        if expected.instead:
            if reply.kind not in _ERRORS:
                raise ProtocolError("the database server took a command that does not exist")
            if expected.request is not None:
                outcomes.append(Outcome(expected.request, None, 0, "NOPERM", executed=False))
            return expected.instead
        if expected.version and reply.kind not in _ERRORS:
            self._is_resp3 = expected.version == b"3"
        assert expected.request is not None
        outcomes.append(_outcome(expected, reply))
        return part.data

    def _confirmed(self, part: Part, reply: Reply, outcomes: list[Outcome]) -> bool:
        """True for what is no answer of its own: a message, or one of the confirmations of a subscription."""
        word = reply.word.decode("latin-1").lower()
        if word not in pubsub.WORDS:
            return reply.kind == _PUSH or (self._subscriptions.total > 0 and word in pubsub.MESSAGES)
        head = self._queue[0] if self._queue else None
        if head is None or head.name != word:
            # The server may end a subscription by itself; a list that looks like one is an answer.
            is_message = reply.kind == _PUSH or self._subscriptions.total > 0
            if is_message:
                self._subscriptions.confirmed(word, pubsub.number_of(part.data))
            return is_message
        head.frames = head.frames or self._subscriptions.frames(word, head.channels)
        self._subscriptions.confirmed(word, pubsub.number_of(part.data))
        head.frames -= 1
        head.passed += reply.size
        if head.frames == 0:
            self._queue.popleft()
            assert head.request is not None
            outcomes.append(Outcome(head.request, None, head.passed))
        return True

    # -- the rest of the contract

    def names(self) -> NameContext:
        """The database that keys are in."""
        return self._names

    def set_catalog(self, catalog: Catalog | None) -> None:
        """There is none."""

    def wants_catalog(self) -> bool:
        """There is none."""
        return False

    def abandon(self) -> tuple[Outcome, ...]:
        """Every command whose answer did not come."""
        left = [expected.request for expected in self._queue if expected.request is not None]
        self._queue.clear()
        return tuple(Outcome(request, error_code="unknown") for request in left)

    def farewell(self, denial: Denied) -> bytes:
        """An error that answers nothing; the connection closes behind it."""
        return errors.refused(denial)


def _outcome(expected: _Expected, reply: Reply) -> Outcome:
    assert expected.request is not None
    if reply.kind in _ERRORS:
        return Outcome(expected.request, None, reply.size, reply.word.decode("latin-1"))
    return Outcome(expected.request, reply.elements, reply.size)


def address_line(place: str) -> bytes:
    """What the near end of a tunnel, or the proxy, says ahead of the client: where that reaches it."""
    return resp.encode(_ADDRESS, place.encode())


def is_address_line(arguments: Sequence[bytes]) -> bool:
    """True for such a line. Whoever else sends one is told what they said, and nobody hears of it."""
    return len(arguments) == 2 and arguments[0] == _ADDRESS and _PLACE.fullmatch(arguments[1]) is not None
