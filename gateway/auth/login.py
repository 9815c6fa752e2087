"""Password logins: the same words and the same time, whoever it was that does not exist.

1. Attempts count against the name and the source before anything is looked up, known name or not. 2. A
password is hashed in every case. 3. Only once the password was right does an answer depend on the user: a
code is asked for, or the policy's reason is told. 4. Wrong passwords and wrong codes fill one limit.
5. The user, the password and the code's step are looked at again in the transaction that issues, so that
nothing that changed meanwhile slips through.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from gateway.auth import limits, passwords, totp, users
from gateway.auth.desk import Desk
from gateway.auth.store import Change, Credentials
from gateway.ca import issue, sign
from gateway.ca.profile import LOGIN_DEFAULT, LOGIN_MAX, PublicKey, public_key_from_csr
from gateway.ca.profile import Kind as Ca
from gateway.errors import AccessError
from gateway.model.decision import Allowed, Denied
from gateway.model.event import Kind
from gateway.model.identity import Use


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """Who wants to log in, with what, from where; ``totp`` is empty when no code was given."""

    user: str
    password: str = field(repr=False)
    csr_pem: str = field(repr=False)
    totp: str = field(default="", repr=False)
    ttl: timedelta | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """A login: the certificate, and what the client needs to trust and show."""

    certificate_pem: str
    host_ca_pem: str
    cluster: str
    user: str
    roles: tuple[str, ...]
    traits: Mapping[str, tuple[str, ...]]
    expires: datetime
    serial: str


@dataclass(frozen=True, slots=True)
class _Verified:
    """A user whose password was right; ``step`` is the code's, to be used up."""

    credentials: Credentials
    step: int | None
    max_seconds: int | None


async def login(desk: Desk, request: LoginRequest) -> Login:
    """The login, or an AccessError."""
    key = public_key_from_csr(request.csr_pem)
    try:
        await _count(desk, request)
        verified = await _verify(desk, request)
        return await _issue(desk, request, verified, key)
    except AccessError as refusal:
        await _record_refusal(desk, request, refusal)
        raise


def _failed() -> AccessError:
    return AccessError("the user name, the password or the code is wrong", code="login_failed")


async def _count(desk: Desk, request: LoginRequest) -> None:
    now = desk.clock.now_ns()
    async with desk.store.change() as change:
        await limits.attempt(change, limits.LOGIN_USER, request.user, now)
        if request.source:
            await limits.attempt(change, limits.LOGIN_SOURCE, request.source, now)
        await limits.check(change, limits.LOGIN_FAILURES, request.user, now)


async def _verify(desk: Desk, request: LoginRequest) -> _Verified:
    user = await desk.store.find("user", request.user)
    stored = await desk.store.credentials(request.user)
    is_person = user is not None and not users.is_bot(user)
    known = stored if is_person and stored is not None else Credentials("")
    if not await desk.workers.run(partial(passwords.matches, known.password_hash, request.password)):
        raise _failed()
    step = _step(desk, request, known)
    max_seconds: int | None
    match await desk.hooks.policy.login(request.user):
        case Allowed(limits=bounds):
            max_seconds = bounds.max_session_seconds
        case Denied() as denial:
            raise AccessError(denial.sentence, code=denial.code)
        case other:
            assert_never(other)
    return _Verified(known, step, max_seconds)


def _step(desk: Desk, request: LoginRequest, known: Credentials) -> int | None:
    if not known.totp_secret:
        return None
    if not request.totp:
        raise AccessError("a code from the authenticator app is needed", code="totp_required")
    step = totp.matching_step(known.totp_secret, request.totp, now_seconds=desk.seconds())
    if step is None:
        raise _failed()
    return step


async def _issue(desk: Desk, request: LoginRequest, verified: _Verified, key: PublicKey) -> Login:
    rehashed = await _rehash(desk, request, verified)
    async with desk.store.change() as change:
        user = await change.get("user", request.user)
        if user is None or users.is_bot(user):
            raise _failed()
        if await change.credentials(request.user) != verified.credentials:
            raise _failed()
        if verified.step is not None and not await change.use_totp_step(request.user, verified.step):
            raise _failed()
        roles = tuple(user.document["spec"]["roles"])
        traits = {name: tuple(values) for name, values in user.document["spec"]["traits"].items()}
        certificate = issue.issue_login(
            desk.authorities.user,
            user=request.user,
            roles=roles,
            traits=traits,
            public_key=key,
            ttl=lifetime(request.ttl, verified.max_seconds),
            now=desk.steady.now(),
            address=request.source,
        )
        if rehashed:
            await change.set_password(request.user, rehashed)
        await limits.forgive(change, limits.LOGIN_FAILURES, request.user)
        await desk.issued(change, certificate, Use.USER, request.user)
        await _record_success(desk, request, roles, certificate)
    return login_of(desk, certificate, request.user, roles, traits)


def lifetime(
    wanted: timedelta | None,
    max_seconds: int | None,
    *,
    default: timedelta = LOGIN_DEFAULT,
    most: timedelta = LOGIN_MAX,
) -> timedelta:
    """How long a certificate may be good: what was *wanted*, within *most* and what the policy leaves.

    Raises:
        AccessError: ``ttl_invalid``, where that is no time at all.
    """
    longest = most if max_seconds is None else min(most, timedelta(seconds=max_seconds))
    granted = min(default if wanted is None else wanted, longest)
    if granted <= timedelta(0):
        raise AccessError(f"a certificate of {granted} was asked for", code="ttl_invalid")
    return granted


def login_of(
    desk: Desk,
    certificate: sign.Issued,
    user: str,
    roles: tuple[str, ...],
    traits: Mapping[str, tuple[str, ...]],
) -> Login:
    """What somebody is told who was given *certificate*."""
    return Login(
        certificate_pem=certificate.pem,
        host_ca_pem=desk.authorities.trusted_pem(Ca.HOST),
        cluster=desk.authorities.cluster,
        user=user,
        roles=roles,
        traits=traits,
        expires=certificate.expires,
        serial=certificate.serial,
    )


async def _rehash(desk: Desk, request: LoginRequest, verified: _Verified) -> str:
    if not passwords.is_outdated(verified.credentials.password_hash):
        return ""
    return await desk.workers.run(partial(passwords.make_hash, request.password))


async def _record_success(
    desk: Desk, request: LoginRequest, roles: tuple[str, ...], certificate: sign.Issued
) -> None:
    who = {"user": request.user, "roles": list(roles), "client_address": request.source}
    end = certificate.expires.isoformat()
    await desk.hooks.record(Kind.USER_LOGIN, {**who, "method": "password", "success": True, "expires": end})
    await desk.hooks.record(
        Kind.CERT_CREATE,
        {**who, "use": Use.USER.value, "serial": certificate.serial, "expires": end},
    )


async def _record_refusal(desk: Desk, request: LoginRequest, refusal: AccessError) -> None:
    """Count and record a refusal.

    One for too many attempts is not recorded: the attempts before it were, and whoever sends them must not
    be able to fill the disk. A name that belongs to nobody is not recorded either; it may be a password.
    """
    if refusal.code == "rate_limited":
        return
    known = await desk.store.find("user", request.user)
    if refusal.code == "login_failed":
        async with desk.store.change() as change:
            await _count_failure(desk, change, request.user)
    await desk.hooks.record(
        Kind.USER_LOGIN,
        {
            "user": "" if known is None else known.name,
            "client_address": request.source,
            "method": "password",
            "success": False,
            "reason": refusal.code,
        },
    )


async def _count_failure(desk: Desk, change: Change, user: str) -> None:
    try:
        await limits.attempt(change, limits.LOGIN_FAILURES, user, desk.clock.now_ns())
    except AccessError:
        return  # others failed at the same time and filled the limit; it is in force already
