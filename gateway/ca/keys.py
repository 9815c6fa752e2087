"""The cluster's own keys: four authorities, the audit log's key and the policy bundle's key.

All of them live in the state, sealed (``gateway.ca.seal``), so that every node has the same; ``auth.keyring``
reads and writes them there.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.ca import sign
from gateway.ca.authority import Authority, key_id_of
from gateway.ca.profile import Kind
from gateway.ca.ring import Ring
from gateway.ca.rotation import Series
from gateway.clock import Clock, utc
from gateway.errors import ConfigError

_CLUSTER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62})\Z")


class Authorities:
    """Everything of the cluster that is kept secret, as of now: a rotation changes what stands here.

    So whoever needs a key asks for it when it is needed. ``on_change`` is for what is made of keys
    and kept, such as TLS settings.
    """

    def __init__(self, cluster: str, ring: Ring) -> None:
        self.cluster = cluster
        self._ring = ring
        self._listeners: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"Authorities({self.cluster!r}, revision={self._ring.revision})"

    @property
    def revision(self) -> int:
        """Rises whenever a key changes."""
        return self._ring.revision

    @property
    def user(self) -> Authority:
        """Signs logins and certificates for databases."""
        return self.by_kind(Kind.USER)

    @property
    def host(self) -> Authority:
        """Signs services that connect to others."""
        return self.by_kind(Kind.HOST)

    @property
    def host_serving(self) -> Authority:
        """Signs services that others connect to; it differs from ``host`` in the middle of a rotation."""
        return self._ring.series[Kind.HOST].signer(serving=True)

    @property
    def db(self) -> Authority:
        """Signs database servers."""
        return self.by_kind(Kind.DB)

    @property
    def db_client(self) -> Authority:
        """Signs what the gateway shows to databases."""
        return self.by_kind(Kind.DB_CLIENT)

    @property
    def audit_key(self) -> ed25519.Ed25519PrivateKey:
        """Signs the audit log's checkpoints."""
        return self._ring.audit_key

    @property
    def bundle_key(self) -> ec.EllipticCurvePrivateKey:
        """Signs policy bundles."""
        return self._ring.bundle_key

    @property
    def mask_salt(self) -> str:
        """A secret that hashes of masked values are made with: the same for as long as the audit key is."""
        return hmac.new(self.audit_key.private_bytes_raw(), b"regate masks", hashlib.sha256).hexdigest()

    def by_kind(self, kind: Kind) -> Authority:
        """The authority of that kind that signs now."""
        return self._ring.series[kind].signer(serving=kind is Kind.DB)

    def series(self, kind: Kind) -> Series:
        """The same with what a rotation has put beside it."""
        return self._ring.series[kind]

    def trusted(self, kind: Kind) -> tuple[Authority, ...]:
        """Every authority of that kind whose certificates count: two during a rotation."""
        return self._ring.series[kind].trusted

    def trusted_pem(self, kind: Kind) -> str:
        """Their certificates in PEM; of the host authorities, first the one that signed the proxy."""
        found = list(self.trusted(kind))
        if kind is Kind.HOST and found[0] is not self.host_serving:
            found.reverse()
        return "".join(authority.pem for authority in found)

    def signing_with(self, kind: Kind, authority: Authority) -> "Authorities":
        """The same keys, but *authority* signs what its kind signs: for trying what it would be like."""
        series = {**self._ring.series, kind: Series(kind, authority)}
        return Authorities(self.cluster, replace(self._ring, series=series))

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call *listener* after each change."""
        self._listeners.append(listener)

    def take(self, ring: Ring) -> None:
        """Put newer keys in the place of those before; older ones are left alone."""
        if ring.revision <= self._ring.revision:
            return
        self._ring = ring
        for listener in self._listeners:
            listener()


def check_cluster(name: str) -> str:
    """*name* when it can be a cluster's."""
    if not _CLUSTER.match(name):
        raise ConfigError(f"cluster name {name!r}: expected letters, digits, dots, dashes, at most 63")
    return name


def make_ring(cluster: str, clock: Clock) -> Ring:
    """New keys for a new cluster."""
    check_cluster(cluster)
    return Ring(
        series={kind: Series(kind, make_authority(kind, cluster, clock)) for kind in Kind},
        audit_key=ed25519.Ed25519PrivateKey.generate(),
        bundle_key=ec.generate_private_key(ec.SECP256R1()),
    )


def make(cluster: str, clock: Clock) -> Authorities:
    """New keys that are kept nowhere."""
    return Authorities(cluster, make_ring(cluster, clock))


def make_authority(kind: Kind, cluster: str, clock: Clock) -> Authority:
    """A new authority."""
    key, certificate = sign.make_authority(kind, cluster, now=utc(clock))
    return Authority(certificate=certificate, key=key, key_id=key_id_of(certificate))


def ca_pin(certificate: x509.Certificate) -> str:
    """``sha256:`` and the digest of the certificate's public key, as Teleport writes its pins."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "sha256:" + hashlib.sha256(spki).hexdigest()


def host_ca_pin(authorities: Authorities) -> str:
    """The pin by which clients and agents recognise this cluster: of the authority that signed the proxy."""
    return ca_pin(authorities.host_serving.certificate)
