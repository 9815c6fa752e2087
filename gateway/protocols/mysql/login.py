"""The gateway's side of a start: TLS with the database server, and a login with what the gateway holds.

A certificate was presented by TLS already (``REQUIRE SUBJECT``); then the password is empty, as the account's
must be. Otherwise a secret answers the server's salt. A server that wants the password in clear gets it for
one method only, inside TLS that was verified; one that offers no TLS is refused: there is no fallback.
"""

from typing import Final

from gateway.errors import ProtocolError
from gateway.model.resource import Database
from gateway.protocols.mysql import auth, capabilities, context, errors, greeting
from gateway.protocols.mysql.capabilities import CONNECT_ATTRS, CONNECT_WITH_DB, OFFERED, SSL
from gateway.protocols.mysql.errors import LoginError
from gateway.protocols.mysql.greeting import Greeting, is_mariadb, read_packet
from gateway.protocols.mysql.handshake import agreed
from gateway.protocols.mysql.packets import EOF, ERR, OK, Fields, counted, packet
from gateway.sansio.flow import Flow, StartTls, Write
from gateway.sansio.protocol import Login, Ready, Startup

_MAX_PACKET: Final = 1 << 20
_MAX_STEPS: Final = 10
_ALWAYS: Final = (
    capabilities.PROTOCOL_41
    | capabilities.SECURE_CONNECTION
    | capabilities.PLUGIN_AUTH
    | capabilities.LENENC_AUTH
    | capabilities.TRANSACTIONS
)
_MORE_DATA: Final = 0x01
_FOUND: Final = b"\x03"
_SEND_IT: Final = b"\x04"


def dial(database: Database, startup: Startup) -> Flow[bytes]:
    """Read the server's greeting and start TLS; a unix socket needs none. Returns the greeting."""
    sequence, payload = yield from read_packet(_MAX_PACKET)
    server = greeting.decode(payload)
    if sequence:
        raise LoginError("the database server's greeting is out of order")
    missing = _ALWAYS & ~server.capabilities & ~capabilities.LENENC_AUTH
    if missing:
        raise LoginError(f"the database server is too old: it lacks capabilities {missing:#x}")
    if not database.uri.startswith("unix:"):
        if not server.capabilities & SSL:
            raise LoginError("the database server does not offer TLS, and there is no fallback without it")
        # Old servers go by what was said here, before TLS, so it must be the same as what is said inside.
        yield Write(packet(1, _head(_flags(server, startup, tls=True), startup)))
        yield StartTls()
    return payload


def login(details: Login) -> Flow[Ready]:
    """Log in as the route's user, open its database, and learn how statements are read there."""
    server = greeting.decode(details.said)
    logged_in = yield from _log_in(details, server)
    flags, said_ok = logged_in
    found = yield from context.read(flags)
    if not found.version:
        raise LoginError("the database server does not say its version")
    return Ready(
        found.version,
        {},
        server.thread_id.to_bytes(4, "little"),
        found.path,
        {
            "ok": said_ok.hex(),
            "capabilities": str(flags),
            "dialect": "mariadb" if is_mariadb(found.version) else "mysql",
            "modes": ",".join(sorted(found.modes)),
            "charset": found.charset,
        },
    )


def cancel(backend_key: bytes, details: Login) -> Flow[None]:
    """Log in a second time and have the server stop what the first connection runs."""
    yield from _log_in(details, greeting.decode(details.said))
    number = int.from_bytes(backend_key, "little")
    yield Write(packet(0, b"\x03" + f"KILL QUERY {number}".encode()))
    _, payload = yield from read_packet(_MAX_PACKET)
    if payload[0] == ERR:
        raise _told("the cancel", payload)
    yield Write(packet(0, b"\x01"))


def _log_in(details: Login, server: Greeting) -> Flow[tuple[int, bytes]]:
    """The capabilities that were agreed on, and the server's OK."""
    route, startup = details.route, details.startup
    tls = not details.database.uri.startswith("unix:")
    flags = _flags(server, startup, tls=tls)
    if wanting := agreed(startup) & capabilities.SHAPES & ~server.all_capabilities:
        raise LoginError(f"the client was offered capabilities {wanting:#x}, which the database server lacks")
    secret = (details.secret or "").encode()
    # The salt of a greeting has 20 bytes; methods that sign a longer one ask for it.
    method = server.plugin if server.plugin in {greeting.NATIVE, auth.SHA2} else greeting.NATIVE
    answer = _answer(method, secret, server.salt)
    body = [_head(flags, startup), route.db_user.encode() + b"\0"]
    body.append(counted(answer) if flags & capabilities.LENENC_AUTH else bytes((len(answer),)) + answer)
    if flags & CONNECT_WITH_DB:
        body.append(route.db_name.encode() + b"\0")  # empty: none is chosen
    body.append(method.encode() + b"\0")
    if flags & CONNECT_ATTRS:
        body.append(counted(bytes.fromhex(startup.parameters.get("attributes", ""))))
    yield Write(packet(2 if tls else 1, b"".join(body)))
    said = yield from _exchange(secret, method, confidential=True)
    return flags, said


def _flags(server: Greeting, startup: Startup, *, tls: bool) -> int:
    """What the client took, as far as the server has it, and what the gateway needs."""
    wanted = (agreed(startup) & OFFERED) | CONNECT_WITH_DB | _ALWAYS | (SSL if tls else 0)
    return wanted & server.all_capabilities


def _head(flags: int, startup: Startup) -> bytes:
    said = startup.parameters
    size, collation = int(said.get("max_packet", 1 << 24)), int(said.get("collation", 45))
    low, extended = flags & capabilities.LOW, flags >> capabilities.WORD
    return b"".join(
        (
            low.to_bytes(4, "little"),
            size.to_bytes(4, "little"),
            bytes((collation,)),
            bytes(19),
            extended.to_bytes(4, "little"),
        )
    )


def _exchange(secret: bytes, method: str, *, confidential: bool) -> Flow[bytes]:
    """To the server's OK, whatever it asks on the way; nothing that gives the secret away."""
    for _ in range(_MAX_STEPS):
        sequence, payload = yield from read_packet(_MAX_PACKET)
        kind, rest = payload[0], payload[1:]
        if kind == OK:
            return payload
        if kind == ERR:
            raise _told("the login", payload)
        if kind == EOF and rest:
            fields = Fields(rest)
            method = fields.cstring().decode("ascii", "replace")
            salt = fields.rest()
            # The others' salts have no zero in them, and one behind them.
            salt = salt[: auth.SIGNED] if method == auth.ED25519 else salt.removesuffix(b"\0")
            yield Write(packet(sequence + 1, _answer(method, secret, salt)))
        elif kind == _MORE_DATA and method == auth.SHA2 and rest == _FOUND:
            continue
        elif kind == _MORE_DATA and method == auth.SHA2 and rest == _SEND_IT and confidential:
            yield Write(packet(sequence + 1, secret + b"\0"))
        else:
            raise LoginError(f"the database server asks for what the gateway does not give ({method})")
    raise LoginError("the database server's authentication does not end")


def _answer(method: str, secret: bytes, salt: bytes) -> bytes:
    if not secret:
        return b""  # the certificate is the proof, and the account has an empty password
    answers = auth.ANSWERS.get(method)
    if answers is None:
        raise LoginError(f"the database server asks for {method[:40]!r}, which the gateway does not give")
    return answers(secret, salt)


def _told(what: str, payload: bytes) -> LoginError:
    return LoginError(f"the database server refused {what}: {errors.read(payload)}")


def probe() -> Flow[bytes]:
    """What a server greets with."""
    try:
        return (yield from greeting.probe())
    except ProtocolError as error:
        raise LoginError(str(error)) from error
