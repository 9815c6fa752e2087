"""What a person is told about a file with mistakes, and that hostile files end in a sentence."""

from typing import Any

import pytest

from gateway import document
from gateway.errors import ConfigError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["version"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": "v3"},
        "listen_addr": {"type": "string"},
        "names": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "ttl": {"type": "string", "pattern": "^[0-9]+h$", "x-expected": "a duration such as 8h"},
        "secret": {"type": "integer", "writeOnly": True},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "kind": {"enum": ["db", "role"]},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    },
}

MISTAKES = [
    (
        "versoin: v3",
        'f:1: expected the field "version", "v3"\nf:1: versoin: unknown field; did you mean "version"?',
    ),
    ("version: v4", "f:1: version: expected \"v3\", got 'v4'"),
    ("version: v3\nnames: [a, 2]", "f:2: names[1]: expected text, got 2"),
    ("version: v3\nnames: 5", "f:2: names: expected text or a list, got 5"),
    (
        "version: v3\n\nlabels:\n  env: no",
        "f:4: labels.env: expected text, got false (quote it to make it text)",
    ),
    ("version: v3\nlabels:\n  'a b': 1", "f:3: labels['a b']: expected text, got 1"),
    ("version: v3\nttl: 8 hours", "f:2: ttl: expected a duration such as 8h, got '8 hours'"),
    ("version: v3\nsecret: hunter2", "f:2: secret: expected a whole number, got something else"),
    ("version: v3\nkind: user", 'f:2: kind: expected one of "db", "role", got \'user\''),
    ("version: v3\nport: 70000", "f:2: port: expected at most 65535, got 70000"),
    ("version: v3\nlisten_addr: ''\nlisten_addr: x", "f:3: listen_addr: is given twice, first on line 2"),
    ("version: v3\nlabels: {[a]: b}", "f:2: labels: expected text as a key"),
    (
        "version: v3\nlabels: !!python/name:os.system x",
        "f:2: labels: the tag 'python/name:os.system' is not supported",
    ),
    ("a: b: c", "f:1: not readable as YAML: mapping values are not allowed here"),
    ("version: v3\nnames: \x01", "f:2: expected text, got the character U+0001"),
    ("[" * 5000, "f:1: expected at most 100 levels, got more"),
    ("&a [*a]", "f:1: not readable as YAML: the document is too large or too deep"),
    ("version: v3\n---\nversion: v3", "f:1: expected one document, got 2"),
    ("", "f:1: expected one document, got 0"),
]


@pytest.mark.parametrize(("text", "sentence"), MISTAKES)
def test_a_mistake_is_told_with_its_line_path_and_what_was_expected(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        document.read(text, "f", SCHEMA)
    assert str(caught.value) == sentence


def test_all_mistakes_are_told_at_once_in_the_order_of_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        document.read("port: x\nversion: v3\nkind: [1]\nlisten_adr: a\n", "f", SCHEMA)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["1", "3", "4"]


def test_values_stay_what_was_written() -> None:
    text = "version: v3\nlabels: {date: 2026-01-01, time: 12:30:00, octal: 0755, star: '*', '*': x, 1: y}\n"
    value, positions = document.read(text, "f", SCHEMA)
    assert value["labels"] == {
        "date": "2026-01-01",
        "time": "12:30:00",
        "octal": "0755",
        "star": "*",
        "*": "x",
        "1": "y",
    }
    assert positions["labels", "date"] == 2


def test_json_is_read_with_its_lines() -> None:
    value, positions = document.read('{\n "version": "v3",\n "port": 5\n}', "f", SCHEMA)
    assert value == {"version": "v3", "port": 5}
    assert positions["port",] == 3


def test_nested_aliases_cannot_grow_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="too large or too deep"):
        document.parse("\n".join(lines), "f")


def test_several_documents_keep_their_own_lines() -> None:
    first, second = document.parse("kind: role\n---\nkind: db\nspec:\n  a: 1\n---\n", "f")
    assert first.line(("kind",)) == 1
    assert second.line(("spec", "a")) == 5
    assert second.line(("spec", "missing", "deeper")) == 4
