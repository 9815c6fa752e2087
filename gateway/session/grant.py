"""What the policy granted a session at connect, and how it is asked about each statement since."""

from collections.abc import Callable, Mapping
from typing import assert_never

from gateway.audit.lines import Lines
from gateway.errors import BackendError
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.event import Event
from gateway.model.hold import Held
from gateway.model.identity import Identity, Route
from gateway.model.resource import Database
from gateway.policy.document import ConnectQuestion, SessionQuestion
from gateway.sansio.conversation import Conversation
from gateway.sansio.exchange import (
    Ends,
    Facts,
    Outcome,
    Pipeline,
    Request,
)
from gateway.sansio.protocol import Protocol
from gateway.session import record_lines
from gateway.session.catalog import AGAIN_SECONDS, FRESH_SECONDS
from gateway.session.denial import local_denial
from gateway.session.environment import Environment
from gateway.session.record import Recorder, Who

STALE = "stale_session"


class Grant:
    """The standing of one session: who, where, with which roles, as of which revision."""

    def __init__(
        self,
        session_id: str,
        protocol: Protocol,
        identity: Identity,
        route: Route,
        database: Database,
        client_address: str,
        env: Environment,
    ) -> None:
        self.session_id = session_id
        self.protocol = protocol
        self.identity = identity
        self.route = route
        self.database = database
        self.client_address = client_address
        self.restricted = True
        self.connections = 0  # of this user, besides this one
        self.decision: Allowed | None = None
        self._env = env
        who = Who(session_id, identity, database, (route.db_user, route.db_name), client_address)
        self._recorder = Recorder(who, env.clock, env.wording)
        self._session: SessionQuestion | None = None
        self._catalog_at = float("-inf")
        self._is_blind = False  # what is in the database could not be read

    def question(self) -> ConnectQuestion:
        """May this session be open, asked as of now?"""
        return ConnectQuestion(
            identity=self.identity,
            database=self._env.databases(self.database.name),
            db_user=self.route.db_user,
            db_name=self.route.db_name,
            client_address=self.client_address,
            session_id=self.session_id,
            time_ns=self._env.clock.now_ns(),
            active_connections=self.connections,
        )

    def renew(self, decision: Allowed) -> None:
        """The policy says yes, now with these roles."""
        self.decision = decision
        self.connections = 0  # when judged again, a session does not stand in its own way
        self.restricted = decision.restricted
        self._session = SessionQuestion(
            user=self.identity.user,
            roles=decision.roles,
            data_revision=decision.revisions.data,
            database=self.database,
            db_user=self.route.db_user,
            db_name=self.route.db_name,
            session_id=self.session_id,
            client_address=self.client_address,
        )

    async def ask(self, facts: Facts) -> Decision:
        """May this be run? A session that the data has overtaken is judged again first."""
        assert self._session is not None, "queries come after a granted connect"
        if self.restricted and self._is_blind and _needs_catalog(facts):
            message = (
                "what the database holds could not be read, so nobody knows what the statement would use"
            )
            return local_denial(self._env.clock, "catalog_unavailable", message)
        decision = await self._env.policy.query(self._session, facts)
        if not (isinstance(decision, Denied) and decision.code == STALE):
            return decision
        again = await self._env.policy.connect(self.question())
        match again:
            case Allowed():
                self.renew(again)
                return await self._env.policy.query(self._session, facts)
            case Denied():
                return again
            case other:
                assert_never(other)

    def ask_once(self, facts: Facts, tell: Callable[[Decision], None]) -> None:
        """As ``ask``, for who does not wait; a session that the data has overtaken stays so."""
        assert self._session is not None, "queries come after a granted connect"
        self._env.policy.ask(self._session, facts, tell)

    def knows_names(self, conversation: Conversation) -> bool:
        """True when nothing has to be read from the database before something is judged."""
        if not self.restricted:
            return True
        if not self.protocol.has_catalog:
            return True
        is_fresh = self._env.clock.monotonic() - self._catalog_at < FRESH_SECONDS
        return is_fresh and not self._is_blind and not conversation.wants_catalog()

    async def row_filter(self, guard: str) -> str | None:
        """The condition that a guard sets on rows for this session; PolicyError if none can be had."""
        assert self._session is not None, "queries come after a granted connect"
        return await self._env.policy.row_filter(self._session, guard)

    async def refresh_catalog(self, conversation: Conversation) -> None:
        """Read the catalogue where the conversation's is stale or 30 s old."""
        if not self.protocol.has_catalog:
            return
        now = self._env.clock.monotonic()
        if conversation.wants_catalog():
            first = self._catalog_at == float("-inf")
            await self._read_catalog(conversation, FRESH_SECONDS if first else 0.0)
        elif now - self._catalog_at >= FRESH_SECONDS:
            await self._read_catalog(conversation, FRESH_SECONDS)

    async def has_newer_catalog(self, conversation: Conversation) -> bool:
        """Read the catalogue again after a refusal: somebody may just have made what was not found.

        At most once a second for all sessions of a user, so that refusals cannot keep the database busy.
        """
        if not self.protocol.has_catalog:
            return False
        before = conversation.names().catalog
        await self._read_catalog(conversation, AGAIN_SECONDS)
        return conversation.names().catalog is not before

    async def _read_catalog(self, conversation: Conversation, seconds: float) -> None:
        self._catalog_at = self._env.clock.monotonic()
        found = await self._env.catalogs.get(self.protocol, self.route, self.database, seconds=seconds)
        self._is_blind = found is None
        conversation.set_catalog(found)

    async def cancel_backend(self, key: bytes) -> None:
        """Cancel what runs at the backend; one that cannot be reached has nothing left to cancel."""
        try:
            await self._env.dialler.cancel(self.protocol, self.route.db_user, self.database, key)
        except BackendError as error:
            self._env.log.warning("cancel failed", session_id=self.session_id, error=str(error))

    # -- records

    def started(self, application: str) -> Event:
        """The connect was allowed."""
        assert self.decision is not None
        return self._recorder.started(self.decision, application)

    def denied(self, denial: Denied) -> Event:
        """The connect was refused."""
        return self._recorder.denied(denial)

    def ended(self, code: str, message: str, totals: Mapping[str, int]) -> Event:
        """The session is over."""
        return self._recorder.ended(code, message, totals)

    def events(self, request: Request, facts: Facts, decision: Decision) -> list[Event]:
        """The records of one judged request."""
        return self._recorder.requested(request, facts, decision)

    def piped(self, pipeline: Pipeline, decisions: Mapping[int, Allowed]) -> Lines:
        """The records of a pipeline that was allowed; *decisions* by the identity of the facts."""
        return record_lines.begun(self._recorder, self._env.clock, pipeline, decisions)

    def unpiped(self, ends: Ends, *, executed: bool = True) -> Lines:
        """The records of how requests of a pipeline ended."""
        return record_lines.ended(self._recorder, self._env.clock, ends, executed=executed)

    def held(self, held: Held, facts: Facts) -> Event:
        """A statement waits for a second person."""
        return self._recorder.held(held, facts)

    def finished(self, queries: list[str], outcome: Outcome, duration_ns: int) -> list[Event]:
        """The records of how it went."""
        return self._recorder.finished(queries, outcome, duration_ns)


def _needs_catalog(facts: Facts) -> bool:
    """True unless there is nothing in *facts* that somebody could have made another of."""
    return any(
        item.functions or item.operators or item.casts or any(effect.object for effect in item.effects)
        for item in facts
    )
