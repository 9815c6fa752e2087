"""Recorded decisions as questions that can be asked again. Pure: records and kept inputs in, questions out.

The connect of each session comes first; the roles that grant it now take the place of the recorded ones in
the questions about its statements. Everything else is asked as it was: labels, addresses, facts, the time.

A service writes ids into its own log as it likes. So a decision, a session and an input are each known by
the name of a log and an id in it: what stands in one log joins, replaces and hides nothing of another.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from gateway.audit.encode import parse_rfc3339
from gateway.policy import document

KINDS: Final = ("db.session.start", "db.session.query", "db.session.prepare", "db.session.denied")
_WHO: Final = ("user", "database", "db_user", "db_name")
_MINUTE_NS: Final = 60_000_000_000
# Refusals that no policy gave: there is nothing to ask again.
_NO_POLICY: Final = "no policy was asked"
_MALFORMED: Final = "the record has no form of ours"
_REPEATED: Final = "its log has another decision under the same id"
_STALE: Final = "stale_session"  # the answer to a question that was overtaken

Key: TypeAlias = tuple[str, str]
"""A log's name, and what is told apart within it: a decision's id, a session's, or the digest of an input."""

Kept: TypeAlias = Mapping[Key, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Past:
    """One recorded decision, in the log of *origin*.

    ``statement`` is the first text of its request; ``more`` counts the others.
    """

    decision_id: str
    session_id: str
    time_ns: int
    is_connect: bool
    allowed: bool
    codes: tuple[str, ...]
    digest: str
    who: Mapping[str, Any]
    statement: str = ""
    more: int = 0
    origin: str = ""

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.origin, self.decision_id

    @property
    def session_key(self) -> Key:
        """The session that it was made in; a connect that was refused has none, and is one by itself."""
        return self.origin, self.session_id or self.decision_id

    @property
    def input_key(self) -> Key:
        """Where its input is found: a log's own evidence answers for its decisions, and no other's."""
        return self.origin, self.digest


@dataclass(slots=True)
class Gathered:
    """What a log held: decisions as they were made, and how many cannot be asked again, by reason."""

    decisions: dict[Key, Past] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, why: str) -> None:
        """One decision more that cannot be asked again."""
        self.left_out[why] = self.left_out.get(why, 0) + 1


def gather(records: Iterable[Mapping[str, Any]]) -> Gathered:
    """The decisions in *records*, each log's in its order; the statements of one request are one decision."""
    found = Gathered()
    for record in records:
        fields = record["fields"]
        try:
            key = (str(record.get("origin", "")), _text(fields, "decision_id"))
            known = found.decisions.get(key)
            if known is not None:
                _add(found, known, fields)
            elif not fields.get("policy_revision") or _codes(fields) == (_STALE,):
                found.leave_out(_NO_POLICY)
            elif record["kind"] in KINDS and fields.get("database"):
                found.decisions[key] = _past(record, fields)
        except (AttributeError, TypeError):
            found.leave_out(_MALFORMED)
    return found


def _add(found: Gathered, known: Past, fields: Mapping[str, Any]) -> None:
    """One record more under the id of *known*: of the same request, or a service names two of them alike."""
    if (_text(fields, "session_id"), _text(fields, "input_digest")) == (known.session_id, known.digest):
        found.decisions[known.key] = replace(known, more=known.more + 1)
    else:
        found.leave_out(_REPEATED)


def _past(record: Mapping[str, Any], fields: Mapping[str, Any]) -> Past:
    is_connect = record["kind"] == "db.session.start" or fields.get("subject") == "connect"
    roles = fields.get("roles", [])
    if not fields["decision_id"] or not isinstance(roles, list):
        raise TypeError("decision_id, roles")
    who: dict[str, Any] = {name: _text(fields, name) for name in _WHO}
    return Past(
        decision_id=_text(fields, "decision_id"),
        session_id=_text(fields, "session_id"),
        time_ns=parse_rfc3339(record["time"]),
        is_connect=is_connect,
        allowed=record["kind"] != "db.session.denied",
        codes=_codes(fields),
        digest=_text(fields, "input_digest"),
        who={**who, "roles": roles},
        statement=_text(fields, "statement"),
        origin=str(record.get("origin", "")),
    )


def _text(fields: Mapping[str, Any], name: str) -> str:
    """The text in a field, empty where there is none; TypeError for anything else."""
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _codes(fields: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(_text(reason, "code") for reason in fields.get("reasons", ()))


def connect_of(past: Past, kept: Kept) -> dict[str, Any] | None:
    """The connect question behind *past*; None when its input was not kept.

    For a statement whose connect lies before the log's piece, it is made of the statement's session.
    """
    given = kept.get(past.input_key)
    if given is None or ("session" in given) is past.is_connect:
        return None
    if past.is_connect:
        return {**given, "contract": document.CONTRACT, "time": past.time_ns}
    session = given["session"]
    return {
        "contract": document.CONTRACT,
        "time": past.time_ns,
        "identity": {
            "user": session["user"],
            "roles": list(past.who.get("roles", ())),
            "login_expires_ns": past.time_ns + _MINUTE_NS,
        },
        "database": session["database"],
        "db_user": session["db_user"],
        "db_name": session["db_name"],
        "client_address": session["client_address"],
        "session_id": past.session_id,
        "active_connections": 0,
    }


@dataclass(frozen=True, slots=True)
class Asked:
    """One item of a batch: equal ones of the same minute are asked once."""

    minute: int
    item: bytes


class Questions:
    """Makes the questions about statements: equal inputs are encoded once.

    With *at* all of them are asked as of that minute, for policies that do not look at the time.
    """

    def __init__(self, revision: int, at: int | None = None) -> None:
        self._revision = revision
        self._at = at
        self._items: dict[tuple[Key, tuple[str, ...]], bytes] = {}

    def about(self, past: Past, given: Mapping[str, Any], roles: Sequence[str]) -> Asked:
        """The question about the statements of *past*, in a session that *roles* grant."""
        key = (past.input_key, tuple(roles))
        item = self._items.get(key)
        if item is None:
            session = {**given["session"], "roles": list(roles), "data_revision": self._revision}
            facts = document.encode(given["statements"])
            item = self._items[key] = document.query_item(document.encode(session), facts)
        return Asked(minute_of(past) if self._at is None else self._at, item)


def minute_of(past: Past) -> int:
    """The minute in which it was decided."""
    return past.time_ns // _MINUTE_NS


def at_ns(asked: Asked) -> int:
    """The time that a batch of this minute is asked at."""
    return asked.minute * _MINUTE_NS
