"""A corpus of statements and messages with the verdict that each must get, as YAML that people write.

    - id: PG-001
      protocol: postgresql
      kind: sql                  # or wire, startup, command, http; scenario describes what no bytes can
      encoding: text             # or hex
      payload: SELECT 1; DELETE FROM app.orders
      must: deny                 # or fail_closed, or parse: understood as in "expect", and allowed
      expect: {verbs: [SELECT, DELETE], tables: [app.orders]}

``category`` and ``note`` are for readers. Every scalar is taken as text, whatever it looks like: a payload of
digits is no number.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import yaml

from gateway.document import Problem, refuse
from gateway.errors import ConfigError
from gateway.mistakes import shown, suggestion
from gateway.protocols import REGISTRY
from gateway.sansio.protocol import Protocol

# Other names under which corpora speak of a protocol.
ALIASES: Final[Mapping[str, str]] = {"postgresql": "postgres"}
_ONE_TONGUE: Final[Mapping[str, str]] = {"mariadb": "mysql"}
MAX_TEXT: Final = 64 * 1024 * 1024  # characters
_LISTS: Final = ("verbs", "tables", "functions", "operators")
_HEX: Final = re.compile(r"[0-9a-fA-F\s]*\Z")
# With libyaml where it is there: ten times as fast.
_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class Must(StrEnum):
    """What an entry must get."""

    DENY = "deny"  # a refusal that the protocol has words for
    PARSE = "parse"  # understood exactly, and let through: a control against over-blocking
    FAIL_CLOSED = "fail_closed"  # cannot or must not be understood: refused, or the connection closed


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``payload`` is text, or bytes where it was written as hex; ``line`` is where it begins."""

    id: str
    protocol: str
    kind: str
    payload: str | bytes
    must: Must
    line: int
    category: str = ""
    note: str = ""
    expect: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read(text: str, filename: str) -> list[Entry]:
    """The entries of *text*; a ConfigError lists every mistake in it, with file and line."""
    if len(text) > MAX_TEXT:
        raise ConfigError(f"{filename}:1: expected at most {MAX_TEXT} characters, got {len(text)}")
    try:
        nodes = _nodes(text, filename)
        values = yaml.load(text, _LOADER) or []  # noqa: S506 # BaseLoader makes nothing but text
    except RecursionError:
        raise ConfigError(f"{filename}:1: expected a list of entries, got something too deep") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{filename}:{_line(mark)}: not readable as YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise ConfigError(f"{filename}:1: not readable as YAML: it holds a character that is none") from None
    found: list[Problem] = []
    entries = [
        entry
        for node, value in zip(nodes, values, strict=True)
        if (entry := _entry(value, node.start_mark.line + 1, found)) is not None
    ]
    refuse(filename, sorted(found))
    return entries


def known_protocol(name: str) -> Protocol:
    """The protocol that is called *name*, here or in a corpus.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    found = REGISTRY.get(name) or REGISTRY.get(ALIASES.get(name, ""))
    if found is None:
        near = suggestion(name, tuple(REGISTRY))
        raise ConfigError(f"there is no protocol {name!r}, expected one of {', '.join(REGISTRY)}{near}")
    return found


def protocol_of(entry: Entry) -> Protocol | None:
    """The protocol that judges *entry*; None when it is not built yet."""
    return REGISTRY.get(entry.protocol) or REGISTRY.get(ALIASES.get(entry.protocol, ""))


def speaks(entry: Entry, spoken: str) -> bool:
    """True when a database that speaks *spoken* takes the entry: MySQL and MariaDB speak one protocol."""
    protocol = protocol_of(entry)
    return protocol is not None and _ONE_TONGUE.get(protocol.name, protocol.name) == _ONE_TONGUE.get(
        spoken, spoken
    )


def not_judged(entry: Entry) -> str:
    """Why *entry* is not judged without a server; empty when it is."""
    if entry.kind == "scenario":
        return "scenarios describe what a server or a network does"
    protocol = protocol_of(entry)
    if protocol is None:
        return f"the protocol {entry.protocol} is not built yet"
    if entry.kind not in protocol.rehearsals:
        return f"the protocol {entry.protocol} rehearses no entries of kind {entry.kind}"
    return ""


def _nodes(text: str, filename: str) -> list[yaml.Node]:
    root = yaml.compose(text, _LOADER)
    if root is None:
        return []
    if not isinstance(root, yaml.SequenceNode):
        raise ConfigError(f"{filename}:{root.start_mark.line + 1}: expected a list of entries")
    return list(root.value)


def _line(mark: yaml.Mark | None) -> int:
    return mark.line + 1 if mark else 1


def _entry(value: Any, line: int, found: list[Problem]) -> Entry | None:
    if not isinstance(value, dict):
        found.append(Problem(line, "", "expected an entry with id, protocol, kind, payload and must"))
        return None
    before = len(found)
    texts = {name: _text(value, name, line, found) for name in ("id", "protocol", "kind", "must", "payload")}
    payload = _payload(value, texts["payload"], line, found)
    if texts["must"] and texts["must"] not in set(Must):
        near = suggestion(texts["must"], tuple(Must))
        sentence = f"expected one of {', '.join(Must)}, got {shown(texts['must'])}{near}"
        found.append(Problem(line, "must", sentence))
    expect = dict(_expectations(value.get("expect"), line, found))
    if len(found) > before:
        return None
    return Entry(
        texts["id"], texts["protocol"].lower(), texts["kind"].lower(), payload, Must(texts["must"]), line,
        str(value.get("category", "")), str(value.get("note", "")), expect,
    )  # fmt: skip


def _text(value: Mapping[str, Any], name: str, line: int, found: list[Problem]) -> str:
    """The field *name*, which only a payload may leave empty."""
    held = value.get(name)
    if isinstance(held, str) and (held.strip() or name == "payload"):
        return held
    found.append(Problem(line, name, "expected text, got " + shown(held)))
    return ""


def _payload(value: Mapping[str, Any], text: str, line: int, found: list[Problem]) -> str | bytes:
    match value.get("encoding", "text"):
        case "text" | "":
            return text
        case "hex" if _HEX.match(text) and len("".join(text.split())) % 2 == 0:
            return bytes.fromhex(text)
        case "hex":
            found.append(Problem(line, "payload", "expected pairs of hexadecimal digits"))
        case other:
            found.append(Problem(line, "encoding", f"expected text or hex, got {shown(other)}"))
    return ""


def _expectations(value: Any, line: int, found: list[Problem]) -> Iterator[tuple[str, tuple[str, ...]]]:
    if value is None or value == "":
        return
    if not isinstance(value, dict):
        found.append(Problem(line, "expect", "expected a mapping"))
        return
    for name in _LISTS:
        held = value.get(name)
        if isinstance(held, list) and all(isinstance(item, str) for item in held):
            yield name, tuple(held)
        elif held:
            found.append(Problem(line, f"expect.{name}", "expected a list of texts"))
