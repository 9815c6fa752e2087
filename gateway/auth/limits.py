"""How often somebody may try; kept in the store, so that a restart forgets nothing.

Windows slide: an attempt counts for as long as its limit says. What was typed as a user name may have been
a password, so buckets are named by a digest.
"""

import hashlib
from dataclasses import dataclass

from gateway.auth.store import Change
from gateway.clock import new_id
from gateway.errors import AccessError


@dataclass(frozen=True, slots=True)
class Limit:
    """At most *count* attempts in *seconds*."""

    name: str
    count: int
    seconds: int


LOGIN_USER = Limit("login-user", 10, 60)
LOGIN_SOURCE = Limit("login-source", 30, 60)
LOGIN_FAILURES = Limit("login-failures", 20, 900)
"""Wrong passwords and wrong codes together, on whichever way they came."""
SIGNUP_SOURCE = Limit("signup-source", 30, 60)
JOIN_SOURCE = Limit("join-source", 60, 60)
CERTIFICATES = Limit("certificates", 300, 60)
"""Database certificates for somebody who is logged in: nothing is guessed here, so that this only bounds what
a loop gone wrong adds to the log. A script that opens every database of an estate must get through."""
BOT_RENEWALS = Limit("bot-renewals", 20, 60)
"""A bot renews twice an hour; the rest is for a network that loses answers."""

_LONGEST_MS = 900_000


async def attempt(change: Change, limit: Limit, who: str, now_ns: int) -> None:
    """Count an attempt by *who*; an AccessError with the code ``rate_limited`` when there were too many."""
    await check(change, limit, who, now_ns)
    now = now_ns // 1_000_000
    await change.forget_attempts(before=now - _LONGEST_MS)
    await change.add_attempt(new_id(now_ns), _bucket(limit, who), now)


async def check(change: Change, limit: Limit, who: str, now_ns: int) -> None:
    """Refuse when *who* has used up *limit*, without counting."""
    now = now_ns // 1_000_000
    count, oldest = await change.attempts_since(_bucket(limit, who), now - limit.seconds * 1000)
    if count >= limit.count:
        wait = max(1, (oldest + limit.seconds * 1000 - now + 999) // 1000)
        raise AccessError(
            f"too many attempts, at most {limit.count} in {limit.seconds} seconds",
            code="rate_limited",
            hint=f"try again in {wait} seconds",
        )


async def forgive(change: Change, limit: Limit, who: str) -> None:
    """Forget what *who* used up of *limit*."""
    await change.forget_attempts(bucket=_bucket(limit, who))


def _bucket(limit: Limit, who: str) -> str:
    return hashlib.sha256(f"{limit.name}\0{who}".encode("utf-8", "surrogatepass")).hexdigest()
