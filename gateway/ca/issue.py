"""Issuing certificates: pure, given the authority's key, the time and a source of random bits.

A lifetime longer than its kind may have is an error of the caller, not something to be cut in silence;
only the authority's own end shortens it. Serial numbers have 128 random bits.
"""

import ipaddress
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.ca.authority import Authority, subject_key_identifier
from gateway.ca.profile import (
    BACKDATE,
    CA_LIFETIME,
    CA_PURPOSES,
    DATABASE_MAX,
    DB_CLIENT_MAX,
    EXTENSION,
    HOST_MAX,
    LOGIN_MAX,
    PROFILES,
    SESSION_MAX,
    Kind,
    PublicKey,
    strong_key,
)
from gateway.errors import CertificateError
from gateway.model.identity import Identity, Route, Use

Bits: TypeAlias = Callable[[int], int]

_MAX_NAME = 64  # X.520 ub-common-name
_MAX_IDENTITY = 8 * 1024  # a login must fit into a TLS handshake of any client with room to spare


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate as it leaves the authority; ``serial`` is hexadecimal."""

    pem: str
    serial: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class MintedCertificate:
    """A certificate with the key that was made for it."""

    cert_pem: str
    key_pem: str = field(repr=False)
    serial: str = ""
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is about to be signed, apart from key and time."""

    use: Use
    common_name: str
    names: tuple[x509.GeneralName, ...]
    claims: Mapping[str, Any]


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
    bits: Bits = secrets.randbits,
) -> Issued:
    """A login: who, with which roles and traits at most, until when, from where (without a port)."""
    _bound(ttl, LOGIN_MAX, "login")
    claims = {
        "user": user,
        "roles": list(roles),
        "traits": {name: list(values) for name, values in traits.items()},
        "login_expires": _seconds(_end(authority, now, ttl)),
        "login_address": address,
    }
    leaf = Leaf(Use.USER, user, (_uri(authority.cluster, "user", user),), claims)
    return _issue(authority, leaf, public_key, ttl, now, bits)


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
        (_uri(authority.cluster, "user", identity.user),),
        _routed(identity, route),
    )
    return _issue(authority, leaf, public_key, ttl, now, bits)


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
        (_uri(authority.cluster, "user", identity.user),),
        {**_routed(identity, identity.route), **whom},
    )
    return _issue(authority, leaf, public_key, ttl, now, bits)


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
    leaf = Leaf(Use.HOST, _first(names), _hosts(names), {"names": list(names), "service": service})
    return _issue(authority, leaf, public_key, ttl, now, bits)


def mint_host(
    authority: Authority, *, names: Sequence[str], ttl: timedelta = HOST_MAX, now: datetime
) -> MintedCertificate:
    """A service's certificate with a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = issue_host(authority, names=names, public_key=key.public_key(), ttl=ttl, now=now)
    return _minted(issued, key)


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
    leaf = Leaf(Use.DB_SERVER, _first(hosts), _hosts(hosts), {"names": list(hosts)})
    return _minted(_issue(authority, leaf, key.public_key(), ttl, now, bits), key)


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
    return _minted(issued, key)


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
    leaf = Leaf(Use.DB_CLIENT, db_user, (_uri(cluster, "db-user", db_user),), {"user": db_user})
    return _issue(authority, leaf, public_key, ttl, now, bits)


def make_authority(
    kind: Kind, cluster: str, *, now: datetime, bits: Bits = secrets.randbits
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A new authority: it signs leaves only, and says which kind of which cluster it is."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{kind.value} authority {bits(32):08x}"),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    document = {"v": 1, "authority": kind.value, "cluster": cluster}
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(_serial(bits))
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS, critical=True)
        .add_extension(x509.ExtendedKeyUsage(CA_PURPOSES[kind]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .add_extension(x509.UnrecognizedExtension(EXTENSION, _json(document)), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


_SIGNS = _usage(signs_certificates=True)
_PROVES = _usage(signs_certificates=False)
_NO_CA = x509.BasicConstraints(ca=False, path_length=None)
_PURPOSES = {use: x509.ExtendedKeyUsage(profile.purposes) for use, profile in PROFILES.items()}


def _issue(
    authority: Authority, leaf: Leaf, public_key: PublicKey, ttl: timedelta, now: datetime, bits: Bits
) -> Issued:
    if PROFILES[leaf.use].authority is not authority.kind:
        raise CertificateError(f"the {authority.kind} authority does not sign {leaf.use} certificates")
    end = _end(authority, now, ttl)
    serial = _serial(bits)
    claims = _json({"v": 1, "use": leaf.use.value, "cluster": authority.cluster, **leaf.claims})
    if len(claims) > _MAX_IDENTITY:
        raise CertificateError(f"roles and traits of {len(claims)} bytes, at most {_MAX_IDENTITY} fit")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_subject(leaf.common_name))
        .issuer_name(authority.certificate.subject)
        .public_key(strong_key(public_key))
        .serial_number(serial)
        .not_valid_before(now - BACKDATE)
        .not_valid_after(end)
        .add_extension(_NO_CA, critical=True)
        .add_extension(_PROVES, critical=True)
        .add_extension(_PURPOSES[leaf.use], critical=False)
        .add_extension(x509.SubjectAlternativeName(leaf.names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                subject_key_identifier(authority.certificate)
            ),
            critical=False,
        )
        .add_extension(x509.UnrecognizedExtension(EXTENSION, claims), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
    return Issued(pem=pem, serial=f"{serial:032x}", expires=end)


def _minted(issued: Issued, key: ec.EllipticCurvePrivateKey) -> MintedCertificate:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return MintedCertificate(issued.pem, pem.decode("ascii"), issued.serial, issued.expires)


def _serial(bits: Bits) -> int:
    # RFC 5280 wants a positive number; zero comes up once in 2**128.
    return bits(128) or 1


def _bound(ttl: timedelta, longest: timedelta, what: str) -> None:
    if not timedelta(0) < ttl <= longest:
        hours = longest / timedelta(hours=1)
        raise CertificateError(f"a {what} of {ttl} was asked for, at most {hours:g} hours are given")


def _end(authority: Authority, now: datetime, ttl: timedelta) -> datetime:
    last = authority.certificate.not_valid_after_utc
    if now >= last:
        raise CertificateError(f"the {authority.kind} authority expired at {last:%Y-%m-%d %H:%M:%SZ}")
    return min(now + ttl, last).replace(microsecond=0)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")


def _subject(common_name: str) -> x509.Name:
    if not 0 < len(common_name) <= _MAX_NAME or not common_name.isprintable():
        raise CertificateError(f"{common_name!r} cannot be a certificate's name")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _uri(cluster: str, kind: str, name: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(f"spiffe://{cluster.lower()}/{kind}/{quote(name, safe='')}")


def _first(names: Sequence[str]) -> str:
    if not names:
        raise CertificateError("a server certificate needs at least one host name or address")
    return names[0][:_MAX_NAME]


def _hosts(names: Sequence[str]) -> tuple[x509.GeneralName, ...]:
    return tuple(_host(name) for name in dict.fromkeys(names))


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    labels = name.split(".")
    if len(name) > 253 or not all(_is_label(label, first=label is labels[0]) for label in labels):
        raise CertificateError(f"{name!r} is neither a host name nor an address")
    return x509.DNSName(name)


def _is_label(label: str, *, first: bool) -> bool:
    if first and label == "*":
        return True
    bare = label.replace("-", "a").replace("_", "a")
    return 0 < len(label) <= 63 and bare.isascii() and bare.isalnum() and not label.startswith("-")
