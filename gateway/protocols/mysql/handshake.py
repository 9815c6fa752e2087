"""The client's side of a start: the server's greeting, TLS where the client asks, and who it says it is.

Whatever the client sends as a password is thrown away: its certificate says who it is. Real clients of twelve
kinds accept the greeting with ``mysql_native_password`` and an OK right behind their answer; the one
exception is a client that answers with ``caching_sha2_password``, which waits for the word that its hash was
found.
"""

import secrets
from typing import Final

from gateway.errors import ProtocolError
from gateway.model.decision import Denied
from gateway.model.identity import Identity
from gateway.protocols.mysql import capabilities, charsets, errors, greeting
from gateway.protocols.mysql.capabilities import OFFERED
from gateway.protocols.mysql.greeting import Greeting, read_packet
from gateway.protocols.mysql.packets import Fields, packet
from gateway.sansio.flow import Flow, StartTls, Write
from gateway.sansio.protocol import Hello, Ready, Startup

MAX_HANDSHAKE: Final = 64 << 10
MYSQL_VERSION: Final = "8.0.11"
MARIADB_VERSION: Final = "5.5.5-10.6.0-MariaDB"
_SSL_REQUEST: Final = 32
_SHA2: Final = "caching_sha2_password"
_FOUND: Final = b"\x01\x03"  # fast authentication succeeded
# As old servers do.
_ALMOST_ALL: Final = OFFERED & capabilities.LOW & ~capabilities.QUERY_ATTRIBUTES | capabilities.SSL
_PLAIN_SEQUENCE: Final = 1  # of a client's answer without TLS


def accept(hello: Hello, version: str = MYSQL_VERSION) -> Flow[Startup]:
    """Greet as the server would, upgrade to TLS when the client asks, read who it is.

    *version* is told where no server's own greeting is known.
    """
    salt = bytes(secrets.randbelow(127) + 1 for _ in range(20))
    known = greeting.decode(hello.said) if hello.said else Greeting(version, 1, salt, _ALMOST_ALL)
    offered = known.offered(salt, tls=not hello.encrypted)
    yield Write(packet(0, offered.encode()))
    sequence, payload = yield from read_packet(MAX_HANDSHAKE)
    encrypted = hello.encrypted
    if len(payload) == _SSL_REQUEST and Fields(payload).number(4) & capabilities.SSL:
        if encrypted:
            raise ProtocolError("the client asked for encryption twice")
        yield StartTls(client_begins=True)
        encrypted = True
        sequence, payload = yield from read_packet(MAX_HANDSHAKE)
    startup = read_answer(sequence, payload, offered.all_capabilities)
    if hello.tls_required and not encrypted:
        raise ProtocolError(
            "this port needs TLS: connect with --ssl-verify-server-cert or ssl-mode=VERIFY_IDENTITY"
        )
    return startup


def read_answer(sequence: int, payload: bytes, offered: int) -> Startup:
    """What a client's answer to a greeting with the capabilities *offered* says."""
    fields = Fields(payload)
    low = fields.number(4)
    if not low & offered & capabilities.PROTOCOL_41:
        raise ProtocolError("the client speaks a protocol older than 4.1")
    max_packet, collation = fields.number(4), charsets.check_collation(fields.number(1))
    fields.raw(19)
    agreed = capabilities.combined(low, fields.number(4)) & offered
    user = _word(fields.cstring(), "user")
    answer = _answer(fields, agreed)
    database = _word(fields.cstring(), "database") if agreed & capabilities.CONNECT_WITH_DB else ""
    plugin = ""
    if agreed & capabilities.PLUGIN_AUTH and fields.left():
        plugin = _word(fields.cstring(), "authentication method")
    attributes = b""
    if agreed & capabilities.CONNECT_ATTRS and fields.left():
        attributes = fields.counted()
    return Startup(
        db_user=user,
        db_name=database,
        application=_application(attributes),
        parameters={
            "sequence": str(sequence),
            "capabilities": str(agreed),
            "max_packet": str(max_packet),
            "collation": str(collation),
            "attributes": attributes.hex(),
            "awaits_word": "yes" if plugin == _SHA2 and answer not in {b"", b"\0"} else "",
        },
    )


def _answer(fields: Fields, agreed: int) -> bytes:
    """What the client thinks proves it: of any length, and of no use."""
    if agreed & capabilities.LENENC_AUTH:
        return fields.counted()
    if agreed & capabilities.SECURE_CONNECTION:
        return fields.raw(fields.number(1))
    return fields.cstring()


def _application(attributes: bytes) -> str:
    """The client's own name for itself."""
    fields = Fields(attributes)
    while fields.left():
        name, value = fields.counted(), fields.counted()
        if name == b"program_name":
            return value[:256].decode("utf-8", "replace")
    return ""


def _word(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError(f"the {what} is not UTF-8") from None


def agreed(startup: Startup) -> int:
    """The capabilities that the client was offered and took; all of them where it never said."""
    return int(startup.parameters.get("capabilities", _ALMOST_ALL))


def route_conflict(startup: Startup, identity: Identity) -> str:
    """A sentence when the client asks for another user or database than the certificate opens."""
    route = identity.route
    if route is None:
        return "the certificate opens no database"
    for what, asked, opened in (
        ("user", startup.db_user, route.db_user),
        ("database", startup.db_name, route.db_name),
    ):
        if asked not in {"", opened}:
            told = f"the connection asks for {what} {asked[:63]!r}"
            return f"{told}, but the certificate opens {what} {opened[:63]!r}"
    return ""


def greet(startup: Startup, ready: Ready, cancel_key: bytes) -> bytes:
    """What an accepted client reads: that it is logged in, in the backend's own words."""
    del cancel_key  # the protocol has none; clients cancel with KILL, which is a statement
    sequence = _sequence(startup)
    out = b""
    if startup.parameters.get("awaits_word"):
        out, sequence = packet(sequence, _FOUND), sequence + 1
    return out + packet(sequence, bytes.fromhex(ready.extra.get("ok", "00000002000000")))


def refuse_startup(startup: Startup | None, denial: Denied) -> bytes:
    """An ERR packet in the place of the OK."""
    what = errors.USER_LIMIT if denial.is_for_now else errors.ACCESS_DENIED
    return errors.refused(_sequence(startup), denial, what)


def _sequence(startup: Startup | None) -> int:
    said = None if startup is None else startup.parameters.get("sequence")
    return int(said or _PLAIN_SEQUENCE) + 1
