"""PostgreSQL, protocols 3.0 and 3.2: ``POSTGRES`` is all that the rest of the program knows of it.

https://www.postgresql.org/docs/current/protocol.html. Left out on purpose: replication, the function-call
message (refused by substitution), GSSAPI encryption and password authentication towards clients.
"""

from typing import Final

from gateway.model.identity import Route
from gateway.model.statement import NameContext, Statement
from gateway.protocols.postgres.catalog import read_catalog
from gateway.protocols.postgres.conversation import converse
from gateway.protocols.postgres.duties import CARRIED_OUT
from gateway.protocols.postgres.errors import refuse_startup
from gateway.protocols.postgres.handshake import accept, greet, new_cancel_key, route_conflict
from gateway.protocols.postgres.login import cancel, dial, login
from gateway.protocols.postgres.preparation import PREPARATION
from gateway.protocols.postgres.rehearsal import REHEARSALS
from gateway.protocols.postgres.sequence import classify
from gateway.sansio.protocol import Protocol, Startup


def startup_statement(startup: Startup, route: Route) -> Statement:
    """The start-up settings, to be judged as ``SET`` would be."""
    names = NameContext(db_name=route.db_name, db_user=route.db_user)
    return Statement("", "postgres", names, settings=startup.settings)


POSTGRES: Final = Protocol(
    name="postgres",
    default_port=5432,
    alpn=("postgresql",),
    accept=accept,
    dial=dial,
    login=login,
    greet=greet,
    refuse_startup=refuse_startup,
    startup_statement=startup_statement,
    converse=converse,
    classify=classify,
    cancel=cancel,
    new_cancel_key=new_cancel_key,
    read_catalog=read_catalog,
    route_conflict=route_conflict,
    rehearsals=REHEARSALS,
    obligations=CARRIED_OUT,
    preparation=PREPARATION,
)
