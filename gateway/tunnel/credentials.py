"""What a service that joined holds: its key, its host certificate, and whom it believes.

All of it is one file of mode 0600, replaced whole.
"""

import json
import secrets
import ssl
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.ca.ring import key_pem
from gateway.ca.sign import MintedCertificate
from gateway.ca.tls import HOST, HTTP, backend_context, server_context, towards_the_cluster_itself
from gateway.errors import ConfigError
from gateway.files import private_directory, read_private, replace_private

FILE = "service.json"
_RENEW_AT = 2 / 3
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Credentials:
    """A service's standing; the authorities are PEM text, and change when the cluster rotates them."""

    id: str
    cluster: str
    key: str = field(repr=False)
    certificate: str
    host_ca: str
    user_ca: str
    db_ca: str

    def client_context(self, alpn: str) -> ssl.SSLContext:
        """TLS towards a proxy: the cluster's host authority is the only one believed."""
        return backend_context(self.host_ca, self._minted(), alpn=[HOST, alpn])

    def api_context(self) -> ssl.SSLContext:
        """TLS towards the auth service, through whatever proxies: none of them may answer in its place."""
        return towards_the_cluster_itself(self.client_context(HTTP))

    def server_context(self) -> ssl.SSLContext:
        """TLS on a connection back, where a proxy shows a certificate of the user authority."""
        return server_context(self._minted(), self.user_ca)

    def user_authorities(self) -> tuple[x509.Certificate, ...]:
        """Whose session certificates count."""
        return tuple(x509.load_pem_x509_certificates(self.user_ca.encode("ascii")))

    def seconds_to_renewal(self, now: datetime) -> float:
        """How long until two thirds of the certificate's life are over, give or take a bit."""
        certificate = x509.load_pem_x509_certificate(self.certificate.encode("ascii"))
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        life = (end - start) / timedelta(seconds=1)
        due = start + timedelta(seconds=life * (_RENEW_AT - _JITTER * secrets.randbelow(1000) / 1000))
        return max(0.0, (due - now) / timedelta(seconds=1))

    @property
    def is_of_another_authority(self) -> bool:
        """True when the host authority that stands first did not sign this: a rotation went on, or back."""
        certificate = x509.load_pem_x509_certificate(self.certificate.encode("ascii"))
        first = x509.load_pem_x509_certificate(self.host_ca.encode("ascii"))
        return certificate.issuer != first.subject

    def has_expired(self, now: datetime) -> bool:
        """True when the cluster would not know this service any more."""
        certificate = x509.load_pem_x509_certificate(self.certificate.encode("ascii"))
        return now >= certificate.not_valid_after_utc

    def trusting(self, *, host_ca: str, user_ca: str, db_ca: str) -> Self:
        """The same, believing these authorities."""
        return replace(self, host_ca=host_ca, user_ca=user_ca, db_ca=db_ca)

    def save(self, folder: Path) -> None:
        """Keep them in *folder*."""
        private_directory(folder)
        replace_private(folder / FILE, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Those in *folder*; None when the service has not joined yet."""
        path = folder / FILE
        try:
            return cls(**json.loads(read_private(path)))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path} cannot be read", hint="remove it and join again") from error

    def _minted(self) -> MintedCertificate:
        return MintedCertificate(self.certificate, self.key)


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key that never leaves this process, or this host."""
    return ec.generate_private_key(ec.SECP256R1())


def request_for(key: ec.EllipticCurvePrivateKey) -> str:
    """A certificate request that proves to hold *key* and claims nothing: names come from elsewhere."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")


def pem_of(key: ec.EllipticCurvePrivateKey) -> str:
    """A key in PEM."""
    return key_pem(key).decode("ascii")


def now() -> datetime:
    """The time, for what happens once at a start."""
    return datetime.now(UTC)
