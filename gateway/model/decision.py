"""What the policy answered, once parsed; a union that is matched to the end."""

from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias

from gateway.model.obligation import NONE, Obligations

_FOR_NOW: Final = frozenset({"database_full", "rate_limited", "too_many_connections"})


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: ``code`` is stable, ``message`` a sentence for a person, safe to show to the client."""

    code: str
    message: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Revisions:
    """Which bundle and which data a decision came from."""

    policy: str
    data: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a session, the strictest of the granting roles; None: no bound from policy."""

    idle_seconds: int | None = None
    max_session_seconds: int | None = None
    max_connections: int | None = None
    disconnect_expired_cert: bool = True


@dataclass(frozen=True, slots=True)
class Allowed:
    """The policy said yes, in so many words.

    ``roles`` are the roles that granted it. ``restricted`` says (for a connect) that statements will be
    judged by permissions or guards, so that names must be resolved. ``limits`` only come with a connect.
    ``obligations`` must be carried out with the statements; where other texts are sent for that than were
    asked for, ``sent`` are those, fit to be recorded. ``approved_by`` is who let a held one go.
    """

    decision_id: str
    revisions: Revisions
    input_digest: str = ""
    roles: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    restricted: bool = True
    limits: Limits = field(default_factory=Limits)
    obligations: Obligations = NONE
    sent: tuple[str, ...] = ()
    approved_by: str = ""

    def __bool__(self) -> NoReturn:
        raise TypeError("a decision has no truth value; match it")


@dataclass(frozen=True, slots=True)
class Denied:
    """The policy refused, or nobody could answer; the first reason's code is what the client is told.

    ``revisions`` is None when no policy answered (unavailable, not understood, not recorded).
    """

    decision_id: str
    reasons: tuple[Reason, ...]
    revisions: Revisions | None = None
    input_digest: str = ""

    @property
    def code(self) -> str:
        """The first reason's stable code."""
        return self.reasons[0].code if self.reasons else "denied"

    @property
    def is_for_now(self) -> bool:
        """True for a no that is over by itself: there are, or come, too many connections."""
        return self.code in _FOR_NOW

    @property
    def sentence(self) -> str:
        """What a person reads: the reasons' sentences, or their codes where there are none."""
        return "; ".join(reason.message or reason.code for reason in self.reasons) or "denied"

    def __bool__(self) -> NoReturn:
        raise TypeError("a decision has no truth value; match it")


Decision: TypeAlias = Allowed | Denied
