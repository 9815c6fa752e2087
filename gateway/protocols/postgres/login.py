"""The gateway's side of a start: TLS with the database server, and a login with what the gateway holds.

A certificate was presented by TLS already; otherwise SCRAM-SHA-256 with a secret, or nothing over a unix
socket. A server that asks for a password in clear or MD5 is refused, as is one that offers no TLS: there is
no fallback.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from gateway.model.resource import Database
from gateway.protocols.postgres import errors, messages
from gateway.protocols.postgres.errors import LoginError
from gateway.protocols.postgres.handshake import is_utf8
from gateway.protocols.postgres.path import parse_path
from gateway.sansio.flow import Flow, Read, StartTls, Write
from gateway.sansio.protocol import Login, Ready, Startup
from gateway.sansio.reader import Reader
from gateway.sansio.scram import MECHANISM, Scram

PINNED: Final[Mapping[str, str]] = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}
_MAX_FRAME: Final = 1 << 20
_MAX_FRAMES: Final = 1_000  # of a login; a server sends about fifteen
_ON: Final = frozenset({"on", "true", "yes", "1", "t", "tr", "tru", "y", "ye"})

_OK, _CLEARTEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12
_RESPONSE: Final = ord("p")  # SASLInitialResponse and SASLResponse


def dial(database: Database, _startup: Startup) -> Flow[None]:
    """Ask the server for TLS and start it; a unix socket needs none."""
    if database.uri.startswith("unix:"):
        return
    yield Write(messages.u32(8) + messages.u32(messages.SSL_REQUEST))
    answer = yield Read(1)
    if answer == b"N":
        raise LoginError("the database server does not offer TLS, and there is no fallback without it")
    if answer != b"S":
        raise LoginError("the database server answered the request for TLS with an error")
    yield StartTls()


def login(details: Login) -> Flow[Ready]:
    """Log in, collect what the server says of itself, and read the search path."""
    parameters = _parameters(details)
    ask_path = messages.query("SHOW search_path")
    opening = messages.startup_message(messages.VERSION_3_0, parameters)
    # Without a password exchange nothing is asked back, so the first query can travel with the login.
    yield Write(opening if details.secret is not None else opening + ask_path)
    yield from _authenticate(details.secret)
    if details.secret is not None:
        yield Write(ask_path)
    ready = yield from _greeting(details.route.db_user)
    for name, pinned in PINNED.items():
        if ready.parameters.get(name, pinned) != pinned:
            raise LoginError(f"the database server set {name} to {ready.parameters[name]!r}, not {pinned!r}")
    return ready


def _greeting(db_user: str) -> Flow[Ready]:
    """What the server says of itself, up to the second ReadyForQuery: the login's, then the query's."""
    statuses: dict[str, str] = {}
    key = b""
    path: tuple[str, ...] | None = None
    left = 2
    for _ in range(_MAX_FRAMES):
        kind, body = yield from next_frame()
        if kind == messages.PARAMETER_STATUS:
            name, value = messages.read_pair(body)
            statuses[messages.words(name, "parameter")] = messages.words(value, "parameter value")
        elif kind == messages.BACKEND_KEY_DATA:
            key = body
        elif kind == messages.DATA_ROW:
            path = parse_path(messages.read_row(body)[0] or "", db_user)
        elif kind == messages.READY_FOR_QUERY:
            left -= 1
            if not left:
                return Ready(statuses.get("server_version", ""), statuses, key, path)
        elif kind not in {messages.ROW_DESCRIPTION, messages.COMMAND_COMPLETE, messages.NOTICE_RESPONSE}:
            raise LoginError(f"the database server sent {chr(kind)!r} in its greeting")
    raise LoginError("the database server's greeting does not end")


def _parameters(details: Login) -> dict[str, str]:
    startup, route = details.startup, details.route
    for name, value in startup.settings.items():
        if name == "client_encoding" and not is_utf8(value):
            raise LoginError(f"client_encoding {value[:40]!r} is not offered: the gateway reads UTF8")
        if name == "standard_conforming_strings" and value.lower() not in _ON:
            raise LoginError("standard_conforming_strings must stay on: the gateway reads literals so")
    chosen = dict(startup.settings)
    if startup.application:
        chosen["application_name"] = startup.application
    # The route and what is pinned come last: no setting can take their place.
    return {**chosen, **PINNED, "user": route.db_user, "database": route.db_name}


def next_frame() -> Flow[tuple[int, bytes]]:
    """The server's next message; an ErrorResponse is a ``LoginError`` with the server's words."""
    head = yield Read(5)
    length = messages.length_at(head, 1)[0]
    if not 4 <= length <= _MAX_FRAME:
        raise LoginError(f"the database server sent a message of {length} bytes")
    body = b"" if length == 4 else (yield Read(length - 4))
    if head[0] == messages.ERROR_RESPONSE:
        said = errors.fields(body)
        code, words = said.get("C", "XX000"), said.get("M", "no reason given")
        raise LoginError(f"the database server refused: {words[:400]} ({code})")
    return head[0], body


def _authenticate(secret: str | None) -> Flow[None]:
    for _ in range(_MAX_FRAMES):
        step, reader = yield from _authentication()
        if step == _OK:
            return
        if step in {_CLEARTEXT, _MD5}:
            raise LoginError("the database server asks for a password in a form that gives it away")
        if step != _SASL or secret is None:
            raise LoginError(f"the database server asks for authentication {step}, which the gateway has not")
        yield from _scram(secret, reader.rest())
    raise LoginError("the database server's authentication does not end")


def _scram(secret: str, offered: bytes) -> Flow[None]:
    """The whole exchange; returns when the server has proved that it knows the password."""
    if MECHANISM.encode() not in offered.split(b"\0"):
        raise LoginError("the database server offers no SCRAM-SHA-256")
    scram = Scram(secret, secrets.token_bytes(18))
    first = scram.first()
    yield Write(messages.frame(_RESPONSE, messages.text(MECHANISM) + messages.u32(len(first)) + first))
    step, reader = yield from _authentication()
    if step != _SASL_CONTINUE:
        raise LoginError("the database server broke off SCRAM")
    yield Write(messages.frame(_RESPONSE, scram.final(reader.rest())))
    step, reader = yield from _authentication()
    if step != _SASL_FINAL:
        raise LoginError("the database server ended SCRAM without its signature")
    scram.verify(reader.rest())


def _authentication() -> Flow[tuple[int, Reader]]:
    """The server's next authentication message; notices in between say nothing."""
    for _ in range(_MAX_FRAMES):
        kind, body = yield from next_frame()
        if kind == messages.AUTHENTICATION:
            reader = Reader(body)
            return reader.u32(), reader
        if kind != messages.NOTICE_RESPONSE:
            raise LoginError(f"the database server sent {chr(kind)!r} before the login was over")
    raise LoginError("the database server's authentication does not end")


def cancel(backend_key: bytes, _details: Login) -> Flow[None]:
    """Ask the server, on a connection of its own, to stop what the session of *backend_key* runs."""
    yield Write(messages.cancel_request(backend_key))
