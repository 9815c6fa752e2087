"""Resources as documents: created, read, changed and removed through the auth service."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from gateway.api.caller import Callers
from gateway.api.exchange import answer, body
from gateway.auth.authority import Auth
from gateway.auth.catalog import Applied
from gateway.auth.resources import load
from gateway.auth.store import Resource
from gateway.errors import ConfigError


def routes(auth: Auth, callers: Callers) -> list[web.RouteDef]:
    """The addresses of resources."""

    async def create(request: web.Request) -> web.Response:
        subject = callers.subject(request)
        given = await body(request)
        text, filename, force = given.text("text"), given.text("filename", most=1024), given.flag("replace")
        given.finish()
        done = await auth.create(subject, text, filename, force=force)
        return answer(
            {"resources": [_applied(item) for item in done], "warnings": _warnings(done)}, status=201
        )

    async def update(request: web.Request) -> web.Response:
        subject = callers.subject(request)
        given = await body(request)
        text, filename, revision = (
            given.text("text"),
            given.text("filename", most=1024),
            given.whole("revision"),
        )
        given.finish()
        where = request.match_info
        for item in load(text, filename):
            if (item.resource.kind, item.resource.name) != (where["kind"], where["name"]):
                raise ConfigError(f"expected {where['kind']}/{where['name']}, got another resource")
        done = await auth.update(subject, text, filename, expected=revision)
        return answer({"resources": [_applied(done)], "warnings": _warnings([done])})

    async def get(request: web.Request) -> web.Response:
        where = request.match_info
        return answer(_resource(await auth.get(callers.subject(request), where["kind"], where["name"])))

    async def list_kind(request: web.Request) -> web.Response:
        found = await auth.list(callers.subject(request), request.match_info["kind"])
        return answer({"resources": [_resource(item) for item in found]})

    async def delete(request: web.Request) -> web.Response:
        where = request.match_info
        await auth.delete(callers.subject(request), where["kind"], where["name"])
        return answer({})

    one = "/v1/resources/{kind}/{name}"
    return [
        web.post("/v1/resources", create),
        web.get("/v1/resources/{kind}", list_kind),
        web.get(one, get),
        web.put(one, update),
        web.delete(one, delete),
    ]


def _applied(done: Applied) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "kind": done.kind,
        "name": done.name,
        "action": done.action,
        "revision": done.revision,
    }
    return {**shown, "secret": done.secret} if done.secret else shown


def _warnings(done: Iterable[Applied]) -> list[str]:
    return [warning for item in done for warning in item.warnings]


def _resource(item: Resource) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "name": item.name,
        "revision": item.revision,
        "document": dict(item.document),
    }
