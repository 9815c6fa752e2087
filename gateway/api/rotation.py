"""Where the rotation of each authority stands, and the next phase of one."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from gateway.api.caller import Callers
from gateway.api.exchange import answer, body
from gateway.auth.authority import Auth
from gateway.auth.rotate import Step
from gateway.ca.profile import Kind as Ca
from gateway.ca.rotation import Phase
from gateway.errors import ConfigError


def routes(auth: Auth, callers: Callers) -> list[web.RouteDef]:
    """The addresses of rotations."""

    async def overview(request: web.Request) -> web.Response:
        return answer({"rotations": list(await auth.rotations(callers.subject(request)))})

    async def step(request: web.Request) -> web.Response:
        given = await body(request)
        kind = given.text("type", default="", most=32)
        # Asked before anything is read closely: who may not rotate learns nothing about what rotates.
        await callers.authorise(request, "update", "cert_authority", kind)
        phase = given.text("phase", default="", most=32)
        more: dict[str, Any] = {}
        if "grace_seconds" in given:
            more["grace"] = timedelta(seconds=min(given.whole("grace_seconds"), 10**9))
        wanted = Step(_kind(kind), _phase(phase) if phase else None, manual=given.flag("manual"), **more)
        given.finish()
        return answer(await auth.rotate(callers.subject(request), wanted))

    return [web.get("/v1/auth/rotation", overview), web.post("/v1/auth/rotation", step)]


def _kind(text: str) -> Ca:
    try:
        return Ca(text)
    except ValueError:
        raise ConfigError(f"type: expected one of {', '.join(Ca)}, got {text!r}") from None


def _phase(text: str) -> Phase:
    try:
        return Phase(text.replace("_", "-"))
    except ValueError:
        raise ConfigError(f"phase: expected one of {', '.join(Phase)}, got {text!r}") from None
