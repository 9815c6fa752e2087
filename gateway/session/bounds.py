"""What bounds sessions: how many, how fast, and the clocks that end one. Pure."""

from dataclasses import dataclass
from datetime import datetime

from gateway.model.decision import Limits, Reason
from gateway.model.identity import Identity
from gateway.model.resource import Database
from gateway.session import lease

USER_CONNECTIONS = 50  # of one user at a time, whatever roles say

_LOGIN = Reason("login_expired", "the login behind this session has ended; run `regate login`")
_SILENCE = Reason(lease.CODE, lease.SENTENCE)
_AGE = Reason("session_too_long", "the session reached the longest time its roles allow")


@dataclass(frozen=True, slots=True)
class Standing:
    """An open session as of now; ``idle`` and ``age`` are seconds, and ``idle`` is 0 while it is busy."""

    identity: Identity
    limits: Limits
    is_alone: bool
    """True when the control plane was silent for so long that only the certificate itself still vouches."""
    age: float
    idle: float


def too_fast(user: str) -> Reason:
    """Why a connection is refused before anybody is asked: it comes too soon behind others."""
    told = f"{user} opens connections faster than db_service.connects_per_second allows"
    return Reason("rate_limited", f"{told}; try again in a moment")


def too_many(user: str, database: Database, limits: Limits, found: tuple[int, int]) -> Reason | None:
    """Why no further connection is opened; *found* counts the user's and the database's, with this one."""
    of_user, on_database = found
    most = min(limits.max_connections or USER_CONNECTIONS, USER_CONNECTIONS)
    if of_user > most:
        return Reason("too_many_connections", f"{user} may have {most} connections at a time")
    cap = database.max_connections
    if cap and on_database > cap:
        return Reason("database_full", f"{database.name} takes {cap} connections at a time")
    return None


def reason_to_end(session: Standing, now: datetime, idle_bound: float) -> Reason | None:
    """Why it ends now; None while it may go on. *idle_bound* holds where no role sets a shorter one."""
    identity, limits = session.identity, session.limits
    if now >= identity.login_expires:
        return _LOGIN
    if session.is_alone and now >= identity.expires:
        return _SILENCE
    if limits.max_session_seconds is not None and session.age > limits.max_session_seconds:
        return _AGE
    bound = min(limits.idle_seconds or idle_bound, idle_bound)
    if session.idle > bound:
        return Reason("idle_timeout", f"the session was idle for {bound:g} s")
    return None
