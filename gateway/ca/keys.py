"""The cluster's own keys on disk: four authorities, the audit log's key and the policy bundle's key.

Each authority is one file with its key and its certificate, so that neither exists without the other.
Files are made whole: written under another name with mode 0600, synced, then linked into place, which
fails instead of overwriting when another process was first.
"""

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.ca import issue
from gateway.ca.authority import Authority, key_id_of
from gateway.ca.profile import Kind
from gateway.clock import Clock, utc
from gateway.errors import ConfigError

_CLUSTER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62})\Z")
_MAX_FILE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Authorities:
    """Everything of the cluster that is kept secret."""

    cluster: str
    user: Authority
    host: Authority
    db: Authority
    db_client: Authority
    audit_key: ed25519.Ed25519PrivateKey = field(repr=False)
    bundle_key: ec.EllipticCurvePrivateKey = field(repr=False)

    def by_kind(self, kind: Kind) -> Authority:
        """The authority of that kind."""
        return {
            Kind.USER: self.user,
            Kind.HOST: self.host,
            Kind.DB: self.db,
            Kind.DB_CLIENT: self.db_client,
        }[kind]


def load_or_create(directory: Path, cluster: str, clock: Clock) -> Authorities:
    """The keys in *directory*; what is missing is made. Anything readable by others is refused."""
    if not _CLUSTER.match(cluster):
        raise ConfigError(f"cluster name {cluster!r}: expected letters, digits, dots, dashes, at most 63")
    _private_directory(directory)
    authorities = {kind: _authority(directory, kind, cluster, clock) for kind in Kind}
    audit = _private_key(directory / "audit.key", ed25519.Ed25519PrivateKey.generate)
    bundle = _private_key(directory / "bundle.key", lambda: ec.generate_private_key(ec.SECP256R1()))
    if not isinstance(audit, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{directory / 'audit.key'}: expected an Ed25519 key")
    if not isinstance(bundle, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{directory / 'bundle.key'}: expected a P-256 key")
    return Authorities(
        cluster=cluster,
        user=authorities[Kind.USER],
        host=authorities[Kind.HOST],
        db=authorities[Kind.DB],
        db_client=authorities[Kind.DB_CLIENT],
        audit_key=audit,
        bundle_key=bundle,
    )


def ca_pin(certificate: x509.Certificate) -> str:
    """``sha256:`` and the digest of the certificate's public key, as Teleport writes its pins."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "sha256:" + hashlib.sha256(spki).hexdigest()


def host_ca_pin(authorities: Authorities) -> str:
    """The pin by which clients and agents recognise this cluster."""
    return ca_pin(authorities.host.certificate)


def key_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """A private key in PEM (PKCS #8), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, data: bytes) -> bool:
    """Create *path* with mode 0600, whole or not at all; False when it was there already."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path, follow_symlinks=False)
        except FileExistsError:
            return False
    finally:
        temporary.unlink()
    _sync_directory(path.parent)
    return True


def read_private(path: Path) -> bytes:
    """The bytes of a file that nobody else may read; a symlink or a looser mode is refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError(f"{path} is not a regular file")
        if about.st_mode & 0o077:
            raise ConfigError(
                f"{path} has mode {stat.S_IMODE(about.st_mode):04o}, so others may read it",
                hint=f"chmod 600 {path}, and make new keys if anybody might have read them",
            )
        if about.st_uid != os.geteuid():
            raise ConfigError(f"{path} belongs to user {about.st_uid}, expected {os.geteuid()}")
        return file.read(_MAX_FILE)


def _private_directory(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = directory.lstat()
    if not stat.S_ISDIR(about.st_mode):
        raise ConfigError(f"{directory} is not a directory")
    if about.st_mode & 0o077:
        raise ConfigError(
            f"{directory} has mode {stat.S_IMODE(about.st_mode):04o}, expected 0700",
            hint=f"chmod 700 {directory}",
        )


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    try:
        return read_private(path)
    except FileNotFoundError:
        write_private(path, make())
        # Read back what is there: another process may have been first.
        return read_private(path)


def _private_key(
    path: Path, make: Callable[[], ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey]
) -> object:
    data = _load_or_make(path, lambda: key_pem(make()))
    return _parse_key(path, data)


def _parse_key(path: Path, data: bytes) -> object:
    try:
        return serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} does not hold a private key in PEM") from error


def _authority(directory: Path, kind: Kind, cluster: str, clock: Clock) -> Authority:
    path = directory / f"{kind.value}.pem"

    def make() -> bytes:
        key, certificate = issue.make_authority(kind, cluster, now=utc(clock))
        return key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM)

    data = _load_or_make(path, make)
    key = _parse_key(path, data)
    try:
        certificate = x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise ConfigError(f"{path} does not hold a certificate in PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError(f"{path}: the key and the certificate do not belong together")
    authority = Authority(certificate=certificate, key=key, key_id=key_id_of(certificate))
    if authority.kind is not kind or authority.cluster != cluster:
        raise ConfigError(
            f"{path} is the {authority.kind} authority of cluster {authority.cluster}, "
            f"expected the {kind} authority of cluster {cluster}",
            hint="set cluster_name back, or start with an empty data directory",
        )
    return authority
