"""Logging in, accepting an account, and the accounts themselves."""

from typing import Any

from aiohttp import web

from gateway.api.caller import Callers, source
from gateway.api.exchange import answer, body
from gateway.auth.authority import Auth
from gateway.auth.login import Login, LoginRequest
from gateway.auth.users import Invitation, UserView
from gateway.errors import AccessError, ConfigError
from gateway.observe.metrics import Metrics

_MAX_SECRET = 4096  # characters of a password or token


def routes(auth: Auth, callers: Callers, metrics: Metrics, public_addr: str) -> list[web.RouteDef]:
    """The addresses for people and their accounts."""
    api = _Accounts(auth, callers, metrics, public_addr)
    return [
        web.post("/v1/login", api.login),
        web.post("/v1/users/accept", api.accept),
        web.get("/v1/users", api.list_all),
        web.post("/v1/users", api.add),
        web.put("/v1/users/{name}", api.update),
        web.delete("/v1/users/{name}", api.remove),
        web.post("/v1/users/{name}/reset", api.reset),
    ]


class _Accounts:
    def __init__(self, auth: Auth, callers: Callers, metrics: Metrics, public_addr: str) -> None:
        self._auth = auth
        self._callers = callers
        self._metrics = metrics
        self._public_addr = public_addr

    async def login(self, request: web.Request) -> web.Response:
        given = await body(request)
        wanted = LoginRequest(
            user=given.text("user", most=256),
            password=given.text("password", most=_MAX_SECRET),
            csr_pem=given.text("csr", most=64 * 1024),
            totp=given.text("totp", default="", most=64),
            ttl=given.seconds("ttl_seconds"),
            source=source(request),
        )
        given.finish()
        try:
            made = await self._auth.login(wanted)
        except AccessError as error:
            self._metrics.login(error.code)
            raise
        self._metrics.login("ok")
        return answer(login_shown(made))

    async def accept(self, request: web.Request) -> web.Response:
        given = await body(request)
        token, password = given.text("token", most=_MAX_SECRET), given.text("password", most=_MAX_SECRET)
        wants_totp = given.flag("totp")
        given.finish()
        made = await self._auth.accept_signup(token, password, want_totp=wants_totp, source=source(request))
        return answer({"user": made.user, "totp_uri": made.totp_uri})

    async def list_all(self, request: web.Request) -> web.Response:
        found = await self._auth.list_users(self._callers.subject(request))
        return answer({"users": [_user(item) for item in found]})

    async def add(self, request: web.Request) -> web.Response:
        subject = self._callers.subject(request)
        given = await body(request)
        name, roles, traits = given.text("name", most=256), given.texts("roles"), given.lists("traits")
        ttl = given.seconds("ttl_seconds")
        given.finish()
        more: dict[str, Any] = {} if ttl is None else {"ttl": ttl}
        made = await self._auth.add_user(subject, name, roles=roles, traits=traits, **more)
        return answer(self._invitation(made), status=201)

    async def reset(self, request: web.Request) -> web.Response:
        subject = self._callers.subject(request)
        given = await body(request)
        ttl = given.seconds("ttl_seconds")
        given.finish()
        more: dict[str, Any] = {} if ttl is None else {"ttl": ttl}
        return answer(
            self._invitation(await self._auth.reset_user(subject, request.match_info["name"], **more))
        )

    async def update(self, request: web.Request) -> web.Response:
        subject = self._callers.subject(request)
        given = await body(request)
        roles = given.texts("roles") if "roles" in given else None
        traits = given.lists("traits")
        given.finish()
        name = request.match_info["name"]
        view = await self._auth.set_traits(subject, name, traits) if traits else None
        if roles is not None:
            view = await self._auth.set_roles(subject, name, roles)
        if view is None:
            raise ConfigError("expected roles or traits")
        return answer(_user(view))

    async def remove(self, request: web.Request) -> web.Response:
        await self._auth.remove_user(self._callers.subject(request), request.match_info["name"])
        return answer({})

    def _invitation(self, made: Invitation) -> dict[str, Any]:
        return {
            "user": made.user,
            "token": made.token,
            "expires": made.expires.isoformat(),
            "proxy": self._public_addr,
            "ca_pin": self._auth.ca_pin,
        }


def login_shown(made: Login) -> dict[str, Any]:
    """What somebody is told who has proved who they are."""
    return {
        "certificate": made.certificate_pem,
        "host_ca": made.host_ca_pem,
        "cluster": made.cluster,
        "user": made.user,
        "roles": list(made.roles),
        "expires": made.expires.isoformat(),
    }


def _user(view: UserView) -> dict[str, Any]:
    return {
        "name": view.name,
        "roles": list(view.roles),
        "traits": {name: list(values) for name, values in view.traits.items()},
        "status": view.status,
        "totp": view.totp,
    }
