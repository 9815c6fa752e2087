"""Whether each database lets anybody in: reached, verified, and asked for a login, every half minute.

The login is that of a user who should not exist. A server that says so has answered, and trusts the cluster's
certificates as far as TLS goes: that is as healthy as can be known without an account.
"""

import asyncio  # noqa: TID251
import re
from collections.abc import Iterable

from gateway.errors import BackendError
from gateway.model.identity import Route
from gateway.model.resource import Database
from gateway.protocols import REGISTRY
from gateway.sansio.protocol import Startup
from gateway.session.dial import Dialler
from gateway.transport.line import Line
from gateway.tunnel.minting import RemoteSettings

USER = "regate-health"
AT_ONCE = 8
# SQLSTATE's class 28 (not authorised) and 3D000 (no such database): the server looked at who it is.
_ANSWERED = re.compile(r"\((28[0-9A-Z]{3}|3D000)\)\Z")


async def problem_of(database: Database, dialler: Dialler, settings: RemoteSettings) -> str:
    """What is wrong with a database, in a sentence; empty when nothing is."""
    protocol = REGISTRY.get(database.protocol)
    if protocol is None:
        return f"{database.protocol} is not spoken here"
    route = Route(database.name, database.protocol, USER, USER)
    try:
        with settings.health(database.name):
            backend = await dialler.login(protocol, Startup(), route, database)
    except BackendError as error:
        said = str(error)
        is_answer = _ANSWERED.search(said) or any(words in said for words in protocol.strangers)
        return "" if is_answer else said
    Line(None, stream=backend.stream).close()
    return ""


async def problems_of(
    databases: Iterable[Database], dialler: Dialler, settings: RemoteSettings
) -> dict[str, str]:
    """What is wrong with each, a few looked at at a time."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def look(database: Database) -> tuple[str, str]:
        async with turn:
            return database.name, await problem_of(database, dialler, settings)

    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(look(database)) for database in databases]
    return dict(item.result() for item in looks)
