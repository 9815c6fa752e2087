"""Statements that wait at a service elsewhere: shown here with all others, and answered from here.

The service asks for as long as its statement waits, and hears a sign of life every two seconds. What counts
is the connection: when the statement waits no more, or the service is gone, nothing is left here.
"""

import asyncio  # noqa: TID251
import json
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from gateway.api.exchange import Body, body
from gateway.auth.authority import Auth
from gateway.errors import ConflictError
from gateway.model.hold import Answer, Held
from gateway.model.identity import Identity

BEAT_SECONDS = 2.0
MOST_SECONDS = 24 * 3600.0
_MOST_TEXT = 64 * 1024
_MOST_STATEMENTS = 1000


class Waiting(Protocol):
    """Where statements wait; ``gateway.session.hold.Holds``."""

    @property
    def is_full(self) -> bool:
        """True when no more may wait."""
        ...

    async def wait(self, held: Held, seconds: float) -> tuple[Answer, str]:
        """The answer, and who gave it."""
        ...


def route(auth: Auth, holds: Waiting, service: Callable[[web.Request], Identity]) -> web.RouteDef:
    """The address where services ask; *service* says who calls."""

    async def hold(request: web.Request) -> web.StreamResponse:
        identity = service(request)
        given = await body(request)
        held = _held(given)
        given.finish()
        await auth.elsewhere.may_hold(identity, held.database)
        if holds.is_full:
            raise ConflictError("too many statements wait already")
        response = web.StreamResponse(headers={"Cache-Control": "no-store"})
        response.content_type = "application/x-ndjson"
        await response.prepare(request)
        seconds = (held.expires_ns - held.asked_ns) / 1e9
        waiting = asyncio.ensure_future(holds.wait(held, min(max(seconds, 0.0), MOST_SECONDS)))
        try:
            while not (await asyncio.wait({waiting}, timeout=BEAT_SECONDS))[0]:
                await response.write(b"{}\n")
            given_answer, who = waiting.result()
            await response.write(_line(given_answer, who))
            await response.write_eof()
        except ConnectionResetError:
            pass  # it waits no more, or its service is gone
        finally:
            waiting.cancel()
        return response

    return web.post("/v1/agents/holds", hold)


def _line(answer: Answer, who: str) -> bytes:
    return json.dumps({"answer": answer.value, "who": who}).encode("utf-8") + b"\n"


def _held(given: Body) -> Held:
    names = ("id", "session_id", "user", "database", "db_user", "db_name", "reason")
    texts = {name: given.text(name, most=1024) for name in names}
    statements = tuple(text[:_MOST_TEXT] for text in given.texts("statements")[:_MOST_STATEMENTS])
    asked, expires = given.whole("asked_ns"), given.whole("expires_ns")
    return Held(**texts, statements=statements, asked_ns=asked, expires_ns=expires)
