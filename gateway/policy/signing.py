"""Bundles with OPA's signature: a JWT (ES256) over the digest of each file, in ``.signatures.json``.

OPA names and digests the files, and verifies. The signature itself is made here, by RFC 6979: it depends on
nothing but the content and the key, so that the same input gives the same bundle, byte for byte.
"""

import base64
import gzip
import io
import json
import os
import tarfile
import tempfile
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from gateway.errors import ConfigError
from gateway.policy import opa as opa_program

SIGNING_ALGORITHM = "ES256"
SIGNATURES = ".signatures.json"
_HALF = 32  # bytes of r and of s


def sign(opa: Path, unsigned: Path, out: Path, key: EllipticCurvePrivateKey) -> None:
    """Write the bundle *unsigned* to *out* with the signature of *key*; another signature in it is replaced.

    Raises:
        PolicyError: it is no bundle.
    """
    with tempfile.TemporaryDirectory() as name:
        private = Path(name, "key.pem")
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        opa_program.run(
            opa, "sign", "--bundle", unsigned.absolute(), "--signing-key", private,
            "--signing-alg", SIGNING_ALGORITHM, "--output-file-path", name,
        )  # fmt: skip
        made = json.loads(Path(name, SIGNATURES).read_text(encoding="ascii"))["signatures"][0]
    signed = _signed_again(made, key)
    text = json.dumps({"signatures": [signed]}).encode("ascii")
    _write(out, _with(unsigned.read_bytes(), text))


def private_key(path: Path) -> EllipticCurvePrivateKey:
    """The signing key in a PEM file; ConfigError when it is none on the curve P-256."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {os.strerror(error.errno or 0)}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} holds no private key in PEM without a passphrase") from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError(f"{path}: expected a key on the curve P-256", hint="make one: regate policy keygen")
    return key


def public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """The verification key in a PEM file; ConfigError when it is none on the curve P-256."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {os.strerror(error.errno or 0)}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} holds no public key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigError(f"{path}: expected a key on the curve P-256", hint="make one: regate policy keygen")
    return key


def public_pem(key: EllipticCurvePrivateKey) -> bytes:
    """The half that verifies, in PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: EllipticCurvePrivateKey) -> bytes:
    """The half that signs, in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def new_key() -> EllipticCurvePrivateKey:
    """A key for signing bundles."""
    return ec.generate_private_key(ec.SECP256R1())


def _signed_again(token: str, key: EllipticCurvePrivateKey) -> str:
    signed, _, _ = token.rpartition(".")
    der = key.sign(signed.encode("ascii"), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    halves = b"".join(number.to_bytes(_HALF, "big") for number in decode_dss_signature(der))
    return f"{signed}.{base64.urlsafe_b64encode(halves).rstrip(b'=').decode('ascii')}"


def _with(bundle: bytes, signatures: bytes) -> bytes:
    """The archive with this file in it: same members, no times, no owners."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(bundle)) as source,
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as target,
    ):
        _add(target, f"/{SIGNATURES}", signatures)
        for member in source:
            content = source.extractfile(member)
            if content is not None and Path(member.name).name != SIGNATURES:
                _add(target, member.name, content.read())
    return packed.getvalue()


def _add(target: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    target.addfile(member, io.BytesIO(content))


def _write(out: Path, content: bytes) -> None:
    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = out.with_name(f"{out.name}.new")
    temporary.write_bytes(content)
    temporary.replace(out)
