"""What the gateway answers by itself: who it is, logins of clients, and the end of their sessions.

A driver takes every address that an answer to hello holds for a member and connects to it, so none is ever
passed on. Whoever comes is known by the certificate already: a login that needs no password on the server's
side is answered with yes, whatever it sent, and nothing of it goes on or is written down.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from bson.objectid import ObjectId

from gateway.model.decision import Denied
from gateway.sansio.protocol import Ready

HELLO: Final = frozenset({"hello", "isMaster", "ismaster"})
LOGIN: Final = frozenset({"saslStart", "saslContinue", "authenticate", "logout", "getnonce"})
END: Final = frozenset({"endSessions"})
ANSWERED: Final = HELLO | LOGIN | END
"""Commands that are answered here; each concerns the client and the gateway, and nobody else."""

UNAUTHORIZED: Final = 13
_AUTHENTICATION_FAILED: Final = 18
_NONE_NEEDED: Final = (
    "no password is needed here, and none can be checked: leave user and password out of the URI, or use "
    "authMechanism=MONGODB-X509 or PLAIN"
)
_LIMITS: Final = {
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 1_000,  # of changes that are all read before they go on
}
_OLDEST: Final = 0
_OP_MSG: Final = 6  # the first wire version that has OP_MSG


def answer(name: str, command: Mapping[str, Any], ready: Ready, user: str) -> dict[str, Any]:
    """The gateway's answer to one of ``ANSWERED``."""
    if name in HELLO:
        return _hello(name, command, ready, user)
    if name in LOGIN:
        return _login(name, command, user)
    return {"ok": 1.0}


def _hello(name: str, command: Mapping[str, Any], ready: Ready, user: str) -> dict[str, Any]:
    """A server by itself, or a router: no shape that has members."""
    known = ready.extra
    found: dict[str, Any] = {"helloOk": True} if command.get("helloOk") else {}
    found["isWritablePrimary" if name == "hello" else "ismaster"] = True
    if known.get("shape") == "router" or command.get("loadBalanced") is True:
        found["msg"] = "isdbgrid"
    if command.get("loadBalanced") is True:
        found["serviceId"] = ObjectId(sha256(known.get("service", "").encode()).digest()[:12])
    found |= _LIMITS
    if known.get("logicalSessionTimeoutMinutes"):
        found["logicalSessionTimeoutMinutes"] = int(known["logicalSessionTimeoutMinutes"])
    found["connectionId"] = 1
    found["minWireVersion"] = _OLDEST
    found["maxWireVersion"] = int(known.get("maxWireVersion") or _OP_MSG)
    found["readOnly"] = False
    attempt = command.get("speculativeAuthenticate")
    if isinstance(attempt, dict) and attempt.get("mechanism") == "MONGODB-X509":
        found["speculativeAuthenticate"] = {"dbname": "$external", "user": user}
    found["ok"] = 1.0
    return found


def _login(name: str, command: Mapping[str, Any], user: str) -> dict[str, Any]:
    if name == "logout":
        return {"ok": 1.0}
    mechanism = command.get("mechanism")
    if name == "authenticate" and mechanism == "MONGODB-X509":
        return {"dbname": "$external", "user": user, "ok": 1.0}
    if name == "saslStart" and mechanism == "PLAIN":
        return {"conversationId": 1, "done": True, "payload": b"", "ok": 1.0}
    return failure(_AUTHENTICATION_FAILED, "AuthenticationFailed", _NONE_NEEDED)


def failure(code: int, name: str, message: str) -> dict[str, Any]:
    """An error as the server words it."""
    return {"ok": 0.0, "errmsg": message, "code": code, "codeName": name}


def refused(denial: Denied) -> dict[str, Any]:
    """What a refused client reads: the reasons, and the decision to ask about."""
    return failure(UNAUTHORIZED, "Unauthorized", f"{denial.sentence} (decision {denial.decision_id})")


def not_offered(name: str, reason: str) -> dict[str, Any]:
    """What the client of a command reads that is never forwarded."""
    return failure(UNAUTHORIZED, "Unauthorized", f"{name[:100]!r} is not offered here: {reason}")
