"""The client's side of a start: encryption, StartupMessage or CancelRequest, and the greeting.

Implements https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP for protocols 3.0
and 3.2. Every read asks for exactly what the protocol says comes next, so that bytes ahead of a TLS handshake
stay where the driver can see and refuse them (the class of CVE-2021-23214).
"""

import secrets
from collections.abc import Mapping
from typing import Final

from gateway.errors import ProtocolError
from gateway.model.identity import Identity
from gateway.protocols.postgres import messages, options
from gateway.sansio.flow import Flow, Read, StartTls, Write
from gateway.sansio.protocol import Hello, Ready, Startup
from gateway.sansio.reader import Reader

_CANCEL_KEYS: Final = range(4 + 4, 4 + 256 + 1)  # a process number, then 4 to 256 bytes of secret
_LONG_KEY: Final = 32
_SEPARATOR: Final = "\n"  # between names in Startup.parameters: no name of a start-up option holds one
_FALSE: Final = frozenset({"", "0", "f", "fa", "fal", "fals", "false", "n", "no", "of", "off"})
_UTF8: Final = frozenset({"utf8", "unicode", "sqlascii"})


def accept(hello: Hello) -> Flow[Startup]:
    """Read up to the StartupMessage or CancelRequest, upgrading to TLS when the client asks."""
    encrypted = hello.encrypted
    asked: set[int] = set()
    while True:
        code, body = yield from _packet()
        if code in asked:
            raise ProtocolError("the client asked for encryption twice")
        if code in {messages.SSL_REQUEST, messages.GSSENC_REQUEST}:
            asked.add(code)
            if body:
                raise ProtocolError("an encryption request holds more than its code")
            if code == messages.SSL_REQUEST and not encrypted:
                yield Write(b"S")
                yield StartTls()
                encrypted = True
            else:
                yield Write(b"N")
            continue
        if code == messages.CANCEL_REQUEST:
            # libpq before 17 sends this without TLS, whatever the session itself used.
            if len(body) not in _CANCEL_KEYS:
                raise ProtocolError(f"a cancel key of {len(body)} bytes")
            return Startup(kind="cancel", cancel_key=body)
        if hello.tls_required and not encrypted:
            raise ProtocolError("this port needs TLS: connect with sslmode=verify-full")
        return _startup(code, body)


def _packet() -> Flow[tuple[int, bytes]]:
    length = Reader((yield Read(4))).u32()
    if not 8 <= length <= messages.MAX_STARTUP:
        raise ProtocolError(f"a start-up packet of {length} bytes")
    code = Reader((yield Read(4))).u32()
    body = b"" if length == 8 else (yield Read(length - 8))
    return code, body


def _startup(code: int, body: bytes) -> Startup:
    if code >> 16 != 3:
        raise ProtocolError(f"protocol version {code >> 16}.{code & 0xFFFF} is not spoken here")
    pairs = _pairs(body)
    if _truth(pairs.pop("replication", "")):
        raise ProtocolError("replication connections are not offered")
    if "user" not in pairs:
        raise ProtocolError("the start-up packet names no user")
    user, database = pairs.pop("user"), pairs.pop("database", "")
    application = pairs.pop("application_name", "")
    unknown = [name for name in pairs if name.startswith("_pq_.")]
    for name in unknown:
        del pairs[name]
    settings = options.settings(pairs.pop("options", ""))
    for name, value in pairs.items():
        settings[options.check_setting(options.setting_name(name))] = value
    if is_utf8(settings.get("client_encoding", "UTF8")):
        settings.pop("client_encoding", None)
    application = settings.pop("application_name", application)
    version = messages.VERSION_3_2 if (code & 0xFFFF) >= 2 else messages.VERSION_3_0
    negotiated = version != code or bool(unknown)
    return Startup(
        db_user=user,
        db_name=database,
        application=application,
        settings=settings,
        parameters={"negotiate": _SEPARATOR.join(unknown)} if negotiated else {},
        version=version,
    )


def _pairs(body: bytes) -> dict[str, str]:
    """Names and values; a name that comes twice is refused, for two readers may take different ones."""
    reader = Reader(body)
    pairs: dict[str, str] = {}
    seen: set[str] = set()
    while name := reader.cstring():
        key = messages.words(name, "start-up parameter")
        folded = options.setting_name(key)
        if folded in seen:
            raise ProtocolError(f"start-up parameter {key[:40]!r} comes twice")
        seen.add(folded)
        pairs[key if key.startswith("_pq_.") else folded] = messages.words(reader.cstring(), "start-up value")
    reader.finish()
    return pairs


def _truth(value: str) -> bool:
    """Anything that is not plainly false counts as a wish for replication."""
    return value.strip().lower() not in _FALSE


def is_utf8(encoding: str) -> bool:
    """True for the spellings of UTF8, and for SQL_ASCII, which takes whatever it is given."""
    return "".join(c for c in encoding.lower() if c.isalnum()) in _UTF8


def route_conflict(startup: Startup, identity: Identity) -> str:
    """A sentence when the start-up packet asks for another user or database than the certificate opens."""
    route = identity.route
    if route is None:
        return "the certificate opens no database"
    if startup.db_user not in {"", route.db_user}:
        return _conflict("user", startup.db_user, route.db_user)
    if startup.db_name not in {"", route.db_name}:
        return _conflict("database", startup.db_name, route.db_name)
    return ""


def _conflict(what: str, asked: str, opened: str) -> str:
    return f"the connection asks for {what} {asked[:63]!r}, but the certificate opens {what} {opened[:63]!r}"


def new_cancel_key(startup: Startup) -> bytes:
    """A process number that is none, and a secret: four bytes in protocol 3.0, more from 3.2 on."""
    number = secrets.randbits(31) | 1
    size = _LONG_KEY if startup.version >= messages.VERSION_3_2 else 4
    return messages.u32(number) + secrets.token_bytes(size)


def greet(startup: Startup, ready: Ready, cancel_key: bytes) -> bytes:
    """What an accepted client reads, up to its first ReadyForQuery."""
    parts: list[bytes] = []
    if "negotiate" in startup.parameters:
        unknown = [name for name in startup.parameters["negotiate"].split(_SEPARATOR) if name]
        parts.append(messages.negotiate_protocol_version(startup.version, unknown))
    parts.append(messages.frame(messages.AUTHENTICATION, messages.u32(0)))
    parts.extend(_statuses(ready.parameters))
    parts.append(messages.frame(messages.BACKEND_KEY_DATA, cancel_key))
    parts.append(messages.frame(messages.READY_FOR_QUERY, b"I"))
    return b"".join(parts)


def _statuses(parameters: Mapping[str, str]) -> list[bytes]:
    return [messages.parameter_status(name, value) for name, value in parameters.items()]
