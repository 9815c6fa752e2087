"""The gateway's side of a start: TLS from the first byte, and a login with what the gateway holds.

With a certificate, which TLS presented already, the server is asked to take its subject for the user
(MONGODB-X509); with a secret SCRAM-SHA-256 is done, and the server must prove that it knows the secret too.
"""

import secrets
from typing import Any, Final

from gateway.errors import BackendError, ProtocolError
from gateway.model.resource import BackendAuth, Database
from gateway.protocols.mongodb import documents, messages
from gateway.protocols.mongodb.documents import UnreadableError
from gateway.sansio.flow import Flow, Read, StartTls, Write
from gateway.sansio.protocol import Login, Ready, Startup
from gateway.sansio.scram import MECHANISM, Scram, ScramError

_MAX_ANSWER: Final = 1 << 20
_LEAST_WIRE_VERSION: Final = 6  # OP_MSG
_ROUNDS: Final = 4  # messages of SCRAM behind the first


class LoginError(BackendError, ProtocolError):
    """The database server refused the gateway, or is not what the route says."""


def dial(database: Database, startup: Startup) -> Flow[None]:
    """TLS at once; a unix socket needs none."""
    del startup
    if not database.uri.startswith("unix:"):
        yield StartTls()


def login(details: Login) -> Flow[Ready]:
    """Say hello, log in as the route's user, and ask which server it is."""
    user = details.route.db_user
    said = yield from _ask(1, {"hello": 1, "helloOk": True, "$db": "admin"}, "hello")
    newest = said.get("maxWireVersion", 0)
    if not isinstance(newest, int) or newest < _LEAST_WIRE_VERSION:
        raise LoginError(f"the database server speaks wire version {newest!r}, which is too old")
    if details.secret is not None:
        try:
            yield from _scram(user, details.secret)
        except ScramError as error:
            raise LoginError(str(error)) from error
    elif details.database.auth is BackendAuth.CERTIFICATE:
        yield from _x509(user)
    built = yield from _ask(9, {"buildInfo": 1, "$db": "admin"}, "which server it is")
    return Ready(str(built.get("version", ""))[:64], {}, b"", extra=_extra(said, details))


def _extra(said: dict[str, Any], details: Login) -> dict[str, str]:
    """What answers to a client's hello are made from."""
    minutes = said.get("logicalSessionTimeoutMinutes")
    return {
        "maxWireVersion": str(said["maxWireVersion"]),
        "logicalSessionTimeoutMinutes": str(minutes) if isinstance(minutes, int) else "",
        "shape": "router" if said.get("msg") == "isdbgrid" or "setName" in said else "alone",
        "service": details.route.database,
        "user": details.route.db_user,
    }


def _x509(user: str) -> Flow[None]:
    said = yield from _ask(
        2, {"authenticate": 1, "mechanism": "MONGODB-X509", "$db": "$external"}, f"the login as {user[:63]!r}"
    )
    taken = said.get("user")
    if not isinstance(taken, str) or f"CN={user}" not in taken.split(","):
        raise LoginError(
            f"the database server takes the gateway for {str(taken)[:200]!r}, not CN={user[:63]}"
        )


def _scram(user: str, secret: str) -> Flow[None]:
    scram = Scram(secret, secrets.token_bytes(18), user)
    what = f"the login as {user[:63]!r}"
    said = yield from _ask(
        2,
        {
            "saslStart": 1, "mechanism": MECHANISM, "payload": scram.first(), "autoAuthorize": 1,
            "options": {"skipEmptyExchange": True}, "$db": "admin",
        },
        what,
    )  # fmt: skip
    number = said.get("conversationId")
    said = yield from _ask(3, _more(number, scram.final(_payload(said))), what)
    scram.verify(_payload(said))
    for at in range(_ROUNDS):
        if said.get("done") is True:
            return
        said = yield from _ask(4 + at, _more(number, b""), what)
    raise LoginError("the database server does not end the login")


def _more(number: Any, payload: bytes) -> dict[str, Any]:
    return {"saslContinue": 1, "conversationId": number, "payload": payload, "$db": "admin"}


def _payload(said: dict[str, Any]) -> bytes:
    payload = said.get("payload")
    if not isinstance(payload, bytes):
        raise LoginError("the database server's SCRAM message is not there")
    return payload


def _ask(number: int, body: dict[str, Any], what: str) -> Flow[dict[str, Any]]:
    """The answer to one command; LoginError with the server's words when it is no yes."""
    yield Write(messages.message(number, body))
    raw = yield Read(messages.HEADER)
    head = messages.head_at(raw)
    if head.size > _MAX_ANSWER or head.response_to != number or head.code != messages.OP_MSG:
        raise LoginError(f"the database server did not answer {what}")
    raw += yield Read(head.size - messages.HEADER)
    answer = messages.decode(raw, head)
    if not isinstance(answer, messages.Message) or answer.flags or answer.sequences:
        raise LoginError(f"the database server did not answer {what}")
    try:
        said = documents.read(answer.body)
    except UnreadableError as error:
        raise LoginError(f"the database server's answer about {what} is not readable ({error})") from error
    if not said.get("ok"):
        code, words = said.get("code", "?"), str(said.get("errmsg", "no reason given"))
        raise LoginError(f"the database server refused {what}: {words[:400]} ({code})")
    return said


def cancel(backend_key: bytes, details: Login) -> Flow[None]:
    """Nothing can be cancelled: the end of the connection is the end of what runs on it."""
    del backend_key, details
    yield from ()
