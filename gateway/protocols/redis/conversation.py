"""The command phase of a Redis session, and how a command is refused in it.

Refusal is by substitution: in the place of a refused command goes one that no server knows, without any of
its arguments. The server's own error comes at its turn and is replaced by the policy's words, so that a
pipeline keeps its order, and a transaction that was refused a command is aborted by the server itself.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from gateway.errors import ProtocolError
from gateway.model.decision import Denied
from gateway.model.statement import Catalog, NameContext, Phase, Statement
from gateway.protocols.redis import errors, pubsub, resp, table
from gateway.protocols.redis.address import is_address_line
from gateway.protocols.redis.commands import DIALECT, is_never
from gateway.protocols.redis.errors import SUBSTITUTE
from gateway.protocols.redis.expected import Expected, Run
from gateway.protocols.redis.piping import Commands, RedisPipeline
from gateway.protocols.redis.pubsub import Subscriptions
from gateway.protocols.redis.replies import ERRORS, Part, Reply, ReplyReader, short_ends
from gateway.sansio.exchange import (
    Duty,
    End,
    Ends,
    Facts,
    Housekeeping,
    Obliged,
    Outcome,
    Pipeline,
    Refusal,
    Relay,
    Request,
    Settle,
    Unable,
)
from gateway.sansio.outcomes import not_known

MAX_OUTSTANDING: Final = 10_000  # commands without their answer
MAX_OUTSTANDING_BYTES: Final = resp.MAX_COMMAND  # of such commands, which are kept until they are answered
CARRIED_OUT: Final = frozenset({"hold"})
_LIST, _PUSH = ord("*"), ord(">")


class RedisConversation:
    """One session's machine; see ``gateway.sansio.conversation.Conversation`` for the contract."""

    __slots__ = (
        "_commands",
        "_in_transaction",
        "_is_cluster",
        "_is_first",
        "_is_full",
        "_is_resp3",
        "_known",
        "_names",
        "_opened",
        "_owed",
        "_owed_bytes",
        "_queue",
        "_replies",
        "_subscriptions",
    )

    def __init__(self, names: NameContext, *, is_cluster: bool = False) -> None:
        self._names = names
        self._is_cluster = is_cluster
        self._is_first = True
        self._commands = resp.CommandReader()
        self._replies = ReplyReader()
        self._opened = "" if is_cluster else names.db_name  # the number of the one database it stays in
        self._known = Commands(names, self._opened)
        self._queue: deque[Expected | Run] = deque()
        self._owed = 0  # commands without their answer
        self._owed_bytes = 0  # of those that went by themselves
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
            if self._owed >= MAX_OUTSTANDING or self._owed_bytes >= MAX_OUTSTANDING_BYTES:
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
        against = is_never(arguments, self._opened)
        if self._in_transaction and (name in pubsub.WORDS or name == "hello"):
            # Their answers come with EXEC's, or never: how answers are to be read would be a guess.
            against = "subscriptions and HELLO cannot be part of a transaction here"
        if against:
            self._expect(Expected(name, request, errors.not_offered(name, against)))
            return SUBSTITUTE
        expected = Expected(name, request)
        if name in pubsub.WORDS:
            expected.channels = len(arguments) - 1
        elif name == "hello" and len(arguments) > 1:
            expected.version = arguments[1]
        elif name in {"multi", "exec", "discard"} and len(arguments) == 1:  # else the server changes nothing
            self._in_transaction = name == "multi"
        self._expect(expected)
        return request.raw

    def refuse(self, request: Request, facts: Facts, denial: Denied) -> Refusal:
        """A command that nobody knows goes to the server, and its error comes back in the policy's words."""
        del facts
        name = table.name_of(request.statements[0].arguments)
        self._expect(Expected(name, None, errors.refused(denial)))
        return Refusal(to_backend=SUBSTITUTE)

    def pipeline(self, data: bytes) -> RedisPipeline | None:
        """The whole commands that came with *data*, if all are plain."""
        if self._is_first or self._is_full or self._subscriptions.total:
            return None
        found = self._commands.ahead(data)
        if found is None or not found[0]:
            return None
        pipeline = self._known.pipeline(*found, is_in_transaction=self._in_transaction)
        if pipeline is None or self._owed + pipeline.count > MAX_OUTSTANDING:
            return None
        return pipeline

    def admit_pipeline(self, pipeline: Pipeline) -> bytes:
        """All of them go on, as they came."""
        assert isinstance(pipeline, RedisPipeline), "it was made here"
        self._commands.skip(pipeline.rest)
        self._in_transaction = pipeline.leaves_transaction
        raw = pipeline.raw
        # Nobody needs what was sent while the answers are awaited, which may be for long.
        pipeline.raw, pipeline.stretches = b"", ()
        self._queue.append(Run(pipeline, pipeline.count))
        self._owed += pipeline.count
        return raw

    def _expect(self, expected: Expected) -> None:
        self._queue.append(expected)
        self._owed += 1
        self._owed_bytes += expected.size

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
        ends: list[Ends] = []
        at = self._ran(data, ends)
        if at == len(data):
            return Relay(data, ends=tuple(ends))
        out = [data[:at]]
        out += [self._part(part, outcomes, ends) for part in self._replies.feed(data[at:] if at else data)]
        return Relay(b"".join(out), tuple(outcomes), ends=tuple(ends))

    def _ran(self, data: bytes, ends: list[Ends]) -> int:
        """Take the short answers to pipelines at the beginning of *data*; where what is left begins."""
        at = 0
        while self._queue and self._replies.is_between:
            run = self._queue[0]
            if not isinstance(run, Run):
                break
            found, count, at = short_ends(data, at, run.left)
            if not found:
                break
            self._ended(run, count, found, ends)
        return at

    def _ended(self, run: Run, count: int, found: list[tuple[End, int]], ends: list[Ends]) -> None:
        ends.append(Ends(run.pipeline, run.done, count, found))
        run.done += count
        self._owed -= count
        if not run.left:
            self._queue.popleft()

    def _part(self, part: Part, outcomes: list[Outcome], ends: list[Ends]) -> bytes:
        reply = part.reply
        if reply is None:
            return part.data
        if reply.kind == _PUSH or (reply.kind == _LIST and not self._is_resp3):
            confirmed = self._confirmed(part, reply, outcomes)
            if confirmed:
                return part.data
        if not self._queue:
            raise ProtocolError("the database server answered what nobody asked")
        expected = self._queue[0]
        if isinstance(expected, Run):
            error = reply.word.decode("latin-1") if reply.kind in ERRORS else ""
            end = (None if error else reply.elements, reply.size, error)
            self._ended(expected, 1, [(end, 1)], ends)
            return part.data
        self._answered()
        if expected.instead:
            if reply.kind not in ERRORS:
                raise ProtocolError("the database server took a command that does not exist")
            if expected.request is not None:
                outcomes.append(Outcome(expected.request, None, 0, "NOPERM", executed=False))
            return expected.instead
        if expected.version and reply.kind not in ERRORS:
            self._is_resp3 = expected.version == b"3"
        outcomes.append(expected.outcome(reply))
        return part.data

    def _confirmed(self, part: Part, reply: Reply, outcomes: list[Outcome]) -> bool:
        """True for what is no answer of its own: a message, or one of the confirmations of a subscription."""
        word = reply.word.decode("latin-1").lower()
        if word not in pubsub.WORDS:
            return reply.kind == _PUSH or (self._subscriptions.total > 0 and word in pubsub.MESSAGES)
        head = self._queue[0] if self._queue else None
        if not isinstance(head, Expected) or head.name != word:
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
            self._answered()
            assert head.request is not None
            outcomes.append(Outcome(head.request, None, head.passed))
        return True

    def _answered(self) -> None:
        expected = self._queue.popleft()
        assert isinstance(expected, Expected), "of pipelines many are answered together"
        self._owed -= 1
        self._owed_bytes -= expected.size

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
        """Every command whose answer did not come; of pipelines the engine knows itself."""
        left = [expected.request for expected in self._queue if isinstance(expected, Expected)]
        self._queue.clear()
        self._owed = self._owed_bytes = 0
        return not_known(left)

    def farewell(self, denial: Denied) -> bytes:
        """An error that answers nothing; the connection closes behind it."""
        return errors.refused(denial)
