"""Drives a conversation as the session engine does: everything is judged, and settled before the next."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.model.classification import Class, Classification
from gateway.model.decision import Denied, Reason, Revisions
from gateway.model.identity import Route
from gateway.protocols.mysql import context
from gateway.protocols.mysql.conversation import MysqlConversation
from gateway.sansio.exchange import (
    Answered,
    Facts,
    Housekeeping,
    Outcome,
    Repetition,
    Request,
    Settle,
)
from gateway.sansio.protocol import Ready
from tests.protocols.mysql import wire

ROUTE = Route("shop", "mysql", "alice", "mydb")
DENIAL = Denied("01DENIED", (Reason("not_yours", "it is not yours"),), Revisions("p", 1))
ALL = 0x01BFF35F
DEPRECATE_EOF = 1 << 24


def conversation(*, new: bool = True) -> MysqlConversation:
    """A session that is logged in; *new* with DEPRECATE_EOF."""
    flags = ALL if new else ALL & ~DEPRECATE_EOF
    extra = {"capabilities": str(flags), "dialect": "mariadb", "modes": "", "charset": "utf8mb4"}
    return MysqlConversation(Ready("10.11.6-MariaDB", {}, b"key", ("mydb",), extra), ROUTE)


def facts_of(request: Request) -> Facts:
    """Complete facts, whose operation is the statement's first word."""
    text = request.statements[0].text
    word = text.split()[0].lower() if text.split() else "unknown"
    return (Classification(word, Class.READ, (), complete=bool(text), text=text),)


@dataclass
class Talk:
    """A session before a server that *answers* each command."""

    answers: Callable[[bytes], bytes]
    talk: MysqlConversation = field(default_factory=conversation)
    refuses: tuple[str, ...] = ()
    to_server: list[bytes] = field(default_factory=list)
    to_client: bytes = b""
    requests: list[Request] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    facts: Callable[[Request], Facts] = facts_of
    repeats: bool = False
    repetitions: list[Repetition] = field(default_factory=list)

    def send(self, data: bytes) -> bytes:
        """What the client reads for *data*."""
        before = len(self.to_client)
        repeated = self.talk.repeat(data) if self.repeats else None
        if repeated is not None:
            self.repetitions.append(repeated)
            self.requests.append(repeated.request)
            self._forward(self.talk.admit_again(repeated))
            return self.to_client[before:]
        for item in self.talk.from_client(data):
            match item:
                case Housekeeping(raw):
                    self._forward(raw)
                case Answered(_, answer):
                    self.to_client += answer
                case Settle():
                    assert self.talk.is_settled()
                case Request():
                    self._judge(item)
        return self.to_client[before:]

    def _judge(self, request: Request) -> None:
        self.requests.append(request)
        statement = request.statements[0]
        if any(word in (statement.text or statement.unreadable) for word in self.refuses):
            refusal = self.talk.refuse(request, self.facts(request), DENIAL)
            self.to_client += refusal.to_client
            self._forward(refusal.to_backend)
        else:
            self._forward(self.talk.admit(request, self.facts(request)))

    def _forward(self, data: bytes) -> None:
        while data:
            self.to_server.append(data)
            answer = wire.context() if data == context.QUESTION else self.answers(data)
            data = self.receive(answer)

    def receive(self, answer: bytes) -> bytes:
        """The server says *answer*; what the gateway says to that."""
        relay = self.talk.from_backend(answer) if answer else None
        if relay is None:
            return b""
        self.to_client += relay.to_client
        self.outcomes += relay.outcomes
        return relay.to_backend
