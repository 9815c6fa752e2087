"""The policy's answers, parsed strictly. Pure.

Whatever is not exactly a decision is a refusal: a missing result, a wrong type, an unknown key, an obligation
that nobody here can carry out. ``schemas/decision.*.json`` say the same; a test holds the two together.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import PolicyError
from gateway.model.decision import Allowed, Decision, Denied, Limits, Reason, Revisions
from gateway.model.obligation import NONE, Obligations
from gateway.policy import obligations
from gateway.policy.document import CONTRACT

# Three ways to be without an answer; one code, because for whoever asked it is one thing.
UNAVAILABLE = Reason("policy_unavailable", "the policy engine is not available")
TIMEOUT = Reason("policy_unavailable", "the policy engine did not answer in time")
INVALID = Reason("policy_unavailable", "the policy engine gave an answer that is not a decision")
TOO_LARGE = Reason("input_too_large", "the statement is too large to be judged")

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_BASE = frozenset({"contract", "allow", "reasons", "policy_revision", "data_revision"})
_QUERY = _BASE | {"obligations"}
_CONNECT_ALLOWED = _BASE | {"roles", "restricted", "limits"}
_LOGIN_ALLOWED = _BASE | {"limits"}
_JOIN = _BASE | {"databases"}
_VISIBLE = frozenset({"contract", "databases", "policy_revision", "data_revision"})
_REASON = frozenset({"code", "message", "role", "guard"})
_LIMITS = frozenset({"idle_seconds", "max_session_seconds", "max_connections"})


_UNBOUND = Limits()


@dataclass(frozen=True, slots=True)
class Visible:
    """A database as a list shows it to one user."""

    name: str
    db_users: tuple[str, ...]
    db_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a document: an ``error`` keeps it from being stored, a ``warning`` does not."""

    severity: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision before it is given to one question; equal questions share it."""

    allow: bool
    reasons: tuple[Reason, ...]
    revisions: Revisions | None = None
    roles: tuple[str, ...] = ()
    restricted: bool = True
    limits: Limits = _UNBOUND
    time_ns: int = 0
    """The time that the question carried, where its digest does not cover it; else 0."""
    obligations: Obligations = NONE

    def issue(self, decision_id: str, input_digest: str) -> Decision:
        """The decision for one question, under its own id."""
        if self.allow and self.revisions is not None:
            return Allowed(
                decision_id,
                self.revisions,
                input_digest,
                self.roles,
                self.reasons,
                self.restricted,
                self.limits,
                self.obligations,
            )
        return Denied(decision_id, self.reasons, self.revisions, input_digest)


def refused(reason: Reason) -> Verdict:
    """The verdict of somebody who could not ask."""
    return Verdict(allow=False, reasons=(reason,))


def result(status: int, body: bytes) -> Any:
    """The ``result`` of OPA's answer to a question about data.

    Raises:
        PolicyError: the answer is not 200, not JSON, or has no result and nothing but a result.
    """
    if status != 200:
        raise PolicyError(f"opa answered {status}")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PolicyError("opa's answer is not json") from error
    if type(value) is not dict or list(value) != ["result"]:
        raise PolicyError("opa's answer has no result, or more than one")
    return value["result"]


def results(status: int, body: bytes, ids: Mapping[str, Any]) -> dict[str, Any]:
    """The results of a batch: exactly the ids that were asked, or none of them counts.

    Raises:
        PolicyError: as for ``result``, or the ids differ.
    """
    value = result(status, body)
    return answered(value, ids)


def answered(value: Any, ids: Mapping[str, Any]) -> dict[str, Any]:
    """*value* as the results of exactly these ids.

    Raises:
        PolicyError: the ids differ.
    """
    if type(value) is not dict or value.keys() != ids.keys():
        raise PolicyError("opa answered other questions than it was asked")
    return value


def query(value: Any, time_ns: int = 0) -> Verdict:
    """The verdict about one request's statements, asked with the time *time_ns*."""
    try:
        allow, reasons, revisions = _base(value, _QUERY, _QUERY)
        asked = obligations.parse(value["obligations"])
    except PolicyError:
        return refused(INVALID)
    roles = tuple(reason.role for reason in reasons if reason.role) if allow else ()
    return Verdict(allow, reasons, revisions, roles, time_ns=time_ns, obligations=asked if allow else NONE)


def connect(value: Any) -> Verdict:
    """The verdict about a connect."""
    try:
        allow, reasons, revisions = _base(value, _CONNECT_ALLOWED, _BASE)
        if not allow:
            return Verdict(allow, reasons, revisions)
        roles, restricted = _granting(value)
        return Verdict(allow, reasons, revisions, roles, restricted, _limits(value["limits"]))
    except PolicyError:
        return refused(INVALID)


def admin(value: Any) -> Verdict:
    """The verdict about a resource."""
    try:
        return Verdict(*_base(value, _BASE, _BASE))
    except PolicyError:
        return refused(INVALID)


def login(value: Any) -> Verdict:
    """The verdict about a login."""
    try:
        allow, reasons, revisions = _base(value, _LOGIN_ALLOWED, _BASE)
        limits = _limits(value["limits"]) if allow else Limits()
        return Verdict(allow, reasons, revisions, limits=limits)
    except PolicyError:
        return refused(INVALID)


def join(value: Any) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict about a service that joins, and the names of the databases that it may serve."""
    try:
        verdict = Verdict(*_base(value, _JOIN, _JOIN))
        return verdict, _texts(value["databases"])
    except PolicyError:
        return refused(INVALID), ()


def visible(value: Any) -> list[Visible]:
    """The databases a user sees.

    Raises:
        PolicyError: the answer is not such a list.
    """
    _keys(value, _VISIBLE)
    _revisions(value)
    if type(value["databases"]) is not list:
        raise PolicyError("the list of databases is not a list")
    shown = []
    for entry in value["databases"]:
        _keys(entry, frozenset({"name", "db_users", "db_names"}))
        if type(entry["name"]) is not str:
            raise PolicyError("a database has no name")
        shown.append(Visible(entry["name"], _texts(entry["db_users"]), _texts(entry["db_names"])))
    return shown


def problems(value: Any) -> list[Problem]:
    """What is wrong with a document.

    Raises:
        PolicyError: the answer is not a list of problems.
    """
    if type(value) is not list:
        raise PolicyError("the list of problems is not a list")
    found = []
    for entry in value:
        _keys(entry, frozenset({"severity", "path", "message"}))
        severity, path, message = _texts([entry["severity"], entry["path"], entry["message"]])
        found.append(Problem(severity, path, message))
    return found


def _base(
    value: Any, if_allowed: frozenset[str], if_denied: frozenset[str]
) -> tuple[bool, tuple[Reason, ...], Revisions]:
    allow = value.get("allow") if type(value) is dict else None
    if allow is not True and allow is not False:
        raise PolicyError("the decision is neither yes nor no")
    _keys(value, if_allowed if allow else if_denied)
    revisions = _revisions(value)
    reasons = value["reasons"]
    if type(reasons) is not list or not reasons:
        raise PolicyError("the decision has no reasons")
    return allow, tuple([_reason(reason) for reason in reasons]), revisions


def _keys(value: Any, expected: frozenset[str]) -> None:
    if type(value) is not dict or value.keys() != expected:
        raise PolicyError("the answer has other keys than its schema")


def _revisions(value: Mapping[str, Any]) -> Revisions:
    policy, data, contract = value["policy_revision"], value["data_revision"], value["contract"]
    if type(policy) is not str or type(data) is not int or type(contract) is not int or contract != CONTRACT:
        raise PolicyError("the answer has no revisions, or another contract")
    return Revisions(policy, data)


def _granting(value: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    roles, restricted = _texts(value["roles"]), value["restricted"]
    if not roles or type(restricted) is not bool:
        raise PolicyError("the decision names no role")
    return roles, restricted


def _reason(value: Any) -> Reason:
    if type(value) is not dict or "code" not in value or not value.keys() <= _REASON:
        raise PolicyError("a reason has no code, or other keys than its schema")
    if any(type(text) is not str for text in value.values()) or _CODE.fullmatch(value["code"]) is None:
        raise PolicyError("a reason is not made of texts")
    return Reason(value["code"], value.get("message", ""), value.get("role", ""))


def _limits(value: Any) -> Limits:
    if type(value) is not dict or not value.keys() <= _LIMITS:
        raise PolicyError("the limits have other keys than their schema")
    if any(type(bound) is not int or bound < 1 for bound in value.values()):
        raise PolicyError("a limit is not a positive number")
    return Limits(**value)


def _texts(values: Any) -> tuple[str, ...]:
    if type(values) is not list or any(type(value) is not str for value in values):
        raise PolicyError("a list of texts is something else")
    return tuple(values)
