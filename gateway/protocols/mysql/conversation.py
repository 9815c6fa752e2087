"""The command phase: one command at a time, for the next may mean another thing once this one has run.

A refused command gets an ERR packet from the gateway and nothing goes to the server, as when the server
itself finds a privilege missing: a transaction stays open. The packet says 1142 and carries the policy's
reasons.
"""

from collections.abc import Iterator
from dataclasses import replace

from gateway.model.decision import Denied
from gateway.model.identity import Route
from gateway.model.statement import Catalog, NameContext, Phase
from gateway.protocols.mysql import client, errors, repetition
from gateway.protocols.mysql.server import Server
from gateway.protocols.mysql.state import begin
from gateway.sansio.exchange import (
    Answered,
    Duty,
    Facts,
    Housekeeping,
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


class MysqlConversation:
    """One session's machine; see ``gateway.sansio.conversation.Repeating`` for the contract."""

    __slots__ = ("_server", "_state")

    def __init__(self, ready: Ready, route: Route) -> None:
        self._state = begin(ready, route)
        self._server = Server(self._state)

    # -- the client's direction

    def from_client(self, data: bytes) -> Iterator[Request | Housekeeping | Settle | Answered]:
        """What the client's next bytes hold, lazily."""
        return client.read(self._state, data)

    def must_settle(self, request: Request, facts: Facts) -> bool:
        """Each command is settled before the next one is read."""
        del request, facts
        return False

    def is_settled(self) -> bool:
        """True when nothing is unanswered, and how statements are read is known again."""
        return self._state.is_settled

    def admit(self, request: Request, facts: Facts) -> bytes:
        """The bytes to forward; a command that is never forwarded has its place taken."""
        return client.admit(self._state, request, facts)

    def refuse(self, request: Request, facts: Facts, denial: Denied) -> Refusal:
        """An error as the server's own where a privilege is missing."""
        asked, self._state.asked = self._state.asked, None
        assert asked is not None, "one request is judged at a time"
        self._state.forget(asked, facts)
        if request.phase is Phase.PREPARE:
            self._state.statements.failed()
        return Refusal(to_client=errors.refused(asked.sequence + 1, denial))

    def repeat(self, data: bytes) -> Repetition | None:
        """A command whose facts are known already, where nothing is under way."""
        return repetition.read(self._state, data)

    def is_still(self, repeated: Repetition) -> bool:
        """True while what ``repeat`` found holds."""
        return repetition.is_still(self._state, repeated)

    def admit_again(self, repeated: Repetition) -> bytes:
        """The very bytes; from here on their answer is expected."""
        return repetition.admit(self._state, repeated)

    def oblige(self, request: Request, facts: Facts, duty: Duty) -> Obliged | Unable:
        """Time limits and second persons are the engine's; nothing is carried out on results."""
        del request, facts, duty
        assert self._state.asked is not None, "one request is judged at a time"
        self._state.asked.is_obliged = True
        return Obliged()

    def overdue(self, request: Request, denial: Denied) -> bool:
        """True when *request* is what the server is at."""
        running = self._state.running
        if running is None or running.request is not request:
            return False
        running.late = denial
        return True

    # -- the server's direction

    def from_backend(self, data: bytes) -> Relay:
        """What the server's next bytes become."""
        return self._server.receive(data)

    # -- the rest of the contract

    def names(self) -> NameContext:
        """The context that names stand in now."""
        return self._state.names

    def set_catalog(self, catalog: Catalog | None) -> None:
        """The engine read the catalogue, or could not."""
        state = self._state
        state.is_stale = False
        if catalog is not state.names.catalog:
            state.names = replace(state.names, catalog=catalog)

    def wants_catalog(self) -> bool:
        """True at the start, and once this session has defined something."""
        return self._state.is_stale

    def abandon(self) -> tuple[Outcome, ...]:
        """The request whose answer did not come."""
        running, self._state.running = self._state.running, None
        if running is None or running.request is None:
            return ()
        return (Outcome(running.request, error_code="unknown"),)

    def farewell(self, denial: Denied) -> bytes:
        """An error in the place of the next packet that the client reads."""
        running = self._state.running
        behind = self._state.replies.sequence if running is not None and running.passed else None
        if behind is None:
            behind = running.sequence if running is not None else 0
        return errors.farewell(behind + 1, denial)


def converse(startup: Startup, ready: Ready, route: Route) -> MysqlConversation:
    """A conversation for a session that has been greeted."""
    del startup
    return MysqlConversation(ready, route)
