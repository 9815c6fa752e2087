"""Reads resources as operators write them: every mistake of every document is told, with file and line.

A field that is about other kinds of resources (``x-other-resource`` in ``schemas/``) is accepted and named
in a warning; one that is not known at all is a mistake.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from gateway import schema
from gateway.address import parse_all as parse_addresses
from gateway.auth.store import KINDS, Resource
from gateway.document import Document, Problem, parse, problems, refuse
from gateway.errors import ConfigError
from gateway.mistakes import Path, dotted, shown, suggestion
from gateway.model.resource import SEVERAL_SEEDS, WITH_SECRET

_ROLE_SCHEMAS = {"v7": "resource.role.v7", "regate/v1": "resource.role.regate-v1"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A resource, what the operator should know about it, and where its parts stand in the file."""

    resource: Resource
    warnings: tuple[str, ...]
    document: Document

    def problem(self, path: str, sentence: str) -> Problem:
        """A mistake at a dotted path, on the line of the nearest thing that has one."""
        lines = {dotted(known): line for known, line in self.document.positions.items()}
        shorter = path
        while shorter and shorter not in lines:
            shorter = shorter.rpartition(".")[0]
        return Problem(lines.get(shorter, self.document.line(())), path, sentence)


def load(text: str, filename: str) -> list[Loaded]:
    """The resources of *text*; a ConfigError lists every mistake in it."""
    documents = parse(text, filename)
    if not documents:
        raise ConfigError(f"{filename}:1: expected a resource, got nothing")
    found: list[Problem] = []
    schemas = [_schema(document, found) for document in documents]
    checked = [pair for pair in zip(documents, schemas, strict=True) if pair[1] is not None]
    for document, form in checked:
        assert form is not None
        mistakes = problems(document, form)
        found.extend(mistakes or _beyond_schema(document))
    found.extend(_twice(documents))
    refuse(filename, sorted(found))
    return [_loaded(document, form, filename) for document, form in checked if form is not None]


def documents_of(value: Mapping[str, Any]) -> Resource:
    """The resource that a checked document is."""
    spec = dict(value["spec"])
    if value["kind"] == "user":
        spec["roles"] = list(spec.get("roles") or [])
        spec["traits"] = {name: list(values or []) for name, values in (spec.get("traits") or {}).items()}
    document = {**value, "spec": spec}
    return Resource(value["kind"], value["metadata"]["name"], value["version"], document)


def _schema(document: Document, found: list[Problem]) -> Mapping[str, Any] | None:
    """The schema for a document's kind and version; None, and a mistake, when there is none."""
    value = document.value
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(value, dict) or kind is None:
        found.append(Problem(document.line(()), "", "expected a resource with kind, version, metadata, spec"))
        return None
    if kind not in KINDS:
        near = suggestion(kind, KINDS) if isinstance(kind, str) else ""
        sentence = f"expected one of {', '.join(KINDS)}, got {shown(kind)}{near}"
        found.append(Problem(document.line(("kind",)), "kind", sentence))
        return None
    if kind != "role":
        return schema.load(f"resource.{kind}")
    version = value.get("version")
    if not isinstance(version, str) or version not in _ROLE_SCHEMAS:
        sentence = f"expected one of {', '.join(_ROLE_SCHEMAS)}, got {shown(version)}"
        found.append(Problem(document.line(("version",)), "version", sentence))
        return None
    return schema.load(_ROLE_SCHEMAS[version])


def _loaded(document: Document, form: Mapping[str, Any], filename: str) -> Loaded:
    warnings = tuple(
        f"{filename}:{document.line(path)}: {dotted(path)}: is about other resources and has no effect"
        for path in _marked(document.value, form, "x-other-resource", ())
    )
    value = _without(document.value, set(_marked(document.value, form, "x-ignored", ())))
    return Loaded(documents_of(value), warnings, document)


def _marked(value: Any, form: Mapping[str, Any], mark: str, path: Path) -> Iterator[Path]:
    """The paths of *value* whose schema carries *mark*."""
    if form.get(mark):
        yield path
    elif isinstance(value, dict):
        known = form.get("properties", {})
        for name, item in value.items():
            yield from _marked(item, known.get(name, {}), mark, (*path, name))


def _without(value: Any, paths: set[Path], at: Path = ()) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: _without(item, paths, (*at, name)) for name, item in value.items() if (*at, name) not in paths
    }


def _twice(documents: list[Document]) -> Iterator[Problem]:
    seen: dict[tuple[object, object], int] = {}
    for document in documents:
        value = document.value
        metadata = value.get("metadata") if isinstance(value, dict) else None
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            continue
        key = (value.get("kind"), metadata["name"])
        line = document.line(("metadata", "name"))
        if key in seen:
            sentence = f"the {key[0]} {key[1]!r} is given twice, first on line {seen[key]}"
            yield Problem(line, "metadata.name", sentence)
        seen.setdefault(key, line)


def _beyond_schema(document: Document) -> Iterator[Problem]:
    """What a JSON Schema cannot say well."""
    for path in (("metadata", "expires"), ("spec", "expires")):
        moment = document.value[path[0]].get(path[1])
        if isinstance(moment, str) and not _is_moment(moment):
            sentence = f"expected a time such as 2026-01-31T12:00:00Z, got {moment!r}"
            yield Problem(document.line(path), dotted(path), sentence)
    if document.value["kind"] == "db":
        yield from _database_mistakes(document, document.value["spec"])


def _is_moment(text: str) -> bool:
    """A day that is in the calendar, in the years that OPA can count in nanoseconds.

    Anything else would make a built-in of OPA fail, and with it every decision.
    """
    try:
        return 2000 <= datetime.fromisoformat(text).year < 2262
    except ValueError:
        return False


def _database_mistakes(document: Document, spec: Mapping[str, Any]) -> Iterator[Problem]:
    def mistake(path: Path, sentence: str) -> Problem:
        return Problem(document.line(("spec", *path)), dotted(("spec", *path)), sentence)

    if not str(spec["uri"]).startswith("unix:"):
        try:
            if len(parse_addresses(spec["uri"])) > 1 and spec["protocol"] not in SEVERAL_SEEDS:
                yield mistake(("uri",), f"expected one address: {spec['protocol']} has no seed nodes")
        except ConfigError as error:
            yield mistake(("uri",), f"expected host:port or unix:/path, {error}")
    auth = spec.get("auth", {})
    method = auth.get("method", "certificate")
    secrets = [name for name in ("secret_file", "secret_env") if name in auth]
    if method in WITH_SECRET and len(secrets) != 1:
        yield mistake(("auth",), "expected one of secret_file and secret_env")
    if method not in WITH_SECRET and secrets:
        yield mistake(("auth", secrets[0]), f"expected no secret with the method {method}")
    authority = spec.get("tls", {}).get("ca_cert")
    if authority is not None:
        try:
            x509.load_pem_x509_certificates(authority.encode())
        except ValueError:
            yield mistake(("tls", "ca_cert"), "expected certificates in PEM, got something unreadable")
