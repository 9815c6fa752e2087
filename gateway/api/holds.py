"""Statements that wait for a second person: listed, shown, and answered."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from aiohttp import web

from gateway.api.caller import Callers
from gateway.api.exchange import answer
from gateway.auth.authority import Auth
from gateway.errors import NotFoundError
from gateway.model.event import Kind
from gateway.model.hold import Answer, Held


class Waiting(Protocol):
    """The statements that wait; ``gateway.session.hold.Holds`` has those of one process."""

    def all(self) -> Sequence[Held]:
        """What waits now, the oldest first."""
        ...

    def get(self, hold_id: str) -> Held | None:
        """One that waits, by its id."""
        ...

    def answer(self, hold_id: str, answer: Answer, who: str) -> bool:
        """Answer it; False when it waits no more."""
        ...


class Nobody:
    """Where no session runs, nothing waits."""

    def all(self) -> Sequence[Held]:
        """None."""
        return ()

    def get(self, hold_id: str) -> Held | None:
        """None, whatever *hold_id* is."""
        del hold_id
        return None

    def answer(self, hold_id: str, answer: Answer, who: str) -> bool:
        """False, whatever is answered."""
        del hold_id, answer, who
        return False


def routes(holds: Waiting, callers: Callers, auth: Auth) -> list[web.RouteDef]:
    """The addresses of holds. Who may answer one, and that it is not who asked, the policy says."""

    async def list_all(request: web.Request) -> web.Response:
        await callers.authorise(request, "list", "hold")
        return answer({"holds": [_shown(held) for held in holds.all()]})

    async def show(request: web.Request) -> web.Response:
        await callers.authorise(request, "read", "hold")
        return answer(_shown(_found(request)))

    async def approve(request: web.Request) -> web.Response:
        return await reply(request, Answer.APPROVED)

    async def deny(request: web.Request) -> web.Response:
        return await reply(request, Answer.DENIED)

    async def reply(request: web.Request, given: Answer) -> web.Response:
        await callers.authorise(request, "update", "hold")
        held = _found(request)
        await callers.authorise(request, "update", "hold", held.user)
        who = callers.subject(request)
        asked = {"hold_id": held.id, "for_user": held.user, "database": held.database}
        await auth.record(Kind.HOLD_ANSWER, who, answer=given.value, **asked)
        if not holds.answer(held.id, given, who.name):
            raise _gone(held.id)
        return answer(_shown(held))

    def _found(request: web.Request) -> Held:
        hold_id = request.match_info["id"]
        held = holds.get(hold_id)
        if held is None:
            raise _gone(hold_id)
        return held

    return [
        web.get("/v1/holds", list_all),
        web.get("/v1/holds/{id}", show),
        web.post("/v1/holds/{id}/approve", approve),
        web.post("/v1/holds/{id}/deny", deny),
    ]


def _gone(hold_id: str) -> NotFoundError:
    return NotFoundError(f"no statement waits under {hold_id[:64]!r}", hint="list them with: regate holds ls")


def _shown(held: Held) -> dict[str, Any]:
    return {
        "id": held.id,
        "user": held.user,
        "database": held.database,
        "db_user": held.db_user,
        "db_name": held.db_name,
        "session_id": held.session_id,
        "statements": list(held.statements),
        "reason": held.reason,
        "asked": _moment(held.asked_ns),
        "expires": _moment(held.expires_ns),
    }


def _moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).isoformat()
