"""What a piece of a log names of what its decisions were made from. Pure.

Records are canonical JSON: a name with its quotes, a colon and a value stands in no text of a client, where
each quote is escaped. So inputs are found without reading the records; only what says which policies and data
took effect is read.
"""

import re
from collections.abc import Iterator

from gateway.audit.encode import read_fields
from gateway.model.event import Event, Kind
from gateway.policy.collecting import Named
from gateway.policy.evidence import Revision

_INPUT = re.compile(rb'"input_digest":"([0-9a-f]{64})"')
_IN_FORCE = re.compile(rb'"kind":"policy\.(?:adopt|data|load)","time":"[^"]*"\}$', re.MULTILINE)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_NAME = 200


def named(lines: bytes) -> Named:
    """What the records in *lines* name, each once, in their order."""
    inputs = dict.fromkeys(_INPUT.findall(lines))
    return Named([digest.decode("ascii") for digest in inputs], list(_revisions(lines)))


def _revisions(lines: bytes) -> Iterator[Revision]:
    for found in _IN_FORCE.finditer(lines):
        start = lines.rfind(b"\n", 0, found.start()) + 1
        revision = _revision(read_fields(lines[start : found.end()]).event)
        if revision is not None:
            yield revision


def _revision(event: Event) -> Revision | None:
    """What the event says that a revision was; None where a service says it in no form of ours."""
    kind = "data" if event.kind is Kind.POLICY_DATA else "policy"
    name, digest = event.fields.get(f"{kind}_revision"), event.fields.get(f"{kind}_digest")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return None
    if kind == "data":
        return Revision("data", str(name), digest, event.time_ns) if type(name) is int else None
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME:
        return None
    return Revision("policy", name, digest, event.time_ns)
