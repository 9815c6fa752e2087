"""ErrorResponse: how the server says no, and how the gateway says it in the server's words.

Implements https://www.postgresql.org/docs/current/protocol-error-fields.html as far as the gateway needs it.
"""

from typing import Final

from gateway.errors import BackendError, ProtocolError
from gateway.model.decision import Denied
from gateway.protocols.postgres import messages
from gateway.sansio.protocol import Startup

INSUFFICIENT_PRIVILEGE: Final = "42501"
INVALID_AUTHORIZATION: Final = "28000"
TOO_MANY_CONNECTIONS: Final = "53300"
ADMIN_SHUTDOWN: Final = "57P01"
QUERY_CANCELED: Final = "57014"
FEATURE_NOT_SUPPORTED: Final = "0A000"
WARNING: Final = "01000"

_QUOTING: Final = frozenset({b"D", b"W", b"p", b"q"})  # detail, context, internal position and query
_SHOWN: Final = 4_000  # characters of a sentence that a client is shown


class LoginError(BackendError, ProtocolError):
    """The database server refused the gateway, or offered what the gateway does not accept."""


def notice(message: str) -> bytes:
    """A NoticeResponse: a warning beside a result."""
    return _response(messages.NOTICE_RESPONSE, "WARNING", WARNING, message)


def error_response(severity: str, code: str, message: str) -> bytes:
    """An ErrorResponse with severity, code and message; control characters become blanks."""
    return _response(messages.ERROR_RESPONSE, severity, code, message)


def _response(kind: int, severity: str, code: str, message: str) -> bytes:
    shown = "".join(character if character.isprintable() else " " for character in message[:_SHOWN])
    shown = shown.encode("utf-8", "replace").decode()
    fields = (("S", severity), ("V", severity), ("C", code), ("M", shown))
    body = b"".join(name.encode() + messages.text(value) for name, value in fields)
    return messages.frame(kind, body + b"\0")


def fields(body: bytes) -> dict[str, str]:
    """The fields of an ErrorResponse by their letter; a missing field is simply not there."""
    found: dict[str, str] = {}
    for part in body.split(b"\0"):
        if not part:
            break
        found.setdefault(chr(part[0]), part[1:].decode("utf-8", "backslashreplace"))
    return found


def without_details(body: bytes) -> bytes:
    """The same ErrorResponse without what may quote a row: a failed CHECK shows all of it as a detail."""
    parts = [part for part in body.split(b"\0") if part and part[:1] not in _QUOTING]
    return messages.frame(messages.ERROR_RESPONSE, b"\0".join([*parts, b"\0"]))


def code_of(body: bytes) -> str:
    """The SQLSTATE of an ErrorResponse, or XX000 where the server gave none that can be read."""
    at = 0
    while 0 <= at < len(body) and body[at]:
        end = body.find(b"\0", at)
        if body[at] == ord("C") and end == at + 6 and body[at + 1 : end].isalnum():
            return body[at + 1 : end].decode("ascii", "replace")
        at = end + 1 if end >= 0 else -1
    return "XX000"


def sentence(denial: Denied) -> str:
    """What a refused client reads: the reasons and the decision to ask about."""
    return f"{denial.sentence} (decision {denial.decision_id})"


def refused(denial: Denied) -> bytes:
    """The ErrorResponse of a refused statement; it ends the transaction, not the session."""
    if denial.code == "query_canceled":  # withdrawn by the client while it was judged
        return error_response("ERROR", QUERY_CANCELED, denial.sentence)
    if denial.code == "timeout":  # it ran, and for longer than the policy allows
        return error_response("ERROR", QUERY_CANCELED, sentence(denial))
    return error_response("ERROR", INSUFFICIENT_PRIVILEGE, sentence(denial))


def unsupported_function_call() -> bytes:
    """The ErrorResponse of a FunctionCall message, which is never passed on."""
    return error_response(
        "ERROR", FEATURE_NOT_SUPPORTED, "function-call messages are not passed on; call it in a SELECT"
    )


def refuse_startup(startup: Startup | None, denial: Denied) -> bytes:
    """The ErrorResponse that ends a connection before it became a session.

    A policy's no is a missing privilege; everything else is about who the client says it is. Of too many
    connections a server says that the resource is short: what pools and drivers take for worth a retry.
    """
    if startup is not None and startup.kind == "cancel":
        return b""  # the protocol answers a CancelRequest with nothing
    code = INVALID_AUTHORIZATION if denial.revisions is None else INSUFFICIENT_PRIVILEGE
    if denial.is_for_now:
        code = TOO_MANY_CONNECTIONS
    return error_response("FATAL", code, sentence(denial))


def farewell(denial: Denied) -> bytes:
    """The ErrorResponse that ends a live session."""
    return error_response("FATAL", ADMIN_SHUTDOWN, sentence(denial))
