"""The cluster's keys as one value, and their form in bytes; files of version 0.1 are read here, too."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.ca.authority import Authority, key_id_of
from gateway.ca.profile import Kind
from gateway.ca.rotation import Phase, Rotation, Series
from gateway.errors import ConfigError
from gateway.files import private_directory, read_private

AUDIT = "audit"
BUNDLE = "bundle"

FILES = (*(f"{kind.value}.pem" for kind in Kind), "audit.key", "bundle.key")
"""What version 0.1 kept in its folder of keys."""

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys of the cluster, as of one ``revision`` of the state."""

    series: Mapping[Kind, Series]
    audit_key: ed25519.Ed25519PrivateKey = field(repr=False)
    bundle_key: ec.EllipticCurvePrivateKey = field(repr=False)
    revision: int = 0


def key_pem(key: PrivateKey) -> bytes:
    """A private key in PEM (PKCS #8), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def to_bytes(ring: Ring) -> dict[str, bytes]:
    """Every part of *ring* by its name, to be sealed."""
    found = {kind.value: series_to_bytes(series) for kind, series in ring.series.items()}
    return {**found, AUDIT: key_pem(ring.audit_key), BUNDLE: key_pem(ring.bundle_key)}


def from_bytes(parts: Mapping[str, bytes], cluster: str, revision: int) -> Ring:
    """The ring whose parts these are; ConfigError when one is missing or is not what its name says."""
    missing = sorted({*(kind.value for kind in Kind), AUDIT, BUNDLE} - parts.keys())
    if missing:
        raise ConfigError(f"the state has no {missing[0]} key")
    return Ring(
        series={kind: series_from_bytes(parts[kind.value], kind, cluster) for kind in Kind},
        audit_key=_audit_key(parts[AUDIT], "the audit key"),
        bundle_key=_bundle_key(parts[BUNDLE], "the bundle key"),
        revision=revision,
    )


def series_to_bytes(series: Series) -> bytes:
    """A series as JSON, private keys included."""
    rotation = series.rotation
    document = {
        "v": 1,
        "current": _authority_to_text(series.current),
        "next": None if series.next is None else _authority_to_text(series.next),
        "rotated_at": None if series.rotated_at is None else _seconds(series.rotated_at),
        "rotation": None
        if rotation is None
        else {
            "phase": rotation.phase.value,
            "automatic": rotation.automatic,
            "started": _seconds(rotation.started),
            "entered": _seconds(rotation.entered),
            "grace_seconds": int(rotation.grace.total_seconds()),
        },
    }
    return json.dumps(document).encode("ascii")


def series_from_bytes(data: bytes, kind: Kind, cluster: str) -> Series:
    """The series in *data*."""
    where = f"the {kind} authority in the state"
    try:
        document = json.loads(data)
        current, following = document["current"], document["next"]
        rotated, rotation = document["rotated_at"], document["rotation"]
        return Series(
            kind,
            current=_authority(current.encode("ascii"), kind, cluster, where),
            next=None if following is None else _authority(following.encode("ascii"), kind, cluster, where),
            rotation=None if rotation is None else _rotation(rotation),
            rotated_at=None if rotated is None else _moment(rotated),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where} cannot be read; was it written by a newer version?") from error


def from_folder(directory: Path, cluster: str) -> Ring | None:
    """The keys that version 0.1 kept as files in *directory*; None when there are none.

    A part that is missing, or readable by others, is a ConfigError.
    """
    if not any((directory / f"{kind.value}.pem").exists() for kind in Kind):
        return None
    private_directory(directory)

    def read(name: str) -> bytes:
        try:
            return read_private(directory / name)
        except FileNotFoundError:
            raise ConfigError(f"{directory / name} is missing, and the other keys are there") from None

    found = {}
    for kind in Kind:
        path = directory / f"{kind.value}.pem"
        found[kind] = Series(kind, _authority(read(path.name), kind, cluster, str(path)))
    return Ring(
        series=found,
        audit_key=_audit_key(read("audit.key"), str(directory / "audit.key")),
        bundle_key=_bundle_key(read("bundle.key"), str(directory / "bundle.key")),
    )


def _authority(data: bytes, kind: Kind, cluster: str, where: str) -> Authority:
    key = _parse_key(data, where)
    try:
        certificate = x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise ConfigError(f"{where} does not hold a certificate in PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError(f"{where}: the key and the certificate do not belong together")
    authority = Authority(certificate=certificate, key=key, key_id=key_id_of(certificate))
    if authority.kind is not kind or authority.cluster != cluster:
        raise ConfigError(
            f"{where} is the {authority.kind} authority of cluster {authority.cluster}, "
            f"expected the {kind} authority of cluster {cluster}",
            hint="set cluster_name back, or start with an empty state",
        )
    return authority


def _authority_to_text(authority: Authority) -> str:
    return key_pem(authority.key).decode("ascii") + authority.pem


def _audit_key(data: bytes, where: str) -> ed25519.Ed25519PrivateKey:
    key = _parse_key(data, where)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{where}: expected an Ed25519 key")
    return key


def _bundle_key(data: bytes, where: str) -> ec.EllipticCurvePrivateKey:
    key = _parse_key(data, where)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{where}: expected a P-256 key")
    return key


def _parse_key(data: bytes, where: str) -> object:
    try:
        return serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where} does not hold a private key in PEM") from error


def _rotation(document: Mapping[str, Any]) -> Rotation:
    return Rotation(
        phase=Phase(document["phase"]),
        automatic=bool(document["automatic"]),
        started=_moment(document["started"]),
        entered=_moment(document["entered"]),
        grace=timedelta(seconds=document["grace_seconds"]),
    )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
