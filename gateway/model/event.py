"""What the audit log holds: one event per thing that happened, as data ready for canonical JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Every kind of event; the values are stable and documented in ``schemas/event.json``."""

    USER_LOGIN = "user.login"
    CERT_CREATE = "cert.create"
    CA_ROTATE = "cert_authority.rotate"
    SESSION_START = "db.session.start"
    SESSION_END = "db.session.end"
    SESSION_PREPARE = "db.session.prepare"
    SESSION_QUERY = "db.session.query"
    SESSION_QUERY_END = "db.session.query.end"
    SESSION_DENIED = "db.session.denied"
    SESSION_HOLD = "db.session.hold"
    HOLD_ANSWER = "hold.answer"
    AGENT_JOIN = "agent.join"
    AGENT_REMOVE = "agent.remove"
    BOT_JOIN = "bot.join"
    BOT_RENEW = "bot.renew"
    RESOURCE_CREATE = "resource.create"
    RESOURCE_UPDATE = "resource.update"
    RESOURCE_DELETE = "resource.delete"
    USER_CREATE = "user.create"
    USER_UPDATE = "user.update"
    USER_DELETE = "user.delete"
    USER_ACCEPT = "user.accept"
    POLICY_LOAD = "policy.load"
    POLICY_ADOPT = "policy.adopt"
    POLICY_DATA = "policy.data"
    POLICY_REFUSED = "policy.refused"
    POLICY_ALARM = "policy.alarm"
    POLICY_SHADOW = "policy.shadow"
    SERVICE_START = "service.start"
    SERVICE_STOP = "service.stop"
    AUDIT_RESUMED = "audit.resumed"
    AUDIT_STOPPED = "audit.stopped"
    AUDIT_ORIGIN = "audit.origin"
    AUDIT_FINDING = "audit.finding"
    AUDIT_SETTLED = "audit.settled"
    STATE_RESTORE = "state.restore"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``fields`` holds only JSON values (no floats), and never a secret or row data.

    ``id`` is unique; ``time_ns`` is UTC nanoseconds since the epoch. ``encoded`` is *fields* as canonical
    JSON where whoever made them has it already, and empty otherwise.
    """

    kind: Kind
    id: str
    time_ns: int
    fields: Mapping[str, Any]
    encoded: str = field(default="", compare=False)
