import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ca import profile
from gateway.ca.profile import public_key_from_csr
from gateway.ca.ring import key_pem
from gateway.errors import CertificateError
from tests.ca.material import new_key, request_for


def _signed(key: object, digest: hashes.HashAlgorithm | None) -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return request.sign(key, digest).public_bytes(Encoding.PEM).decode()  # type: ignore[arg-type]  # many kinds


def test_the_key_is_all_that_is_taken_from_a_request() -> None:
    key = new_key()
    assert public_key_from_csr(request_for(key)) == key.public_key()


def test_an_ed25519_request_is_read() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    assert public_key_from_csr(_signed(key, None)) == key.public_key()


def test_a_request_signed_by_another_key_is_refused() -> None:
    """Somebody else's public key in a request proves nothing."""
    victim, thief = new_key(), new_key()
    der = x509.load_pem_x509_csr(request_for(thief).encode()).public_bytes(Encoding.DER)
    forged = der.replace(_point(thief), _point(victim))
    assert forged != der
    pem = x509.load_der_x509_csr(forged).public_bytes(Encoding.PEM)
    with pytest.raises(CertificateError, match="not signed by its own key"):
        public_key_from_csr(pem)


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        rsa.generate_private_key(65537, 4096),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["rsa-2048", "rsa-4096", "p-384", "secp256k1"],
)
def test_other_kinds_of_keys_are_refused(key: object) -> None:
    with pytest.raises(CertificateError, match="neither P-256 nor Ed25519"):
        public_key_from_csr(_signed(key, hashes.SHA256()))


def test_a_request_signed_with_a_weak_digest_is_refused() -> None:
    with pytest.raises(CertificateError, match="too weak"):
        public_key_from_csr(_signed(new_key(), hashes.SHA224()))


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", "\ud800"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(CertificateError, match="cannot be read"):
        public_key_from_csr(text)


def test_a_bare_public_key_is_refused() -> None:
    with pytest.raises(CertificateError, match="cannot be read"):
        public_key_from_csr(key_pem(new_key()))


def test_a_request_of_more_than_16_kib_is_not_even_parsed() -> None:
    padded = request_for() + "\n" * profile.MAX_CSR
    with pytest.raises(CertificateError, match="at most 16384 are read"):
        public_key_from_csr(padded)


def test_every_cut_of_a_request_is_refused_and_nothing_else_is_raised() -> None:
    der = x509.load_pem_x509_csr(request_for().encode()).public_bytes(Encoding.DER)

    for end in range(len(der)):
        with pytest.raises(CertificateError):
            public_key_from_csr(_armoured(der[:end]))


def test_a_flipped_byte_of_a_request_is_refused_and_nothing_else_is_raised() -> None:
    request = x509.load_pem_x509_csr(request_for().encode())
    der = request.public_bytes(Encoding.DER)
    # The signature is a BIT STRING at the end; its first byte counts the unused bits behind it. With a last
    # bit of zero, one unused bit says the same: the one flip that may pass, for it changes nothing.
    unused_bits = len(der) - len(request.signature) - 1
    for at in set(range(len(der))) - {unused_bits}:
        damaged = der[:at] + bytes([der[at] ^ 0x01]) + der[at + 1 :]
        with pytest.raises(CertificateError):
            public_key_from_csr(_armoured(damaged))


def _armoured(der: bytes) -> str:
    body = base64.b64encode(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n"
