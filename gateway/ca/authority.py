"""A certificate authority: its certificate, its key, and what its certificate says about itself."""

import json
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID

from gateway.ca.profile import EXTENSION, Kind
from gateway.errors import CertificateError


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may sign, and the key to do it with; ``key_id`` names the key in certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    key_id: str
    kind: Kind = field(init=False)
    cluster: str = field(init=False)

    def __post_init__(self) -> None:
        kind, cluster = describe(self.certificate)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "cluster", cluster)

    @property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def key_id_of(certificate: x509.Certificate) -> str:
    """The certificate's subject key identifier, in hexadecimal."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except (x509.ExtensionNotFound, ValueError) as error:
        raise CertificateError("certificate has no subject key identifier") from error
    return extension.value.digest.hex()


def describe(certificate: x509.Certificate) -> tuple[Kind, str]:
    """Which of the four authorities of which cluster this is; CertificateError when it is none.

    1. It must be allowed to sign certificates, with nothing between it and the leaf.
    2. It must say in the private extension that it is one of ours: a leaf that some authority gave the
       right to sign (or any other foreign authority) does not.
    """
    try:
        extensions = certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        private = extensions.get_extension_for_oid(EXTENSION).value
    except (x509.ExtensionNotFound, ValueError) as error:
        raise CertificateError("issuer is not an authority of a cluster") from error
    if not basic.ca or basic.path_length != 0 or not usage.key_cert_sign:
        raise CertificateError("issuer is not allowed to sign certificates")
    assert isinstance(private, x509.UnrecognizedExtension)
    try:
        document = json.loads(private.value)
        return Kind(document["authority"]), str(document["cluster"])
    except (ValueError, KeyError, TypeError) as error:
        raise CertificateError("issuer is not an authority of a cluster") from error


def subject_key_identifier(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """The extension that leaves refer to."""
    extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_KEY_IDENTIFIER)
    assert isinstance(extension.value, x509.SubjectKeyIdentifier)
    return extension.value
