"""MongoDB: ``MONGODB`` is all that the rest of the program knows of it.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/. Left out on purpose: compression, the
messages of the years before OP_MSG, logins of the client, and answers that come without being asked.
"""

from dataclasses import replace
from typing import Any, Final

from gateway.errors import ProtocolError
from gateway.model.decision import Denied
from gateway.model.identity import Route
from gateway.model.statement import NameContext, Statement
from gateway.protocols.mongodb import documents, hello, messages
from gateway.protocols.mongodb.commands import DIALECT, classify
from gateway.protocols.mongodb.conversation import MongoConversation, old_hello
from gateway.protocols.mongodb.cursors import Cursors
from gateway.protocols.mongodb.documents import UnreadableError
from gateway.protocols.mongodb.login import cancel, dial, login
from gateway.protocols.mongodb.preparation import PREPARATION
from gateway.protocols.mongodb.rehearsal import REHEARSALS
from gateway.protocols.mongodb.sessions import Sessions
from gateway.sansio.flow import Flow, read
from gateway.sansio.protocol import (
    Hello,
    Protocol,
    Ready,
    Startup,
)
from gateway.sansio.routed import no_catalog, session_key, user_conflict

MAX_START: Final = 64 << 10  # bytes of the first message
_FIRST: Final = "first"  # the parameter that keeps it: bytes as latin-1
_CURSORS: Final = Cursors()
_SESSIONS: Final = Sessions()
"""Of all connections: a driver goes on with a cursor or a session over another than the one it began on."""


def accept(hello_: Hello) -> Flow[Startup]:
    """Read the first message, which says hello; its answer waits until the server is known."""
    if hello_.tls_required and not hello_.encrypted:
        raise ProtocolError("this port needs TLS")
    raw = yield from read(messages.HEADER)
    head = messages.head_at(raw)
    if head.size > MAX_START or head.code not in {messages.OP_MSG, messages.OP_QUERY}:
        raise ProtocolError("a connection starts with hello")
    raw += yield from read(head.size - messages.HEADER)
    _, command = _said(raw)
    client = command.get("client")
    application = client.get("application") if isinstance(client, dict) else None
    name = application.get("name", "") if isinstance(application, dict) else ""
    driver = client.get("driver") if isinstance(client, dict) else None
    name = name or (driver.get("name", "") if isinstance(driver, dict) else "")
    return Startup(application=str(name)[:256], parameters={_FIRST: raw.decode("latin-1")})


def _said(raw: bytes) -> tuple[messages.Message | messages.Query, dict[str, Any]]:
    """The first message and its command; ProtocolError when it does not say hello."""
    message = messages.decode(raw, messages.head_at(raw))
    try:
        command = documents.read(message.body)
    except UnreadableError as error:
        raise ProtocolError(f"the first message cannot be read ({error})") from None
    wrapped = command.get("$query", command.get("query"))
    if isinstance(message, messages.Query) and isinstance(wrapped, dict):
        command = wrapped
    if next(iter(command), "") not in hello.HELLO:
        raise ProtocolError("a connection starts with hello")
    return message, command


def greet(startup: Startup, ready: Ready, cancel_key: bytes) -> bytes:
    """The answer to the first message."""
    del cancel_key
    message, command = _said(startup.parameters[_FIRST].encode("latin-1"))
    user = ready.extra.get("user", "")
    if isinstance(message, messages.Query):
        return messages.reply(message.head.request_id, old_hello(message, ready, user))
    answer = hello.answer(next(iter(command)), command, ready, user)
    return messages.message(1, answer, response_to=message.head.request_id)


def refuse_startup(startup: Startup | None, denial: Denied) -> bytes:
    """An error as the answer to the first message."""
    said = hello.refused(denial)
    if startup is None or _FIRST not in startup.parameters:
        return messages.message(1, said)
    head = messages.head_at(startup.parameters[_FIRST].encode("latin-1"))
    if head.code == messages.OP_QUERY:
        return messages.reply(head.request_id, said)
    return messages.message(1, said, response_to=head.request_id)


def startup_statement(startup: Startup, route: Route) -> Statement:
    """Nothing is set at the start."""
    del startup
    return Statement("", DIALECT, NameContext(route.db_name, route.db_user))


def converse(startup: Startup, ready: Ready, route: Route) -> MongoConversation:
    """A session's machine."""
    return MongoConversation(replace(startup, parameters={}), ready, route, _CURSORS, _SESSIONS)


MONGODB: Final = Protocol(
    name="mongodb",
    default_port=27017,
    alpn=("regate-mongodb",),
    accept=accept,
    dial=dial,
    login=login,
    greet=greet,
    refuse_startup=refuse_startup,
    startup_statement=startup_statement,
    converse=converse,
    classify=classify,
    cancel=cancel,
    new_cancel_key=session_key,
    read_catalog=no_catalog,
    route_conflict=user_conflict,
    has_catalog=False,
    begins_with_tls=True,
    rehearsals=REHEARSALS,
    obligations=frozenset({"mask", "max_rows", "timeout_ms", "hold"}),
    preparation=PREPARATION,
    strangers=("(18)", "(11)"),  # AuthenticationFailed and UserNotFound: it looked at who it is
    stays_together=True,  # cursors and logical sessions are a pool's, not a connection's
)
