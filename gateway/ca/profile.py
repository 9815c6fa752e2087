"""What each kind of certificate looks like: its purpose, its extensions, its limits.

The identity travels in one private extension as JSON (``EXTENSION``). Its object identifier is made from a
UUID below the arc that Microsoft opened for that use, because the shorter way, ``2.25.<uuid>``, has a
number that Go's certificate parser does not read; databases and clients in Go must be able to read ours.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from gateway.errors import CertificateError
from gateway.model.identity import Use

EXTENSION = ObjectIdentifier("1.2.840.113556.1.8000.2554.35089.50728.45730.18587.41910.16035419.1809422")

BACKDATE = timedelta(seconds=60)
"""How far ``notBefore`` lies in the past, for peers whose clock runs behind."""

CA_LIFETIME = timedelta(days=365)
LOGIN_DEFAULT = timedelta(hours=8)
LOGIN_MAX = timedelta(hours=12)
BOT_MAX = timedelta(hours=1)
DATABASE_MAX = timedelta(hours=1)
SESSION_MAX = timedelta(minutes=5)
DB_CLIENT_MAX = timedelta(hours=1)
HOST_MAX = timedelta(hours=72)

MAX_CSR = 16 * 1024
"""Bytes of a certificate request; ours have about 400."""

PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class Kind(StrEnum):
    """The four authorities; none signs for another's use."""

    USER = "user"
    HOST = "host"
    DB = "db"
    DB_CLIENT = "db-client"


@dataclass(frozen=True, slots=True)
class Profile:
    """Which authority signs a use, and for which purposes of TLS."""

    authority: Kind
    purposes: tuple[ObjectIdentifier, ...]


_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER = ExtendedKeyUsageOID.SERVER_AUTH

PROFILES: dict[Use, Profile] = {
    Use.USER: Profile(Kind.USER, (_CLIENT,)),
    Use.DATABASE: Profile(Kind.USER, (_CLIENT,)),
    Use.SESSION: Profile(Kind.USER, (_CLIENT,)),
    Use.HOST: Profile(Kind.HOST, (_SERVER, _CLIENT)),
    Use.DB_SERVER: Profile(Kind.DB, (_SERVER,)),
    Use.DB_CLIENT: Profile(Kind.DB_CLIENT, (_CLIENT,)),
}

CA_PURPOSES: dict[Kind, tuple[ObjectIdentifier, ...]] = {
    Kind.USER: (_CLIENT,),
    Kind.HOST: (_SERVER, _CLIENT),
    Kind.DB: (_SERVER,),
    Kind.DB_CLIENT: (_CLIENT,),
}

_CSR_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def public_key_from_csr(csr_pem: str | bytes) -> PublicKey:
    """The public key of a certificate request whose sender proved to hold the private one.

    Nothing else in the request is looked at: names and extensions come from the authenticated identity.
    """
    data = csr_pem.encode("utf-8", "replace") if isinstance(csr_pem, str) else csr_pem
    if len(data) > MAX_CSR:
        raise CertificateError(f"certificate request of {len(data)} bytes, at most {MAX_CSR} are read")
    try:
        request = x509.load_pem_x509_csr(data)
        key = request.public_key()
        proven = request.is_signature_valid
        digest = request.signature_hash_algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise CertificateError("certificate request cannot be read") from error
    usable = strong_key(key)
    if not proven:
        raise CertificateError("certificate request is not signed by its own key")
    if digest is not None and not isinstance(digest, _CSR_HASHES):
        raise CertificateError(f"certificate request is signed with {digest.name}, which is too weak")
    return usable


def strong_key(key: object) -> PublicKey:
    """*key* itself when it is P-256 or Ed25519; every other kind is refused."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise CertificateError("the key is neither P-256 nor Ed25519")
