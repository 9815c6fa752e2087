"""May this connection become a session: whose it is, what its certificate opens, what the policy says."""

from dataclasses import dataclass
from typing import assert_never

from gateway.ca.identity import from_certificate
from gateway.clock import utc
from gateway.errors import CertificateError
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.identity import Identity, Route, Use
from gateway.sansio.protocol import Protocol, Startup
from gateway.session import lease
from gateway.session.bounds import too_fast, too_many
from gateway.session.denial import local_denial
from gateway.session.environment import Environment
from gateway.session.grant import Grant
from gateway.session.live import Count


@dataclass(frozen=True, slots=True)
class Admission:
    """Judges connections of one protocol; whatever it says no to has a code and a sentence."""

    protocol: Protocol
    env: Environment

    def route(self, startup: Startup, der: bytes | None) -> tuple[Identity, Route] | Denied:
        """Who it is and what the certificate *der* opens."""
        if der is None:
            return self._denial(
                "certificate_required", "connect with a client certificate: run `regate db login` first"
            )
        try:
            identity = from_certificate(der, now=utc(self.env.clock))
        except CertificateError as error:
            return self._denial("certificate_refused", str(error))
        wanted = Use.SESSION if self.env.agent else Use.DATABASE
        if identity.use is not wanted or identity.route is None or identity.agent != self.env.agent:
            return self._denial(
                "certificate_refused", "this certificate opens no database: run `regate db login` first"
            )
        if identity.cluster != self.env.cluster or identity.route.protocol != self.protocol.name:
            return self._denial("certificate_refused", "this certificate is for another cluster or protocol")
        conflict = self.protocol.route_conflict(startup, identity)
        if conflict:
            return self._denial("route_mismatch", conflict)
        return identity, identity.route

    async def decide(self, startup: Startup, grant: Grant, count: Count) -> Decision:
        """May connect: asked for a database that does not exist too, so that both take the same time.

        Who comes too fast is told before anybody is asked, whatever the database.
        """
        if self.env.lease.has_lapsed:
            return self._denial(lease.CODE, lease.SENTENCE)
        if not count.in_pace:
            reason = too_fast(grant.identity.user)
            return self._denial(reason.code, reason.message)
        decision = await self.env.policy.connect(grant.question())
        match decision:
            case Denied():
                return decision
            case Allowed():
                grant.renew(decision)
                found = (count.of_user, count.on_database)
                full = too_many(grant.identity.user, grant.database, decision.limits, found)
                if full is not None:
                    return self._denial(full.code, full.message)
                return await self._settings(startup, grant, decision)
            case other:
                assert_never(other)

    async def _settings(self, startup: Startup, grant: Grant, decision: Allowed) -> Decision:
        """Start-up settings are judged as the SET they amount to."""
        statement = self.protocol.startup_statement(startup, grant.route)
        facts = self.protocol.classify(statement)
        if not facts:
            return decision
        verdict = await grant.ask(facts)
        match verdict:
            case Allowed():
                return decision
            case Denied():
                return verdict
            case other:
                assert_never(other)

    def _denial(self, code: str, message: str) -> Denied:
        return local_denial(self.env.clock, code, message)
