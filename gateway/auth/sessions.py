"""Trust for one session: a certificate of minutes for one agent, and what that agent may mint with it.

The proxy shows a person's verified certificate and gets one that is good for one session, at one service,
from one address. That service shows it again to get the certificate that its database knows.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from cryptography import x509

from gateway.auth.desk import ConnectAttempt, Desk
from gateway.auth.joining import authorise, member, standing
from gateway.auth.serving import trouble
from gateway.auth.store import Agent
from gateway.ca import issue, sign
from gateway.ca.identity import from_chain
from gateway.ca.profile import DB_CLIENT_MAX, public_key_from_csr
from gateway.ca.profile import Kind as Ca
from gateway.errors import AccessError, CertificateError
from gateway.model.decision import Allowed, Denied
from gateway.model.event import Kind
from gateway.model.identity import Identity, Use

HEALTH_USER = "regate-health"
"""As whom a service looks whether a database lets anybody in; no other user is minted for that."""

_A_MOMENT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Wish:
    """A session as a proxy asks for it: *connected* are the services it can reach now."""

    certificate: bytes  # DER
    csr_pem: str
    client_address: str
    connected: Sequence[str]


@dataclass(frozen=True, slots=True)
class Opened:
    """Who takes the session, and the certificate to show there."""

    agent: str
    certificate: str


async def open_session(desk: Desk, proxy: Identity | None, wish: Wish) -> Opened:
    """Choose a service for a session, and certify it; *proxy* is None for the one in this process."""
    if proxy is not None:
        await standing(desk, proxy, "open")
    now = desk.steady.now()
    identity = from_chain(wish.certificate, *desk.authorities.trusted(Ca.USER), uses=(Use.DATABASE,), now=now)
    assert identity.route is not None
    agent = await _choose(desk, identity.route.database, wish.connected)
    certificate = issue.issue_session(
        desk.authorities.user,
        identity=identity,
        agent=agent.id,
        client_address=wish.client_address,
        public_key=public_key_from_csr(wish.csr_pem),
        now=now,
    )
    about = {"agent": agent.id, "client_address": wish.client_address}
    await _record(desk, certificate, Use.SESSION, identity, about)
    return Opened(agent.id, certificate.pem)


async def mint(desk: Desk, agent: Identity, session: bytes, csr_pem: str) -> str:
    """What a database sees of one session, for the service that has it, if the policy still lets it in.

    A session goes on when its certificate of minutes is over; then it may still be shown here, until the
    login behind it ends.
    """
    identity = _session(desk, session)
    assert identity.route is not None
    if identity.agent != agent.user:
        raise CertificateError(f"this session is for {identity.agent}, not for {agent.user}")
    served = await _standing_for(desk, agent, "mint", identity.route.database)
    database = await desk.database(identity.route.database)
    if database is None:
        raise AccessError(f"there is no database {identity.route.database!r}", code="database_not_found")
    route = identity.route
    attempt = ConnectAttempt(identity, database, route.db_user, route.db_name, identity.client_address)
    match await desk.hooks.may_connect(attempt):
        case Allowed():
            pass
        case Denied() as denial:
            raise AccessError(denial.sentence, code=denial.code)
        case other:
            assert_never(other)
    certificate = _db_client(desk, route.db_user, csr_pem)
    about = {"agent": served.id, "client_address": identity.client_address}
    await _record(desk, certificate, Use.DB_CLIENT, identity, about)
    return certificate.pem


async def mint_health(desk: Desk, agent: Identity, database: str, csr_pem: str) -> str:
    """A certificate to look with whether a database lets anybody in: always as the same user."""
    served = await _standing_for(desk, agent, "mint", database)
    certificate = _db_client(desk, HEALTH_USER, csr_pem)
    fields = {"use": Use.DB_CLIENT.value, "serial": certificate.serial}
    about = {"agent": served.id, "database": database, "db_user": HEALTH_USER}
    await desk.hooks.record(Kind.CERT_CREATE, {**fields, "expires": certificate.expires.isoformat(), **about})
    return certificate.pem


async def may_hold(desk: Desk, agent: Identity, database: str) -> None:
    """A service shows statements that wait, of its own databases alone; AccessError otherwise."""
    await _standing_for(desk, agent, "hold", database)


async def _choose(desk: Desk, database: str, connected: Sequence[str]) -> Agent:
    """A service that serves the database, is connected, and may: the healthy ones first, else by chance."""
    async with desk.store.agents() as agents:
        serving = await agents.serving(database)
    reachable = [agent for agent in serving if agent.id in set(connected)]
    random.shuffle(reachable)
    now = desk.seconds()
    reachable.sort(key=lambda agent: bool(trouble(agent, database, now)))
    refusal: AccessError | None = None
    for agent in reachable:
        try:
            await authorise(desk, agent, "serve")
        except AccessError as error:
            refusal = error
        else:
            return agent
    if refusal is not None:
        raise refusal
    if not serving:
        raise AccessError(f"no service serves {database!r}", code="no_agent")
    names = ", ".join(sorted(agent.hostname or agent.id for agent in serving))
    raise AccessError(
        f"no service that serves {database!r} is connected or answers: {names}",
        code="no_agent",
        hint="look at it with: regate db ls -v",
    )


async def _standing_for(desk: Desk, identity: Identity, verb: str, database: str) -> Agent:
    """As ``standing``, of a service that serves *database*; a session's start waits for this one look."""
    async with desk.store.agents() as agents:
        found, serves = await agents.find_serving(identity.user, database)
    agent = member(identity, found)
    await authorise(desk, agent, verb)
    if not serves:
        raise AccessError(f"{agent.id} does not serve {database!r}", code="not_served")
    return agent


def _session(desk: Desk, der: bytes) -> Identity:
    now = desk.steady.now()
    try:
        end = x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError as error:
        raise CertificateError("certificate cannot be read") from error
    moment = min(now, end - _A_MOMENT)
    identity = from_chain(der, *desk.authorities.trusted(Ca.USER), uses=(Use.SESSION,), now=moment)
    if now >= identity.login_expires:
        raise CertificateError("the login behind this session has ended")
    return identity


def _db_client(desk: Desk, db_user: str, csr_pem: str) -> sign.Issued:
    return issue.issue_db_client(
        desk.authorities.db_client,
        cluster=desk.authorities.cluster,
        db_user=db_user,
        public_key=public_key_from_csr(csr_pem),
        ttl=DB_CLIENT_MAX,
        now=desk.steady.now(),
    )


async def _record(
    desk: Desk, certificate: sign.Issued, use: Use, identity: Identity, about: dict[str, str]
) -> None:
    assert identity.route is not None
    route = identity.route
    await desk.hooks.record(
        Kind.CERT_CREATE,
        {
            "use": use.value,
            "serial": certificate.serial,
            "expires": certificate.expires.isoformat(),
            "user": identity.user,
            "roles": list(identity.roles),
            "database": route.database,
            "db_user": route.db_user,
            "db_name": route.db_name,
            **about,
        },
    )
