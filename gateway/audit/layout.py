"""What lies in an audit directory, and what its small files say.

lock                     one process opens the directory
checkpoints              every signed checkpoint, the newest last
reserve                  room for the last words on a full disk
00000000000000000000.log     records from that index on, one line each: a segment
00000000000000000000.leaves  their leaf hashes, 32 bytes each: an index, the records prove it
00000000000000000000.state   the tree and the open intents where the segment begins
quarantine/              what an earlier process left half written
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.intents import Intents, from_json
from gateway.audit.tree import Frontier
from gateway.errors import AuditError

LOCK = "lock"
CHECKPOINTS = "checkpoints"
RESERVE = "reserve"
QUARANTINE = "quarantine"
_LOG = re.compile(r"(\d{20})\.log")


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of records: *first* is the index of the first one in it."""

    directory: Path
    first: int

    @property
    def log(self) -> Path:
        """The records."""
        return self.directory / f"{self.first:020d}.log"

    @property
    def leaves(self) -> Path:
        """Their leaf hashes."""
        return self.directory / f"{self.first:020d}.leaves"

    @property
    def state(self) -> Path:
        """What went before."""
        return self.directory / f"{self.first:020d}.state"


def segments(directory: Path) -> list[Segment]:
    """The segments, the oldest first."""
    found = [_LOG.fullmatch(path.name) for path in directory.iterdir()]
    return [Segment(directory, first) for first in sorted(int(match[1]) for match in found if match)]


def state_text(frontier: Frontier, intents: Intents) -> bytes:
    """What a segment's state file says."""
    value = {
        "frontier": [node.hex() for node in frontier.nodes],
        "open": intents.to_json(),
        "size": frontier.size,
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def read_state(segment: Segment) -> tuple[Frontier, Intents]:
    """The tree and the open intents where *segment* begins; AuditError when its file does not say so."""
    if segment.first == 0:
        return Frontier(), Intents()
    try:
        value = json.loads(segment.state.read_bytes())
        frontier = Frontier(value["size"], [bytes.fromhex(node) for node in value["frontier"]])
        intents = from_json(value["open"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AuditError(f"{segment.state} cannot be read: {error}") from error
    if frontier.size != segment.first:
        raise AuditError(f"{segment.state} is the state at {frontier.size}")
    return frontier, intents
