"""Bots through the API: made, listed and removed by administrators; joined and renewed by their machines."""

from typing import Any

from aiohttp import web

from gateway.api.accounts import login_shown
from gateway.api.caller import Callers, source
from gateway.api.exchange import Body, answer, body
from gateway.api.tokens import shown
from gateway.auth.authority import Auth
from gateway.auth.bots import Asked, BotView
from gateway.auth.tokens import LIFETIME

_MAX_CSR = 64 * 1024


def routes(auth: Auth, callers: Callers, public_addr: str) -> list[web.RouteDef]:
    """The addresses of bots; joining needs a token alone, renewing the bot's own certificate."""

    async def add(request: web.Request) -> web.Response:
        subject = callers.subject(request)
        given = await body(request)
        name, roles, traits = given.text("name", most=256), given.texts("roles"), given.lists("traits")
        ttl = given.seconds("ttl_seconds") or LIFETIME
        given.finish()
        view, secret = await auth.add_bot(subject, name, roles=roles, traits=traits, ttl=ttl)
        more = {"user": name, "token": secret, "proxy": public_addr, "ca_pin": auth.ca_pin}
        return answer({**shown(view), **more}, status=201)

    async def list_all(request: web.Request) -> web.Response:
        found = await auth.list_bots(callers.subject(request))
        return answer({"bots": [_bot(item) for item in found]})

    async def remove(request: web.Request) -> web.Response:
        await auth.remove_bot(callers.subject(request), request.match_info["name"])
        return answer({})

    async def join(request: web.Request) -> web.Response:
        given = await body(request)
        token = given.text("token", most=4096)
        return answer(login_shown(await auth.join_bot(token, _asked(request, given))))

    async def renew(request: web.Request) -> web.Response:
        identity = callers.identity(request)
        given = await body(request)
        return answer(login_shown(await auth.renew_bot(identity, _asked(request, given))))

    return [
        web.get("/v1/bots", list_all),
        web.post("/v1/bots", add),
        web.delete("/v1/bots/{name}", remove),
        web.post("/v1/bots/join", join),
        web.post("/v1/bots/renew", renew),
    ]


def _asked(request: web.Request, given: Body) -> Asked:
    asked = Asked(given.text("csr", most=_MAX_CSR), given.seconds("ttl_seconds"), source(request))
    given.finish()
    return asked


def _bot(view: BotView) -> dict[str, Any]:
    return {
        "name": view.name,
        "roles": list(view.roles),
        "traits": {name: list(values) for name, values in view.traits.items()},
        "joined_at": view.joined_at,
        "renewed_at": view.renewed_at,
    }
