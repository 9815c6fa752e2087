"""What a database's answer says of one entry, whatever the protocol."""

import re
import typing
from dataclasses import dataclass
from typing import Final

from gateway.model.identity import Route

_DECISION: Final = re.compile(r"\(decision [0-9A-Z]{26}\)\Z")
NO_DECISION: Final = "is not offered here: "  # of what is never forwarded, whatever the policy says


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``code`` is the first error's, ``sentence`` its words; both are empty without one.

    ``lives`` is False where the connection ended instead. ``is_denial``: *code* is the one of refusals.
    """

    lives: bool
    code: str = ""
    sentence: str = ""
    is_denial: bool = False

    @property
    def names_decision(self) -> bool:
        """True where the gateway says that it refused, and by which decision."""
        return bool(_DECISION.search(self.sentence))

    @property
    def is_refusal(self) -> bool:
        """True for a refusal in the protocol's own words, by a decision or because it is never forwarded."""
        return self.is_denial and (self.names_decision or NO_DECISION in self.sentence)


class Sender(typing.Protocol):
    """A session; a TimeoutError from it means that it is of no use any more."""

    def open(self, route: Route) -> None:
        """Log in, and begin what can be undone, if there is such a thing.

        Raises:
            AccessError: there is no session for this user there.
        """
        ...

    def send(self, payload: str | bytes) -> Answer:
        """What *payload* gets; what it changed is undone where that is possible."""
        ...

    def close(self) -> None:
        """Say goodbye, if anybody listens."""
        ...


def no_session(route: Route, sentence: str) -> str:
    """The sentence of the AccessError."""
    return f"{route.database} opened no session: {sentence or 'the connection ended'}"
