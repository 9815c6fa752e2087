"""About the cluster itself: who it is, its authorities, and certificates for database servers."""

from collections.abc import Sequence
from importlib import metadata

from aiohttp import web

from gateway.api.caller import Callers
from gateway.api.exchange import answer, body
from gateway.auth.authority import Auth
from gateway.ca.profile import Kind as Ca
from gateway.clock import SystemClock, utc
from gateway.errors import ConfigError


def routes(auth: Auth, callers: Callers, public_addr: str, proxies: Sequence[str] = ()) -> list[web.RouteDef]:
    """The cluster's addresses; *proxies* are all that people may dial."""

    async def ping(_request: web.Request) -> web.Response:
        """Open to strangers: all of it stands in the TLS handshake or is meant to be known."""
        return answer(
            {
                "cluster": auth.cluster,
                "version": metadata.version("regate"),
                "host_ca": auth.ca_pem(Ca.HOST),
                "public_addr": public_addr,
                "proxies": list(proxies),
                "time": utc(SystemClock()).isoformat(),
            }
        )

    async def status(request: web.Request) -> web.Response:
        identity = callers.identity(request)
        return answer(
            {
                "user": identity.user,
                "roles": list(identity.roles),
                "cluster": identity.cluster,
                "expires": identity.expires.isoformat(),
                "host_ca": auth.ca_pem(Ca.HOST),
            }
        )

    async def overview(request: web.Request) -> web.Response:
        found = await auth.status(callers.subject(request))
        return answer(
            {
                "cluster": found.cluster,
                "ca_pin": found.ca_pin,
                "data_revision": found.data_revision,
                "authorities": dict(found.authorities),
                "counts": dict(found.counts),
                "public_addr": public_addr,
            }
        )

    async def sign(request: web.Request) -> web.Response:
        subject = callers.subject(request)
        given = await body(request)
        form, hosts, ttl = given.text("format"), given.texts("hosts"), given.seconds("ttl_seconds")
        given.finish()
        if form != "db":
            raise ConfigError("format: expected db")
        more = {} if ttl is None else {"ttl": ttl}
        signed = await auth.sign_db_server(subject, hosts, **more)
        return answer(
            {"certificate": signed.certificate_pem, "key": signed.key_pem, "client_ca": signed.client_ca_pem}
        )

    async def export(request: web.Request) -> web.Response:
        pem = await auth.export_ca(callers.subject(request), request.query.get("type", ""))
        return answer({"pem": pem})

    return [
        web.get("/v1/ping", ping),
        web.get("/v1/status", status),
        web.get("/v1/cluster", overview),
        web.post("/v1/auth/sign", sign),
        web.get("/v1/auth/export", export),
    ]
