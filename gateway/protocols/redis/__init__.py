"""Redis, RESP2 and RESP3: ``REDIS`` is all that the rest of the program knows of it.

https://redis.io/docs/latest/develop/reference/protocol-spec/. Left out on purpose: replication, MONITOR,
logins by the client, and answers out of order (CLIENT REPLY).
"""

from typing import Final

from gateway.errors import ProtocolError
from gateway.model.decision import Denied
from gateway.model.identity import Route
from gateway.model.statement import NameContext, Statement
from gateway.protocols.redis import errors, resp, table
from gateway.protocols.redis.address import address_line
from gateway.protocols.redis.cluster.router import ClusterRouter
from gateway.protocols.redis.cluster.slots import topology
from gateway.protocols.redis.commands import DIALECT, classify
from gateway.protocols.redis.conversation import CARRIED_OUT, RedisConversation
from gateway.protocols.redis.login import ANOTHER_USER, ASKED, CLUSTER, cancel, dial, login
from gateway.protocols.redis.preparation import PREPARATION
from gateway.protocols.redis.rehearsal import REHEARSALS
from gateway.sansio.flow import Flow, Read, Write
from gateway.sansio.protocol import (
    Hello,
    Protocol,
    Ready,
    Startup,
)
from gateway.sansio.routed import no_catalog, session_key, user_conflict
from gateway.sansio.spread import Node

_PUBLIC: Final = "public"
_PATIENCE: Final = 4_096  # bytes that a client which was turned away may send


def accept(hello: Hello) -> Flow[Startup]:
    """The client says nothing before its first command: who it is stands in its certificate."""
    yield from ()
    if hello.tls_required and not hello.encrypted:
        raise ProtocolError("this port needs TLS")
    return Startup(parameters={_PUBLIC: hello.public} if hello.public else {})


def greet(startup: Startup, ready: Ready, cancel_key: bytes) -> bytes:
    """The server says nothing before the first command."""
    del startup, ready, cancel_key
    return b""


def refuse_startup(startup: Startup | None, denial: Denied) -> bytes:
    """An error that the client reads as the answer to its first command."""
    del startup
    return errors.refused(denial)


def turn_away(denial: Denied) -> Flow[None]:
    """The same answer to every command, until the client leaves: of the first ones many ignore errors.

    Nothing is said before a command: a pool takes a connection on which bytes wait for a broken one.
    """
    reader, left = resp.CommandReader(), _PATIENCE
    while left:
        left -= 1
        for command in reader.feed((yield Read(1))):
            yield Write(errors.refused(denial))
            if table.name_of(command.arguments) == "quit":
                return


def startup_statement(startup: Startup, route: Route) -> Statement:
    """Nothing is set at the start."""
    del startup
    return Statement("", DIALECT, NameContext(route.db_name, route.db_user))


def converse(startup: Startup, ready: Ready, route: Route) -> RedisConversation:
    """A session's machine."""
    del startup
    return RedisConversation(NameContext(route.db_name, route.db_user), is_cluster=CLUSTER in ready.extra)


def spread(startup: Startup, ready: Ready, route: Route) -> ClusterRouter | None:
    """One server for its own sake; the nodes of a cluster behind a router."""
    if CLUSTER not in ready.extra:
        return None
    found = topology(ready.extra[CLUSTER], Node(ready.extra[ASKED]))
    return ClusterRouter(found, route.database, startup.parameters.get(_PUBLIC, ""))


def introduce(startup: Startup) -> bytes:
    """Where the client reaches the gateway, if the proxy knows."""
    public = startup.parameters.get(_PUBLIC, "")
    return address_line(public) if public else b""


REDIS: Final = Protocol(
    name="redis",
    default_port=6379,
    alpn=("regate-redis",),
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
    rehearsals=REHEARSALS,
    has_catalog=False,
    obligations=CARRIED_OUT,
    preparation=PREPARATION,
    begins_with_tls=True,
    strangers=(ANOTHER_USER, "WRONGPASS"),
    turn_away=turn_away,
    spread=spread,
    introduce=introduce,
)
