"""What is written down about a session: events with the fields of ``schemas/event.json``.

The facts of a statement are turned into fields once and kept by identity, because the classifier hands
out the same objects for the same statement.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.clock import Clock, new_id
from gateway.model.classification import Classification
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.event import Event, Kind
from gateway.model.identity import Identity
from gateway.model.resource import Database
from gateway.model.statement import Phase
from gateway.sansio.protocol import Facts, Outcome, Request

KEPT_FACTS = 4096

_KIND = {
    Phase.QUERY: Kind.SESSION_QUERY,
    Phase.PREPARE: Kind.SESSION_PREPARE,
    Phase.BIND: Kind.SESSION_QUERY,
    Phase.EXECUTE: Kind.SESSION_QUERY,
}


@dataclass(frozen=True, slots=True)
class Who:
    """The fields that every event of one session carries."""

    fields: Mapping[str, Any]

    @classmethod
    def of(
        cls, session_id: str, identity: Identity, database: Database, effective: tuple[str, str], client: str
    ) -> "Who":
        """*effective* is the database user and the database name that the backend sees."""
        return cls(
            {
                "session_id": session_id,
                "user": identity.user,
                "roles": list(identity.roles),
                "database": database.name,
                "protocol": database.protocol,
                "db_user": effective[0],
                "db_name": effective[1],
                "client_address": client,
                "certificate_serial": identity.serial,
            }
        )


class Recorder:
    """Makes the events of one service; knows nothing of how they are kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._facts: OrderedDict[int, tuple[Classification, dict[str, Any]]] = OrderedDict()

    def event(self, kind: Kind, fields: Mapping[str, Any]) -> Event:
        """An event of now."""
        now = self._clock.now_ns()
        return Event(kind=kind, id=new_id(now), time_ns=now, fields=fields)

    def started(self, who: Who, decision: Allowed, application: str) -> Event:
        """A connect was allowed."""
        return self.event(
            Kind.SESSION_START,
            {**who.fields, **verdict(decision), "application": application[:256]},
        )

    def ended(self, who: Who, code: str, message: str, totals: Mapping[str, int]) -> Event:
        """A session is over: *code* says why."""
        return self.event(Kind.SESSION_END, {**who.fields, "reason": code, "message": message, **totals})

    def denied(self, who: Who | Mapping[str, Any], denial: Denied) -> Event:
        """A connect was refused."""
        fields = who.fields if isinstance(who, Who) else who
        return self.event(Kind.SESSION_DENIED, {**fields, **verdict(denial), "subject": "connect"})

    def requested(self, who: Who, request: Request, facts: Facts, decision: Decision) -> list[Event]:
        """One event for each statement of a request, allowed or not."""
        match decision:
            case Allowed():
                kind = _KIND[request.phase]
                extra = verdict(decision)
            case Denied():
                kind = Kind.SESSION_DENIED
                extra = {**verdict(decision), "subject": "query"}
        extra["phase"] = request.phase.value
        if request.name:
            extra["prepared"] = request.name[:64]
        if request.bind_types:
            extra["parameters"] = {"count": len(request.bind_types), "types": sorted(set(request.bind_types))}
        return [self.event(kind, {**who.fields, **self._fields(item), **extra}) for item in facts]

    def finished(self, who: Who, queries: list[str], outcome: Outcome, duration_ns: int) -> list[Event]:
        """An admitted request ended; *queries* are the ids of its events, the first gets the totals.

        A statement that was only prepared has an end of its own where that failed, and none otherwise.
        """
        if outcome.request.phase is Phase.PREPARE and not outcome.error_code:
            return []
        fields = {
            "session_id": who.fields["session_id"],
            "user": who.fields["user"],
            "database": who.fields["database"],
            "duration_ns": duration_ns,
            "error_code": outcome.error_code,
            "executed": outcome.executed,
        }
        totals = {"rows": outcome.rows, "bytes": outcome.bytes}
        return [
            self.event(
                Kind.SESSION_QUERY_END,
                {**fields, "query_id": query, **(totals if number == 0 else {"rows": None, "bytes": 0})},
            )
            for number, query in enumerate(queries)
        ]

    def _fields(self, item: Classification) -> dict[str, Any]:
        kept = self._facts.get(id(item))
        if kept is not None and kept[0] is item:
            return kept[1]
        document = item.to_json()
        fields = {
            "statement": item.redacted,
            "fingerprint": item.fingerprint,
            "operation": item.operation,
            "class": item.cls.value,
            "effects": document["effects"],
            "complete": item.complete,
            "unknown_reason": item.unknown_reason,
        }
        self._facts[id(item)] = (item, fields)
        if len(self._facts) > KEPT_FACTS:
            self._facts.popitem(last=False)
        return fields


def verdict(decision: Decision) -> dict[str, Any]:
    """The fields that say how a decision fell, and what it was made from."""
    fields: dict[str, Any] = {
        "decision_id": decision.decision_id,
        "input_digest": decision.input_digest,
        "reasons": [
            {"code": reason.code, "role": reason.role, "message": reason.message}
            for reason in decision.reasons
        ],
    }
    match decision:
        case Allowed(revisions=revisions):
            fields["verdict"] = "allowed"
            fields["granted_by"] = list(decision.roles)
            fields["policy_revision"] = revisions.policy
            fields["data_revision"] = revisions.data
        case Denied(revisions=revisions):
            fields["verdict"] = "denied"
            if revisions is not None:
                fields["policy_revision"] = revisions.policy
                fields["data_revision"] = revisions.data
    return fields
