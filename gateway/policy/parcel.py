"""Evidence as it travels: a line of JSON, then the bodies, compressed together because most are alike. Pure.

    {"items": [[digest, withheld, length], …], "missing": [digest, …]}

``missing`` are those that were asked for and are not kept. Whether a body is what its digest says is checked
by whoever keeps it.
"""

import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.errors import ConfigError
from gateway.policy.collecting import AT_ONCE, MOST_DATA
from gateway.policy.evidence import Content

MOST_BYTES = 4 * 1024 * 1024
"""Of bodies in one parcel, unless there is a single one."""

_MOST_HEAD = 128 * 1024
MOST_UNFOLDED = MOST_DATA + _MOST_HEAD
_MALFORMED = "the parcel does not begin with what is in it"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Parcel:
    """What came together."""

    contents: Sequence[Content]
    missing: Sequence[str]


def pack(found: Iterable[Content], wanted: Sequence[str]) -> Parcel:
    """What of *found*, which was looked up for *wanted*, goes into one parcel; a later one has the rest."""
    contents: list[Content] = []
    size = 0
    left = set(wanted)
    for item in found:
        if len(item.body) > MOST_DATA:
            continue  # missing, for whoever asked
        if contents and size + len(item.body) > MOST_BYTES:
            return Parcel(contents, ())  # whether others are missing was not looked at
        contents.append(item)
        size += len(item.body)
        left.discard(item.digest)
    return Parcel(contents, sorted(left))


def encode(parcel: Parcel) -> bytes:
    """The body of a request."""
    items = [[item.digest, item.is_withheld, len(item.body)] for item in parcel.contents]
    head = json.dumps({"items": items, "missing": list(parcel.missing)}, separators=(",", ":")).encode()
    return zlib.compress(b"".join((head, b"\n", *(item.body for item in parcel.contents))), 3)


def decode(data: bytes) -> Parcel:
    """What ``encode`` wrote.

    Raises:
        ConfigError: it is something else, or unfolds to more than there may be.
    """
    try:
        unfolding = zlib.decompressobj()
        unfolded = unfolding.decompress(data, MOST_UNFOLDED)
    except zlib.error as error:
        raise ConfigError("the parcel cannot be unfolded") from error
    if unfolding.unconsumed_tail or not unfolding.eof or unfolding.unused_data:
        raise ConfigError(f"the parcel is cut, or larger than {MOST_UNFOLDED} bytes")
    head, _, rest = unfolded.partition(b"\n")
    items, missing = _listed(head)
    if sum(length for _, _, length in items) != len(rest):
        raise ConfigError(_MALFORMED)
    contents, at = [], 0
    for digest, withheld, length in items:
        contents.append(Content(digest, rest[at : at + length], withheld))
        at += length
    return Parcel(contents, missing)


def _listed(head: bytes) -> tuple[list[tuple[str, bool, int]], list[str]]:
    try:
        value = json.loads(head)
        items = [_item(*item) for item in value["items"]]
        missing = [_digest(item) for item in value["missing"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(_MALFORMED) from None
    if len(items) + len(missing) > AT_ONCE:
        raise ConfigError(_MALFORMED)
    return items, missing


def _item(digest: object, withheld: object, length: object) -> tuple[str, bool, int]:
    if type(withheld) is not bool or type(length) is not int or length < 0:
        raise ValueError(length)
    return _digest(digest), withheld, length


def _digest(value: object) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(value)
    return value
