"""What services elsewhere ask: to join, to serve, to open a session, to mint, to be told of changes.

All but joining needs the service's host certificate, whose chain is verified here again, against the host
authority alone; what the service may do is the policy's to say.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

from gateway.api.caller import Callers, service_certificate, source
from gateway.api.exchange import Body, answer, body, failure
from gateway.auth.authority import Auth
from gateway.auth.joining import Joined, JoinRequest
from gateway.auth.serving import Offered, Served
from gateway.auth.sessions import Wish
from gateway.auth.store import Agent
from gateway.errors import AccessError, CertificateError, ConfigError, RegateError
from gateway.model.identity import Identity
from gateway.model.resource import Database

_MOST_DATABASES = 10_000
_MAX_CSR = 64 * 1024


class Feed(Protocol):
    """What keeps services elsewhere up to date; ``gateway.services.feed`` is one."""

    def follow(self, identity: Identity) -> AsyncIterator[bytes]:
        """Lines of JSON: all that the service must know, at once and after each change, for ever."""
        ...

    async def bundle(self, identity: Identity) -> Mapping[str, Any]:
        """The signed policies, and the key to verify them with."""
        ...


def routes(auth: Auth, callers: Callers, feed: Feed | None) -> list[web.RouteDef]:
    """The addresses for services elsewhere, and for those who look after them."""
    api = _Agents(auth, callers)
    shared = [
        web.post("/v1/join", api.join),
        web.post("/v1/agents/renew", api.renew),
        web.post("/v1/agents/register", api.register),
        web.post("/v1/agents/open", api.open),
        web.post("/v1/agents/mint", api.mint),
        web.get("/v1/agents", api.list_all),
        web.get("/v1/agents/databases", api.databases),
        web.delete("/v1/agents/{id}", api.remove),
    ]
    return shared if feed is None else [*shared, *_feeding(api, feed)]


def _feeding(api: "_Agents", feed: Feed) -> list[web.RouteDef]:
    async def follow(request: web.Request) -> web.StreamResponse:
        identity = api.service(request)
        lines = feed.follow(identity)
        first = await anext(lines)  # a refusal before the first line is a plain error
        response = web.StreamResponse(headers={"Cache-Control": "no-store"})
        response.content_type = "application/x-ndjson"
        await response.prepare(request)
        await response.write(first)
        try:
            async for line in lines:
                await response.write(line)
        except RegateError as error:
            about = web.json_response(failure(error)).body
            assert isinstance(about, bytes)
            await response.write(about + b"\n")
        await response.write_eof()
        return response

    async def bundle(request: web.Request) -> web.Response:
        return answer(await feed.bundle(api.service(request)))

    return [web.get("/v1/agents/follow", follow), web.get("/v1/agents/bundle", bundle)]


def service_of(auth: Auth) -> Callable[[web.Request], Identity]:
    """Says which service calls, by the certificate of its connection; AccessError when none does."""

    def service(request: web.Request) -> Identity:
        try:
            return auth.elsewhere.identify(service_certificate(request))
        except CertificateError as error:
            raise AccessError(str(error), code="login_needed") from error

    return service


class _Agents:
    def __init__(self, auth: Auth, callers: Callers) -> None:
        self._auth = auth
        self._callers = callers
        self.service = service_of(auth)

    async def join(self, request: web.Request) -> web.Response:
        given = await body(request)
        wanted = JoinRequest(
            token=given.text("token", most=4096),
            service=given.text("service", most=16),
            csr_pem=given.text("csr", most=_MAX_CSR),
            hostname=given.text("hostname", default="", most=256),
            names=tuple(given.texts("names")) if "names" in given else (),
            source=source(request),
        )
        given.finish()
        return answer(_joined(await self._auth.elsewhere.join(wanted)))

    async def renew(self, request: web.Request) -> web.Response:
        identity = self.service(request)
        given = await body(request)
        csr = given.text("csr", most=_MAX_CSR)
        given.finish()
        return answer(_joined(await self._auth.elsewhere.renew(identity, csr, source(request))))

    async def register(self, request: web.Request) -> web.Response:
        identity = self.service(request)
        given = await body(request)
        offered = _offered(given)
        given.finish()
        refused = await self._auth.elsewhere.register(identity, offered)
        told = [
            {"name": item.name, "code": item.code, "message": item.message, "hint": item.hint}
            for item in refused
        ]
        return answer({"refused": told})

    async def open(self, request: web.Request) -> web.Response:
        identity = self.service(request)
        given = await body(request)
        wish = Wish(
            certificate=_der(given, "certificate"),
            csr_pem=given.text("csr", most=_MAX_CSR),
            client_address=given.text("client_address", most=128),
            connected=given.texts("connected"),
        )
        given.finish()
        opened = await self._auth.elsewhere.open_session(identity, wish)
        return answer({"agent": opened.agent, "certificate": opened.certificate})

    async def mint(self, request: web.Request) -> web.Response:
        identity = self.service(request)
        given = await body(request)
        csr = given.text("csr", most=_MAX_CSR)
        if "session" in given:
            session = _der(given, "session")
            given.finish()
            made = await self._auth.elsewhere.mint(identity, session, csr)
        else:
            database = given.text("health_of", most=256)
            given.finish()
            made = await self._auth.elsewhere.mint_health(identity, database, csr)
        return answer({"certificate": made})

    async def list_all(self, request: web.Request) -> web.Response:
        found = await self._auth.elsewhere.list_all(self._callers.subject(request))
        return answer({"agents": [_shown(agent) for agent in found]})

    async def databases(self, request: web.Request) -> web.Response:
        await self._auth.elsewhere.list_all(self._callers.subject(request))  # asks the policy
        found = await self._auth.elsewhere.services_of()
        return answer({"databases": {name: [shown(item) for item in held] for name, held in found.items()}})

    async def remove(self, request: web.Request) -> web.Response:
        await self._auth.elsewhere.remove(self._callers.subject(request), request.match_info["id"])
        return answer({})


def shown(served: Served) -> dict[str, Any]:
    """One service of a database, as lists show it."""
    return {
        "id": served.id,
        "hostname": served.hostname,
        "healthy": served.healthy,
        "reason": served.reason,
        "last_seen": served.last_seen,
    }


def _joined(joined: Joined) -> dict[str, Any]:
    return {
        "id": joined.id,
        "cluster": joined.cluster,
        "certificate": joined.certificate,
        "host_ca": joined.host_ca,
        "user_ca": joined.user_ca,
        "db_ca": joined.db_ca,
    }


def _shown(agent: Agent) -> dict[str, Any]:
    return {
        "id": agent.id,
        "service": agent.service,
        "hostname": agent.hostname,
        "token": agent.token,
        "joined_at": agent.joined_at,
        "last_seen": agent.seen_at,
    }


def _der(given: Body, name: str) -> bytes:
    try:
        return b64decode(given.text(name, most=_MAX_CSR), validate=True)
    except (Base64Error, ValueError) as error:
        raise ConfigError(f"{name}: expected a certificate in base64") from error


def _offered(given: Body) -> list[Offered]:
    items = given.objects("databases", most=_MOST_DATABASES)
    offered = []
    for item in items:
        database = Database(
            name=item.text("name", most=128),
            protocol=item.text("protocol", most=32),
            uri=item.text("uri", most=1024),
            description=item.text("description", default="", most=1024),
            labels=item.labels("labels"),
            elsewhere=True,
        )
        offered.append(Offered(database, item.text("problem", default="", most=1024)))
        item.finish()
    return offered
