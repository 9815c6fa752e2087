"""Whether a bundle may take effect: who signed it, what it claims to be, and whether OPA takes it whole.

Everything here happens before any process holds the bundle. What only a running OPA with the cluster's data
can tell (canaries, time, answers that are no decision) is tried by ``gateway.policy.trial``.
"""

import base64
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.errors import AccessError, ConfigError, PolicyError
from gateway.policy import opa as opa_program
from gateway.policy import publish
from gateway.policy.document import CONTRACT
from gateway.policy.signing import SIGNATURES, SIGNING_ALGORITHM
from gateway.schema import data_dir

MAX_BYTES = 16 * 1024 * 1024
MAX_UNPACKED = 64 * 1024 * 1024
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Admitted:
    """A bundle that passed; ``content`` is the archive as it came, ``signer`` names the key."""

    content: bytes = field(repr=False)
    revision: str
    number: int
    signer: str
    roles: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of the archive."""
        return hashlib.sha256(self.content).hexdigest()


def admit(opa: Path, content: bytes, keys: Sequence[EllipticCurvePublicKey]) -> Admitted:
    """Look at a bundle that somebody sent.

    Raises:
        AccessError: it is not signed by one of *keys*.
        ConfigError: it is no bundle of this contract, or does not compile; with file and line.
    """
    files = _unpacked(content)
    key = _signer(files, keys)
    manifest = _manifest(files)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "bundle")
        _write_all(folder, files)
        archive, pem = Path(name, "bundle.tar.gz"), Path(name, "key.pem")
        archive.write_bytes(content)
        pem.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        allowed = Path(name, "capabilities.json")
        try:
            allowed.write_text(json.dumps(publish.capabilities(opa)), encoding="utf-8")
            _verify_files(opa, archive, pem, Path(name, "verified.tar.gz"))
            publish.check_places(opa, folder / publish.TEAM)
            _check(opa, folder, allowed)
        except PolicyError as error:
            raise ConfigError(_told(str(error)), hint=error.hint) from error
    metadata = manifest["metadata"]
    warnings = _warnings(metadata)
    return Admitted(
        content, manifest["revision"], metadata["number"], fingerprint(key), _roles(files), warnings
    )


def fingerprint(key: EllipticCurvePublicKey) -> str:
    """A key's name: the SHA-256 of its public half, shortened."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()[:16]}"


def _unpacked(content: bytes) -> dict[str, bytes]:
    """The files of the archive by their path; ConfigError for anything that a bundle has no use for."""
    if len(content) > MAX_BYTES:
        raise ConfigError(f"the bundle has {len(content)} bytes; at most {MAX_BYTES} are taken")
    files: dict[str, bytes] = {}
    left = MAX_UNPACKED
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                path = PurePosixPath(member.name.lstrip("/"))
                if not member.isfile() or ".." in path.parts or str(path) in files:
                    raise ConfigError(f"the bundle has an entry that is none: {member.name[:200]!r}")
                left -= member.size
                if left < 0:
                    raise ConfigError(f"the bundle unfolds to more than {MAX_UNPACKED} bytes")
                stream = archive.extractfile(member)
                files[str(path)] = b"" if stream is None else stream.read()
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise ConfigError("this is no bundle", hint="build one with: regate policy build") from error
    return files


def _signer(files: Mapping[str, bytes], keys: Sequence[EllipticCurvePublicKey]) -> EllipticCurvePublicKey:
    """Which of *keys* signed; that the signature covers every file is for OPA to say."""
    if not keys:
        raise AccessError(
            "no key may sign policies of this cluster", code="signature_refused",
            hint="name the public keys under policy.keys in the configuration",
        )  # fmt: skip
    text = files.get(SIGNATURES)
    if text is None:
        raise AccessError(
            "the bundle is not signed", code="signature_refused", hint="run: regate policy sign FILE --key=…"
        )
    signed, signature = _token(text)
    for key in keys:
        try:
            key.verify(signature, signed, ECDSA(hashes.SHA256()))
        except InvalidSignature:
            continue
        return key
    raise AccessError(
        "the bundle is signed by a key that this cluster does not know", code="signature_refused",
        hint="sign it with the key whose public half stands under policy.keys in the configuration",
    )  # fmt: skip


def _token(text: bytes) -> tuple[bytes, bytes]:
    """What was signed, and the signature in ASN.1."""
    try:
        [token] = json.loads(text)["signatures"]
        signed, _, tail = token.rpartition(".")
        raw = base64.urlsafe_b64decode(tail + "=" * (-len(tail) % 4))
        algorithm = json.loads(base64.urlsafe_b64decode(signed.partition(".")[0] + "=="))["alg"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AccessError("the bundle's signature cannot be read", code="signature_refused") from error
    if algorithm != SIGNING_ALGORITHM or len(raw) != _SIGNATURE_BYTES:
        sentence = f"the bundle's signature is not one by {SIGNING_ALGORITHM}"
        raise AccessError(sentence, code="signature_refused")
    half = _SIGNATURE_BYTES // 2
    return signed.encode("ascii"), encode_dss_signature(
        int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    )


def _manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(files[".manifest"])
        metadata = manifest["metadata"]
        number, contract, revision = metadata["number"], metadata["contract"], manifest["revision"]
        shaped = type(number) is int and number > 0 and isinstance(revision, str) and len(revision) < 100
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError("the bundle's .manifest has no number, contract and revision") from error
    if contract != CONTRACT:
        raise ConfigError(
            f"the bundle speaks contract {contract}, this cluster {CONTRACT}",
            hint="build it with the version of regate that the cluster runs",
        )
    if not shaped or manifest.get("roots") != ["gateway"]:
        raise ConfigError("the bundle's .manifest is not that of a policy: expected the one root gateway")
    stamped = json.loads(files.get("data.json", b"{}")).get("gateway", {}).get("bundle")
    if stamped != {"revision": revision, "number": number, "contract": contract}:
        raise ConfigError("the bundle's data and its .manifest disagree about its revision")
    return manifest


def _verify_files(opa: Path, archive: Path, pem: Path, out: Path) -> None:
    """That each file is the one that was signed, and no other is there."""
    done = opa_program.attempt(
        opa, "build", "--bundle", archive.name, "--verification-key", pem, "--signing-alg", SIGNING_ALGORITHM,
        "--output", out, cwd=archive.parent,
    )  # fmt: skip
    said = (done.stderr or done.stdout).strip()
    if done.returncode == 0:
        return
    if "rego_" in said or "manifest roots" in said:
        raise PolicyError(said)
    raise AccessError(
        f"the bundle is not what was signed: {said[-500:]}",
        code="signature_refused",
        hint="it was changed after it was signed: build it again, and find out who changed it",
    )


def _check(opa: Path, folder: Path, allowed: Path) -> None:
    """That it compiles with deterministic built-ins alone, and names nothing that the schemas do not have."""
    opa_program.run(
        opa, "check", "--strict", "--bundle", "--capabilities", allowed,
        "--schema", data_dir("schemas"), ".", cwd=folder,
    )  # fmt: skip


def _roles(files: Mapping[str, bytes]) -> Mapping[str, Any]:
    roles = (
        json.loads(files.get("data.json", b"{}")).get("gateway", {}).get("repository", {}).get("roles", {})
    )
    if not isinstance(roles, dict):
        raise ConfigError("the bundle's roles are no mapping")
    return roles


def _warnings(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    if metadata.get("library") == publish.content_digest(data_dir("policies"), None):
        return ()
    return ("it was built with the library of another version of regate",)


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (folder / publish.TEAM).mkdir(exist_ok=True)


def _told(sentence: str) -> str:
    """OPA's words, with the team's files under the names that the team knows."""
    return sentence.replace(f"/{publish.TEAM}/", "").replace(f"{publish.TEAM}/", "").replace("./", "")
