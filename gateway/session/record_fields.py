"""The fields of a record that say what a statement is, and how a decision about it fell."""

from typing import Any, assert_never

from gateway.audit.wording import Wording
from gateway.model.classification import Classification
from gateway.model.decision import Allowed, Decision, Denied
from gateway.model.obligation import NONE
from gateway.policy.obligations import to_json


def statement(item: Classification, wording: Wording) -> dict[str, Any]:
    """The fields that say what a statement is, in the words of *wording*."""
    return {
        "statement": wording.shown(item),
        "fingerprint": item.fingerprint,
        "operation": item.operation,
        "class": item.cls.value,
        "effects": item.to_json()["effects"],
        "complete": item.complete,
        "unknown_reason": item.unknown_reason,
        **wording.beside(item),
    }


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
            fields |= _obligations(decision)
        case Denied(revisions=revisions):
            fields["verdict"] = "denied"
            if revisions is not None:
                fields["policy_revision"] = revisions.policy
                fields["data_revision"] = revisions.data
        case other:
            assert_never(other)
    return fields


def _obligations(decision: Allowed) -> dict[str, Any]:
    """What was done with the statement; nothing where nothing had to be."""
    fields: dict[str, Any] = {}
    if decision.obligations is not NONE:
        fields["obligations"] = to_json(decision.obligations)
    if decision.sent:
        fields["sent"] = list(decision.sent)
    if decision.approved_by:
        fields["approved_by"] = decision.approved_by
    return fields
