"""What bytes or a text would get from the gateway, without a server: a rehearsal of a session.

A rehearsal is a generator. It yields the statements of one request and is sent what was made of them
(``Judged``); it returns an ``Ending``. Whoever drives it classifies and asks the policy, as the session does,
so that a corpus of attacks is judged by the code that would meet them.
"""

import typing
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from gateway.errors import ProtocolError
from gateway.model.classification import Classification
from gateway.model.decision import Allowed, Decision, Denied, Reason
from gateway.model.statement import Statement


class End(StrEnum):
    """How a rehearsal ended; everything but ``ALLOWED`` is a refusal."""

    ALLOWED = "allowed"  # all of it would have gone on to the backend
    DENIED = "denied"  # the policy refused, though all was understood
    NOT_UNDERSTOOD = "not understood"  # refused, and at least a part was not understood
    CLOSED = "closed"  # the connection would have been closed
    HELD = "held back"  # not whole: nothing of the rest goes on before more arrives


@dataclass(frozen=True, slots=True)
class Judged:
    """What was made of the statements of one request."""

    facts: tuple[Classification, ...]
    decision: Decision


@dataclass(frozen=True, slots=True)
class Ending:
    """The end, in a word and a sentence. ``facts`` are those of all requests, in order.

    ``needs_tls``: what is allowed here is refused when the same bytes come in the clear.
    """

    end: End
    sentence: str = ""
    facts: tuple[Classification, ...] = ()
    reasons: tuple[Reason, ...] = ()
    needs_tls: bool = False


Ask: TypeAlias = tuple[Statement, ...]
Rehearsal: TypeAlias = Generator[Ask, Judged, Ending]


class Server(typing.Protocol):
    """A server in so far as a conversation needs one: it answers what is forwarded, with nothing in it."""

    def answer(self, data: bytes) -> bytes:
        """What comes back for these bytes."""
        ...


class Log:
    """What happened so far, and what end it makes."""

    def __init__(self) -> None:
        self.facts: list[Classification] = []
        self.denials: list[Denied] = []
        self.has_refusal = False  # the gateway said no to something that it answers by itself

    def note(self, judged: Judged) -> None:
        """One request was judged."""
        self.facts += judged.facts
        match judged.decision:
            case Allowed():
                pass
            case Denied() as denial:
                self.denials.append(denial)
            case other:
                typing.assert_never(other)

    def ending(self, end: End = End.ALLOWED, sentence: str = "") -> Ending:
        """*end*, unless something was refused before it."""
        facts = tuple(self.facts)
        if not self.denials:
            if self.has_refusal and end is End.ALLOWED:
                return Ending(End.DENIED, "the gateway answers this by itself, and its answer is no", facts)
            return Ending(end, sentence, facts)
        known = all(item.complete for item in facts)
        worst = End.DENIED if known else End.NOT_UNDERSTOOD
        reasons = tuple(dict.fromkeys(reason for denial in self.denials for reason in denial.reasons))
        return Ending(worst, self.denials[0].sentence, facts, reasons)


def statement(made: Statement) -> Rehearsal:
    """One text, sent to run at once."""
    log = Log()
    log.note((yield (made,)))
    return log.ending()


def closed(log: Log, error: ProtocolError) -> Ending:
    """The protocol ended it."""
    return log.ending(End.CLOSED, str(error))


# A kind of entry (sql, wire, startup, command, http) -> what rehearses its payload: text, or bytes from hex.
Rehearsals: TypeAlias = Mapping[str, Callable[[typing.Any], Rehearsal]]
