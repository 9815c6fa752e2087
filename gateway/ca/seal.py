"""Private keys at rest: sealed with a key that lies in a file and never in the state.

AES-256-GCM (NIST SP 800-38D) with a random nonce. What a text is about is authenticated with it, so that a
sealed authority cannot be put in the place of another. Whoever can write to the state but has not the file
can neither read a key nor add an authority of their own; they can put back an older text of the same name.
"""

import base64
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import ConfigError
from gateway.files import private_directory, read_private, write_private

_VERSION = "v1"
_KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The key of a state; ``name`` is a digest that says which key it is and nothing about it."""

    secret: bytes = field(repr=False)
    name: str = ""

    def __post_init__(self) -> None:
        digest = hmac.digest(self.secret, b"regate: which key this is", "sha256")
        object.__setattr__(self, "name", digest[:8].hex())

    def seal(self, about: str, data: bytes) -> str:
        """*data* as text that only this key opens, as what *about* says it is."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self.secret).encrypt(nonce, data, about.encode())
        return f"{_VERSION}.{self.name}.{base64.b64encode(nonce + sealed).decode('ascii')}"

    def unseal(self, about: str, text: str) -> bytes:
        """What was sealed; ConfigError when it was with another key, or is not what it says."""
        version, _, rest = text.partition(".")
        name, _, body = rest.partition(".")
        if version != _VERSION:
            raise ConfigError(f"{about} in the state is sealed in a form that this version does not know")
        if name != self.name:
            raise ConfigError(
                f"the keys in the state are sealed with key {name}, this node has key {self.name}",
                hint="copy the key file of a node that works (auth_service.storage.key_file)",
            )
        try:
            data = base64.b64decode(body, validate=True)
            return AESGCM(self.secret).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], about.encode())
        except (ValueError, InvalidTag) as error:
            raise ConfigError(f"{about} in the state was changed by somebody without the key") from error


def read(path: Path) -> SealingKey | None:
    """The key in the file at *path*; None when there is no such file."""
    try:
        text = read_private(path)
    except FileNotFoundError:
        return None
    found = parse(text)
    if found is None:
        raise ConfigError(f"{path} does not hold a sealing key: expected 32 bytes in base64")
    return found


def parse(text: bytes) -> SealingKey | None:
    """The key in a key file's *text*; None when there is none."""
    try:
        secret = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        return None
    return SealingKey(secret) if len(secret) == _KEY_BYTES else None


def read_or_create(path: Path) -> SealingKey:
    """The key in the file at *path*, which is made when it is missing."""
    found = read(path)
    if found is None:
        if not path.parent.is_dir():
            private_directory(path.parent)
        write_private(path, base64.b64encode(os.urandom(_KEY_BYTES)) + b"\n")
        found = read(path)  # another process may have been first
        assert found is not None
    return found
