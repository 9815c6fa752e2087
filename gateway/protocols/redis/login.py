"""The gateway's side of a start: TLS from the first byte, and a login with what the gateway holds.

A client certificate was presented by TLS already. With a secret the ACL user of the route is logged in;
without one the server must say by itself that this connection is that user.
"""

from typing import Final

from gateway.errors import BackendError, ProtocolError
from gateway.model.resource import Database
from gateway.protocols.redis import resp
from gateway.sansio.flow import Flow, Read, StartTls, Write
from gateway.sansio.protocol import Login, Ready, Startup

_MAX_LINE: Final = 4096
_MAX_TEXT: Final = 1 << 20
ANOTHER_USER: Final = "takes the gateway for"
CLUSTER: Final = "cluster_nodes"  # of Ready.extra: what CLUSTER NODES said
ASKED: Final = "asked"  # of Ready.extra: whom


class LoginError(BackendError, ProtocolError):
    """The database server refused the gateway, or is not what the route says."""


def dial(database: Database, _startup: Startup) -> Flow[None]:
    """TLS at once; a unix socket needs none."""
    if not database.uri.startswith("unix:"):
        yield StartTls()


def login(details: Login) -> Flow[Ready]:
    """Log in as the route's user, and open its database."""
    route = details.route
    if details.secret is not None:
        yield Write(resp.encode(b"AUTH", route.db_user.encode(), details.secret.encode()))
        yield from _ok("the login as " + repr(route.db_user[:63]))
    yield Write(resp.encode(b"ACL", b"WHOAMI"))
    user = yield from _text("who the gateway is")
    if user != route.db_user:
        raise LoginError(
            f"the database server {ANOTHER_USER} {user[:63]!r}, not {route.db_user[:63]!r}",
            hint="set auth.method to password with the ACL user's secret in auth.secret_file",
        )
    if route.db_name not in {"", "0"}:
        yield Write(resp.encode(b"SELECT", route.db_name.encode()))
        yield from _ok(f"database {route.db_name[:20]!r}")
    yield Write(resp.encode(b"INFO", b"server"))
    kind, words = yield from _reply()
    found = [line for line in words.splitlines() if line.startswith("redis_version:")]
    version = found[0].partition(":")[2].strip() if kind != "-" and found else ""
    if kind == "-" or "redis_mode:cluster" not in words.split():
        return Ready(version, {}, b"")
    yield Write(resp.encode(b"CLUSTER", b"NODES"))
    nodes = yield from _text("which nodes the cluster has")
    return Ready(version, {}, b"", extra={CLUSTER: nodes, ASKED: details.database.uri})


def cancel(backend_key: bytes, _details: Login) -> Flow[None]:
    """Nothing can be cancelled: the end of the connection is the end of what runs on it."""
    del backend_key
    yield from ()


def _ok(what: str) -> Flow[None]:
    kind, words = yield from _reply()
    if kind != "+":
        raise LoginError(f"the database server refused {what}: {words[:400]}")


def _text(what: str) -> Flow[str]:
    kind, words = yield from _reply()
    if kind != "$":
        raise LoginError(f"the database server does not say {what}: {words[:400]}")
    return words


def _reply() -> Flow[tuple[str, str]]:
    """One reply of a login: a line, or a text."""
    line = b""
    while not line.endswith(b"\r\n"):
        if len(line) > _MAX_LINE:
            raise LoginError("the database server sent a line without an end")
        line += yield Read(1)
    kind, rest = line[:1].decode("latin-1"), line[1:-2].decode("utf-8", "replace")
    if kind not in {"+", "-", "$", ":"}:
        raise LoginError(f"the database server answered the login with {kind!r}")
    if kind != "$":
        return kind, rest
    size = int(rest) if rest.isdigit() and len(rest) < 9 else -1
    if not 0 <= size <= _MAX_TEXT:
        raise LoginError("the database server answered the login with a text of no use")
    text = yield Read(size + 2)
    return kind, text[:-2].decode("utf-8", "replace")
