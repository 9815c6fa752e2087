"""Join tokens through the API: made, listed and removed; using one is another address."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.api.caller import Callers
from gateway.api.exchange import Body, answer, body
from gateway.auth.authority import Auth
from gateway.auth.tokens import LIFETIME, TokenView, Wish
from gateway.errors import ConfigError


def routes(auth: Auth, callers: Callers, public_addr: str) -> list[web.RouteDef]:
    """The addresses of tokens; what a service needs besides its token is told along with it."""

    async def add(request: web.Request) -> web.Response:
        subject = callers.subject(request)
        view, secret = await auth.add_token(subject, _wish(await body(request)))
        more = {"token": secret, "proxy": public_addr, "ca_pin": auth.ca_pin}
        return answer({**shown(view), **more}, status=201)

    async def list_all(request: web.Request) -> web.Response:
        found = await auth.list_tokens(callers.subject(request))
        return answer({"tokens": [shown(item) for item in found]})

    async def remove(request: web.Request) -> web.Response:
        await auth.delete(callers.subject(request), "token", request.match_info["name"])
        return answer({})

    return [
        web.get("/v1/tokens", list_all),
        web.post("/v1/tokens", add),
        web.delete("/v1/tokens/{name}", remove),
    ]


def _wish(given: Body) -> Wish:
    is_open = given.flag("multi_use")
    if is_open and "uses" in given:
        raise ConfigError("expected one of uses and multi_use, got both")
    wish = Wish(
        types=given.texts("types"),
        name=given.text("name", default="", most=128),
        ttl=given.seconds("ttl_seconds") or LIFETIME,
        uses=None if is_open else given.whole("uses") if "uses" in given else 1,
        labels=given.lists("labels"),
        databases=given.texts("databases") if "databases" in given else (),
        bot=given.text("bot", default="", most=256),
    )
    given.finish()
    return wish


def shown(view: TokenView) -> dict[str, Any]:
    """A token as lists show it, without its secret."""
    labels = view.grant.labels
    return {
        "name": view.name,
        "types": list(view.grant.types),
        "labels": None if labels is None else {name: list(values) for name, values in labels.items()},
        "databases": _several(view.grant.databases),
        "expires": view.expires.isoformat(),
        "uses_left": view.uses_left,
        **({"bot": view.bot} if view.bot else {}),
    }


def _several(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)
