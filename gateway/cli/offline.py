"""What an auditor does with a copy of the log and its public key alone: no service is asked."""

from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.api import proof
from gateway.audit.verify import has_log
from gateway.errors import ConfigError


def report(directory: Path, key_file: Path, kept: bytes) -> dict[str, Any]:
    """Whether the log in *directory* is whole, in the form of the API."""
    key = _key(key_file)
    try:
        is_log = has_log(directory)
    except OSError as error:
        raise ConfigError(f"cannot read {directory}: {error.strerror}") from error
    if not is_log:
        raise ConfigError(f"there is no audit log in {directory}")
    return proof.shown(proof.prove(directory, key, kept=kept))


def _key(path: Path) -> Ed25519PublicKey:
    hint = "write it with: regate auth export --type=audit"
    try:
        found = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} holds no public key in PEM", hint=hint) from error
    if not isinstance(found, Ed25519PublicKey):
        raise ConfigError(f"{path} holds another kind of key than a log's", hint=hint)
    return found
