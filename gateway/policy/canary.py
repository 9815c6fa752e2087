"""Questions whose answers are known beforehand, put to every OPA before anybody else may ask it. Pure.

They use a role, a user and a label of their own, which open no database that anybody can enrol.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import PolicyError
from gateway.model.decision import Revisions
from gateway.policy import answer, document
from gateway.policy.answer import Verdict

# No stored resource can have this name: a name starts with a letter or a digit.
_NAME = ".regate:canary"
_DATABASE = {"name": _NAME, "protocol": "postgres", "labels": {_NAME: "allow"}}
_ROLE = {
    "kind": "role",
    "version": "v7",
    "metadata": {"name": _NAME},
    "spec": {
        "allow": {"db_labels": {_NAME: "allow"}, "db_users": ["canary"], "db_names": ["canary"]},
        "deny": {},
    },
}


def with_canary(data: Mapping[str, Any]) -> dict[str, Any]:
    """The data document with what the canaries need beside everything else."""
    return {
        **data,
        "roles": {**data["roles"], _NAME: _ROLE},
        "users": {**data["users"], _NAME: {"roles": [_NAME], "traits": {}, "locked": False}},
    }


@dataclass(frozen=True, slots=True)
class Canary:
    """One question, by the part of the path that names it, and what must come out."""

    path: str
    body: bytes
    allow: bool
    code: str

    def check(self, value: Any, revisions: Revisions) -> None:
        """Hold *value*, OPA's result, against what must come out.

        Raises:
            PolicyError: it is anything else, or comes from another policy or data.
        """
        verdict = self._parse(value)
        if verdict.allow is not self.allow or [reason.code for reason in verdict.reasons] != [self.code]:
            codes = ", ".join(reason.code for reason in verdict.reasons)
            raise PolicyError(f"a canary came out wrong: allow={verdict.allow} ({codes}), not {self.code}")
        if verdict.revisions != revisions:
            raise PolicyError(f"a canary was answered by {verdict.revisions}, not by {revisions}")

    def _parse(self, value: Any) -> Verdict:
        if self.path == "connect/decision":
            return answer.connect(value)
        return answer.query(answer.answered(value, {"canary": None})["canary"])


def canaries(data_revision: int, time_ns: int) -> list[Canary]:
    """One connect that must be allowed, one that must be refused, and a query of a session that is stale."""
    session = {
        "user": _NAME,
        "roles": [_NAME],
        "data_revision": data_revision - 1,
        "database": _DATABASE,
        "db_user": "canary",
        "db_name": "canary",
        "client_address": "",
    }
    item = document.query_item(document.encode(session), b"[]")
    return [
        Canary("connect/decision", _connect("canary", time_ns), allow=True, code="role_permits"),
        Canary("connect/decision", _connect("other", time_ns), allow=False, code="db_user_not_granted"),
        Canary(
            "query_batch/answers",
            document.batch({"canary": item}, time_ns),
            allow=False,
            code="stale_session",
        ),
    ]


def _connect(db_user: str, time_ns: int) -> bytes:
    return document.question(
        {
            "contract": document.CONTRACT,
            "time": time_ns,
            "identity": {"user": _NAME, "roles": [_NAME], "login_expires_ns": time_ns + 1},
            "database": _DATABASE,
            "db_user": db_user,
            "db_name": "canary",
            "client_address": "",
            "session_id": "canary",
            "active_connections": 0,
        }
    )
