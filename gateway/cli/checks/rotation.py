"""How far a rotation is, and which databases would be left behind by its next phase.

What can be known from the auth service's host: by which authority a server's certificate is signed, from its
own reference; and whether a server trusts the new client authority, by showing it a certificate of that one
during the TLS handshake. No account is needed: a server that trusts it goes on to say that there is no such
user. A server that only a service elsewhere reaches, or that asks for no certificate, tells nothing.
"""

import asyncio  # noqa: TID251
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509

from gateway.auth.databases import to_database
from gateway.auth.store import Resource
from gateway.ca.authority import Authority
from gateway.ca.keys import Authorities
from gateway.ca.profile import Kind
from gateway.ca.rotation import Phase, Series
from gateway.ca.steady import SteadyClock
from gateway.cli.checks import Check, bad, failed, good, note
from gateway.cli.checks.database import authorities_of
from gateway.cli.client import Api, SocketEndpoint
from gateway.clock import SystemClock
from gateway.config import Config
from gateway.errors import BackendError, ProtocolError, RegateError
from gateway.model.identity import Route
from gateway.model.resource import BackendAuth, Database
from gateway.protocols import REGISTRY
from gateway.sansio.flow import PeerClosedError
from gateway.sansio.protocol import Protocol, Startup
from gateway.session.dial import Dialler
from gateway.session.minted import Minted, maker

FORGOTTEN = timedelta(days=3)
_NOBODY = "regate_doctor"
_TRUSTS, _REFUSES = "trusts", "refuses"
_AT_ONCE = 8


def examine(config: Config) -> Iterator[Check]:
    """Nothing while no rotation is going on."""
    api = Api(SocketEndpoint(config.admin_socket))
    try:
        found = api.get("/v1/auth/rotation")["rotations"]
        going_on = [item for item in found if item["phase"] != Phase.STANDBY]
        for item in going_on:
            yield _progress(item)
        concerned = {Kind(item["type"]) for item in going_on} & {Kind.DB, Kind.DB_CLIENT}
        if not concerned:
            return
        listed = api.get("/v1/resources/db")["resources"]
        authorities = asyncio.run(authorities_of(config))
    except RegateError as error:
        yield failed("rotation", error)
        return
    databases = [_database(item["document"]) for item in listed]
    yield from asyncio.run(_examine_all(authorities, databases, concerned))


def _database(document: Mapping[str, Any]) -> Database:
    return to_database(Resource("db", document["metadata"]["name"], "v3", document))


def _progress(item: Mapping[str, Any]) -> Check:
    name = f"rotation of the {item['type']} authority"
    age = datetime.now(UTC) - datetime.fromisoformat(item["entered"])
    text = f"in phase {item['phase']} since {item['entered'][:16].replace('T', ' ')} UTC"
    if item["due"]:
        return good(name, f"{text}, moves on at {item['due'][:16].replace('T', ' ')} UTC")
    remedy = f"regate auth rotate --type={item['type']} --phase={item['next_phases'][0]}"
    if age < FORGOTTEN:
        return note(name, text, f"next: {remedy}")
    return bad(name, f"{text}, {age.days} days ago: was it forgotten?", f"{remedy}, or --phase=rollback")


async def _examine_all(
    authorities: Authorities, databases: list[Database], concerned: set[Kind]
) -> list[Check]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(database: Database) -> list[Check]:
        async with gate:
            return await _examine_one(authorities, database, concerned)

    found = await asyncio.gather(*(one(database) for database in databases))
    return [check for checks in found for check in checks]


async def _examine_one(authorities: Authorities, database: Database, concerned: set[Kind]) -> list[Check]:
    protocol = REGISTRY.get(database.protocol)
    if protocol is None or database.uri.startswith("unix:"):
        return []
    checks = []
    if Kind.DB in concerned:
        name = f"database {database.name} (db)"
        checks.append(await _certificate(authorities, protocol, database, name))
    if Kind.DB_CLIENT in concerned and database.auth is BackendAuth.CERTIFICATE:
        name = f"database {database.name} (db-client)"
        checks.append(await _trust(authorities, protocol, database, name))
    return checks


async def _certificate(authorities: Authorities, protocol: Protocol, database: Database, name: str) -> Check:
    """By which authority the server's certificate is signed."""
    series = authorities.series(Kind.DB)
    if database.tls.ca:
        return good(name, "its certificate is of an authority of its own")
    try:
        line = await _dialler(authorities).connect(protocol, _NOBODY, database)
    except BackendError as error:
        return _unknown(name, error)
    der = line.peer_certificate()
    line.close()
    issuer = _issuer(der)
    if series.next is not None and issuer == series.next.key_id:
        return _stands(name, "its certificate is of the new authority", series, is_new=True)
    if issuer == series.current.key_id:
        return _stands(name, "its certificate is of the old authority", series, is_new=False)
    return note(name, "nobody knows which authority its certificate is of")


async def _trust(authorities: Authorities, protocol: Protocol, database: Database, name: str) -> Check:
    """Whether the server takes certificates of the new client authority, and of the old one."""
    series = authorities.series(Kind.DB_CLIENT)
    assert series.next is not None
    taken = []
    for authority in (series.current, series.next):
        outcome = await _shown(authorities, authority, protocol, database)
        if isinstance(outcome, BackendError):
            return _unknown(name, outcome)
        taken.append(outcome == _TRUSTS)
    match taken:
        case [True, True]:
            return good(name, "it trusts both authorities")
        case [True, False]:
            return _stands(name, "it trusts only the old authority", series, is_new=False)
        case [False, True]:
            return _stands(name, "it trusts only the new authority", series, is_new=True)
    remedy = "put into its ssl_ca_file: regate auth export --type=db-client"
    return bad(name, "it trusts neither authority", remedy)


async def _shown(
    authorities: Authorities, authority: Authority, protocol: Protocol, database: Database
) -> str | BackendError:
    """What the server does when it is shown a certificate of *authority*."""
    dialler = _dialler(authorities.signing_with(Kind.DB_CLIENT, authority))
    route = Route(database.name, database.protocol, _NOBODY, _NOBODY)
    try:
        backend = await dialler.login(protocol, Startup(), route, database)
    except BackendError as error:
        cause = error.__cause__
        if isinstance(cause, PeerClosedError) or "alert" in str(error).lower():
            return _REFUSES
        return _TRUSTS if isinstance(cause, ProtocolError) else error
    except (ssl.SSLError, ConnectionError):
        return _REFUSES
    backend.stream.close()
    return _TRUSTS


def _stands(name: str, text: str, series: Series, *, is_new: bool) -> Check:
    """Good or bad by the way the rotation goes: forward to the new authority, or back to the old one."""
    if is_new is not (series.phase is Phase.ROLLBACK):
        return good(name, text)
    if series.kind is Kind.DB_CLIENT:
        return bad(name, text, "put into its ssl_ca_file: regate auth export --type=db-client")
    if series.phase in {Phase.INIT, Phase.UPDATE_CLIENTS}:
        return note(name, text, "sign it anew once the phase is update-servers")
    return bad(name, text, "sign it anew: regate auth sign --format=db --host=…")


def _unknown(name: str, error: BackendError) -> Check:
    return note(
        name, f"cannot be known from here: {error}", "look from the host of the service that serves it"
    )


def _dialler(authorities: Authorities) -> Dialler:
    clock = SystemClock()
    return Dialler(Minted(maker(authorities, SteadyClock(clock)), clock))


def _issuer(der: bytes | None) -> str:
    """The key id of whoever signed the certificate; empty when it does not say."""
    if der is None:
        return ""
    try:
        extensions = x509.load_der_x509_certificate(der).extensions
        found = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (ValueError, x509.ExtensionNotFound):
        return ""
    return (found or b"").hex()
