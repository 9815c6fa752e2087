"""How a service elsewhere becomes part of the cluster, stays it, and stops being it.

It makes its own key. A join token, used up in the same transaction that keeps the new service, gets it a
host certificate that names it by an identifier nobody chose. From then on the certificate is what it shows,
and the policy is asked about everything it does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from gateway.address import parse as parse_address
from gateway.auth import tokens
from gateway.auth.desk import Desk
from gateway.auth.store import Agent, Change
from gateway.ca import issue
from gateway.ca.profile import HOST_MAX, PublicKey, public_key_from_csr
from gateway.ca.profile import Kind as Ca
from gateway.clock import new_id
from gateway.errors import AccessError, ConfigError, NotFoundError, PolicyError
from gateway.model.decision import Allowed, Denied
from gateway.model.event import Kind
from gateway.model.identity import Identity, Subject, Use
from gateway.model.joining import Joining
from gateway.policy.document import AgentQuestion

_SERVICES = ("db", "proxy")
_HOSTNAME = re.compile(r"[^A-Za-z0-9._-]")
_ID = re.compile(r"(?:db|proxy)-[0-9a-z]{26}\.?", re.IGNORECASE)
MOST_NAMES = 16
"""Addresses of one proxy: every service elsewhere keeps a connection to each of them."""


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A service that wants to join; *names* are the addresses under which a proxy is reached."""

    token: str = field(repr=False)
    service: str
    csr_pem: str
    hostname: str = ""
    names: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """What a service is told once: who it is, and whom it may believe (certificates in PEM)."""

    id: str
    cluster: str
    certificate: str
    host_ca: str
    user_ca: str
    db_ca: str


async def join(desk: Desk, request: JoinRequest) -> Joined:
    """Use up a token for a host certificate; an AccessError says what is wrong with the token."""
    key = public_key_from_csr(request.csr_pem)
    if request.service not in _SERVICES:
        raise ConfigError(f"service: expected one of {', '.join(_SERVICES)}, got {request.service[:64]!r}")
    if len(request.names) > MOST_NAMES:
        raise ConfigError(f"names: a proxy has at most {MOST_NAMES} addresses, got {len(request.names)}")
    ticket = await tokens.admit(desk, request.token, Joining(request.service), source=request.source)
    agent = Agent(
        id=f"{request.service}-{new_id(desk.clock.now_ns()).lower()}",
        service=request.service,
        hostname=_HOSTNAME.sub("-", request.hostname)[:128],
        token=ticket.token,
        grant=tokens.grant_json(ticket.grant),
        names=request.names if request.service == "proxy" else (),
        joined_at=desk.seconds(),
        seen_at=0,
    )
    async with desk.store.change() as change:
        await tokens.redeem(desk, change, ticket)
        await change.agents.add(agent)
        await change.touch()
        certificate = await _certify(desk, change, agent, key, request.source)
        about = {"agent": agent.id, "service": agent.service, "token": agent.token, "name": agent.hostname}
        await desk.hooks.record(
            Kind.AGENT_JOIN,
            {**about, "client_address": request.source, "decision_id": ticket.decision_id},
        )
    return _joined(desk, agent, certificate)


async def renew(desk: Desk, identity: Identity, csr_pem: str, source: str) -> Joined:
    """The next host certificate of a service that still has a valid one."""
    agent = await standing(desk, identity, "renew")
    key = public_key_from_csr(csr_pem)
    async with desk.store.change() as change:
        certificate = await _certify(desk, change, agent, key, source)
    return _joined(desk, agent, certificate)


async def standing(desk: Desk, identity: Identity, verb: str) -> Agent:
    """The service that shows *identity*, if it is still in the cluster and the policy lets it do *verb*."""
    async with desk.store.agents() as agents:
        agent = member(identity, await agents.find(identity.user))
    await authorise(desk, agent, verb)
    return agent


def member(identity: Identity, agent: Agent | None) -> Agent:
    """*agent*, which the store has under the name that *identity* shows; AccessError when it has none."""
    if agent is None or agent.service != identity.service:
        raise AccessError(
            f"the service {identity.user} is not part of the cluster any more",
            code="agent_unknown",
            hint="remove its data directory and join again with a new token",
        )
    return agent


async def authorise(desk: Desk, agent: Agent, verb: str) -> None:
    """Ask the policy; a refusal is an AccessError with its code.

    That nobody answered is a PolicyError: nothing is allowed, and nobody is put out for it either.
    """
    question = AgentQuestion(agent.id, agent.service, agent.token, verb)
    match await desk.hooks.policy.agent(question):
        case Allowed():
            return
        case Denied(revisions=None) as silence:
            raise PolicyError(silence.sentence)
        case Denied() as denial:
            raise AccessError(denial.sentence, code=denial.code)
        case other:
            assert_never(other)


async def standings(desk: Desk) -> dict[str, str]:
    """For each database service why it may not be given sessions, or empty text."""
    async with desk.store.agents() as agents:
        known = [agent for agent in await agents.all() if agent.service == "db"]
    found = {}
    for agent in known:
        try:
            await authorise(desk, agent, "serve")
        except AccessError as error:
            found[agent.id] = str(error)
        else:
            found[agent.id] = ""
    return found


async def list_all(desk: Desk, subject: Subject) -> Sequence[Agent]:
    """All services that joined."""
    await desk.authorise(subject, "list", "agent")
    async with desk.store.agents() as agents:
        return await agents.all()


async def remove(desk: Desk, subject: Subject, identifier: str) -> None:
    """Put a service out of the cluster; what only it served is not enrolled any more."""
    await desk.authorise(subject, "delete", "agent", identifier)
    async with desk.store.change() as change:
        agent = await change.agents.find(identifier)
        if agent is None:
            raise NotFoundError(f"agent {identifier!r} does not exist")
        names = await change.agents.databases_of(identifier)
        await change.agents.remove(identifier)
        await change.touch()
        for name in names:
            await drop_unserved(change, name)
        await desk.record(Kind.AGENT_REMOVE, subject, agent=agent.id, service=agent.service)


async def drop_unserved(change: Change, database: str) -> None:
    """Remove a database that no service serves any more."""
    if not await change.agents.serving(database) and await change.get("db", database) is not None:
        await change.delete("db", database)


async def _certify(desk: Desk, change: Change, agent: Agent, key: PublicKey, source: str) -> str:
    certificate = issue.issue_host(
        desk.authorities.host,
        names=[agent.id, *(_host(name) for name in agent.names)],
        public_key=key,
        ttl=HOST_MAX,
        now=desk.steady.now(),
        service=agent.service,
    )
    await desk.issued(change, certificate, Use.HOST, agent.id)
    fields = {"use": Use.HOST.value, "serial": certificate.serial, "expires": certificate.expires.isoformat()}
    about = {"agent": agent.id, "service": agent.service, "client_address": source}
    await desk.hooks.record(Kind.CERT_CREATE, {**fields, **about})
    return certificate.pem


def _host(address: str) -> str:
    """The host that a proxy says it is reached as; its certificate must prove it to be no other service."""
    host = parse_address(address, default_port=0).host
    if _ID.fullmatch(host):
        raise ConfigError(f"names: {host} is how services are called, not how a proxy is reached")
    return host


def _joined(desk: Desk, agent: Agent, certificate: str) -> Joined:
    known = desk.authorities
    host, user, db = (known.trusted_pem(kind) for kind in (Ca.HOST, Ca.USER, Ca.DB))
    return Joined(agent.id, known.cluster, certificate, host, user, db)
