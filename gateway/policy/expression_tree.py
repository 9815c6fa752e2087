"""The tree of a label expression, read from its text. Pure.

The language is Teleport's for ``db_labels_expression``:
https://goteleport.com/docs/reference/access-controls/predicate-language/#label-expressions.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from gateway.errors import PolicyError

MAX_DEPTH: Final = 32
MAX_STEPS: Final = 3  # functions around one value; ``lib/expressions`` applies as many

Value: TypeAlias = dict[str, Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)
        | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
        | (?P<mark>&&|\|\||==|!=|[!().,\[\]]))""",
    re.VERBOSE,
)
_STEPS: Final = {"email.local": "local", "strings.upper": "upper", "strings.lower": "lower"}
_TESTS: Final = {"contains_any": "any", "contains_all": "all"}
_LISTS: Final = frozenset({"trait", "labels_matching", "texts"})


@dataclass(frozen=True, slots=True)
class Test:
    """One test: *holds* is False where it must not hold."""

    kind: str
    left: Value
    right: Value
    holds: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """Several of which all (``and``) or one (``or``) must hold."""

    word: str
    parts: tuple["Node", ...]


Node: TypeAlias = Test | Group


def read(text: str) -> Node:
    """The tree of an expression.

    Raises:
        PolicyError: it is none; the message says at which character.
    """
    reader = _Reader(list(_tokens(text)))
    node = reader.either(0)
    if not reader.is_done():
        raise reader.mistake("expected the end")
    return node


def negated(node: Node) -> Node:
    """What holds where *node* does not."""
    if isinstance(node, Test):
        return Test(node.kind, node.left, node.right, holds=not node.holds)
    return Group("and" if node.word == "or" else "or", tuple(negated(part) for part in node.parts))


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise PolicyError(f"character {at + 1}: {text[at : at + 10].strip()!r} is not understood")
        kind = match.lastgroup or ""
        yield kind, match[kind], match.start(kind)
        at = match.end()


class _Reader:
    """Reads tokens from the left; ``||`` binds least, then ``&&``, then ``!``."""

    def __init__(self, tokens: Sequence[tuple[str, str, int]]) -> None:
        self._tokens = tokens
        self._at = 0

    def is_done(self) -> bool:
        return self._at == len(self._tokens)

    def mistake(self, sentence: str) -> PolicyError:
        if self.is_done():
            return PolicyError(f"the expression ends too early: {sentence}")
        _, value, at = self._tokens[self._at]
        return PolicyError(f"character {at + 1}: {sentence}, got {value!r}")

    def either(self, depth: int) -> Node:
        return self._chain("||", depth)

    def _chain(self, mark: str, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self.mistake("nested too deep")
        parts = [self._chain("&&", depth) if mark == "||" else self._one(depth)]
        while self._take(mark):
            parts.append(self._chain("&&", depth) if mark == "||" else self._one(depth))
        word = "or" if mark == "||" else "and"
        return parts[0] if len(parts) == 1 else Group(word, tuple(parts))

    def _one(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self.mistake("nested too deep")
        if self._take("!"):
            return negated(self._one(depth + 1))
        if self._take("("):
            inner = self.either(depth + 1)
            self._expect(")")
            return inner
        return self._test()

    def _test(self) -> Node:
        start = self._at
        name = self._path() if self._peek()[0] == "name" else ""
        if name in _TESTS or name in {"contains", "regexp.match"}:
            self._expect("(")
            left = self._value()
            self._expect(",")
            right = self._value()
            self._expect(")")
            return self._called(name, left, right, start)
        self._at = start
        left = self._value()
        sign = "==" if self._take("==") else "!=" if self._take("!=") else ""
        if not sign:
            raise self.mistake("expected == or !=")
        right = self._value()
        for side in (left, right):
            self._must(_is_one(side), start, "== and != compare single texts; use contains for lists")
        return Test("equal", left, right, holds=sign == "==")

    def _called(self, name: str, left: Value, right: Value, start: int) -> Node:
        if name == "regexp.match":
            is_text = right["source"]["kind"] == "text" and not right["steps"]
            self._must(is_text, start, "the pattern must be a text")
            return Test("match", left, right)
        self._must(not _is_one(left), start, f"{name} looks into a list")
        if name == "contains":
            self._must(_is_one(right), start, "contains looks for a single text; use contains_any for lists")
            return Test("any", left, right)
        return Test(_TESTS[name], left, right)

    def _value(self) -> Value:
        kind, value, _ = self._peek()
        if kind == "text":
            self._at += 1
            return _plain({"kind": "text", "value": self._text(value)})
        start = self._at
        name = self._path()
        if name == "user.metadata.name":
            return _plain({"kind": "user"})
        for prefix, source in (("labels", "label"), ("user.spec.traits", "trait")):
            if name == prefix:
                self._expect("[")
                key = self._string()
                self._expect("]")
                return _plain({"kind": source, "key": key})
            if name.startswith(f"{prefix}."):
                return _plain({"kind": source, "key": name.removeprefix(f"{prefix}.")})
        if not self._take("("):
            self._at = start
            raise self.mistake("expected a text, labels[…], user.spec.traits[…] or a function")
        return self._function(name, start)

    def _function(self, name: str, start: int) -> Value:
        if name == "labels_matching":
            made = _plain({"kind": "labels_matching", "pattern": self._string()})
        elif name == "set":
            texts = [self._string()]
            while self._take(","):
                texts.append(self._string())
            made = _plain({"kind": "texts", "values": texts})
        elif name in _STEPS:
            made = self._step(self._value(), {"kind": _STEPS[name]}, start)
        elif name == "regexp.replace":
            inner = self._value()
            self._expect(",")
            pattern = self._string()
            self._expect(",")
            step = {"kind": "replace", "pattern": pattern, "replacement": self._string()}
            made = self._step(inner, step, start)
        else:
            self._at = start
            raise self.mistake("expected a function that is known")
        self._expect(")")
        return made

    def _step(self, value: Value, step: dict[str, str], start: int) -> Value:
        self._must(len(value["steps"]) < MAX_STEPS, start, f"at most {MAX_STEPS} functions around one value")
        return {"source": value["source"], "steps": [*value["steps"], step]}

    def _path(self) -> str:
        kind, value, _ = self._peek()
        if kind != "name":
            raise self.mistake("expected a text, a label, a trait or a function")
        self._at += 1
        while self._take("."):
            kind, more, _ = self._peek()
            if kind != "name":
                raise self.mistake("expected a name")
            self._at += 1
            value = f"{value}.{more}"
        return value

    def _string(self) -> str:
        kind, value, _ = self._peek()
        if kind != "text":
            raise self.mistake("expected a text in quotes")
        self._at += 1
        return self._text(value)

    def _text(self, quoted: str) -> str:
        if quoted.startswith("`"):
            return quoted[1:-1]
        try:
            return str(json.loads(quoted))
        except ValueError:
            self._at -= 1
            raise self.mistake("expected a text with escapes as in JSON") from None

    def _peek(self) -> tuple[str, str, int]:
        if self.is_done():
            raise self.mistake("something is missing")
        return self._tokens[self._at]

    def _take(self, mark: str) -> bool:
        is_there = not self.is_done() and self._tokens[self._at][:2] == ("mark", mark)
        self._at += is_there
        return is_there

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise self.mistake(f"expected {mark}")

    def _must(self, holds: bool, start: int, sentence: str) -> None:  # noqa: FBT001 - reads as a sentence
        if not holds:
            raise PolicyError(f"character {self._tokens[start][2] + 1}: {sentence}")


def _plain(source: dict[str, Any]) -> Value:
    return {"source": source, "steps": []}


def _is_one(value: Value) -> bool:
    return value["source"]["kind"] not in _LISTS
