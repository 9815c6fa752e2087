"""Join tokens: a secret that lets a service belong to the cluster, a bounded number of times, for minutes.

A token is a resource with a name; its secret is told once and kept as a digest. Whoever shows the secret is
admitted in two steps, so that nothing is used up by somebody who may not join: 1. ``admit`` finds the token
and asks the policy whether it allows this kind of service with these databases; 2. ``redeem`` uses it, in
the transaction that makes the service known.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from gateway.auth import limits, users
from gateway.auth.desk import Desk
from gateway.auth.store import Change, Resource
from gateway.errors import AccessError, ConfigError, NotFoundError
from gateway.model.decision import Allowed, Denied
from gateway.model.event import Kind
from gateway.model.identity import Subject
from gateway.model.joining import SERVICE_TYPES, Grant, Joining

JOIN = "join"
LIFETIME = timedelta(minutes=30)
"""How long a token is good at most, and unless said otherwise."""

_REMEMBER_SECONDS = 86_400  # an expired token is told from an unknown one for a day
_MAKE = "make a new one: regate tokens add --type={type}"
_OPTIONS = {"db": "db", "proxy": "proxy", "bot": "bot --bot=NAME"}


@dataclass(frozen=True, slots=True)
class Wish:
    """A token as it is asked for; *uses* None means any number until it expires."""

    types: Sequence[str]
    name: str = ""
    ttl: timedelta = LIFETIME
    uses: int | None = 1
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    databases: Sequence[str] = ()
    bot: str = ""


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token as lists show one, without its secret; *bot* is the only one that joins with it."""

    name: str
    grant: Grant
    expires: datetime
    uses_left: int | None
    bot: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A token that was shown and allows what was asked. Nothing is used up yet."""

    token: str
    grant: Grant
    joining: Joining
    databases: tuple[str, ...]
    decision_id: str
    source: str
    digest: str = field(repr=False)
    bot: str = ""


def document_of(wish: Wish, name: str, now: datetime) -> dict[str, Any]:
    """The resource that a wish is; whether it may exist is for the schema to say."""
    allow: dict[str, Any] = {}
    if wish.labels:
        allow["db_labels"] = {label: list(values) for label, values in wish.labels.items()}
    if wish.databases:
        allow["databases"] = list(wish.databases)
    spec: dict[str, Any] = {"roles": list(wish.types), "join_method": "token"}
    spec |= {"multi_use": True} if wish.uses is None else {"uses": wish.uses}
    spec |= {"allow": allow} if allow else {}
    spec |= {"bot_name": wish.bot} if wish.bot else {}
    metadata = {"name": name, "expires": _moment(now + wish.ttl)}
    return {"kind": "token", "version": "v2", "metadata": metadata, "spec": spec}


def grant_of(document: Mapping[str, Any]) -> Grant:
    """What a stored token allows."""
    spec: Mapping[str, Any] = document["spec"]
    allow: Mapping[str, Any] = spec.get("allow") or {}
    labels, databases = allow.get("db_labels"), allow.get("databases")
    return Grant(
        types=tuple(sorted({role.lower() for role in spec["roles"]})),
        labels=None if labels is None else {name: _several(values) for name, values in labels.items()},
        databases=None if databases is None else tuple(databases),
    )


def bot_of(document: Mapping[str, Any]) -> str:
    """The bot that a stored token is for; empty for a token of services, and for what is no token."""
    return str(document["spec"].get("bot_name", "")) if document["kind"] == "token" else ""


def view_of(document: Mapping[str, Any], *, uses: int | None) -> TokenView:
    """A stored token as lists show it, with so many uses left."""
    metadata: Mapping[str, Any] = document["metadata"]
    end = datetime.fromisoformat(metadata["expires"])
    return TokenView(str(metadata["name"]), grant_of(document), end, uses, bot_of(document))


async def mint(desk: Desk, change: Change, resource: Resource) -> tuple[Resource, str]:
    """Give a token its secret and its end; what has long expired is forgotten on the way."""
    await _tidy(desk, change)
    now = datetime.fromtimestamp(desk.seconds(), UTC)
    metadata: Mapping[str, Any] = resource.document["metadata"]
    spec: Mapping[str, Any] = resource.document["spec"]
    latest = now + LIFETIME
    end = datetime.fromisoformat(metadata["expires"]) if "expires" in metadata else latest
    if not now < end <= latest:
        raise ConfigError(f"token {resource.name!r}: expires must lie within the next 30 minutes")
    if spec.get("multi_use") and "uses" in spec:
        raise ConfigError(f"token {resource.name!r}: expected one of uses and multi_use, got both")
    await _check_bot(change, resource)
    secret = users.new_token()
    await change.add_token(
        users.digest_of(secret),
        purpose=JOIN,
        owner=resource.name,
        expires_at=int(end.timestamp()),
        uses=None if spec.get("multi_use") else spec.get("uses", 1),
    )
    document = {**resource.document, "metadata": {**metadata, "expires": _moment(end)}}
    return Resource("token", resource.name, resource.version, document), secret


async def list_all(desk: Desk, subject: Subject) -> Sequence[TokenView]:
    """The tokens that can still be used, by name."""
    await desk.authorise(subject, "list", "token")
    documents = {found.name: found.document for found in await desk.store.list("token")}
    return [
        view_of(documents[found.owner], uses=found.uses_left)
        for found in await desk.store.open_tokens(JOIN)
        if found.owner in documents and found.expires_at > desk.seconds()
    ]


async def admit(desk: Desk, secret: str, joining: Joining, *, source: str) -> Ticket:
    """Whether whoever shows *secret* may join like this.

    Raises:
        AccessError: ``token_invalid``, ``token_expired``, ``rate_limited``, or the policy's code; each is
            recorded, and the token is still good for another attempt.
    """
    digest = users.digest_of(secret)
    async with desk.store.change() as change:
        if source:
            await limits.attempt(change, limits.JOIN_SOURCE, source, desk.clock.now_ns())
        name = await change.token_owner(digest, purpose=JOIN, now=desk.seconds())
        end = await change.token_end(digest, purpose=JOIN)
        found = None if name is None else await change.get("token", name)
    if name is None or found is None:
        error = _unusable(joining, end)
        await _refused(desk, "", joining, source, reason=error.code)
        raise error
    grant = grant_of(found.document)
    admission = await desk.hooks.policy.join(grant, joining)
    match admission.decision:
        case Allowed() as yes:
            bot, id_ = bot_of(found.document), yes.decision_id
            return Ticket(name, grant, joining, admission.databases, id_, source, digest, bot)
        case Denied() as denial:
            why = {"reason": denial.code, "decision_id": denial.decision_id}
            await _refused(desk, name, joining, source, **why)
            hint = f"change what joins, or {_MAKE.format(type=_OPTIONS.get(joining.type, joining.type))}"
            raise AccessError(denial.sentence, code=denial.code, hint=hint)
        case other:
            assert_never(other)


async def redeem(desk: Desk, change: Change, ticket: Ticket) -> None:
    """Use the token once, in the transaction that keeps the service; an AccessError when others were faster.

    Whoever joins records that it did, with the name of the ticket's token.
    """
    owner = await change.redeem_token(ticket.digest, purpose=JOIN, now=desk.seconds())
    if owner is None:
        raise _unusable(ticket.joining, None)
    if not await change.is_token_open(JOIN, owner):
        await change.delete("token", owner)


def check_types(types: Sequence[str]) -> None:
    """Refuse kinds of services that there are not."""
    unknown = [name for name in types if name not in SERVICE_TYPES]
    if unknown or not types:
        got = unknown[0] if unknown else "nothing"
        raise ConfigError(f"type: expected some of {', '.join(SERVICE_TYPES)}, got {got[:64]!r}")


def parse_grant(text: str) -> Grant:
    """A grant as ``grant_json`` wrote it."""
    value = json.loads(text)
    labels, databases = value["labels"], value["databases"]
    return Grant(
        types=tuple(value["types"]),
        labels=None if labels is None else {name: tuple(values) for name, values in labels.items()},
        databases=None if databases is None else tuple(databases),
    )


def grant_json(grant: Grant) -> str:
    """A grant as text, to keep with the agent that joined under it."""
    labels = None if grant.labels is None else {name: list(values) for name, values in grant.labels.items()}
    databases = None if grant.databases is None else list(grant.databases)
    return json.dumps({"types": list(grant.types), "labels": labels, "databases": databases})


async def _check_bot(change: Change, resource: Resource) -> None:
    """A token for a bot is for one that there is, for nothing else, and good once."""
    spec, name = resource.document["spec"], bot_of(resource.document)
    types = grant_of(resource.document).types
    if "bot" not in types and not name:
        return
    if types != ("bot",) or not name:
        hint = (
            "regate bots add NAME makes a bot with its token, regate tokens add --type=bot --bot=NAME another"
        )
        raise ConfigError("a token of type bot names its bot, and is for nothing else", hint=hint)
    if spec.get("multi_use") or spec.get("uses", 1) != 1 or "allow" in spec:
        raise ConfigError("a token for a bot is good once, and has no labels or databases")
    bot = await change.get("user", name)
    if bot is None or not users.is_bot(bot):
        raise NotFoundError(f"there is no bot {name!r}", hint="regate bots ls prints those that there are")


async def _tidy(desk: Desk, change: Change) -> None:
    for owner in await change.forget_tokens(JOIN, before=desk.seconds() - _REMEMBER_SECONDS):
        if await change.get("token", owner) is not None:
            await change.delete("token", owner)


async def _refused(desk: Desk, token: str, joining: Joining, source: str, **more: Any) -> None:
    about = {"token": token, "client_address": source, "success": False} | more
    if joining.type == "bot":
        await desk.hooks.record(Kind.BOT_JOIN, {"user": "", **about})
    else:
        await desk.hooks.record(Kind.AGENT_JOIN, {"service": joining.type, **about})


def _unusable(joining: Joining, end: int | None) -> AccessError:
    hint = _MAKE.format(type=_OPTIONS.get(joining.type, "db"))
    if end is None:
        return AccessError(
            "the join token is not known to this cluster, or was used already",
            code="token_invalid",
            hint=hint,
        )
    moment = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    sentence = f"the join token expired at {moment} by the cluster's clock"
    return AccessError(sentence, code="token_expired", hint=hint)


def _several(values: str | Sequence[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
