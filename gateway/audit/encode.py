"""One event as one line of canonical JSON, and back.

Canonical means: keys sorted, no blanks, ASCII only, no floats. Every byte outside of printable ASCII is
an escape (DEL, C1 controls, line separators and bidirectional controls too), so a record is one line
whatever an attacker put into it, and a terminal that shows it sees no control byte. Text that is not
Unicode (a lone surrogate) becomes U+FFFD: JSON cannot carry it in a way that all readers accept.

    {"fields":{…},"id":"01K…","index":7,"kind":"user.login","time":"2026-01-31T12:00:00.000000001Z"}
"""

import calendar
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from gateway.errors import AuditError
from gateway.model.event import Event, Kind

MAX_RECORD_BYTES = (
    64 * 1024 * 1024
)  # a statement of 10 MiB whose every byte needs six; a line is never longer
MAX_DEPTH = 64  # of objects and arrays in a record's fields; ours need less than ten
_HEAD = b'{"fields":'
_KEYS = frozenset({"fields", "id", "index", "kind", "time"})
_SCALARS = frozenset({str, int, bool, type(None)})
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\.(\d{9})Z")
_NS = 1_000_000_000
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z: RFC 3339 has four digits for the year


@dataclass(frozen=True, slots=True)
class Record:
    """An event at its place in the log."""

    index: int
    event: Event


@dataclass(frozen=True, slots=True)
class Body:
    """A record but for its index, which only the writer knows: the line is ``head + index + tail``."""

    head: bytes
    tail: bytes

    def line(self, index: int) -> bytes:
        """The whole line, without the newline that ends it in a file."""
        return b"%b%d%b" % (self.head, index, self.tail)


def canonical(event: Event, index: int) -> bytes:
    """The line for *event* at *index*, without its newline; AuditError when a field cannot be recorded."""
    return body(event).line(index)


def body(event: Event) -> Body:
    """All of the line but its index; AuditError when a field cannot be recorded."""
    try:
        text = event.encoded or encode_fields(event.fields)
        id_ = f'"{event.id}"' if event.id.isascii() and event.id.isalnum() else _dump(_whole(event.id))
        head = f'{{"fields":{text},"id":{id_},"index":'
        tail = f',"kind":"{event.kind.value}","time":"{rfc3339(event.time_ns)}"}}'
    except (TypeError, ValueError, RecursionError) as error:
        raise AuditError(f"event {event.kind.value} cannot be recorded: {error}") from error
    if len(head) > MAX_RECORD_BYTES - 128:
        raise AuditError(f"event {event.kind.value} cannot be recorded: {len(head)} bytes")
    return Body(head.encode("ascii"), tail.encode("ascii"))


def encode_fields(fields: Mapping[str, Any]) -> str:
    """An event's fields as canonical JSON.

    Raises:
        TypeError, ValueError, RecursionError: JSON has no form for them that everybody reads alike.
    """
    plain = fields if type(fields) is dict else dict(fields)
    quick = _quickly(plain)
    if quick.isascii() and quick and b"\x7f" not in quick:
        _check(plain)
        return quick.decode("ascii")
    text = _dump(plain)
    _check(plain)  # after the encoder, which has refused what holds itself
    if "\\ud" in text:  # an astral character, or half of one
        return _dump(_whole(plain))
    return text


def decode(line: bytes) -> Record:
    """The record that *line* holds; AuditError unless the line is exactly what ``canonical`` writes."""
    raw, is_plain = _read(line)
    raw = _shaped(raw)
    try:
        kind = Kind(raw["kind"])
    except ValueError:
        raise AuditError(f"unknown kind of event: {raw['kind'][:64]!r}") from None
    index, time_ns = raw["index"], parse_rfc3339(raw["time"])
    record = Record(index, Event(kind, raw["id"], time_ns, raw["fields"]))
    is_plain = is_plain and b"\\u" not in line and b"\x7f" not in line
    if is_plain and time_ns >= 0 and rfc3339(time_ns) == raw["time"]:
        known = _quickly(raw)
    else:
        known = canonical(record.event, index)
    if known != line:
        raise AuditError("the line is not canonical")
    return record


def read_fields(line: bytes) -> Record:
    """As ``decode``, for readers that trust the file: without proving that the line is canonical."""
    raw = _shaped(_read_slowly(line))
    try:
        kind = Kind(raw["kind"])
        event = Event(kind, raw["id"], parse_rfc3339(raw["time"]), raw["fields"], _fields_in(line))
        return Record(raw["index"], event)
    except ValueError:
        raise AuditError(f"unknown kind of event: {raw['kind'][:64]!r}") from None


def rfc3339(time_ns: int) -> str:
    """UTC with nanoseconds; every value has the same length, so that text order is time order."""
    seconds, rest = divmod(time_ns, _NS)
    return f"{_second(seconds)}.{rest:09d}Z"


def parse_rfc3339(text: str) -> int:
    """Nanoseconds since the epoch of a time that ``rfc3339`` wrote."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise AuditError(f"not a time: {text[:40]!r}")
    return _seconds(found[1]) * _NS + int(found[2])


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    if not 0 <= seconds <= _LAST_SECOND:
        raise ValueError(f"time {seconds} is outside of the years 1970 to 9999")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


@lru_cache(maxsize=64)
def _seconds(text: str) -> int:
    try:
        return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        raise AuditError(f"not a time: {text!r}") from None


def _shaped(raw: Any) -> dict[str, Any]:
    """A line's value, once it has the form of a record."""
    if not isinstance(raw, dict) or raw.keys() != _KEYS:
        raise AuditError("the line is not a record")
    index = raw["index"]
    if type(index) is not int or index < 0 or not isinstance(raw["fields"], dict):
        raise AuditError("the line is not a record")
    if not all(isinstance(raw[key], str) for key in ("id", "kind", "time")):
        raise AuditError("the line is not a record")
    return raw


def _read(line: bytes) -> tuple[Any, bool]:
    """The value that *line* holds; True with it when ``_check`` found nothing in it.

    The quick reader is believed only where nothing is a float: as such it reads large integers, too.
    """
    if line.isascii():
        try:
            raw = orjson.loads(line)
            _check(raw)
        except (TypeError, ValueError):
            pass
        else:
            return raw, True
    return _read_slowly(line), False


def _read_slowly(line: bytes) -> Any:
    """The value that *line* holds, which is looked through nowhere: for that, this is as quick."""
    try:
        return _decoder.decode(line.decode("ascii"))
    except (ValueError, RecursionError):
        raise AuditError("the line is not JSON") from None


def _fields_in(line: bytes) -> str:
    """The fields as they stand in a canonical line, for whoever writes them again; empty in any other."""
    head, mark, _ = line.rpartition(b',"id":"')
    return head[len(_HEAD) :].decode("ascii") if mark and head.startswith(_HEAD) else ""


def _refuse(text: str) -> Any:
    raise ValueError(f"not an integer: {text}")


_decoder = json.JSONDecoder(parse_float=_refuse, parse_constant=_refuse)  # making one costs more than a line


def _check(fields: Mapping[str, Any]) -> None:
    """Refuse what canonical JSON has no form for, and what is nested too deeply for whoever reads it."""
    found: list[Any] = [fields]  # level by level; the one that is looked through ends before found[end]
    depth = end = 1
    for at, item in enumerate(found):
        if at == end:
            depth, end = depth + 1, len(found)
            if depth > MAX_DEPTH:
                raise ValueError(f"nested more than {MAX_DEPTH} deep")
        _look_into(item, found)


def _look_into(item: Any, found: list[Any]) -> None:
    """Add the objects and arrays that stand right in *item*."""
    if type(item) is dict:
        for key in item:
            if type(key) is not str:
                raise TypeError(f"a key is {type(key).__name__}, not str")
        item = item.values()
    for value in item:
        kind = type(value)
        if kind in _SCALARS:
            continue
        if kind is dict or kind is list or kind is tuple:
            found.append(value)
        elif not isinstance(value, str):
            raise TypeError(f"a value is {kind.__name__}")


def _whole(value: Any) -> Any:
    """*value* with every half of a surrogate pair joined or replaced."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value


_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def _quickly(value: Any) -> bytes:
    """*value* as the quick encoder writes it; empty where it cannot.

    Where that is ASCII without DEL, and nothing in *value* is a float, it is canonical JSON.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return b""


def _dump(value: Any) -> str:
    # The library escapes all above U+007E but DEL itself.
    return _encoder.encode(value).replace("\x7f", "\\u007f")
