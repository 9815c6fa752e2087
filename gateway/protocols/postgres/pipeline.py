"""What the server still has to answer, in order, and what each answer ends.

Everything that is sent on leaves one expectation. An error in an extended message makes the server skip to
the next Sync, so it ends everything up to there; an error in a Query ends nothing but the Query.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.model.decision import Denied
from gateway.protocols.postgres import messages
from gateway.protocols.postgres.cursors import Cursor, Forgets
from gateway.protocols.postgres.registry import Portal, Prepared, Registry
from gateway.protocols.postgres.steering import Steer
from gateway.sansio.exchange import Outcome, Request

NOT_KNOWN: Final = "unknown"  # the outcome's code when the connection ended first


@dataclass(slots=True, eq=False)
class Expected:
    """One message the server will answer; the ones without a state of their own are shared."""

    kind: int
    request: Request | None = None
    prepared: Prepared | None = None
    portal: Portal | None = None
    is_own: bool = False  # sent by the gateway for itself: its answer is swallowed
    is_admitted: bool = False
    is_repeated: bool = False  # the Bind of a repetition: its whole answer may come in one piece
    is_over: bool = False  # skipped before it was judged
    takes_data: bool = False  # may be a COPY from the client
    steer: Steer | None = None  # what is in doubt until it is answered
    foreseen: Steer | None = None  # the same, before anybody has judged it
    marker: bytes = b""
    denial: Denied | None = None
    error: str = ""
    rows: int | None = None
    instead: bytes = b""  # what is sent in the place of the request's own bytes
    masked: frozenset[tuple[int, int]] = frozenset()  # columns that no result may have, as (table, number)
    bound: int | None = None  # rows of one result that may be passed
    passed: int = 0  # of the result under way, where it has no portal that counts
    counted: int = 0  # passed by this one message
    dropped: int = 0  # and left out
    cursors: Cursor | Forgets | None = None  # what becomes of the session's cursors once it has run
    late: Denied | None = None  # it ran for too long: its cancellation is told so


SYNC: Final = Expected(messages.SYNC)
DESCRIBE: Final = Expected(messages.DESCRIBE)
OWN_PARSE: Final = Expected(messages.PARSE, is_own=True)
OWN_BIND: Final = Expected(messages.BIND, is_own=True)
OWN_EXECUTE: Final = Expected(messages.EXECUTE, is_own=True)
OWN_CLOSE: Final = Expected(messages.CLOSE, is_own=True)
OWN_SYNC: Final = Expected(messages.SYNC, is_own=True)


@dataclass(slots=True)
class Pipeline:
    """The expectations of one session.

    ``is_skipping``: the server reads on to a Sync that has not been sent. ``settled`` is called with the
    expectation whose steering request is answered.
    """

    registry: Registry
    settled: Callable[[Expected], None]
    queue: deque[Expected] = field(default_factory=deque)
    unjudged: deque[Expected] = field(default_factory=deque)
    outcomes: list[Outcome] = field(default_factory=list)
    is_skipping: bool = False

    def expect(self, expected: Expected) -> None:
        """*expected* is what goes to the server next."""
        if expected.request is not None:
            self.unjudged.append(expected)
        if not self.is_skipping:
            self.queue.append(expected)
        elif expected.kind == messages.SYNC:
            self.is_skipping = False
            self.queue.append(expected)
        else:
            self._skip(expected)

    def judge(self, request: Request) -> Expected:
        """The expectation of the next request in line, which must be *request*."""
        expected = self.unjudged.popleft()
        assert expected.request is request, "requests are admitted or refused in the order of the pipeline"
        return expected

    def skipped(self, expected: Expected) -> None:
        """An admitted request of which it is known already that the server will skip it."""
        assert expected.request is not None
        self._end(expected, expected.request, None, 0, "", executed=False)

    def fail(self, code: str) -> bool:
        """The server reported an error: end what it ends. False when nothing was waiting for an answer."""
        if not self.queue:
            return False
        head = self.queue[0]
        if head.kind in {messages.QUERY, messages.FUNCTION_CALL}:
            head.error = code
        elif head.kind != messages.SYNC:  # at a Sync the transaction itself failed to end
            self.queue.popleft()
            head.error = code
            self._undo(head, ran=True)
            self.finish(head, code, 0, 0)
            self._skip_to_sync()
        return True

    def _skip_to_sync(self) -> None:
        while self.queue:
            if self.queue[0].kind == messages.SYNC:
                return
            self._skip(self.queue.popleft())
        self.is_skipping = True

    def _skip(self, expected: Expected) -> None:
        self._undo(expected, ran=False)
        if expected.request is None:
            return
        expected.is_over = True
        if expected.is_admitted:
            self.skipped(expected)
        self.settle(expected)

    def _undo(self, expected: Expected, *, ran: bool) -> None:
        if expected.prepared is not None:
            self.registry.parse_undone(expected.prepared, ran=ran)
        if expected.kind == messages.BIND and expected.portal is not None:
            self.registry.bind_undone(expected.portal)

    def finish(self, expected: Expected, error: str, rows: int | None, size: int) -> None:
        """*expected* has run to its end, or failed."""
        request = expected.request
        if request is not None and expected.is_admitted:
            self._end(expected, request, rows, size, error)
        elif expected.denial is not None:
            self._end_refused(expected, error)
        self.settle(expected)

    def _end(
        self,
        expected: Expected,
        request: Request,
        rows: int | None,
        size: int,
        error: str,
        *,
        executed: bool = True,
    ) -> None:
        """One outcome for each record: the first Execute of a portal ends its Bind."""
        portal = expected.portal
        if portal is not None and portal.is_admitted:
            bound = portal.request
            if request is bound or request.covered_by is bound:
                if portal.is_reported:
                    return
                portal.is_reported = True
                request = bound
        self.outcomes.append(Outcome(request, rows, size, error, executed))

    def _end_refused(self, expected: Expected, error: str) -> None:
        """A refused Execute leaves its admitted Bind without an end."""
        portal = expected.portal
        if portal is not None and portal.is_admitted and not portal.is_reported:
            portal.is_reported = True
            self.outcomes.append(Outcome(portal.request, error_code=error, executed=False))

    def settle(self, expected: Expected) -> None:
        """*expected* was answered as far as later messages depend on it."""
        if expected.steer is not None:
            self.settled(expected)
            expected.steer = None

    def unused(self, portals: list[Portal]) -> None:
        """Portals that were bound and ended without being run."""
        for portal in portals:
            portal.is_reported = True
            self.outcomes.append(Outcome(portal.request, executed=False))

    def abandon(self) -> tuple[Outcome, ...]:
        """The connection is over: whatever has no end yet ends as not known."""
        for expected in self.queue:
            if expected.request is not None and expected.is_admitted:
                self._end(expected, expected.request, None, 0, NOT_KNOWN)
        left = [*self.registry.portals.values(), *self.registry.orphans]
        self.unused([portal for portal in left if portal.is_admitted and not portal.is_reported])
        self.queue.clear()
        self.registry.portals.clear()
        self.registry.orphans.clear()
        return self.take()

    def take(self) -> tuple[Outcome, ...]:
        """The outcomes since the last call."""
        taken = tuple(self.outcomes)
        self.outcomes.clear()
        return taken
