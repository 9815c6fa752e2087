"""A command as text for the log: canonical extended JSON, secrets replaced, one line whatever is in it.

https://www.mongodb.com/docs/manual/reference/mongodb-extended-json/. Where a command was not understood no
value of it is shown, for it may be a mistyped password.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from bson import json_util

from gateway.classify.redact import holds_secret, mark
from gateway.protocols.mongodb import documents
from gateway.protocols.mongodb.documents import UnreadableError

HIDDEN: Final = "***"
MAX_TEXT: Final = 4096  # characters of a record
MAX_FINGERPRINT: Final = 1024
_MAX_VALUE: Final = 256  # characters of one text
_MOST: Final = 16  # elements of one list
_MOST_INSERTED: Final = 4  # documents of an insert that are shown
_SECRET: Final = re.compile(
    r"pass(?:word|wd|phrase)|pass(?:code)?$|^pwd$|pwd$|secret|token|api_?key|access_?key|private_?key|credential|"
    r"^payload$|^customData$|^nonce$|^authorization$|keymaterial|^key$",
    re.IGNORECASE,
)
_KEY_IS_NO_SECRET: Final = frozenset(
    {"createIndexes", "distinct", "aggregate", "explain", "create", "collMod"}
)
_SETTINGS: Final = frozenset({"setParameter", "setClusterParameter", "configureFailPoint", "copydb", "clone"})
_NAME: Final = re.compile(r"[\w.-]{1,120}\Z")
_OPTIONS: Final = json_util.CANONICAL_JSON_OPTIONS
_UNSEEN: Final = frozenset({"$clusterTime", "lsid", "$readPreference"})


def text(name: str, command: Mapping[str, Any], inserted: Sequence[bytes], *, is_known: bool) -> str:
    """The record of a command that could be read."""
    fields = {key: value for key, value in command.items() if key not in _UNSEEN}
    if not is_known:
        return mark(_dumps(fields), _cut(_dumps(_bare(name, fields))))
    shown = {key: _shown(name, key, value) for key, value in fields.items()}
    if inserted:
        shown["documents"] = [_document(name, raw) for raw in inserted[:_MOST_INSERTED]]
        if len(inserted) > _MOST_INSERTED:
            shown["documents"].append(f"… ({len(inserted)} documents)")
    return _cut(_dumps(shown))


def unreadable(name: str, raw: bytes) -> str:
    """What may be said of a command that nobody could read."""
    word = name if _NAME.match(name) else ""
    return f"{word} … /* sha256:{sha256(raw).hexdigest()} length:{len(raw)} */".strip()


def fingerprint(name: str, command: Mapping[str, Any]) -> str:
    """The command without values: which fields, which operators, in which collection."""
    word = name if _NAME.match(name) else "?"
    target = command.get(name)
    if isinstance(target, dict):
        place = _shape(target)
    else:
        place = target if isinstance(target, str) and _NAME.match(target) else "?"
    skipped = {name, "$db", "comment", *_UNSEEN}
    shape = ",".join(f"{key}:{_shape(value)}" for key, value in command.items() if key not in skipped)
    database = command.get("$db")
    if not isinstance(database, str):
        database = "?"
    whole = f"{word} {database}.{place} {{{shape}}}"
    if len(whole) <= MAX_FINGERPRINT:
        return whole
    return f"{whole[: MAX_FINGERPRINT - 80]}… sha256:{sha256(whole.encode('utf-8', 'replace')).hexdigest()}"


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_shape(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dict.fromkeys(_shape(inner) for inner in value[:_MOST])) + "]"
    return "?"


def _shown(name: str, key: str, value: Any) -> Any:
    """A value without its secrets and not at full length."""
    if name in _SETTINGS and not key.startswith("$") and key != name:
        return HIDDEN
    if _is_secret(key) and not (key == "key" and name in _KEY_IS_NO_SECRET):
        return HIDDEN
    if isinstance(value, dict):
        if isinstance(value.get("field"), str) and _is_secret(value["field"]):
            return HIDDEN  # what $setField puts there
        return {_word(inner): _shown(name, inner, held) for inner, held in value.items()}
    if isinstance(value, list):
        if any(isinstance(held, str) and held.startswith("$") and _is_secret(held[1:]) for held in value):
            return HIDDEN  # what the field is compared with
        shown = [_shown(name, "", held) for held in value[:_MOST]]
        return [*shown, f"… ({len(value)} elements)"] if len(value) > _MOST else shown
    if isinstance(value, str):
        if holds_secret(value):
            return HIDDEN
        return value if len(value) <= _MAX_VALUE else f"{value[:_MAX_VALUE]}… ({len(value)} characters)"
    if isinstance(value, bytes) and len(value) > _MAX_VALUE:
        return f"… ({len(value)} bytes)"
    return value


def _is_secret(path: str) -> bool:
    return any(_SECRET.search(part) for part in path.split("."))


def _document(name: str, raw: bytes) -> Any:
    """A document that is inserted; a long one is only counted."""
    if len(raw) > MAX_TEXT:
        return f"… ({len(raw)} bytes)"
    try:
        return _shown(name, "", documents.read(raw))
    except UnreadableError:
        return f"… ({len(raw)} bytes)"


def _bare(name: str, command: Mapping[str, Any]) -> Any:
    """The command with its names alone: no value in it is shown but where it is sent."""
    shown = {_word(key): _without_values(value) for key, value in list(command.items())[:_MOST]}
    for key in (name, "$db"):
        value = command.get(key)
        if isinstance(value, str) and _NAME.match(value) and key in shown:
            shown[key] = value
    return shown


def _without_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {_word(key): _without_values(inner) for key, inner in list(value.items())[:_MOST]}
    if isinstance(value, list):
        return [_without_values(inner) for inner in value[:_MOST]]
    return "?"


def _word(key: str) -> str:
    return key if len(key) <= _MAX_VALUE else key[:_MAX_VALUE] + "…"


def _dumps(value: Any) -> str:
    """One line of ASCII: a terminal that shows it sees no control character."""
    return json_util.dumps(value, json_options=_OPTIONS, ensure_ascii=True)


def _cut(shown: str) -> str:
    return shown if len(shown) <= MAX_TEXT else f"{shown[:MAX_TEXT]}… ({len(shown)} characters)"
