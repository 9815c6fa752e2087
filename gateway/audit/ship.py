"""Shipping a log, without any I/O: what both sides say, and what follows from it.

The sender asks what the receiver holds of its log (``Held``), decides by its own records whether to go on
from there (``judge``), shows its newest checkpoint, and sends batches until nothing signed is left. Every
message can be repeated: a batch is stored at its place in the log or not at all.

A log whose past is not the one that the receiver holds begins a new *epoch*: the old copy stays beside it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.note import MAX_NOTE_BYTES
from gateway.audit.source import Batch
from gateway.audit.tree import EMPTY_ROOT, HASH_SIZE
from gateway.errors import AuditError

MAX_HEADER = MAX_NOTE_BYTES + 1024
"""Bytes of the line before a batch's records."""

MOST_EPOCHS = 1000
HEARTBEAT_SECONDS = 30.0
SILENT_SECONDS = 300.0
"""A registered origin that has shown no checkpoint for so long is a finding."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the receiver has of a log: the *size* first records, with that *root*; epoch 0 is nothing yet.

    ``signer`` is the key that signs this epoch, as ``Verifier.encode`` writes it.
    """

    epoch: int
    size: int
    root: bytes
    signer: str = ""

    def to_json(self) -> dict[str, Any]:
        """As the API writes it."""
        return {"epoch": self.epoch, "size": self.size, "root": self.root.hex(), "signer": self.signer}


NOTHING = Held(0, 0, EMPTY_ROOT)


def held_from_json(value: object) -> Held:
    """What ``Held.to_json`` wrote; AuditError for anything else."""
    try:
        assert isinstance(value, Mapping)
        epoch, size, root = value["epoch"], value["size"], bytes.fromhex(value["root"])
        signer = str(value["signer"])
    except (AssertionError, KeyError, TypeError, ValueError):
        raise AuditError("the receiver's answer says nothing about what it holds") from None
    if not _is_count(epoch) or not _is_count(size) or len(root) != HASH_SIZE:
        raise AuditError("the receiver's answer says nothing about what it holds")
    return Held(epoch, size, root, signer)


@dataclass(frozen=True, slots=True)
class GoOn:
    """Ship from record *first* in this epoch."""

    epoch: int
    first: int


@dataclass(frozen=True, slots=True)
class StartAnew:
    """The receiver holds another past than this log has: ship all of it, as *epoch*."""

    epoch: int
    reason: str


Course: TypeAlias = GoOn | StartAnew


def judge(head: Checkpoint, root_at: Callable[[int], bytes], signer: str, held: Held) -> Course:
    """How a log of *signer* whose newest checkpoint is *head* goes on at a receiver with *held*."""
    if held.epoch == 0:
        return StartAnew(1, "")
    if held.signer != signer:
        return StartAnew(held.epoch + 1, "the log is signed with another key than what was shipped")
    if held.size > head.size:
        return StartAnew(
            held.epoch + 1, f"{held.size} records were shipped, and the log has {head.size} that are signed"
        )
    if root_at(held.size) != held.root:
        return StartAnew(
            held.epoch + 1, f"the {held.size} records that were shipped are not those of the log"
        )
    return GoOn(held.epoch, held.size)


@dataclass(frozen=True, slots=True)
class Header:
    """The line before a batch's records: where they go, and who signed them."""

    epoch: int
    first: int
    note: bytes


def encode(epoch: int, batch: Batch) -> bytes:
    """A batch as one body: a line of JSON, then the records as they stand in the log."""
    head = {"epoch": epoch, "first": batch.first, "checkpoint": batch.note.decode()}
    return json.dumps(head, separators=(",", ":")).encode() + b"\n" + batch.lines


def read_header(line: bytes) -> Header:
    """The header that ``encode`` wrote; AuditError for anything else."""
    try:
        value = json.loads(line)
        epoch, first, note = value["epoch"], value["first"], value["checkpoint"].encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise AuditError("the batch does not begin with its header") from None
    if len(value) != 3 or not _is_count(epoch) or not _is_count(first) or len(line) > MAX_HEADER:
        raise AuditError("the batch does not begin with its header")
    return Header(epoch, first, note)


def origin_of(cluster: str, service: str) -> str:
    """The name under which a service of the cluster signs its log; *service* is its host certificate's."""
    return f"{cluster}/{service}/audit"


def service_of(cluster: str, origin: str) -> str:
    """The service that *origin* names; empty for the auth service's own log and for foreign names."""
    head, tail = f"{cluster}/", "/audit"
    if origin.startswith(head) and origin.endswith(tail) and len(origin) > len(head) + len(tail):
        return origin[len(head) : -len(tail)]
    return ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
