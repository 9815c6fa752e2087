"""The databases somebody may see, and a certificate that opens one of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aiohttp import web
from cryptography import x509

from gateway.api import agents
from gateway.api.caller import Callers, source
from gateway.api.exchange import answer, body
from gateway.auth.authority import Auth
from gateway.auth.serving import Served
from gateway.ca import identity as certificates
from gateway.ca.profile import Kind as Ca
from gateway.model.identity import Identity
from gateway.model.resource import Database


@dataclass(frozen=True, slots=True)
class VisibleDatabase:
    """A database that a person may see, and as whom and where they may connect."""

    database: Database
    db_users: tuple[str, ...]
    db_names: tuple[str, ...]


Visible: TypeAlias = Callable[[Identity], Awaitable[Sequence[VisibleDatabase]]]


def routes(auth: Auth, callers: Callers, visible: Visible, native: Mapping[str, str]) -> list[web.RouteDef]:
    """The addresses of databases; *native* has where the clients of a protocol find a port of its own."""

    async def list_visible(request: web.Request) -> web.Response:
        found = await visible(callers.identity(request))
        services = await auth.elsewhere.services_of()
        shown = [_shown(item, services.get(item.database.name, ())) for item in found]
        return answer({"databases": shown})

    async def certificate(request: web.Request) -> web.Response:
        identity = callers.identity(request)
        given = await body(request)
        db_user, db_name = given.text("db_user", most=256), given.text("db_name", default="", most=256)
        csr = given.text("csr", most=64 * 1024)
        given.finish()
        name = request.match_info["name"]
        made = await auth.database_certificate(
            identity, database=name, db_user=db_user, db_name=db_name, csr_pem=csr, source=source(request)
        )
        route = certificates.from_certificate(_parse(made.pem), now=auth.steady.now()).route
        assert route is not None
        return answer(
            {
                "certificate": made.pem,
                "expires": made.expires.isoformat(),
                "protocol": route.protocol,
                "native": native.get(route.protocol, ""),
                "host_ca": auth.ca_pem(Ca.HOST),
            }
        )

    return [web.get("/v1/db", list_visible), web.post("/v1/db/{name}/certificate", certificate)]


def _parse(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode("ascii"))


def _shown(item: VisibleDatabase, services: Sequence[Served]) -> dict[str, Any]:
    """Without the address: clients go through the proxy, and need not know the network behind it."""
    database = item.database
    return {
        "name": database.name,
        "description": database.description,
        "protocol": database.protocol,
        "labels": dict(database.labels),
        "db_users": list(item.db_users),
        "db_names": list(item.db_names),
        "agents": [agents.shown(served) for served in services],
    }
