"""How any certificate is signed: what all leaves and all authorities have in common.

Pure, given the authority's key, the time and a source of random bits. Serial numbers have 128 random bits.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.ca import names
from gateway.ca.authority import Authority, subject_key_identifier
from gateway.ca.profile import (
    BACKDATE,
    CA_LIFETIME,
    CA_PURPOSES,
    EXTENSION,
    PROFILES,
    Kind,
    PublicKey,
    strong_key,
)
from gateway.errors import CertificateError
from gateway.model.identity import Use

Bits: TypeAlias = Callable[[int], int]
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


def sign(
    authority: Authority, leaf: Leaf, public_key: PublicKey, ttl: timedelta, now: datetime, bits: Bits
) -> Issued:
    """*leaf* for whoever holds the key, until *ttl* from *now* or the authority's own end."""
    if PROFILES[leaf.use].authority is not authority.kind:
        raise CertificateError(f"the {authority.kind} authority does not sign {leaf.use} certificates")
    end = end_of(authority, now, ttl)
    serial = _serial(bits)
    claims = _json({"v": 1, "use": leaf.use.value, "cluster": authority.cluster, **leaf.claims})
    if len(claims) > _MAX_IDENTITY:
        raise CertificateError(f"roles and traits of {len(claims)} bytes, at most {_MAX_IDENTITY} fit")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(names.subject(leaf.common_name))
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


def minted(issued: Issued, key: ec.EllipticCurvePrivateKey) -> MintedCertificate:
    """The certificate with its key, which is in no file yet."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return MintedCertificate(issued.pem, pem.decode("ascii"), issued.serial, issued.expires)


def _serial(bits: Bits) -> int:
    # RFC 5280 wants a positive number; zero comes up once in 2**128.
    return bits(128) or 1


def end_of(authority: Authority, now: datetime, ttl: timedelta) -> datetime:
    """When a certificate of *ttl* ends: never behind its authority."""
    last = authority.certificate.not_valid_after_utc
    if now >= last:
        raise CertificateError(f"the {authority.kind} authority expired at {last:%Y-%m-%d %H:%M:%SZ}")
    return min(now + ttl, last).replace(microsecond=0)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")
