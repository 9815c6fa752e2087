"""Users: invited with a token that works once, known by what they then chose, gone without a rest."""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from gateway.auth import limits, passwords, totp
from gateway.auth.desk import Desk
from gateway.auth.store import Change, Credentials, Resource
from gateway.errors import AccessError, ConfigError, ConflictError, NotFoundError
from gateway.model.event import Kind
from gateway.model.identity import Subject

INVITATION_DEFAULT = timedelta(hours=1)
INVITATION_MAX = timedelta(hours=48)
SIGNUP = "signup"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@+:-]{0,62}[A-Za-z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class Invitation:
    """A sign-up token: it works once, until *expires*, and is stored nowhere."""

    user: str
    token: str = field(repr=False)
    expires: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """Whose account was accepted, and the URI for an authenticator app when a second factor was wanted."""

    user: str
    totp_uri: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class UserView:
    """A user as lists show one; ``status`` is ``active``, ``invited`` or ``bot``."""

    name: str
    roles: tuple[str, ...]
    traits: Mapping[str, tuple[str, ...]]
    status: str
    totp: bool
    revision: int


async def add(
    desk: Desk,
    subject: Subject,
    name: str,
    *,
    roles: Sequence[str],
    traits: Mapping[str, Sequence[str]],
    ttl: timedelta,
) -> Invitation:
    """Make a user who has not chosen a password yet."""
    await desk.authorise(subject, "create", "user", name)
    resource = resource_of(name, roles, traits)
    async with desk.store.change() as change:
        await require_roles(change, roles)
        await change.forget(name)  # what an earlier user of that name may have left
        await change.create(resource)
        invitation = await _invite(desk, change, name, ttl)
        await desk.record(Kind.USER_CREATE, subject, name=name, new_roles=list(roles))
    return invitation


async def accept(desk: Desk, token: str, password: str, *, want_totp: bool, source: str) -> Accepted:
    """Use up a token: set the password and, if wanted, a second factor."""
    now = desk.clock.now_ns()
    digest = digest_of(token)
    async with desk.store.change() as change:
        if source:
            await limits.attempt(change, limits.SIGNUP_SOURCE, source, now)
        owner = await change.token_owner(digest, purpose=SIGNUP, now=desk.seconds())
    if owner is None:
        raise _bad_token()
    passwords.check_new(password)
    password_hash = await desk.workers.run(partial(passwords.make_hash, password))
    secret = totp.new_secret() if want_totp else ""
    async with desk.store.change() as change:
        owner = await change.redeem_token(digest, purpose=SIGNUP, now=desk.seconds())
        user = None if owner is None else await change.get("user", owner)
        if owner is None or user is None or is_bot(user):
            raise _bad_token()
        await change.set_password(owner, password_hash)
        await change.set_totp(owner, secret)
        fields = {"user": owner, "client_address": source, "totp": want_totp}
        await desk.hooks.record(Kind.USER_ACCEPT, fields)
    uri = totp.uri(secret, user=owner, cluster=desk.authorities.cluster) if secret else None
    return Accepted(owner, uri)


async def update(
    desk: Desk,
    subject: Subject,
    name: str,
    *,
    roles: Sequence[str] | None = None,
    traits: Mapping[str, Sequence[str]] | None = None,
) -> UserView:
    """Replace roles, or some traits; what is None stays."""
    await desk.authorise(subject, "update", "user", name)
    async with desk.store.change() as change:
        existing = await _existing(change, name)
        spec: Mapping[str, Any] = existing.document["spec"]
        new_roles = spec["roles"] if roles is None else list(roles)
        new_traits = {**spec["traits"], **(traits or {})}
        kept = {trait: list(values) for trait, values in new_traits.items() if values}
        await require_roles(change, new_roles)
        document = {**existing.document, "spec": {**spec, "roles": list(new_roles), "traits": kept}}
        changed = Resource("user", name, existing.version, document)
        stored = await change.update(changed, expected=existing.revision)
        await desk.record(
            Kind.USER_UPDATE, subject, name=name, old_roles=list(spec["roles"]), new_roles=list(new_roles)
        )
        return _view(stored, await change.credentials(name))


async def reset(desk: Desk, subject: Subject, name: str, *, ttl: timedelta) -> Invitation:
    """Take password and second factor away and invite again."""
    await desk.authorise(subject, "update", "user", name)
    async with desk.store.change() as change:
        if is_bot(await _existing(change, name)):
            hint = f"regate tokens add --type=bot --bot={name} makes a token for its machine"
            raise ConfigError(f"{name!r} is a bot: it has no password", hint=hint)
        await change.forget(name)
        invitation = await _invite(desk, change, name, ttl)
        await desk.record(Kind.USER_UPDATE, subject, name=name, reset=True)
    return invitation


async def remove(desk: Desk, subject: Subject, name: str) -> None:
    """Remove the user, the password and open invitations."""
    await desk.authorise(subject, "delete", "user", name)
    async with desk.store.change() as change:
        await change.delete("user", name)
        await change.forget(name)
        await desk.record(Kind.USER_DELETE, subject, name=name)


async def list_all(desk: Desk, subject: Subject) -> Sequence[UserView]:
    """All users, by name."""
    await desk.authorise(subject, "list", "user")
    known = await desk.store.all_credentials()
    return [_view(user, known.get(user.name)) for user in await desk.store.list("user")]


async def require_roles(change: Change, roles: Sequence[str]) -> None:
    """Refuse roles that do not exist, or that come twice."""
    if len(set(roles)) != len(roles):
        raise ConfigError(f"a role is given twice in {', '.join(roles)}")
    for role in roles:
        if await change.get("role", role) is None:
            raise NotFoundError.of("role", role)


async def users_of_role(change: Change, role: str) -> list[str]:
    """The names of the users who have a role."""
    return [user.name for user in await change.list("user") if role in user.document["spec"]["roles"]]


def new_token() -> str:
    """256 random bits in hexadecimal."""
    return secrets.token_hex(32)


def digest_of(token: str) -> str:
    """What is kept of a token. It has 256 random bits, so a fast hash without salt is enough."""
    return hashlib.sha256(token.strip().encode("utf-8", "surrogatepass")).hexdigest()


def resource_of(
    name: str, roles: Sequence[str], traits: Mapping[str, Sequence[str]], *, bot: bool = False
) -> Resource:
    """The resource of a new user; ConfigError for what cannot be a name."""
    if not _NAME.match(name):
        raise ConfigError(
            f"{name!r} cannot be a user name: expected letters, digits and . _ @ + : -, 64 at most"
        )
    spec: dict[str, Any] = {
        "roles": list(roles),
        "traits": {trait: list(values) for trait, values in traits.items() if values},
    }
    spec |= {"bot": True} if bot else {}
    document = {"kind": "user", "version": "v2", "metadata": {"name": name}, "spec": spec}
    return Resource("user", name, "v2", document)


def is_bot(user: Resource) -> bool:
    """True for a machine's user, which has no password and is not invited."""
    return user.document["spec"].get("bot", False) is not False


def refuse_change_of_nature(before: Resource, after: Resource) -> None:
    """A bot stays one and a person stays one: what each proves itself with would outlast the change."""
    if is_bot(before) != is_bot(after):
        was, is_now = ("a bot", "a person") if is_bot(before) else ("a person", "a bot")
        raise ConflictError(
            f"user {before.name!r} is {was} and cannot become {is_now}",
            hint=f"remove it first: regate rm user/{before.name}",
        )


async def _invite(desk: Desk, change: Change, name: str, ttl: timedelta) -> Invitation:
    if not timedelta(0) < ttl <= INVITATION_MAX:
        raise ConfigError(f"an invitation of {ttl} was asked for, at most 48 hours are given")
    token = new_token()
    expires = desk.seconds() + int(ttl.total_seconds())
    await change.add_token(digest_of(token), purpose=SIGNUP, owner=name, expires_at=expires)
    return Invitation(name, token, datetime.fromtimestamp(expires, UTC))


async def _existing(change: Change, name: str) -> Resource:
    found = await change.get("user", name)
    if found is None:
        raise NotFoundError(f"user {name!r} does not exist", hint="regate users ls prints those that do")
    return found


def _bad_token() -> AccessError:
    return AccessError(
        "the token is not known, was used, or has expired",
        code="token_invalid",
        hint="an administrator makes another: regate users reset NAME",
    )


def _view(user: Resource, known: Credentials | None) -> UserView:
    spec: Mapping[str, Any] = user.document["spec"]
    return UserView(
        name=user.name,
        roles=tuple(spec["roles"]),
        traits={trait: tuple(values) for trait, values in spec["traits"].items()},
        status="bot" if is_bot(user) else "invited" if known is None else "active",
        totp=known is not None and bool(known.totp_secret),
        revision=user.revision,
    )


def conflict_in_use(role: str, holders: Sequence[str]) -> ConflictError:
    """Why a role that somebody has cannot be removed."""
    return ConflictError(
        f"role {role!r} is in use by {', '.join(holders[:5])}{' and others' if len(holders) > 5 else ''}",
        hint="take it away with users update --set-roles first",
    )
