"""A command taken apart: its fields, what it inserts, and what is the session's bookkeeping alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from gateway.errors import ProtocolError
from gateway.protocols.mongodb import documents
from gateway.protocols.mongodb.documents import UnreadableError

_MOST_FIELDS: Final = 1_000  # of one command
_MOST_CHANGES: Final = 1_000  # as hello says
_NOISE: Final = frozenset(
    {"lsid", "$clusterTime", "txnNumber", "autocommit", "startTransaction", "stmtId", "stmtIds"}
)
_NOISE_BYTES: Final = frozenset(name.encode() for name in _NOISE)
NOISY: Final = re.compile(rb"lsid\0|\$clusterTime\0|txnNumber\0|autocommit\0|startTransaction\0|stmtIds?\0")


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was taken apart: ``fields`` without what only concerns the session's bookkeeping."""

    name: str
    fields: Mapping[str, Any]
    inserted: tuple[bytes, ...] = ()  # documents, unread: they are data
    sequences: tuple[str, ...] = ()


def take(arguments: Sequence[bytes]) -> Command:
    """The command in its parts; UnreadableError when there is more than one way to read it."""
    try:
        return _take(arguments)
    except ProtocolError:
        raise UnreadableError("not_bson") from None


def _take(arguments: Sequence[bytes]) -> Command:
    name, body, *lists = arguments
    is_insert = name == b"insert"
    parts: list[bytes] = []
    names: list[str] = []
    inserted: list[bytes] = []
    for field, kind, start, value, end in documents.elements(body):
        names.append(field)
        if len(names) > _MOST_FIELDS:
            raise UnreadableError("too_long")
        if is_insert and field == "documents" and kind == documents.ARRAY:
            held = body[value:end]
            found = islice(documents.elements(held), documents.MOST + 1)
            inserted += [held[at:stop] for _, _, _, at, stop in found]
        elif field not in _NOISE:
            parts.append(body[start:end])
    fields = documents.read(documents.joined(parts))
    sequences: list[str] = []
    for each in lists:
        word, _, held = each.partition(b"\0")
        names.append(word.decode("ascii", "replace"))
        sequences.append(names[-1])
        if is_insert and word == b"documents":
            inserted += islice(documents.split(held), documents.MOST + 1)
        else:
            fields[names[-1]] = _changes(held)
    if len(inserted) > documents.MOST:
        raise UnreadableError("too_long")
    if len(set(names)) != len(names):
        raise UnreadableError("ambiguous_document")
    return Command(name.decode("utf-8", "replace"), fields, tuple(inserted), tuple(sequences))


def _changes(held: bytes) -> list[dict[str, Any]]:
    """The documents of a list that stood beside the command; all of them are read."""
    parts = list(islice(documents.split(held), _MOST_CHANGES + 1))
    if len(held) > documents.MAX_LIST or len(parts) > _MOST_CHANGES:
        raise UnreadableError("too_long")
    found, left = [], documents.MAX_ELEMENTS
    for one in parts:
        found.append(documents.read(one))
        left -= documents.elements_in(found[-1])
        if left < 0:
            raise UnreadableError("too_long")
    return found


def plain(body: bytes) -> tuple[bytes, list[bytes]]:
    """A command without the fields that change with each and mean nothing here, and the values of ``lsid``.

    What cannot be taken apart stays as it is, and names a session that is nobody's.
    """
    if not NOISY.search(body):
        return body, []
    try:
        found = documents.spans(body)
    except ProtocolError:
        return body, [b""]
    if len(found) > documents.MAX_FIELDS:  # nobody reads that many
        return body, [b""]
    sessions = [body[value:end] for name, _, value, end in found if name == b"lsid"]
    if len({name for name, *_ in found}) != len(found):
        return body, sessions
    kept = [body[start:end] for name, start, _, end in found if name not in _NOISE_BYTES]
    return documents.joined(kept), sessions
