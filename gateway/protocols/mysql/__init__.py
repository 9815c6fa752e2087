"""MySQL and MariaDB, protocol 4.1: ``MYSQL`` is all that the program knows of it.

https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html and
https://mariadb.com/kb/en/clientserver-protocol/. One protocol under two names: which of the two a server is,
it says itself; a resource's name only chooses the port, and what a client is greeted with before any server
is known. Left out on purpose: compression, LOCAL INFILE, replication, and changing the user
in the middle of a session.
"""

from functools import partial
from typing import Final

from gateway.classify import sql
from gateway.model.identity import Route
from gateway.model.statement import NameContext, Statement
from gateway.protocols.mysql import handshake
from gateway.protocols.mysql.catalog import read_catalog
from gateway.protocols.mysql.conversation import converse
from gateway.protocols.mysql.greeting import shared
from gateway.protocols.mysql.handshake import greet, refuse_startup, route_conflict
from gateway.protocols.mysql.login import cancel, dial, login, probe
from gateway.protocols.mysql.preparation import PREPARATION
from gateway.protocols.mysql.rehearsal import rehearsals
from gateway.sansio.exchange import Facts
from gateway.sansio.protocol import Protocol, SpeaksFirst, Startup
from gateway.sansio.routed import session_key


def startup_statement(startup: Startup, route: Route) -> Statement:
    """A client's first packet sets nothing that a statement could: no text, and no settings."""
    del startup
    return Statement("", "mysql", NameContext(route.db_name, route.db_user))


def classify(statement: Statement) -> Facts:
    """The facts of every statement in the text; none for what is empty, as the start of a session is."""
    return sql.classify(statement) if statement.text or statement.unreadable else ()


def protocol(name: str, version: str) -> Protocol:
    """The protocol under *name*; a client reads *version* where nothing is known of its server."""
    return Protocol(
        name=name,
        default_port=3306,
        alpn=(f"regate-{name}",),
        accept=partial(handshake.accept, version=version),
        dial=dial,
        login=login,
        greet=greet,
        refuse_startup=refuse_startup,
        startup_statement=startup_statement,
        converse=converse,
        classify=classify,
        cancel=cancel,
        new_cancel_key=session_key,
        read_catalog=read_catalog,
        route_conflict=route_conflict,
        rehearsals=rehearsals(name),
        obligations=frozenset({"timeout_ms", "hold"}),
        preparation=PREPARATION,
        speaks_first=SpeaksFirst(probe, shared),
    )


MYSQL: Final = protocol("mysql", handshake.MYSQL_VERSION)
