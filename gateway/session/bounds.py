"""When the clock ends a session: its login, a silent control plane, its longest life, idleness. Pure."""

from dataclasses import dataclass
from datetime import datetime

from gateway.model.decision import Limits, Reason
from gateway.model.identity import Identity
from gateway.session import lease

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
