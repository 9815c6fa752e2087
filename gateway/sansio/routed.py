"""Parts of a ``Protocol`` where clients cannot cancel, or where the route in the certificate says it all."""

import secrets

from gateway.model.identity import Identity
from gateway.model.statement import Catalog
from gateway.sansio.flow import Flow
from gateway.sansio.protocol import Startup


def session_key(startup: Startup) -> bytes:
    """A key that only names the session, where clients have no message to cancel with."""
    del startup
    return secrets.token_bytes(16)


def no_catalog() -> Flow[Catalog]:
    """Names are whole in every request: there is no catalogue to read."""
    yield from ()
    return Catalog({})


def user_conflict(startup: Startup, identity: Identity) -> str:
    """A sentence when the certificate opens no database, or another user's than a client that names one."""
    route = identity.route
    if route is None:
        return "the certificate opens no database"
    if startup.db_user not in {"", route.db_user}:
        asked, opened = startup.db_user[:63], route.db_user
        return f"the connection asks for user {asked!r}, but the certificate opens {opened!r}"
    return ""
