"""Bots: users that are machines, known by a certificate that they renew, never by a password.

A join token that is good once, for one bot, begins a line: its certificates are numbered. A renewal shows the
last one and gets the next, so that of two copies of an identity one comes too late; it is then known that
there are two, and the bot is locked. An answer that was lost may be asked for again with the same new key,
which nobody but its maker has.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.auth import limits, tokens, users
from gateway.auth.desk import Desk
from gateway.auth.login import Login, lifetime, login_of
from gateway.auth.store import Change, Line, Resource
from gateway.auth.tokens import TokenView, Wish
from gateway.ca import issue
from gateway.ca.identity import verify_trust, verify_use
from gateway.ca.profile import BOT_MAX, PublicKey, public_key_from_csr
from gateway.clock import new_id
from gateway.errors import AccessError, ConfigError, PolicyError
from gateway.model.decision import Allowed, Denied
from gateway.model.event import Kind
from gateway.model.identity import Identity, Lineage, Subject, Use
from gateway.model.joining import Joining

_SERVICE = Subject("local", "regate")  # who locks a bot
_AGAIN = "make it a new token: regate tokens add --type=bot --bot={name}"


@dataclass(frozen=True, slots=True)
class BotView:
    """A bot as lists show one; times are seconds, 0 while it has not joined."""

    name: str
    roles: tuple[str, ...]
    traits: Mapping[str, tuple[str, ...]]
    joined_at: int
    renewed_at: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What a machine asks with: its new key's request, for how long, from where."""

    csr_pem: str = field(repr=False)
    ttl: timedelta | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The same once it was read: the key, and the life that the policy leaves."""

    key: PublicKey
    lifetime: timedelta
    source: str

    @property
    def key_digest(self) -> str:
        data = self.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(data).hexdigest()


async def add(
    desk: Desk,
    subject: Subject,
    name: str,
    *,
    roles: Sequence[str],
    traits: Mapping[str, Sequence[str]],
    ttl: timedelta = tokens.LIFETIME,
) -> tuple[TokenView, str]:
    """Make a bot and the token that it joins with; the secret is told this once."""
    await desk.authorise(subject, "create", "user", name)
    await desk.authorise(subject, "create", "token")
    bot = users.resource_of(name, roles, traits, bot=True)
    wish = Wish(("bot",), f"bot-{name}-{secrets.token_hex(4)}", ttl, bot=name)
    document = tokens.document_of(wish, wish.name, datetime.fromtimestamp(desk.seconds(), UTC))
    async with desk.store.change() as change:
        await users.require_roles(change, roles)
        await change.forget(name)  # what an earlier user of that name may have left
        await change.create(bot)
        token, secret = await tokens.mint(desk, change, Resource("token", wish.name, "v2", document))
        await change.create(token)
        await desk.record(Kind.USER_CREATE, subject, name=name, new_roles=list(roles), bot=name)
        await desk.record(Kind.RESOURCE_CREATE, subject, kind="token", name=wish.name, bot=name)
    return tokens.view_of(token.document, uses=1), secret


async def list_all(desk: Desk, subject: Subject) -> Sequence[BotView]:
    """All bots, by name."""
    await desk.authorise(subject, "list", "user")
    lines = await desk.store.bot_lines()
    return [_view(user, lines.get(user.name)) for user in await desk.store.list("user") if users.is_bot(user)]


async def remove(desk: Desk, subject: Subject, name: str) -> None:
    """Remove a bot, its tokens and its line; a user who is none is left alone."""
    await desk.authorise(subject, "delete", "user", name)
    found = await desk.store.get("user", name)
    if not users.is_bot(found):
        raise ConfigError(f"user {name!r} is no bot", hint=f"regate users rm {name}")
    await users.remove(desk, subject, name)


async def join(desk: Desk, token: str, asked: Asked) -> Login:
    """Use up a token for the first certificate of a line; an AccessError says what is wrong with it."""
    key = public_key_from_csr(asked.csr_pem)
    ticket = await tokens.admit(desk, token, Joining("bot"), source=asked.source)
    about = {"user": ticket.bot, "token": ticket.token, "client_address": asked.source}
    try:
        wanted = _Wanted(key, await _lifetime(desk, ticket.bot, asked.ttl), asked.source)
        async with desk.store.change() as change:
            bot = await _existing(change, ticket.bot)
            await tokens.redeem(desk, change, ticket)
            now = desk.seconds()
            instance = new_id(desk.clock.now_ns()).lower()
            line = Line(bot.name, instance, 1, wanted.key_digest, joined_at=now, renewed_at=now)
            await change.bots.begin(line)
            made = await _issue(desk, change, bot, line, wanted)
            more = {"success": True, "generation": 1, "decision_id": ticket.decision_id}
            await desk.hooks.record(Kind.BOT_JOIN, {**about, **more})
    except AccessError as refusal:
        await desk.hooks.record(Kind.BOT_JOIN, {**about, "success": False, "reason": refusal.code})
        raise
    return made


async def renew(desk: Desk, identity: Identity, asked: Asked) -> Login:
    """The next certificate of a bot's line, with its roles of now.

    Raises:
        AccessError: ``bot_copied`` (it is locked from now on), ``bot_unknown``, ``rate_limited``, or the
            policy's code; all but the limit are recorded.
    """
    verify_use(identity, Use.USER)
    verify_trust(identity, desk.authorities.cluster)
    key = public_key_from_csr(asked.csr_pem)
    about: dict[str, Any] = {"user": identity.user, "client_address": asked.source}
    bucket = identity.user
    if identity.lineage is not None:
        about |= {"generation": identity.lineage.generation}
        bucket += f" {identity.lineage.instance}"  # an identity of before keeps nobody from renewing
    async with desk.store.change() as change:
        await limits.attempt(change, limits.BOT_RENEWALS, bucket, desk.clock.now_ns())
    try:
        wanted = _Wanted(key, await _lifetime(desk, identity.user, asked.ttl), asked.source)
        async with desk.store.change() as change:
            made = await _next(desk, change, identity, wanted)
            if isinstance(made, Login):
                await desk.hooks.record(Kind.BOT_RENEW, {**about, "success": True})
        if isinstance(made, AccessError):  # raised only here: what it is about must stay in the store
            raise made
    except AccessError as refusal:
        await desk.hooks.record(Kind.BOT_RENEW, {**about, "success": False, "reason": refusal.code})
        raise
    return made


async def _next(desk: Desk, change: Change, identity: Identity, wanted: _Wanted) -> Login | AccessError:
    """The next certificate; an AccessError is returned where the bot was locked for it."""
    bot = await _existing(change, identity.user)
    line, shown = await change.bots.find(bot.name), identity.lineage
    if line is None or shown is None or shown.instance != line.instance:
        raise AccessError(
            "this identity is not the bot's any more: it joined again, or its line was ended",
            code="bot_unknown",
            hint=_AGAIN.format(name=bot.name),
        )
    if shown.generation == line.generation:
        if wanted.key_digest == line.key_digest:
            # With one key for two certificates, a copy of the older could pass for an answer that was lost.
            raise ConfigError("csr: the key is that of the last certificate; make a new one")
        await change.bots.advance(line, wanted.key_digest, desk.seconds())
        return await _issue(desk, change, bot, replace(line, generation=line.generation + 1), wanted)
    if shown.generation == line.generation - 1 and wanted.key_digest == line.key_digest:
        return await _issue(desk, change, bot, line, wanted)  # its answer was lost
    if shown.generation > line.generation:
        raise AccessError(
            "this identity is newer than the cluster's state",
            code="bot_unknown",
            hint=_AGAIN.format(name=bot.name),
        )
    return await _lock(desk, change, line, shown)


async def _lock(desk: Desk, change: Change, line: Line, shown: Lineage) -> AccessError:
    """There are two copies of an identity: lock the bot and end its line."""
    name = f"bot-{line.name}-{secrets.token_hex(4)}"
    sentence = (
        f"an identity of this bot was copied: certificate {shown.generation} was shown for renewal after "
        f"certificate {line.generation} had been given"
    )
    spec = {"target": {"user": line.name}, "message": sentence}
    document = {"kind": "lock", "version": "v2", "metadata": {"name": name}, "spec": spec}
    await change.create(Resource("lock", name, "v2", document))
    await change.bots.end(line.name)
    await desk.record(Kind.RESOURCE_CREATE, _SERVICE, kind="lock", name=name, bot=line.name)
    return AccessError(
        f"{sentence}; the bot is locked",
        code="bot_copied",
        hint=f"find out who else has it, then: regate rm lock/{name}, and {_AGAIN.format(name=line.name)}",
    )


async def _existing(change: Change, name: str) -> Resource:
    bot = await change.get("user", name)
    if bot is None or not users.is_bot(bot):
        raise AccessError("there is no such bot any more", code="bot_unknown")
    return bot


async def _lifetime(desk: Desk, name: str, wanted: timedelta | None) -> timedelta:
    """How long the bot's certificate may be good, if the policy lets it log in at all.

    That nobody answered is a PolicyError: nothing is allowed, and nothing was refused either.
    """
    match await desk.hooks.policy.login(name):
        case Allowed(limits=bounds):
            seconds = bounds.max_session_seconds
        case Denied(revisions=None) as silence:
            raise PolicyError(silence.sentence)
        case Denied() as denial:
            raise AccessError(denial.sentence, code=denial.code)
        case other:
            assert_never(other)
    return lifetime(wanted, seconds, default=BOT_MAX, most=BOT_MAX)


async def _issue(desk: Desk, change: Change, bot: Resource, line: Line, wanted: _Wanted) -> Login:
    spec: Mapping[str, Any] = bot.document["spec"]
    roles = tuple(spec["roles"])
    traits = {name: tuple(values) for name, values in spec["traits"].items()}
    certificate = issue.issue_login(
        desk.authorities.user,
        user=bot.name,
        roles=roles,
        traits=traits,
        public_key=wanted.key,
        ttl=wanted.lifetime,
        now=desk.steady.now(),
        address=wanted.source,
        lineage=Lineage(line.instance, line.generation),
    )
    await desk.issued(change, certificate, Use.USER, bot.name)
    end = certificate.expires.isoformat()
    who = {"user": bot.name, "roles": list(roles), "client_address": wanted.source}
    about = {"use": Use.USER.value, "serial": certificate.serial, "expires": end}
    await desk.hooks.record(Kind.CERT_CREATE, {**who, **about, "generation": line.generation})
    return login_of(desk, certificate, bot.name, roles, traits)


def _view(user: Resource, line: Line | None) -> BotView:
    spec: Mapping[str, Any] = user.document["spec"]
    joined, renewed = (0, 0) if line is None else (line.joined_at, line.renewed_at)
    traits = {name: tuple(values) for name, values in spec["traits"].items()}
    return BotView(user.name, tuple(spec["roles"]), traits, joined, renewed)
