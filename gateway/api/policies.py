"""The cluster's policy: what is in force, and putting another in its place."""

import base64
import binascii
from typing import Any, Protocol

from aiohttp import web

from gateway.api.caller import Callers
from gateway.api.exchange import MAX_BODY, answer, body
from gateway.errors import ConfigError
from gateway.model.identity import Subject


class Policies(Protocol):
    """What may be done about policies; ``gateway.services.policies`` does it."""

    async def status(self) -> dict[str, Any]:
        """What is in force."""
        ...

    async def publish(self, subject: Subject, content: bytes) -> dict[str, Any]:
        """Put a signed bundle in force."""
        ...

    async def shadow(self, subject: Subject, content: bytes) -> dict[str, Any]:
        """Ask a signed bundle beside the one in force."""
        ...

    async def unshadow(self, subject: Subject) -> bool:
        """Ask it no more."""
        ...

    async def rollback(self, subject: Subject) -> dict[str, Any]:
        """Put the one before in force again."""
        ...


def routes(policies: Policies, callers: Callers) -> list[web.RouteDef]:
    """The addresses of the policy."""

    async def status(request: web.Request) -> web.Response:
        await callers.authorise(request, "read", "policy")
        return answer(await policies.status())

    async def publish(request: web.Request) -> web.Response:
        subject = callers.subject(request)
        given = await body(request)
        text, beside = given.text("bundle", most=MAX_BODY), given.flag("shadow")
        given.finish()
        act = policies.shadow if beside else policies.publish
        return answer(await act(subject, _decoded(text)))

    async def unshadow(request: web.Request) -> web.Response:
        return answer({"stopped": await policies.unshadow(callers.subject(request))})

    async def rollback(request: web.Request) -> web.Response:
        subject = callers.subject(request)
        (await body(request)).finish()
        return answer(await policies.rollback(subject))

    return [
        web.get("/v1/policy", status),
        web.post("/v1/policy", publish),
        web.post("/v1/policy/rollback", rollback),
        web.delete("/v1/policy/shadow", unshadow),
    ]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError("bundle: expected base64") from error
