"""Reading and verifying the audit log over the API; files are read in a thread, a bounded piece at a time."""

import asyncio  # noqa: TID251
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from aiohttp import web

from gateway.api.caller import Callers
from gateway.api.estate import Examined, settled_origin, shown
from gateway.api.exchange import answer, body
from gateway.audit.encode import Record, canonical, parse_rfc3339
from gateway.audit.note import MAX_NOTE_BYTES
from gateway.audit.read import Query
from gateway.auth.logs import Logs, Registered
from gateway.errors import AuditError, ConfigError
from gateway.model.event import Kind
from gateway.policy.kept import Kept

_PIECE = 200  # records read before the event loop gets its turn
_NAME, _REASON = 256, 1000  # characters
_FILTERS = frozenset(
    {"user", "database", "kind", "session", "decision", "text", "since", "until", "limit", "order", "origin"}
)


class AuditReader(Protocol):
    """Every log's records and their proof; the methods block, and are called in a thread."""

    @property
    def cluster(self) -> str:
        """What the names of other services' logs begin with."""
        ...

    def records(self, query: Query, origin: str = "") -> Iterator[tuple[str, Record]]:
        """The records that pass *query*, each with its log's name."""
        ...

    def verify(self, kept: bytes, registered: Sequence[Registered]) -> list[Examined]:
        """Whether each log is whole, and continues the checkpoint *kept* elsewhere unless that is empty."""
        ...

    def checkpoint(self) -> str:
        """The newest signed checkpoint of the own log."""
        ...

    def digests(self, text: str) -> Mapping[str, str]:
        """What each log, by its name, has in the place of a statement of this *text*."""
        ...

    def evidence(self, origin: str = "") -> Kept:
        """What the decisions in the log of that name were made from, to be closed by whoever asks."""
        ...


def routes(reader: AuditReader, callers: Callers, logs: Logs) -> list[web.RouteDef]:
    """The log's addresses; the policy is asked as about any other resource (``event``)."""

    async def records(request: web.Request) -> web.StreamResponse:
        await callers.authorise(request, "list", "event")
        return await stream(request, reader)

    async def whole(request: web.Request) -> web.StreamResponse:
        await callers.authorise(request, "read", "event")
        return await report(reader, b"", await logs.all())

    async def continues(request: web.Request) -> web.StreamResponse:
        await callers.authorise(request, "read", "event")
        given = await body(request)
        kept = given.text("checkpoint", most=MAX_NOTE_BYTES)
        given.finish()
        return await report(reader, kept.encode("utf-8", "replace"), await logs.all())

    async def newest(request: web.Request) -> web.StreamResponse:
        await callers.authorise(request, "read", "event")
        return answer({"checkpoint": await asyncio.to_thread(reader.checkpoint)})

    async def settle(request: web.Request) -> web.Response:
        await callers.authorise(request, "update", "event")
        given = await body(request)
        name, reason = given.text("origin", most=_NAME), given.text("reason", most=_REASON)
        given.finish()
        if not reason.strip():
            raise ConfigError("reason: expected a sentence")
        origin = settled_origin(reader.cluster, name, await logs.all())
        await logs.settle(callers.subject(request), origin, reason)
        return answer({"origin": origin})

    async def digests(request: web.Request) -> web.Response:
        await callers.authorise(request, "list", "event")
        given = await body(request)
        text = given.text("statement")
        given.finish()
        return answer({"origins": dict(await asyncio.to_thread(reader.digests, text))})

    return [
        web.get("/v1/audit", records),
        web.post("/v1/audit/digest", digests),
        web.post("/v1/audit/settle", settle),
        web.get("/v1/audit/verify", whole),
        web.post("/v1/audit/verify", continues),
        web.get("/v1/audit/checkpoint", newest),
    ]


def query_of(request: web.Request) -> Query:
    """The filters in the address; one that does not exist is refused, or a typo would show everything."""
    given = request.query
    unknown = sorted(set(given) - _FILTERS)
    if unknown:
        raise ConfigError(f"unknown filter {unknown[0][:64]!r}")
    since, until = _moment("since", given.get("since")), _moment("until", given.get("until"))
    if since is not None and until is not None and since > until:
        raise ConfigError("since is later than until, so that nothing lies between them")
    order = given.get("order", "newest")
    if order not in {"newest", "oldest"}:
        raise ConfigError("order: expected newest or oldest")
    return Query(
        user=given.get("user", ""),
        database=given.get("database", ""),
        kinds=_kinds(given.get("kind", "")),
        since_ns=since,
        until_ns=until,
        session_id=given.get("session", ""),
        decision_id=given.get("decision", ""),
        text=given.get("text", ""),
        limit=_limit(given.get("limit")),
        oldest_first=order == "oldest",
    )


async def stream(request: web.Request, reader: AuditReader) -> web.StreamResponse:
    """The records as lines of JSON; an error on the way is the last line, in the form of every error."""
    found = reader.records(query_of(request), request.query.get("origin", ""))
    piece = await asyncio.to_thread(_next_piece, found)  # an error before the first byte is a plain error
    response = web.StreamResponse(headers={"Cache-Control": "no-store"})
    response.content_type = "application/x-ndjson"
    await response.prepare(request)
    try:
        while piece:
            await response.write(b"".join(_line(origin, record) for origin, record in piece))
            piece = await asyncio.to_thread(_next_piece, found)
    except AuditError as error:
        about = web.json_response({"error": {"code": "audit_unavailable", "message": str(error), "hint": ""}})
        assert isinstance(about.body, bytes)
        await response.write(about.body + b"\n")
    await response.write_eof()
    return response


async def report(reader: AuditReader, kept: bytes, registered: Sequence[Registered]) -> web.Response:
    """What an audit of all logs found."""
    return answer(shown(await asyncio.to_thread(reader.verify, kept, registered)))


def _next_piece(found: Iterator[tuple[str, Record]]) -> list[tuple[str, Record]]:
    return list(itertools.islice(found, _PIECE))


def _line(origin: str, record: Record) -> bytes:
    """The record's line with the name of its log in it, before the time."""
    head, mark, time = canonical(record.event, record.index).rpartition(b',"time":')
    return head + b',"origin":' + json.dumps(origin).encode() + mark + time + b"\n"


def _kinds(text: str) -> tuple[Kind, ...]:
    try:
        return tuple(Kind(name) for name in text.split(",") if name)
    except ValueError:
        known = ", ".join(kind.value for kind in Kind)
        raise ConfigError(f"kind: expected one of {known}") from None


def _moment(name: str, text: str | None) -> int | None:
    """Nanoseconds of a time with or without a fraction, always in UTC."""
    if not text:
        return None
    whole, _, fraction = text.removesuffix("Z").partition(".")
    try:
        return parse_rfc3339(f"{whole}.{fraction:<09}Z")
    except AuditError:
        raise ConfigError(f"{name}: expected a time as in 2026-01-31T12:00:00Z") from None


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:10]) < 10**9:
        raise ConfigError("limit: expected a whole number")
    return int(text)
