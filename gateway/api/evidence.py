"""What decisions were made from: inputs by digest, data and bundles by revision; for readers of the log.

Each log has its own: a digest is looked up where the record stands that names it, so that no service can
answer for the decisions of another.
"""

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
from gateway.policy.kept import Kept

_MOST_DIGESTS = 500
_MOST_BYTES = 8 * 1024 * 1024
_MOST_NAME = 256

T = TypeVar("T")


def routes(reader: AuditReader, callers: Callers) -> list[web.RouteDef]:
    """The addresses of what is kept beside the log."""

    async def inputs(request: web.Request) -> web.Response:
        await callers.authorise(request, "read", "event")
        given = await body(request)
        digests, origin = given.texts("digests"), given.text("origin", default="", most=_MOST_NAME)
        given.finish()
        if len(digests) > _MOST_DIGESTS:
            raise ConfigError(f"digests: expected at most {_MOST_DIGESTS}")
        return web.Response(
            body=await _with(reader, origin, lambda kept: _some(kept, digests)),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def data(request: web.Request) -> web.Response:
        await callers.authorise(request, "read", "event")
        revision, at = _whole(request.match_info["revision"]), _whole(request.query.get("at", ""))

        def read(kept: Kept) -> dict[str, Any]:
            digest, documents = kept.data(revision, at)
            return {"digest": digest, "data": documents}

        return answer(await _with(reader, _origin(request), read))

    async def bundle(request: web.Request) -> web.Response:
        await callers.authorise(request, "read", "event")
        revision, at = request.match_info["revision"], _whole(request.query.get("at", ""))

        def read(kept: Kept) -> dict[str, Any]:
            digest, content = kept.bundle(revision, at)
            return {"digest": digest, "bundle": base64.b64encode(content).decode("ascii")}

        return answer(await _with(reader, _origin(request), read))

    return [
        web.post("/v1/evidence/inputs", inputs),
        web.get("/v1/evidence/data/{revision}", data),
        web.get("/v1/evidence/policy/{revision}", bundle),
    ]


async def _with(reader: AuditReader, origin: str, read: Callable[[Kept], T]) -> T:
    def run() -> T:
        with reader.evidence(origin) as kept:
            return read(kept)

    return await asyncio.to_thread(run)


def _some(kept: Kept, digests: Iterable[str]) -> bytes:
    """What was kept of *digests*, until the answer is large enough; ``rest`` is to be asked for again.

    What was kept is JSON, and goes into the answer as it is: for a month of decisions it is not read here.
    """
    found: list[bytes] = []
    rest = dict.fromkeys(digests)
    size = 0
    for content in kept.contents(list(rest)):
        withheld = b"true" if content.is_withheld else b"false"
        entry = b'"%b":{"input":%b,"withheld":%b}' % (content.digest.encode("ascii"), content.body, withheld)
        found.append(entry)
        size += len(entry)
        del rest[content.digest]
        if size > _MOST_BYTES:
            break
    else:
        rest.clear()
    return b'{"inputs":{%b},"rest":%b}' % (b",".join(found), json.dumps(list(rest)).encode("ascii"))


def _origin(request: web.Request) -> str:
    """The name of a log, or of the service that writes it; empty for this service's own."""
    return request.query.get("origin", "")[:_MOST_NAME]


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ConfigError("expected a whole number")
    return int(text)
