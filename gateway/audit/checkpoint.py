"""A signed statement of a log's size and root, as https://c2sp.org/tlog-checkpoint lays it out.

Written without extension lines; read with them, since a witness may keep some.
"""

import base64
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit.note import Verifier, open_note, sign
from gateway.audit.tree import HASH_SIZE
from gateway.errors import AuditError

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: after *size* records its root was *root*."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The signed part."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def publish(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The checkpoint as a note, signed under the log's origin."""
    return sign(checkpoint.text(), checkpoint.origin, key)


def verify(note: bytes, trusted: Verifier) -> Checkpoint:
    """The checkpoint in *note* once its signature was verified and its origin is the key's name."""
    found = parse(open_note(note, trusted))
    if found.origin != trusted.name:
        raise AuditError(f"the checkpoint is of {found.origin!r}, not of {trusted.name!r}")
    return found


def parse(text: str) -> Checkpoint:
    """The checkpoint that a note's text holds; says nothing about who signed it."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise AuditError("a checkpoint has at least three lines, and none is empty")
    origin, size, encoded = lines[:3]
    if not _SIZE.fullmatch(size):
        raise AuditError(f"not a tree size: {size[:32]!r}")
    try:
        root = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise AuditError("the root is not base64") from None
    if len(root) != HASH_SIZE or base64.b64encode(root).decode() != encoded:
        raise AuditError("the root is not the base64 of 32 bytes")
    return Checkpoint(origin, int(size), root)
