"""Keys made on the person's own machine; only the public half leaves, in a signing request."""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True, slots=True)
class NewKey:
    """A private key in PEM and the request that asks for its certificate."""

    key_pem: str = field(repr=False)
    request_pem: str


def make() -> NewKey:
    """A fresh P-256 key; the request names nobody, because who it is for is the gateway's to say."""
    return _with_request(ec.generate_private_key(ec.SECP256R1()))


def load(key_pem: bytes) -> NewKey:
    """A key that ``make`` made before, and a request for it; ValueError or TypeError when it is none."""
    key = serialization.load_pem_private_key(key_pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("no key of ours")
    return _with_request(key)


def is_certified(key: NewKey, certificate_pem: bytes) -> bool:
    """Whether the certificate is for that key."""
    mine = serialization.load_pem_private_key(key.key_pem.encode("ascii"), None).public_key()
    return mine == x509.load_pem_x509_certificate(certificate_pem).public_key()


def _with_request(key: ec.EllipticCurvePrivateKey) -> NewKey:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return NewKey(key_pem.decode("ascii"), request.public_bytes(serialization.Encoding.PEM).decode("ascii"))
