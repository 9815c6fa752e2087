"""A database server as the gateway needs it: the lines for its files, and what is wrong with them now.

It connects as the gateway would, with a client certificate minted here from the cluster's own keys, so it
runs on the host of the auth service. Then it tries without a certificate, which must fail.
"""

import asyncio  # noqa: TID251
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from gateway import ranges
from gateway.auth.databases import to_database
from gateway.auth.keyring import Keyring
from gateway.auth.store import Resource, Store
from gateway.ca import seal
from gateway.ca.keys import Authorities
from gateway.ca.steady import SteadyClock
from gateway.cli.checks import Check, bad, failed, good, note
from gateway.cli.client import Api, SocketEndpoint, segment
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.errors import BackendError, ConfigError, NotFoundError, RegateError
from gateway.model.identity import Route
from gateway.model.resource import BackendAuth, Database
from gateway.sansio.preparation import EVERYWHERE, Preparation
from gateway.sansio.protocol import Startup


def examine(config: Config, name: str, *, db_user: str, db_name: str) -> Iterator[Check]:
    """What the server's files need, then what a connection says."""
    try:
        document = Api(SocketEndpoint(config.admin_socket)).get(f"/v1/resources/db/{segment(name)}")
        database = to_database(Resource("db", name, "v3", document["document"]))
        authorities = asyncio.run(authorities_of(config))
    except RegateError as error:
        yield failed(f"database {name}", error)
        return
    if not db_user:
        yield note(f"database {name}", "not tried: as whom?", "give --db-user=NAME, and --db-name=NAME")
        return
    yield from asyncio.run(
        _try(config, authorities, database, Route(name, database.protocol, db_user, db_name))
    )


def lines(admin_socket: Path, name: str) -> str:
    """What belongs into the server's files, word for word; PostgreSQL's while nobody can be asked.

    Raises:
        NotFoundError: there is no such database.
    """
    from gateway.protocols import REGISTRY  # noqa: PLC0415 # imports every codec

    protocol = REGISTRY.get(_protocol(admin_socket, name)) or REGISTRY["postgres"]
    return protocol.preparation.lines


def _protocol(admin_socket: Path, name: str) -> str:
    try:
        found = Api(SocketEndpoint(admin_socket)).get(f"/v1/resources/db/{segment(name)}")
        return str(found["document"]["spec"]["protocol"])
    except NotFoundError:
        raise
    except (RegateError, KeyError, TypeError):
        return ""


async def _try(config: Config, authorities: Authorities, database: Database, route: Route) -> list[Check]:
    from gateway.protocols import REGISTRY  # noqa: PLC0415 # imports every codec
    from gateway.session.dial import Dialler  # noqa: PLC0415
    from gateway.session.minted import Minted, maker  # noqa: PLC0415

    protocol = REGISTRY.get(database.protocol)
    if protocol is None:
        return [bad(f"database {database.name}", f"this version does not speak {database.protocol}")]
    clock = SystemClock()
    refused = ranges.parse(config.db_service.deny_addresses)
    dialler = Dialler(Minted(maker(authorities, SteadyClock(clock)), clock), refused)
    where = f"{database.name} as {route.db_user}"
    try:
        backend = await dialler.login(protocol, Startup(), route, database)
    except BackendError as error:
        return [bad(where, str(error), _remedy(protocol.preparation, str(error)) or error.hint)]
    backend.stream.close()
    found = [good(where, f"logged in to {database.uri}, version {backend.ready.server_version}")]
    if database.auth is not BackendAuth.CERTIFICATE:
        return found
    try:
        bare = replace(database, auth=BackendAuth.NONE)
        backend = await dialler.login(protocol, Startup(), route, bare)
    except BackendError:
        return [*found, good(f"{where} without a certificate", "refused, as it must be")]
    backend.stream.close()
    lets_in = protocol.preparation.lets_in
    return [*found, bad(f"{where} without a certificate", "the server lets it in", lets_in)]


async def authorities_of(config: Config) -> Authorities:
    """The cluster's keys, as the auth service on this host has them."""
    storage = config.storage
    if seal.read(storage.sealing_key) is None:
        raise ConfigError(
            f"the cluster's keys cannot be opened without {storage.sealing_key}",
            hint="run it on the auth service's host",
        )
    async with await Store.open(storage) as store:
        keyring = await Keyring.open(
            store,
            sealing_key=storage.sealing_key,
            folder=config.data_dir / "keys",
            cluster=config.cluster_name,
            clock=SystemClock(),
        )
        return keyring.authorities


def _remedy(preparation: Preparation, message: str) -> str:
    text = message.lower()
    known = (*preparation.remedies, *EVERYWHERE)
    return next((remedy for words, remedy in known if words in text), "")
