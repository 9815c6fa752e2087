"""A client's bytes, run through a protocol's own conversation before a server that has nothing in it."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import assert_never

from gateway.errors import ProtocolError
from gateway.model.decision import Allowed, Denied
from gateway.sansio.conversation import Conversation
from gateway.sansio.exchange import (
    Answered,
    Housekeeping,
    Request,
    Settle,
)
from gateway.sansio.rehearsal import Ask, End, Judged, Log, Rehearsal, Server, closed

_ROUNDS = (
    4  # answers that may be needed until nothing is in doubt: the request's own, and the gateway's question
)


@dataclass(slots=True)
class _Line:
    """The way to the server: what is on it goes out when an answer is needed."""

    talk: Conversation
    server: Server
    waiting: bytes = b""

    def flush(self) -> None:
        """Send what waits, and read the answer."""
        data, self.waiting = self.waiting, b""
        answer = self.server.answer(data) if data else b""
        if answer:
            self.talk.from_backend(answer)

    def settle(self) -> bool:
        """Flush until nothing is in doubt; False when it stays so."""
        for _ in range(_ROUNDS):
            self.flush()
            if self.talk.is_settled():
                return True
        return False


def wire(talk: Conversation, server: Server, data: bytes) -> Rehearsal:
    """All that *data*, sent by a client in the command phase, would get.

    What is refused is refused as in a session, and what stands behind it is judged too.
    """
    log, line = Log(), _Line(talk, server)
    try:
        taken = yield from _converse(log, line, data)
    except ProtocolError as error:
        return closed(log, error)
    if taken < len(data):
        return log.ending(End.HELD, f"{len(data) - taken} bytes wait for the rest of their message")
    return log.ending()


def _converse(log: Log, line: _Line, data: bytes) -> Generator[Ask, Judged, int]:
    """The bytes that were taken out of *data* and judged, or need no judgement."""
    taken, talk = 0, line.talk
    for item in talk.from_client(data):
        match item:
            case Housekeeping(raw):
                taken += len(raw)
                line.waiting += raw
            case Answered(raw):
                taken += len(raw)
                log.has_refusal = log.has_refusal or item.is_refusal
            case Settle(raw):
                line.waiting += raw  # the gateway's own, none of the client's
                if not line.settle():
                    return taken
            case Request():
                taken += len(item.raw)
                judged = yield item.statements
                log.note(judged)
                unsure = talk.must_settle(item, judged.facts)
                line.waiting += _forwarded(talk, item, judged)
                if unsure:
                    line.flush()
            case other:
                assert_never(other)
    return taken


def _forwarded(talk: Conversation, item: Request, judged: Judged) -> bytes:
    match judged.decision:
        case Allowed():
            return talk.admit(item, judged.facts)
        case Denied() as denial:
            return talk.refuse(item, judged.facts, denial).to_backend
        case other:
            assert_never(other)
