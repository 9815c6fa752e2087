"""Certificate authorities for rigs without Regate: bare servers, poolers, wrong ones on purpose."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Files:
    """A certificate and its key as PEM files; ``ca`` is the issuer's certificate."""

    certificate: Path
    key: Path
    ca: Path


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Authority:
    """One CA with its certificate at ``ca`` in *folder*; whatever it issues lies beside it."""

    def __init__(self, folder: Path, name: str = "test-ca") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(name)
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = folder / f"{name}.crt"
        certificate = (
            self._builder(self._subject, self._key.public_key(), timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=False,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=True,
                    crl_sign=True,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, ttl: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + ttl)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )

    def server(self, *names: str, ttl: timedelta = timedelta(days=1)) -> Files:
        """A server's certificate for host names and addresses; ``localhost`` and 127.0.0.1 by default."""
        hosts: Sequence[str] = names or ("localhost", "127.0.0.1")
        return self._issue(f"server-{hosts[0]}", hosts[0], hosts, ExtendedKeyUsageOID.SERVER_AUTH, ttl)

    def client(self, common_name: str, *, ttl: timedelta = timedelta(days=1)) -> Files:
        """A client's certificate whose common name is the database user."""
        return self._issue(f"client-{common_name}", common_name, (), ExtendedKeyUsageOID.CLIENT_AUTH, ttl)

    def _issue(
        self, stem: str, common_name: str, hosts: Sequence[str], use: x509.ObjectIdentifier, ttl: timedelta
    ) -> Files:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(_name(common_name), key.public_key(), ttl)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        files = Files(self._folder / f"{stem}.crt", self._folder / f"{stem}.key", self.ca)
        files.certificate.write_bytes(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        files.key.touch(mode=0o600)
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
