"""Commands that differ in a few plain values, as programs send them: read once, then known by the rest.

What stands at the top of a condition as a number, an ObjectId or a plain text is compared with a field and
does nothing else; all it changes about the facts is their text for the log. Where that text holds the values
was found out by reading the command once with values that nobody sends.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from struct import Struct
from typing import Final

from gateway.classify.redact import holds_secret
from gateway.errors import ProtocolError
from gateway.model.classification import Classification
from gateway.protocols.mongodb import documents, redact

_CONDITIONS: Final[Mapping[bytes, str]] = {b"find": "filter", b"count": "query", b"distinct": "query"}
MAX_BYTES: Final = 2 << 10  # of a command
_MOST_SLOTS: Final = 8
_MAX_TEXT: Final = 128
_OBJECT_ID: Final = 0x07
_TELLING: Final = frozenset({"field"})  # its value may say that those beside it are secrets
_TEXT: Final = re.compile(rb"[ !#-\[\]-~]*\Z")  # what JSON writes as it is
_I32, _I64 = Struct("<i").unpack_from, Struct("<q").unpack_from
_STRANGE: Final = 1_907_340_817  # nobody's value; counted up, so that each slot has its own


@dataclass(frozen=True, slots=True)
class Slots:
    """A command in pieces between its plain values; ``key`` is equal for all that differ in them alone."""

    key: tuple[bytes, ...]
    places: tuple[
        tuple[int, int, int, int], ...
    ]  # kind, where it begins and ends, where the condition begins


@dataclass(frozen=True, slots=True)
class Shape:
    """The facts of all commands of one shape, but for their text: its ``parts``, with a value between two."""

    facts: Classification
    refused: str
    parts: tuple[str, ...]
    shown: tuple[int, ...]  # which values stand between them; the others are hidden


def slots(arguments: Sequence[bytes]) -> Slots | None:
    """The plain values of a command's condition; None where none is known."""
    if len(arguments) != 2 or len(arguments[1]) > MAX_BYTES:
        return None
    wanted, body = _CONDITIONS.get(arguments[0]), arguments[1]
    try:
        for name, kind, _, value, end in documents.elements(body) if wanted else ():
            if name == wanted:
                return _slots(body, value, end) if kind == documents.DOCUMENT else None
    except ProtocolError:
        pass
    return None


def _slots(body: bytes, begin: int, end: int) -> Slots | None:
    places: list[tuple[int, int, int, int]] = []
    pieces = [body[4:begin]]  # without the sizes of documents, which follow from the rest
    at = begin + 4
    held = body[begin:end]
    for name, kind, _, value, stop in documents.elements(held):
        if name.startswith("$") or name in _TELLING or not _is_plain(kind, held, value, stop):
            continue
        pieces.append(body[at : begin + value])
        at = begin + stop
        places.append((kind, begin + value, at, begin))
    if not 0 < len(places) <= _MOST_SLOTS:
        return None
    return Slots((*pieces, body[at:]), tuple(places))


def _is_plain(kind: int, held: bytes, value: int, stop: int) -> bool:
    if kind == documents.TEXT:
        text = held[value + 4 : stop - 1]
        is_short = len(text) <= _MAX_TEXT and not held[stop - 1]
        return is_short and bool(_TEXT.match(text)) and not holds_secret(text.decode("ascii"))
    return kind in {documents.INT32, documents.INT64, _OBJECT_ID}


def strange(arguments: Sequence[bytes], found: Slots) -> tuple[bytes, ...]:
    """The command with values that nobody sends."""
    body, at, parts = arguments[1], found.places[0][3] + 4, []
    for number, (kind, value, stop, _) in enumerate(found.places):
        parts += [body[at:value], _value(kind, number)]
        at = stop
    begin = found.places[0][3]
    end = begin + int.from_bytes(body[begin : begin + 4], "little")
    condition = documents.joined([b"".join(parts) + body[at : end - 1]])
    return (arguments[0], documents.joined([body[4:begin] + condition + body[end:-1]]))


def _value(kind: int, number: int) -> bytes:
    odd = _STRANGE + number
    if kind == documents.TEXT:
        text = b"%d" % odd
        return (len(text) + 1).to_bytes(4, "little") + text + b"\0"
    size = {documents.INT32: 4, documents.INT64: 8}.get(kind, 12)
    return odd.to_bytes(size, "little")


def _shown(kind: int, raw: bytes) -> str:
    """A value as canonical extended JSON."""
    if kind == documents.INT32:
        return f'{{"$numberInt": "{_I32(raw)[0]}"}}'
    if kind == documents.INT64:
        return f'{{"$numberLong": "{_I64(raw)[0]}"}}'
    if kind == _OBJECT_ID:
        return f'{{"$oid": "{raw.hex()}"}}'
    return f'"{raw[4:-1].decode("ascii")}"'


def shape(found: Slots, facts: Classification, refused: str) -> Shape | None:
    """What was made of the command with strange values; None where its text does not say which is where."""
    left, parts, shown = facts.redacted, [], []
    if not facts.complete or len(left) >= redact.MAX_TEXT:
        return None
    for number, (kind, *_) in enumerate(found.places):
        before, odd, left_over = left.partition(_shown(kind, _value(kind, number)))
        if odd:
            parts.append(before)
            shown.append(number)
            left = left_over
    text = facts.redacted
    if any(str(_STRANGE + number) in "".join((*parts, left)) for number in range(_MOST_SLOTS)):
        return None
    if sum(text.count(str(_STRANGE + number)) for number in range(_MOST_SLOTS)) > len(shown):
        return None
    return Shape(facts, refused, (*parts, left), tuple(shown))


def filled(known: Shape, found: Slots, body: bytes) -> Classification | None:
    """The facts of a command of a known shape; None where its text would be cut."""
    out = [known.parts[0]]
    for number, part in zip(known.shown, known.parts[1:], strict=True):
        kind, value, stop, _ = found.places[number]
        out += [_shown(kind, body[value:stop]), part]
    text = "".join(out)
    return replace(known.facts, redacted=text) if len(text) <= redact.MAX_TEXT else None
