"""Proving a log from its files and its public key: for the API, and for commands that ask no service."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.audit import checkpoint, note, notes
from gateway.audit.layout import CHECKPOINTS
from gateway.audit.verify import Finding, Report, verify
from gateway.errors import AuditError


def prove(directory: Path, key: Ed25519PublicKey, *, origin: str = "", kept: bytes = b"") -> Report:
    """Verify the log against its own checkpoints and, if given, against one that was *kept* elsewhere.

    Without *origin* the log is the one that its checkpoints name. A kept checkpoint that *key* did not sign
    is a finding: either it is not of this log, or the log was signed anew with another key.
    """
    trusted = None
    if kept:
        name = origin or kept.split(b"\n", 1)[0].decode("utf-8", "replace")
        try:
            trusted = checkpoint.verify(kept, note.verifier(name, key))
        except AuditError as error:
            found = Finding(f"the checkpoint that was given is not one of this log: {error}")
            return Report(ok=False, records=0, first_bad=None, findings=(found,), checkpoint=None)
    return verify(directory, key, origin=origin, trusted=trusted)


def newest(directory: Path, key: Ed25519PublicKey, origin: str) -> str:
    """The newest signed checkpoint of the log in *directory*, as it can be kept elsewhere."""
    found = notes.newest(directory / CHECKPOINTS)
    checkpoint.verify(found, note.verifier(origin, key))
    return found.decode()


def shown(report: Report) -> dict[str, Any]:
    """A report as JSON."""
    head = report.checkpoint
    return {
        "ok": report.ok,
        "records": report.records,
        "covered": report.covered,
        "first_bad": report.first_bad,
        "findings": [asdict(item) for item in report.findings],
        "checkpoint": {"origin": head.origin, "size": head.size, "root": head.root.hex()} if head else None,
    }
