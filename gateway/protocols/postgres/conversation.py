"""The command phase of a PostgreSQL session, and how a statement is refused in it.

Refusal is by substitution: in the place of a refused message goes one that fails by itself, so that the
server ends its own transaction and skips what its own rules make it skip. The substitute carries an
identifier that comes back in the server's error, which is then replaced by the policy's words. The identifier
holds the id of the decision, so the server's log shows it too.
"""

import string
from collections.abc import Iterator
from typing import Final

from gateway.model.decision import Denied
from gateway.model.identity import Route
from gateway.model.statement import Catalog, NameContext, Phase
from gateway.protocols.postgres import cursors, errors, messages, repetition
from gateway.protocols.postgres.backend import Backend
from gateway.protocols.postgres.client import Client
from gateway.protocols.postgres.duties import Duties
from gateway.protocols.postgres.pipeline import Expected
from gateway.protocols.postgres.state import State
from gateway.protocols.postgres.steering import NOTHING, Steering
from gateway.sansio.conversation import Conversation
from gateway.sansio.exchange import (
    Facts,
    Housekeeping,
    Outcome,
    Refusal,
    Relay,
    Repetition,
    Request,
    Settle,
)
from gateway.sansio.protocol import Ready, Startup

MARKER: Final = "gateway_denied_"
_HEADER: Final = 5
_ID: Final = 36  # characters of a decision's id: the marker stays below the server's 64
_IN_IDENTIFIER: Final = frozenset(string.ascii_letters + string.digits)

# Function 0 does not exist: formats 0, arguments 0, result as text.
_NO_FUNCTION: Final = messages.frame(messages.FUNCTION_CALL, b"\0\0\0\0\0\0\0\0\0\0")


class PostgresConversation:
    """One session's machine; see ``gateway.sansio.conversation.Conversation`` for the contract."""

    __slots__ = ("_backend", "_client", "_refusals", "_state", "_steering", "oblige", "overdue")

    def __init__(self, ready: Ready, route: Route) -> None:
        self._state = State(ready, route)
        self._client = Client(self._state)
        self._backend = Backend(self._state)
        self._steering = Steering()
        self._refusals = 0
        duties = Duties(self._state)
        self.oblige = duties.oblige
        self.overdue = duties.overdue

    def from_client(self, data: bytes) -> Iterator[Request | Housekeeping | Settle]:
        """What the client's next bytes hold, lazily."""
        return self._client.read(data)

    def from_backend(self, data: bytes) -> Relay:
        """What the server's next bytes become."""
        return self._backend.read(data)

    def must_settle(self, request: Request, facts: Facts) -> bool:
        """True when what follows cannot be judged before the server has answered *request*.

        A Bind whose planning may run a function is judged together with its own Execute, and settled before
        anything else.
        """
        steer = self._steering.of(request, facts)
        unjudged = self._state.pipeline.unjudged
        if unjudged and unjudged[-1].request is request:
            unjudged[-1].foreseen = steer
        if steer is NOTHING or not self._state.matters(steer):
            return False
        if request.phase is Phase.BIND:
            self._client.note_bind(steers=True)
            return False
        return True

    def is_settled(self) -> bool:
        """True when nothing that changes what names mean is unanswered."""
        return self._state.is_settled()

    def admit(self, request: Request, facts: Facts) -> bytes:
        """What was judged, to be forwarded, and behind it the gateway's own question where one is due."""
        state = self._state
        expected = state.pipeline.judge(request)
        expected.is_admitted = True
        portal = expected.portal
        if portal is not None and portal.request is request:
            portal.is_admitted = True
        raw = expected.instead or request.raw
        if expected.is_over:
            state.pipeline.skipped(expected)
            return raw
        if state.registry.cursors and request.phase is not Phase.PREPARE:
            state.registry.cursors.met(facts, state.registry.names)
        if expected.kind == messages.FUNCTION_CALL:
            return _NO_FUNCTION
        steer = expected.foreseen or self._steering.of(request, facts)
        if steer is NOTHING or not state.matters(steer):
            if steer is NOTHING and raw is request.raw:
                _remember(expected, request, facts)
            return raw
        if request.phase is Phase.BIND:
            expected.cursors = cursors.FORGETS  # planning may run a function
        else:
            state.copy_may_follow = steer.copy
            expected.cursors = cursors.after(
                request.statements[0], facts, _sent(expected, request), steers_portals=steer.portals
            )
        state.steers(expected, steer)
        if request.phase is Phase.QUERY and state.wants_path and not steer.copy and not state.is_mid_pipeline:
            return raw + state.read_path()
        return raw

    def repeat(self, data: bytes) -> Repetition | None:
        """A prepared statement that runs again, in one chunk."""
        return None if self._client.is_busy else repetition.read(self._state, data)

    def is_still(self, repeated: Repetition) -> bool:
        """True while it may be forwarded as it was judged."""
        return not self._client.is_busy and repetition.is_still(self._state, repeated)

    def admit_again(self, repeated: Repetition) -> bytes:
        """The very chunk."""
        return repetition.admit(self._state, repeated)

    def refuse(self, request: Request, facts: Facts, denial: Denied) -> Refusal:
        """A message that fails by itself, whose error will carry *denial*."""
        state = self._state
        expected = state.pipeline.judge(request)
        if request.phase in {Phase.QUERY, Phase.EXECUTE}:
            state.copy_may_follow = self._steering.of(request, facts).copy
        if expected.is_over:
            return Refusal()
        self._refusals += 1
        identity = "".join(c for c in denial.decision_id if c in _IN_IDENTIFIER)[:_ID]
        marker = f"{MARKER}{identity}_{self._refusals:x}".encode()
        expected.marker, expected.denial = marker, denial
        return Refusal(to_backend=_substitute(expected, marker))

    def names(self) -> NameContext:
        """The context that names stand in now."""
        return self._state.registry.names

    def set_catalog(self, catalog: Catalog | None) -> None:
        """The engine read the catalogue, or could not."""
        self._state.set_catalog(catalog)

    def wants_catalog(self) -> bool:
        """True when the catalogue is stale and a second connection would see the change."""
        return self._state.wants_catalog()

    def abandon(self) -> tuple[Outcome, ...]:
        """Every admitted request without an end, as an outcome not known."""
        return self._state.pipeline.abandon()

    def farewell(self, denial: Denied) -> bytes:
        """The ErrorResponse that ends a live session."""
        return errors.farewell(denial)


def _sent(expected: Expected, request: Request) -> str:
    """The text that the server runs for *request*: the client's own, or what was written in its place."""
    if expected.instead:
        raw: bytes | None = messages.read_query(expected.instead[_HEADER:])
    else:
        raw = None if expected.portal is None else expected.portal.prepared.sent
    return request.statements[0].text if raw is None else raw.decode()


def _remember(expected: Expected, request: Request, facts: Facts) -> None:
    """A Bind and then its Execute that steer nothing: the statement may come again on the fast path."""
    portal = expected.portal
    if portal is None:
        return
    prepared, statement = portal.prepared, request.statements[0]
    if prepared.sent is not None or prepared.masked or expected.bound is not None:
        prepared.bound = prepared.repeated = None
    elif request.phase is Phase.BIND:
        prepared.bound, prepared.shown = (statement, facts), request.name
    elif prepared.bound is not None and prepared.bound[0] is statement and prepared.bound[1] is facts:
        prepared.repeated = prepared.bound
    else:
        prepared.repeated = None


def _substitute(expected: Expected, marker: bytes) -> bytes:
    """What fails in the place of a refused message, and does to the server's state what its failure would."""
    if expected.kind == messages.QUERY:
        return messages.frame(messages.QUERY, marker + b"\0")
    if expected.kind == messages.PARSE:
        # A failed Parse of the unnamed statement drops it; a named one leaves all names as they were.
        name = marker if expected.prepared is not None and expected.prepared.name else b""
        return messages.frame(messages.PARSE, name + b"\0" + marker + b"\0\0\0")
    if expected.kind == messages.BIND:
        return messages.frame(messages.BIND, b"\0" + marker + b"\0\0\0\0\0\0\0")
    if expected.kind == messages.EXECUTE:
        return messages.frame(messages.EXECUTE, marker + b"\0\0\0\0\0")
    return _NO_FUNCTION


def converse(_startup: Startup, ready: Ready, route: Route) -> Conversation:
    """A conversation for a session that has been greeted."""
    return PostgresConversation(ready, route)
