"""What stands in each kind of certificate, and how long it may last.

A lifetime longer than its kind may have is an error of the caller, not something to be cut in silence;
only the authority's own end shortens it.
"""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.ca.authority import Authority
from gateway.ca.names import first, uri
from gateway.ca.names import hosts as host_names
from gateway.ca.profile import (
    BOT_MAX,
    CA_LIFETIME,
    DATABASE_MAX,
    DB_CLIENT_MAX,
    HOST_MAX,
    LOGIN_MAX,
    SESSION_MAX,
    PublicKey,
)
from gateway.ca.sign import Bits, Issued, Leaf, MintedCertificate, end_of, minted, sign
from gateway.errors import CertificateError
from gateway.model.identity import Identity, Lineage, Route, Use


def issue_login(  # noqa: PLR0913 - what stands in a login, each by its name
    authority: Authority,
    *,
    user: str,
    roles: Sequence[str],
    traits: Mapping[str, Sequence[str]],
    public_key: PublicKey,
    ttl: timedelta,
    now: datetime,
    address: str = "",
    lineage: Lineage | None = None,
    bits: Bits = secrets.randbits,
) -> Issued:
    """A login: who, with which roles and traits at most, until when, from where (without a port).

    One with a *lineage* is a bot's: it is shorter, and can be renewed.
    """
    _bound(ttl, LOGIN_MAX if lineage is None else BOT_MAX, "login")
    claims: dict[str, Any] = {
        "user": user,
        "roles": list(roles),
        "traits": {name: list(values) for name, values in traits.items()},
        "login_expires": _seconds(end_of(authority, now, ttl)),
        "login_address": address,
    }
    if lineage is not None:
        claims["bot"] = {"instance": lineage.instance, "generation": lineage.generation}
    leaf = Leaf(Use.USER, user, (uri(authority.cluster, "user", user),), claims)
    return sign(authority, leaf, public_key, ttl, now, bits)


def issue_database(
    authority: Authority,
    *,
    identity: Identity,
    route: Route,
    public_key: PublicKey,
    ttl: timedelta,
    now: datetime,
    bits: Bits = secrets.randbits,
) -> Issued:
    """The login in *identity*, narrowed to one route; it never outlives the login."""
    _bound(ttl, DATABASE_MAX, "database certificate")
    if identity.use is not Use.USER:
        raise CertificateError(f"a {identity.use} certificate cannot be narrowed to a database")
    if identity.cluster != authority.cluster:
        raise CertificateError(f"the login is of cluster {identity.cluster}, not of {authority.cluster}")
    ttl = min(ttl, identity.login_expires - now)
    if ttl <= timedelta(0):
        raise CertificateError("the login has ended")
    leaf = Leaf(
        Use.DATABASE,
        identity.user,
        (uri(authority.cluster, "user", identity.user),),
        _routed(identity, route),
    )
    return sign(authority, leaf, public_key, ttl, now, bits)


def issue_session(
    authority: Authority,
    *,
    identity: Identity,
    agent: str,
    client_address: str,
    public_key: PublicKey,
    now: datetime,
    bits: Bits = secrets.randbits,
) -> Issued:
    """One session of the route in *identity*, for one agent; it lasts minutes, and never past the route's."""
    if identity.use is not Use.DATABASE or identity.route is None:
        raise CertificateError(f"a {identity.use} certificate opens no session")
    if identity.cluster != authority.cluster:
        raise CertificateError(f"the route is of cluster {identity.cluster}, not of {authority.cluster}")
    ttl = min(SESSION_MAX, identity.expires - now)
    if ttl <= timedelta(0):
        raise CertificateError("the certificate for this database has expired")
    whom = {"agent": agent, "client_address": client_address}
    leaf = Leaf(
        Use.SESSION,
        identity.user,
        (uri(authority.cluster, "user", identity.user),),
        {**_routed(identity, identity.route), **whom},
    )
    return sign(authority, leaf, public_key, ttl, now, bits)


def _routed(identity: Identity, route: Route) -> dict[str, Any]:
    return {
        "user": identity.user,
        "roles": list(identity.roles),
        "traits": {name: list(values) for name, values in identity.traits.items()},
        "login_expires": _seconds(identity.login_expires),
        "login_address": identity.login_address,
        "route": {
            "database": route.database,
            "protocol": route.protocol,
            "db_user": route.db_user,
            "db_name": route.db_name,
        },
    }


def issue_host(
    authority: Authority,
    *,
    names: Sequence[str],
    public_key: PublicKey,
    ttl: timedelta,
    now: datetime,
    service: str = "",
    bits: Bits = secrets.randbits,
) -> Issued:
    """One of Regate's own services, reached under these host names and addresses.

    *service* is what it may act as: ``proxy`` or ``db``; the first name is then its identifier.
    """
    _bound(ttl, HOST_MAX, "service certificate")
    leaf = Leaf(Use.HOST, first(names), host_names(names), {"names": list(names), "service": service})
    return sign(authority, leaf, public_key, ttl, now, bits)


def mint_host(
    authority: Authority, *, names: Sequence[str], ttl: timedelta = HOST_MAX, now: datetime
) -> MintedCertificate:
    """A service's certificate with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = issue_host(authority, names=names, public_key=key.public_key(), ttl=ttl, now=now)
    return minted(issued, key)


def issue_db_server(
    authority: Authority,
    *,
    hosts: Sequence[str],
    ttl: timedelta,
    now: datetime,
    bits: Bits = secrets.randbits,
) -> MintedCertificate:
    """A database server's certificate and key, for the operator to install there."""
    _bound(ttl, CA_LIFETIME, "server certificate")
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = Leaf(Use.DB_SERVER, first(hosts), host_names(hosts), {"names": list(hosts)})
    return minted(sign(authority, leaf, key.public_key(), ttl, now, bits), key)


def mint_db_client(
    authority: Authority,
    *,
    cluster: str,
    db_user: str,
    ttl: timedelta,
    now: datetime,
    bits: Bits = secrets.randbits,
) -> MintedCertificate:
    """What the gateway shows a database for one session, with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = issue_db_client(
        authority, cluster=cluster, db_user=db_user, public_key=key.public_key(), ttl=ttl, now=now, bits=bits
    )
    return minted(issued, key)


def issue_db_client(
    authority: Authority,
    *,
    cluster: str,
    db_user: str,
    public_key: PublicKey,
    ttl: timedelta,
    now: datetime,
    bits: Bits = secrets.randbits,
) -> Issued:
    """What a database sees: the database user, in name and URI; the key is whoever's asks."""
    _bound(ttl, DB_CLIENT_MAX, "database client certificate")
    if cluster != authority.cluster:
        raise CertificateError(f"the authority is of cluster {authority.cluster}, not of {cluster}")
    leaf = Leaf(Use.DB_CLIENT, db_user, (uri(cluster, "db-user", db_user),), {"user": db_user})
    return sign(authority, leaf, public_key, ttl, now, bits)


def _bound(ttl: timedelta, longest: timedelta, what: str) -> None:
    if not timedelta(0) < ttl <= longest:
        hours = longest / timedelta(hours=1)
        raise CertificateError(f"a {what} of {ttl} was asked for, at most {hours:g} hours are given")


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
