"""Reads YAML and JSON that people write: every value keeps its line, and all mistakes are told at once.

YAML is read as data only: no tags beyond the plain ones, no duplicate keys, no dates or base-60 numbers made
out of text, keys are always text. A mistake reads ``role.yaml:7: spec.allow.db_labels: expected a mapping,
got a list``.

A schema may carry two words of help: ``x-expected`` (what a person should write, as in "a duration such as
8h") and the standard ``writeOnly`` (the value is a secret and is never repeated).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from gateway.errors import ConfigError
from gateway.mistakes import Path, dotted, explain, shown

Positions: TypeAlias = Mapping[Path, int]

MAX_TEXT = 4 * 1024 * 1024  # characters; a policy repository's largest role file is far below
MAX_NODES = 200_000  # values after aliases are expanded, so that nested aliases cannot grow without bound
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: plain JSON values, and the line of each path in it (lines count from 1)."""

    value: Any
    positions: Positions

    def line(self, path: Path) -> int:
        """The line of *path*, or of the nearest thing around it that has one."""
        for end in range(len(path), -1, -1):
            found = self.positions.get(path[:end])
            if found is not None:
                return found
        return 1


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake: where it is, and what was expected there."""

    line: int
    path: str
    sentence: str

    def text(self, filename: str) -> str:
        """``file:line: path: sentence``."""
        where = f"{filename}:{self.line}"
        return f"{where}: {self.path}: {self.sentence}" if self.path else f"{where}: {self.sentence}"


def read(text: str, filename: str, schema: Mapping[str, Any]) -> tuple[Any, Positions]:
    """The one document of *text*, checked against *schema*; a ConfigError lists all mistakes."""
    documents = parse(text, filename)
    if len(documents) != 1:
        raise ConfigError(f"{filename}:1: expected one document, got {len(documents)}")
    document = documents[0]
    refuse(filename, problems(document, schema))
    return document.value, document.positions


def parse(text: str, filename: str) -> list[Document]:
    """All documents of *text* (separated by ``---``), without empty ones; JSON is read too."""
    if len(text) > MAX_TEXT:
        raise ConfigError(f"{filename}:1: expected at most {MAX_TEXT} characters, got {len(text)}")
    found: list[Problem] = []
    try:
        documents = [
            _construct(node, found) for node in yaml.compose_all(text, Loader=_Loader) if not _is_empty(node)
        ]
    except RecursionError:
        raise ConfigError(f"{filename}:1: expected at most {MAX_DEPTH} levels, got more") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{filename}:{line}: not readable as YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{filename}:{line}: expected text, got the character U+{error.character:04X}"
        ) from None
    refuse(filename, found)
    return documents


def problems(document: Document, schema: Mapping[str, Any]) -> list[Problem]:
    """Every mistake of *document* against *schema*, in the order of lines."""
    found = {
        Problem(document.line(path), dotted(path), sentence)
        for error in _Validator(schema).iter_errors(document.value)
        for path, sentence in explain(error)
    }
    return sorted(found)


def refuse(filename: str, found: Iterable[Problem]) -> None:
    """Raise one ConfigError that lists *found*; do nothing when there is none."""
    lines = [problem.text(filename) for problem in found]
    if lines:
        raise ConfigError("\n".join(lines))


def _matches(_validator: object, pattern: str, value: object, _schema: object) -> Iterator[ValidationError]:
    """As JSON Schema means it: ``$`` is the very end. Python's would let a newline follow."""
    strict = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    if isinstance(value, str) and not re.search(strict, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_Validator: type[Draft202012Validator] = extend(  # type: ignore[no-untyped-call]  # its stubs lack it
    Draft202012Validator, {"pattern": _matches}
)


class _Loader(yaml.SafeLoader):
    """YAML's words for true, false and nothing, decimal numbers, and text; nothing else is guessed."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own shape


for _tag, _pattern, _first in (
    (
        "bool",
        r"(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)\Z",
        "yYnNtTfFoO",
    ),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)\Z", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z", "-+0123456789"),
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


@dataclass(slots=True)
class _Build:
    """What one document's construction has gathered so far."""

    found: list[Problem]
    positions: dict[Path, int] = field(default_factory=dict)
    nodes: int = 0


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.value and node.style is None


def _construct(node: yaml.Node, found: list[Problem]) -> Document:
    build = _Build(found)
    value = _value(node, (), build)
    return Document(value, build.positions)


def _value(node: yaml.Node, path: Path, build: _Build) -> Any:
    build.nodes += 1
    if build.nodes > MAX_NODES or len(path) > MAX_DEPTH:
        mark = node.start_mark
        raise yaml.MarkedYAMLError(problem="the document is too large or too deep", problem_mark=mark)
    build.positions.setdefault(path, node.start_mark.line + 1)
    match node:
        case yaml.MappingNode():
            return _mapping(node, path, build)
        case yaml.SequenceNode():
            return [_value(item, (*path, index), build) for index, item in enumerate(node.value)]
        case _:
            return _scalar(node, path, build)


def _mapping(node: yaml.MappingNode, path: Path, build: _Build) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            build.found.append(Problem(line, dotted(path), "expected text as a key"))
            continue
        key = str(key_node.value)
        if key in result:
            first = build.positions[(*path, key)]
            build.found.append(Problem(line, dotted((*path, key)), f"is given twice, first on line {first}"))
            continue
        build.positions[(*path, key)] = line
        result[key] = _value(value_node, (*path, key), build)
    return result


def _scalar(node: yaml.Node, path: Path, build: _Build) -> Any:
    text = str(node.value)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "str":
            return text
        case "null":
            return None
        case "bool":
            return text.lower() in {"yes", "true", "on"}
        case "int" | "float" as kind:
            try:
                return int(text) if kind == "int" else float(text)
            except ValueError:
                problem = f"expected a number, got {shown(text)}"
        case tag:
            problem = f"the tag {tag!r} is not supported"
    build.found.append(Problem(node.start_mark.line + 1, dotted(path), problem))
    return None
