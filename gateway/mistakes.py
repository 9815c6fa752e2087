"""The words for what a schema found wrong: what was expected, what was there, and the nearest known name."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from jsonschema.exceptions import ValidationError

Path: TypeAlias = tuple[str | int, ...]

_NO_SCHEMA: Mapping[str, Any] = {}
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def explain(error: ValidationError) -> Iterator[tuple[Path, str]]:
    """Where the reader should look, and the sentence; several where several fields are unknown."""
    error = _relevant(error)
    rule: Any = error.validator_value
    instance: Any = error.instance
    path: Path = tuple(error.absolute_path)
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    match error.validator:
        case "additionalProperties" | "unevaluatedProperties":
            known = _known_fields(schema)
            for name in instance:
                if name not in known and not _matches_pattern(name, schema):
                    sentence = f"unknown field{suggestion(name, known) or _known_list(known)}"
                    yield (*path, name), sentence
        case "required":
            for name in rule:
                if name not in instance:
                    expected = _expected_of(schema.get("properties", {}).get(name, {}))
                    yield path, f'expected the field "{name}"{f", {expected}" if expected else ""}'
        case "propertyNames":
            yield path, f"expected other field names: {error.message}"
        case _:
            yield path, f"expected {_expected(error, schema)}, got {shown(instance, schema)}"


def dotted(path: Path) -> str:
    """``spec.databases[0].name``; a key that is no plain word is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_NAME.match(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def suggestion(name: str, known: Iterable[str]) -> str:
    """``; did you mean "listen_addr"?``, or nothing when no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def _relevant(error: ValidationError) -> ValidationError:
    """Of alternatives that all failed, the error of the one that came furthest; else the error itself."""
    stated = isinstance(error.schema, Mapping) and "x-expected" in error.schema
    if error.validator not in {"anyOf", "oneOf"} or not error.context or stated:
        return error
    deepest = max(error.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type"))
    if len(deepest.absolute_path) == len(error.absolute_path) and deepest.validator == "type":
        return error
    return _relevant(deepest)


def _expected(error: ValidationError, schema: Mapping[str, Any]) -> str:
    stated = schema.get("x-expected")
    if isinstance(stated, str):
        return stated
    value: Any = error.validator_value
    match error.validator:
        case "enum":
            return _one_of(value)
        case "const":
            return f'"{value}"' if isinstance(value, str) else str(value)
        case "pattern":
            return f"text that matches {value}"
        case "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties":
            word = "at least" if str(error.validator).startswith("min") else "at most"
            unit = "characters" if str(error.validator).endswith("Length") else "entries"
            return f"{word} {value} {unit}" if value != 1 else "something, not nothing"
        case "minimum":
            return f"at least {value}"
        case "maximum":
            return f"at most {value}"
        case "uniqueItems":
            return "each entry only once"
    return _expected_of(schema) or "something else"


def _expected_of(schema: Any) -> str:
    """What *schema* asks for, in a few words; empty when it does not say."""
    if not isinstance(schema, Mapping):
        return ""
    if isinstance(schema.get("x-expected"), str):
        return str(schema["x-expected"])
    if "enum" in schema:
        return _one_of(schema["enum"])
    if "const" in schema:
        return f'"{schema["const"]}"'
    wanted = schema.get("type")
    if isinstance(wanted, str):
        return _TYPES.get(wanted, wanted)
    if isinstance(wanted, list):
        return " or ".join(_TYPES.get(str(item), str(item)) for item in wanted)
    choices = schema.get("anyOf") or schema.get("oneOf") or ()
    words = [_expected_of(choice) for choice in choices]
    return " or ".join(word for word in dict.fromkeys(words) if word)


def _one_of(values: Iterable[Any]) -> str:
    texts = [f'"{value}"' if isinstance(value, str) else str(value).lower() for value in values]
    return texts[0] if len(texts) == 1 else f"one of {', '.join(texts)}"


def _known_fields(schema: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(schema.get("properties", {}))


def _matches_pattern(name: str, schema: Mapping[str, Any]) -> bool:
    return any(re.search(pattern, name) for pattern in schema.get("patternProperties", {}))


def _known_list(known: tuple[str, ...]) -> str:
    return f"; expected one of {', '.join(known)}" if 0 < len(known) <= 12 else ""


def shown(value: Any, schema: Mapping[str, Any] = _NO_SCHEMA) -> str:
    """The value as a person wrote it, short; containers only by their kind, secrets not at all."""
    match value:
        case _ if schema.get("writeOnly"):
            return "something else"
        case None:
            return "nothing"
        case bool():
            return (
                f"{str(value).lower()} (quote it to make it text)"
                if schema.get("type") == "string"
                else str(value).lower()
            )
        case str():
            return repr(value if len(value) <= 60 else value[:57] + "…")
        case int() | float():
            return str(value)
        case list():
            return "a list" if value else "an empty list"
        case _:
            return "a mapping" if value else "an empty mapping"
