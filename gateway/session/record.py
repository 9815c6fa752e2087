"""What is written down about a session: events with the fields of ``schemas/event.json``.

A statement that runs again is recorded again, and little of its record is new. So the fields of each
statement and verdict are kept, already encoded but for the decision's id; they are found by the identity of
the facts, because the classifier hands out the same objects for the same statement.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.audit.encode import encode_fields
from gateway.audit.intents import KEPT as BRIEF
from gateway.audit.wording import PLAIN, Wording
from gateway.clock import Clock, new_id
from gateway.model.classification import Classification
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.event import Event, Kind
from gateway.model.hold import Held
from gateway.model.identity import Identity
from gateway.model.resource import Database
from gateway.model.statement import Phase
from gateway.sansio.exchange import Facts, Outcome, Request
from gateway.session.record_fields import statement, verdict

KEPT = 256  # statements of one session whose records are kept ready
KEPT_FORMS = 64  # of them that others are found alike to
LONGEST_KEPT = 8 << 10  # characters of such a record

_KIND = {
    Phase.QUERY: Kind.SESSION_QUERY,
    Phase.PREPARE: Kind.SESSION_PREPARE,
    Phase.BIND: Kind.SESSION_QUERY,
    Phase.EXECUTE: Kind.SESSION_QUERY,
}
# Nobody who sends a statement knows this, so it stands nowhere in one.
_HOLE, _TEXT = secrets.token_hex(16), secrets.token_hex(16)


class Who:
    """The fields that every event of one session carries."""

    def __init__(
        self, session_id: str, identity: Identity, database: Database, effective: tuple[str, str], client: str
    ) -> None:
        """*effective* is the database user and the database name that the backend sees."""
        self.fields: dict[str, Any] = {
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


@dataclass(frozen=True, slots=True)
class Kept:
    """A statement with its verdict, as it was recorded last; *rest* is the part of *tail* behind its text."""

    item: Classification
    bound: tuple[tuple[str, ...], int | None]
    decision: Decision
    fields: dict[str, Any]
    brief: dict[str, Any]  # what of them is needed to close it
    head: str
    tail: str
    rest: str

    def of(self, item: Classification) -> "Kept":
        """The same of a statement that differs in nothing but its text."""
        fields = {**self.fields, "statement": item.redacted}
        middle = self.tail[: len(self.tail) - len(self.rest) - len(_text(self.item.redacted))]
        tail = f"{middle}{_text(item.redacted)}{self.rest}"
        return Kept(item, self.bound, self.decision, fields, self.brief, self.head, tail, self.rest)

    def fits(self, request: Request, decision: Decision) -> bool:
        """True when only the decision's id is new, or the text of the statement."""
        known = self.decision
        return (
            (request.bind_types, request.sets) == self.bound
            and type(decision) is type(known)
            and decision.input_digest == known.input_digest
            and (decision.revisions is known.revisions or decision.revisions == known.revisions)
            and (decision.reasons is known.reasons or decision.reasons == known.reasons)
            and _is_carried_out_as(decision, known)
        )


class Recorder:
    """Makes the events of one session; knows nothing of how they are kept."""

    def __init__(self, who: Who, clock: Clock, wording: Wording = PLAIN) -> None:
        self._wording = wording
        self._who = who.fields
        self.session_id: str = who.fields["session_id"]
        self._clock = clock
        self._kept: dict[tuple[int, Phase, str], Kept] = {}
        self._alike: dict[tuple[object, ...], Kept] = {}
        self._ends = {name: who.fields[name] for name in ("database", "session_id", "user")}
        self.end_of_query = _end_of_query(self._ends)  # the canonical JSON, with holes

    def event(self, kind: Kind, fields: Mapping[str, Any], encoded: str = "") -> Event:
        """An event of now."""
        now = self._clock.now_ns()
        return Event(kind, new_id(now), now, fields, encoded)

    def started(self, decision: Allowed, application: str) -> Event:
        """A connect was allowed."""
        fields = {**self._who, **verdict(decision), "application": application[:256]}
        return self.event(Kind.SESSION_START, fields)

    def ended(self, code: str, message: str, totals: Mapping[str, int]) -> Event:
        """A session is over: *code* says why."""
        return self.event(Kind.SESSION_END, {**self._who, "reason": code, "message": message, **totals})

    def denied(self, denial: Denied) -> Event:
        """A connect was refused."""
        return self.event(Kind.SESSION_DENIED, {**self._who, **verdict(denial), "subject": "connect"})

    def held(self, held: Held, facts: Facts) -> Event:
        """A statement waits for a second person; how that ended, the record of its decision says."""
        fields = {
            **self._who,
            "hold_id": held.id,
            "statements": [self._wording.shown(item) for item in facts],
            "reason": held.reason,
            "expires_ns": held.expires_ns,
        }
        return self.event(Kind.SESSION_HOLD, fields)

    def requested(self, request: Request, facts: Facts, decision: Decision) -> list[Event]:
        """One event for each statement of a request, allowed or not."""
        kind = _KIND[request.phase] if isinstance(decision, Allowed) else Kind.SESSION_DENIED
        decision_id = decision.decision_id
        events = []
        for item in facts:
            kept = self.known(item, request, decision)
            fields = kept.fields.copy()
            fields["decision_id"] = decision_id
            events.append(self.event(kind, fields, f"{kept.head}{decision_id}{kept.tail}"))
        return events

    def finished(self, queries: list[str], outcome: Outcome, duration_ns: int) -> list[Event]:
        """An admitted request ended; *queries* are the ids of its events, the first gets the totals.

        A statement that was only prepared has an end of its own where that failed, and none otherwise.
        """
        if outcome.request.phase is Phase.PREPARE and not outcome.error_code:
            return []
        events = []
        rows, size = outcome.rows, outcome.bytes
        for query in queries:
            values = {
                **self._ends,
                "bytes": size,
                "duration_ns": duration_ns,
                "error_code": outcome.error_code,
                "executed": outcome.executed,
                "query_id": query,
                "rows": rows,
            }
            encoded = self.end_of_query % (
                size,
                duration_ns,
                json.dumps(outcome.error_code) if outcome.error_code else '""',
                "true" if outcome.executed else "false",
                query,
                "null" if rows is None else rows,
            )
            events.append(self.event(Kind.SESSION_QUERY_END, values, encoded))
            rows, size = None, 0
        return events

    def known(self, item: Classification, request: Request, decision: Decision) -> Kept:
        """A statement's record but for the decision's id, made once for as long as nothing else is new."""
        key = (id(item), request.phase, request.name)
        kept = self._kept.get(key)
        if kept is not None and kept.item is item and kept.fits(request, decision):
            return kept
        like = (*item.sameness(), request.phase, request.name)
        kept = self._alike.get(like)
        if kept is not None and kept.item is not item and kept.fits(request, decision):
            return kept.of(item)  # which is not kept: the next one has another text
        return self._keep(key, like, self._made(item, request, decision))

    def _made(self, item: Classification, request: Request, decision: Decision) -> Kept:
        said = statement(item, self._wording)
        fields = {**self._who, **said, **verdict(decision), "phase": request.phase.value}
        if isinstance(decision, Denied):
            fields["subject"] = "query"
        if request.name:
            fields["prepared"] = request.name[:64]
        if request.bind_types:
            types = sorted(set(request.bind_types))
            fields["parameters"] = {"count": len(request.bind_types), "types": types}
            if request.sets != 1:
                fields["parameters"]["sets"] = request.sets
        holes = {"decision_id": _HOLE, "statement": _TEXT}
        head, _, behind = encode_fields({**fields, **holes}).partition(_HOLE)
        middle, _, rest = behind.partition(f'"{_TEXT}"')
        brief = {name: fields[name] for name in BRIEF if name in fields}
        tail = f"{middle}{_text(said['statement'])}{rest}"
        return Kept(item, (request.bind_types, request.sets), decision, fields, brief, head, tail, rest)

    def _keep(self, key: tuple[int, Phase, str], like: tuple[object, ...], kept: Kept) -> Kept:
        self._kept.pop(key, None)
        if len(kept.head) + len(kept.tail) + len(kept.item.text) > LONGEST_KEPT:
            return kept
        if len(self._kept) >= KEPT:
            del self._kept[next(iter(self._kept))]
        # Both hold the item, so its id, and those of its parts, cannot become another's.
        self._kept[key] = kept
        if self._wording is PLAIN:  # else more than the text itself is new with a text
            if len(self._alike) >= KEPT_FORMS:
                del self._alike[next(iter(self._alike))]
            self._alike[like] = kept
        return kept


def _text(text: str) -> str:
    """A text as it stands in a record, with its quotes."""
    return encode_fields({"": text})[4:-1]


def _end_of_query(who: Mapping[str, Any]) -> str:
    """The canonical JSON of an end, with a hole for each value that is new each time."""
    database, session_id, user = (
        _text(who[name]).replace("%", "%%") for name in ("database", "session_id", "user")
    )
    return (
        f'{{"bytes":%d,"database":{database},"duration_ns":%d,"error_code":%s,"executed":%s,"query_id":"%s",'
        f'"rows":%s,"session_id":{session_id},"user":{user}}}'
    )


def _is_carried_out_as(decision: Decision, known: Decision) -> bool:
    if not isinstance(decision, Allowed) or not isinstance(known, Allowed):
        return True
    return (
        (decision.obligations is known.obligations or decision.obligations == known.obligations)
        and decision.sent == known.sent
        and decision.approved_by == known.approved_by
    )
