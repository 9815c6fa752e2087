"""Which records still wait for their outcome: a statement that was let through, a session that began.

``db.session.query`` opens an intent that ``db.session.query.end`` with its id as ``query_id`` closes;
``db.session.start`` opens one that ``db.session.end`` with the same ``session_id`` closes. What is open
when the process dies, or when its session ends, is closed with the outcome ``unknown``.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.audit.lines import Briefs
from gateway.errors import AuditError
from gateway.model.event import Event, Kind

UNKNOWN = "unknown"  # it was let through, and nobody knows how it ended
NOT_FORWARDED = "not_forwarded"  # it was recorded, but too late: the client had been refused
KEPT = (  # of what a statement's record says
    "user",
    "session_id",
    "client_address",
    "database",
    "protocol",
    "db_user",
    "db_name",
    "decision_id",
)
_ENDS = {Kind.SESSION_QUERY: Kind.SESSION_QUERY_END, Kind.SESSION_START: Kind.SESSION_END}


class Intents:
    """The open intents of a log, in the order in which they were recorded."""

    __slots__ = ("_queries", "_sessions")

    def __init__(self) -> None:
        self._sessions: dict[str, Event] = {}
        # By session, then by the record's id; what was recorded together stands there together.
        self._queries: dict[str, dict[str, Event | Briefs]] = {}

    def observe(self, event: Event) -> list[Event]:
        """Take note of a durable event; returns what it left without an end."""
        kind = event.kind
        if kind is Kind.SESSION_QUERY:
            self._queries.setdefault(_session(event), {})[event.id] = _brief(event)
        elif kind is Kind.SESSION_QUERY_END:
            session = _session(event)
            queries = self._queries.get(session)
            if queries is not None:
                queries.pop(str(event.fields.get("query_id", "")), None)
                if not queries:
                    del self._queries[session]
        elif kind is Kind.SESSION_START:
            self._sessions[_session(event)] = _brief(event)
        elif kind is Kind.SESSION_END:
            self._sessions.pop(_session(event), None)
            return _events(self._queries.get(_session(event), {}))
        return []

    def observe_all(self, briefs: Briefs) -> list[Event]:
        """As ``observe``, for what one session recorded together."""
        session = str(briefs.fields[0].get("session_id", "")) if briefs.fields else ""
        if briefs.kind is Kind.SESSION_QUERY:
            self._queries.setdefault(session, {}).update(dict.fromkeys(briefs.ids, briefs))
        elif briefs.kind is Kind.SESSION_QUERY_END:
            queries = self._queries.get(session)
            if queries is not None:
                for query in briefs.closes:
                    queries.pop(query, None)
                if not queries:
                    del self._queries[session]
        else:
            return [left for at in range(len(briefs.ids)) for left in self.observe(briefs.at(at))]
        return []

    def open(self) -> list[Event]:
        """Everything without an end: statements first, then sessions."""
        queries = [event for queries in self._queries.values() for event in _events(queries)]
        return queries + list(self._sessions.values())

    def to_json(self) -> list[dict[str, Any]]:
        """The open intents, for the state that is kept where a segment begins."""
        return [
            {"kind": event.kind.value, "id": event.id, "time_ns": event.time_ns, "fields": dict(event.fields)}
            for event in self.open()
        ]


def from_json(items: Iterable[Mapping[str, Any]]) -> Intents:
    """The intents that ``to_json`` wrote."""
    found = Intents()
    try:
        for item in items:
            found.observe(Event(Kind(item["kind"]), item["id"], item["time_ns"], item["fields"]))
    except (KeyError, TypeError, ValueError) as error:
        raise AuditError(f"the open intents cannot be read: {error}") from error
    return found


def closing(intent: Event, *, outcome: str, id_: str, time_ns: int, reason: str) -> Event:
    """The end of *intent* that nobody else will write."""
    fields = {key: intent.fields[key] for key in KEPT if key in intent.fields}
    fields |= {"outcome": outcome, "reason": reason}
    if intent.kind is Kind.SESSION_QUERY:
        fields["query_id"] = intent.id
    return Event(_ENDS[intent.kind], id_, time_ns, fields)


def opens(event: Event) -> bool:
    """True when somebody must record how *event* ended."""
    return event.kind in _ENDS


def _events(queries: Mapping[str, Event | Briefs]) -> list[Event]:
    return [each if isinstance(each, Event) else each.of(id_) for id_, each in queries.items()]


def _session(event: Event) -> str:
    return str(event.fields.get("session_id", ""))


def _brief(event: Event) -> Event:
    """The event without its statement: an idle session's memory is bounded."""
    kept = {key: event.fields[key] for key in KEPT if key in event.fields}
    return Event(event.kind, event.id, event.time_ns, kept)
