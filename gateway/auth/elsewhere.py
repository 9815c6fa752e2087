"""What services that joined ask of the auth service, as the API and a proxy in the same process see it."""

from collections.abc import Mapping, Sequence

from gateway.auth import joining, serving, sessions
from gateway.auth.desk import Desk
from gateway.auth.joining import Joined, JoinRequest
from gateway.auth.serving import Offered, Refused, Served
from gateway.auth.sessions import Opened, Wish
from gateway.auth.store import Agent
from gateway.ca.identity import from_chain
from gateway.ca.profile import Kind as Ca
from gateway.model.identity import Identity, Subject, Use


class Elsewhere:
    """The operations; each asks the policy about the service that calls."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def identify(self, der: bytes) -> Identity:
        """The service that showed this host certificate; CertificateError when it is none of ours."""
        issuers = self._desk.authorities.trusted(Ca.HOST)
        return from_chain(der, *issuers, uses=(Use.HOST,), now=self._desk.steady.now())

    async def join(self, request: JoinRequest) -> Joined:
        """Use up a token for a host certificate."""
        return await joining.join(self._desk, request)

    async def renew(self, identity: Identity, csr_pem: str, source: str) -> Joined:
        """The next host certificate."""
        return await joining.renew(self._desk, identity, csr_pem, source)

    async def standing(self, identity: Identity, verb: str) -> Agent:
        """The service behind *identity*, if the policy lets it do *verb*."""
        return await joining.standing(self._desk, identity, verb)

    async def register(self, identity: Identity, offered: Sequence[Offered]) -> list[Refused]:
        """Take a heartbeat; returns what the service may not serve."""
        return await serving.register(self._desk, identity, offered)

    async def standings(self) -> Mapping[str, str]:
        """For each database service why it may not be given sessions, or empty text."""
        return await joining.standings(self._desk)

    async def proxies(self) -> list[str]:
        """The addresses of proxies that joined."""
        async with self._desk.store.agents() as agents:
            return [name for agent in await agents.all() if agent.service == "proxy" for name in agent.names]

    def trust(self) -> dict[str, str]:
        """The authorities that services believe, in PEM."""
        known = self._desk.authorities
        kinds = {"host_ca": Ca.HOST, "user_ca": Ca.USER, "db_ca": Ca.DB}
        return {name: known.trusted_pem(kind) for name, kind in kinds.items()}

    async def databases_of(self, identifier: str) -> list[str]:
        """The names that a service serves."""
        async with self._desk.store.agents() as agents:
            return await agents.databases_of(identifier)

    async def services_of(self) -> Mapping[str, list[Served]]:
        """For each database that is served elsewhere: by whom, and how it is."""
        return await serving.services_of(self._desk)

    async def open_session(self, proxy: Identity | None, wish: Wish) -> Opened:
        """Choose a service for a session, and certify it."""
        return await sessions.open_session(self._desk, proxy, wish)

    async def mint(self, agent: Identity, session: bytes, csr_pem: str) -> str:
        """What a database sees of one session."""
        return await sessions.mint(self._desk, agent, session, csr_pem)

    async def mint_health(self, agent: Identity, database: str, csr_pem: str) -> str:
        """What a database sees of a look at its health."""
        return await sessions.mint_health(self._desk, agent, database, csr_pem)

    async def may_hold(self, agent: Identity, database: str) -> None:
        """AccessError unless this service serves *database*, and may have its statements wait."""
        await sessions.may_hold(self._desk, agent, database)

    async def list_all(self, subject: Subject) -> Sequence[Agent]:
        """All services that joined."""
        return await joining.list_all(self._desk, subject)

    async def remove(self, subject: Subject, identifier: str) -> None:
        """Put a service out of the cluster."""
        await joining.remove(self._desk, subject, identifier)
