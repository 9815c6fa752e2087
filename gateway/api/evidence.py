"""What decisions were made from: inputs by digest, data and bundles by revision; for readers of the log."""

import asyncio  # noqa: TID251
import base64
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from aiohttp import web

from gateway.api.audit import AuditReader
from gateway.api.caller import Callers
from gateway.api.exchange import answer, body
from gateway.errors import ConfigError
from gateway.policy.evidence import Evidence

_MOST_DIGESTS = 500
_MOST_BYTES = 8 * 1024 * 1024

T = TypeVar("T")


def routes(reader: AuditReader, callers: Callers) -> list[web.RouteDef]:
    """The addresses of what is kept beside the log."""

    async def inputs(request: web.Request) -> web.Response:
        await callers.authorise(request, "read", "event")
        given = await body(request)
        digests = given.texts("digests")
        given.finish()
        if len(digests) > _MOST_DIGESTS:
            raise ConfigError(f"digests: expected at most {_MOST_DIGESTS}")
        return answer(await _with(reader, lambda kept: _some(kept, digests)))

    async def data(request: web.Request) -> web.Response:
        await callers.authorise(request, "read", "event")
        revision, at = _whole(request.match_info["revision"]), _whole(request.query.get("at", ""))

        def read(kept: Evidence) -> dict[str, Any]:
            return {"digest": kept.digest_of("data", str(revision), at), "data": kept.data(revision, at)}

        return answer(await _with(reader, read))

    async def bundle(request: web.Request) -> web.Response:
        await callers.authorise(request, "read", "event")
        revision, at = request.match_info["revision"], _whole(request.query.get("at", ""))

        def read(kept: Evidence) -> dict[str, Any]:
            content = base64.b64encode(kept.bundle(revision, at)).decode("ascii")
            return {"digest": kept.digest_of("policy", revision, at), "bundle": content}

        return answer(await _with(reader, read))

    return [
        web.post("/v1/evidence/inputs", inputs),
        web.get("/v1/evidence/data/{revision}", data),
        web.get("/v1/evidence/policy/{revision}", bundle),
    ]


async def _with(reader: AuditReader, read: Callable[[Evidence], T]) -> T:
    def run() -> T:
        with reader.evidence() as kept:
            return read(kept)

    return await asyncio.to_thread(run)


def _some(kept: Evidence, digests: Iterable[str]) -> dict[str, Any]:
    """What was kept of *digests*, until the answer is large enough; ``rest`` is to be asked for again."""
    found: dict[str, Any] = {}
    rest = dict.fromkeys(digests)
    size = 0
    for question in kept.questions(list(rest)):
        found[question.digest] = {"input": question.value, "withheld": question.is_withheld}
        size += len(json.dumps(question.value))
        del rest[question.digest]
        if size > _MOST_BYTES:
            return {"inputs": found, "rest": list(rest)}
    return {"inputs": found, "rest": []}


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ConfigError("expected a whole number")
    return int(text)
