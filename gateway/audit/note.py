"""Signed notes with Ed25519: text, a blank line, and one line per signature.

Implements https://c2sp.org/signed-note with signature type 0x01. Signatures of other types are those of
unknown keys, which a verifier ignores.
"""

import base64
import binascii
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import AuditError

MAX_NOTE_BYTES = 64 * 1024  # far above a checkpoint with sixteen signatures
MAX_SIGNATURES = 64  # the specification asks for at least 16
_ED25519 = b"\x01"
_DASH = "\u2014 "


@dataclass(frozen=True, slots=True)
class Verifier:
    """A named public key, and the four bytes that mark its signatures."""

    name: str
    public: bytes
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        identity = sha256(self.name.encode() + b"\n" + _ED25519 + self.public)
        object.__setattr__(self, "key_id", identity.digest()[:4])

    def encode(self) -> str:
        """The key as one line, as other tools for such logs take it: ``name+id+base64``."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


def verifier(name: str, key: Ed25519PublicKey) -> Verifier:
    """The verifier of what *key* signs under *name*."""
    return Verifier(name, key.public_bytes_raw())


def parse_verifier(text: str) -> Verifier:
    """The verifier that ``Verifier.encode`` wrote; AuditError when its parts do not belong together."""
    name, _, rest = text.partition("+")
    key_id, _, key = rest.partition("+")
    raw = _unbase64(key, "verifier key")
    if len(raw) != 33 or raw[:1] != _ED25519:
        raise AuditError("the verifier key is not an Ed25519 key")
    found = Verifier(name, raw[1:])
    if found.key_id.hex() != key_id:
        raise AuditError(f"the verifier key says {key_id[:16]!r}, its id is {found.key_id.hex()}")
    return found


def sign(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """*text* (which ends in a newline) as a note with one signature."""
    _check_text(text)
    mark = verifier(name, key.public_key()).key_id
    signature = base64.b64encode(mark + key.sign(text.encode())).decode()
    return f"{text}\n{_DASH}{name} {signature}\n"


def open_note(note: bytes, trusted: Verifier) -> str:
    """The text of *note* once a signature of *trusted* was verified; AuditError otherwise."""
    if len(note) > MAX_NOTE_BYTES:
        raise AuditError(f"the note has {len(note)} bytes")
    try:
        whole = note.decode()
    except UnicodeDecodeError:
        raise AuditError("the note is not UTF-8") from None
    at = whole.rfind("\n\n")
    if at < 0 or not whole.endswith("\n"):
        raise AuditError("the note has no signatures")
    text, lines = whole[: at + 1], whole[at + 2 : -1].split("\n")
    _check_text(whole)
    if len(lines) > MAX_SIGNATURES:
        raise AuditError(f"the note has {len(lines)} signatures")
    verified = False
    for name, mark, signature in [_signature(line) for line in lines]:
        if (name, mark) == (trusted.name, trusted.key_id):
            _verify(text, trusted, signature)
            verified = True
    if not verified:
        raise AuditError(f"the note is not signed by {trusted.name}+{trusted.key_id.hex()}")
    return text


def check_name(name: str) -> None:
    """A key's name: not empty, no blank, no plus, nothing that a terminal would not show."""
    if not name or "+" in name or any(c.isspace() or not c.isprintable() for c in name):
        raise AuditError(f"not a name for a key: {name!r}")


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(c < " " and c != "\n" for c in text):
        raise AuditError("a note's text ends in a newline and has no other control character")


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, blank, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not blank:
        raise AuditError("a signature line is malformed")
    check_name(name)
    raw = _unbase64(encoded, "signature")
    if len(raw) < 5:
        raise AuditError("a signature is too short")
    return name, raw[:4], raw[4:]


def _verify(text: str, trusted: Verifier, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(trusted.public).verify(signature, text.encode())
    except InvalidSignature:
        raise AuditError(f"the signature of {trusted.name} does not fit") from None


def _unbase64(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise AuditError(f"the {what} is not base64") from None
    if base64.b64encode(raw).decode() != text:  # trailing bits must be zero: one value, one spelling
        raise AuditError(f"the {what} is not base64 in its one spelling")
    return raw
