"""Who calls the API: the transport says, never the request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, assert_never

from aiohttp import web

from gateway.ca import identity as certificates
from gateway.ca.keys import Authorities
from gateway.ca.profile import Kind
from gateway.ca.tls import peer_certificate
from gateway.clock import Clock, utc
from gateway.errors import AccessError, CertificateError
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.identity import Identity, Subject, Use


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody the transport has verified; *identity* is None for the administrator on the host."""

    subject: Subject
    identity: Identity | None = None


SubjectFromRequest: TypeAlias = Callable[[web.Request], Caller | None]
"""None when nobody showed anything; an AccessError when what was shown is no login."""


class AdminPolicy(Protocol):
    """The policy about administration; ``gateway.policy.client.PolicyClient`` answers it."""

    async def admin(self, subject: Subject, verb: str, kind: str, name: str) -> Decision:
        """May *subject* do this to that?"""
        ...


ADMINISTRATOR = Caller(Subject(kind="local", name="admin"))


class Callers:
    """Finds out who calls, and what the policy says about them."""

    def __init__(self, subject_from_request: SubjectFromRequest, policy: AdminPolicy) -> None:
        self._from_request = subject_from_request
        self._policy = policy

    def need(self, request: web.Request) -> Caller:
        """Whoever calls; an AccessError when nobody is logged in."""
        found = self._from_request(request)
        if found is None:
            raise AccessError("this needs a login", code="login_needed", hint="run: regate login")
        return found

    def subject(self, request: web.Request) -> Subject:
        """The subject alone, for most of the API."""
        return self.need(request).subject

    def identity(self, request: web.Request) -> Identity:
        """A person's identity: what only makes sense with a login."""
        found = self.need(request).identity
        if found is None:
            raise AccessError("this needs a login of your own", code="login_needed", hint="run: regate login")
        return found

    async def authorise(self, request: web.Request, verb: str, kind: str, name: str = "") -> None:
        """Ask the policy about what goes past the auth service: the audit log, the metrics, holds."""
        match await self._policy.admin(self.subject(request), verb, kind, name):
            case Allowed():
                return
            case Denied() as denial:
                raise AccessError(denial.sentence, code=denial.code)
            case other:  # an answer that is neither must never be a yes
                assert_never(other)


def source(request: web.Request) -> str:
    """Where the request came from, for limits and the record; a unix socket has no address."""
    return request.remote or "local"


def local(_request: web.Request) -> Caller:
    """For the unix socket: whoever may open it is the administrator."""
    return ADMINISTRATOR


def by_certificate(authorities: Authorities, clock: Clock) -> SubjectFromRequest:
    """For the public port: the login certificate.

    TLS has verified its chain when the connection began; it is verified again here, so that an authority
    that was replaced since opens nothing on a connection that is kept open. A certificate for a database
    opens that database and never the API.
    """

    def from_request(request: web.Request) -> Caller | None:
        der = peer_certificate(request.transport)
        if not der:
            return None
        try:
            issuers = authorities.trusted(Kind.USER)
            found = certificates.from_chain(der, *issuers, uses=(Use.USER,), now=utc(clock))
        except CertificateError as error:
            raise AccessError(str(error), code="login_needed", hint="run: regate login") from error
        subject = Subject(kind="user", name=found.user, roles=found.roles, traits=found.traits)
        return Caller(subject, found)

    return from_request


def service_certificate(request: web.Request) -> bytes:
    """What a service showed, in DER and not verified yet; AccessError when it showed nothing."""
    der = peer_certificate(request.transport)
    if not der:
        raise AccessError(
            "this needs a login: the host certificate of a service that joined", code="login_needed"
        )
    return der


def service_by_certificate(authorities: Authorities, clock: Clock) -> Callable[[web.Request], str]:
    """The name in the host certificate of a service that joined; the cluster's own port has none to show.

    The chain is verified here, against the authorities of hosts alone.
    """

    def from_request(request: web.Request) -> str:
        der = service_certificate(request)
        try:
            issuers = authorities.trusted(Kind.HOST)
            found = certificates.from_chain(der, *issuers, uses=(Use.HOST,), now=utc(clock))
        except CertificateError as error:
            raise AccessError(str(error), code="login_needed") from error
        if not found.service:
            raise AccessError("this host certificate is of no service that joined", code="login_needed")
        return found.user

    return from_request
