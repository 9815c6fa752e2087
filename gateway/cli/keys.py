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
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return NewKey(key_pem.decode("ascii"), request.public_bytes(serialization.Encoding.PEM).decode("ascii"))
