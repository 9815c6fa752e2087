"""Answers whose documents must be looked into: masked fields, and no more documents than a bound.

Elements are copied as the bytes they came in; only what is concealed is written anew.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeAlias

from gateway.model.obligation import Conceal, Mask
from gateway.protocols.mongodb import documents as bson
from gateway.sansio.exchange import Duty

LEFT_OUT: Final = "the server's words are left out, for they may quote what is concealed"
_SHOWN: Final = 4  # characters of a partly masked text
_LONG_ENOUGH: Final = 8
_BATCHES: Final = frozenset({"firstBatch", "nextBatch"})
_CONSTANTS: Final[Mapping[int, bytes]] = {
    bson.DOUBLE: bytes(8), bson.INT32: bytes(4), bson.INT64: bytes(8), 0x09: bytes(8), bson.BOOLEAN: b"\0",
    bson.TEXT: b"\5\0\0\0****\0",
}  # fmt: skip

Tree: TypeAlias = "dict[str, Conceal | Tree]"


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown of an answer: ``left`` documents, None for all, and in them not what ``tree`` names."""

    tree: Tree = field(default_factory=dict)
    left: int | None = None
    salt: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Changed:
    """An answer as the client gets it. ``rows`` is None where it has no documents."""

    body: bytes = b""
    rows: int | None = None
    is_cut: bool = False


def shown(duty: Duty, masks: Iterable[Mask], passed: int) -> Shown:
    """What *duty* lets through when *passed* documents have been shown before."""
    most = duty.obligations.max_rows
    left = None if most is None else max(0, most - passed)
    return Shown(tree_of(masks), left, duty.salt.encode())


def tree_of(masks: Iterable[Mask]) -> Tree:
    """The masked paths as a tree; what conceals a field conceals all that is in it."""
    tree: Tree = {}
    for mask in sorted(masks, key=lambda each: each.column.count("."), reverse=True):
        *above, last = mask.column.split(".")
        at = tree
        for part in above:
            inner = at.setdefault(part, {})
            if not isinstance(inner, dict):
                break
            at = inner
        else:
            at[last] = mask.how
    return tree


def change(body: bytes, wanted: Shown) -> Changed:
    """*body*, an answer, as it is shown."""
    changed = Changed()
    parts: list[bytes] = []
    for name, kind, start, value, end in bson.elements(body):
        element = body[start:end]
        if name == "cursor" and kind == bson.DOCUMENT:
            element = body[start:value] + _cursor(body[value:end], wanted, changed)
        elif name == "values" and kind == bson.ARRAY:
            element = body[start:value] + _batch(body[value:end], wanted, changed)
        elif wanted.tree and name == "value" and kind == bson.DOCUMENT:
            element = body[start:value] + masked(body[value:end], wanted.tree, wanted.salt)
        elif wanted.tree and name in {"errmsg", "writeErrors", "keyValue", "errInfo"}:
            element = _without_words(name, kind, body[start:end], body[value:end])
        parts.append(element)
    changed.body = bson.joined(parts)
    return changed


def _cursor(raw: bytes, wanted: Shown, changed: Changed) -> bytes:
    parts: dict[str, bytes] = {}
    for name, kind, start, value, end in bson.elements(raw):
        if name in _BATCHES and kind == bson.ARRAY:
            parts[name] = raw[start:value] + _batch(raw[value:end], wanted, changed)
        else:
            parts[name] = raw[start:end]
    if changed.is_cut:
        parts["id"] = b"\x12id\0" + bytes(8)  # nothing more is to be had
    return bson.joined(list(parts.values()))


def _batch(raw: bytes, wanted: Shown, changed: Changed) -> bytes:
    """A list of documents, or of values."""
    parts: list[bytes] = []
    changed.rows = 0
    for _, kind, start, value, end in bson.elements(raw):
        if wanted.left is not None and changed.rows >= wanted.left:
            changed.is_cut = True
            break
        if wanted.tree and kind == bson.DOCUMENT:
            parts.append(raw[start:value] + masked(raw[value:end], wanted.tree, wanted.salt))
        else:
            parts.append(raw[start:end])
        changed.rows += 1
    # A bound that is reached is an end too: what a next answer held would not be shown.
    changed.is_cut = changed.is_cut or (wanted.left is not None and changed.rows >= wanted.left)
    return bson.joined(parts)


def masked(raw: bytes, tree: Tree, salt: bytes) -> bytes:
    """A document, or a list of them, with what *tree* names concealed."""
    parts: list[bytes] = []
    for name, kind, start, value, end in bson.elements(raw):
        parts.append(_element(raw[start:end], kind, value - start, tree.get(name), salt))
    return bson.joined(parts)


def _element(raw: bytes, kind: int, value: int, how: "Conceal | Tree | None", salt: bytes) -> bytes:
    """One element; the name stands in front of *value*."""
    if how is None:
        return raw
    if isinstance(how, Conceal):
        return _concealed(raw, kind, value, how, salt)
    if kind == bson.DOCUMENT:
        return raw[:value] + masked(raw[value:], how, salt)
    if kind == bson.ARRAY:  # a path leads through lists to each of their elements
        held = raw[value:]
        parts = [
            _element(
                held[start:end],
                inner,
                at - start,
                how if inner in {bson.DOCUMENT, bson.ARRAY} else None,
                salt,
            )
            for _, inner, start, at, end in bson.elements(held)
        ]
        return raw[:value] + bson.joined(parts)
    return raw


def _concealed(raw: bytes, kind: int, value: int, how: Conceal, salt: bytes) -> bytes:
    name = raw[1:value]
    if how is Conceal.HASH and kind != bson.NULL:
        return _text(name, sha256(salt + bytes([kind]) + raw[value:]).hexdigest())
    if how is Conceal.PARTIAL and kind == bson.TEXT:
        text = raw[value + 4 : -1].decode("utf-8", "replace")
        if len(text) >= _LONG_ENOUGH:
            return _text(name, "****" + text[-_SHOWN:])
    constant = None if how is Conceal.NULL else _CONSTANTS.get(kind)
    if constant is None:
        return bytes([bson.NULL]) + name
    return bytes([kind]) + name + constant


def _without_words(name: str, kind: int, element: bytes, held: bytes) -> bytes:
    """Errors without what quotes values: a duplicate key's message shows the whole key."""
    if name == "errmsg":
        return _text(b"errmsg\0", LEFT_OUT)
    if name == "writeErrors" and kind == bson.ARRAY:
        parts = []
        for _, _, start, value, end in bson.elements(held):
            inner = [
                _without_words(each, what, held[value:end][a:c], held[value:end][b:c])
                for each, what, a, b, c in bson.elements(held[value:end])
            ]
            parts.append(held[start:value] + bson.joined(inner))
        return b"\4writeErrors\0" + bson.joined(parts)
    if name in {"keyValue", "errInfo"}:
        return bytes([bson.NULL]) + name.encode() + b"\0"
    return element


def _text(name: bytes, text: str) -> bytes:
    encoded = text.encode() + b"\0"
    return bytes([bson.TEXT]) + name + struct.pack("<i", len(encoded)) + encoded
