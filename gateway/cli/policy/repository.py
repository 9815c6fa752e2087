"""A policy repository on disk, and the folder that OPA is shown in its place.

OPA sees the shipped library beside the team's guards and tests, under the paths that the team knows, and in
``data.regate`` what a cluster would push: the repository's roles, and the users and databases of ``data/``.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gateway.auth import resources
from gateway.errors import ConfigError
from gateway.policy import canary, opa
from gateway.policy import document as questions
from gateway.policy.data import build_data
from gateway.schema import data_dir

LIBRARY = "gateway"
DATA_REVISION = 1
# What of the shipped policies' own tests others may build on.
_FOR_TESTS = Path("testing", "testing_test.rego")


@dataclass(frozen=True, slots=True)
class Repository:
    """Where one lies. Its roles are read when asked for; a ConfigError lists every mistake in them."""

    root: Path

    def rego(self) -> list[Path]:
        """Every Rego file of the team's, tests too."""
        return [path for path in sorted(self.root.rglob("*.rego")) if not self._is_hidden(path)]

    def roles(self) -> dict[str, Mapping[str, Any]]:
        """The role documents of ``roles/``, by name."""
        found: dict[str, Mapping[str, Any]] = {}
        for path, document in self._documents("roles"):
            name = document["metadata"]["name"]
            if document["kind"] != "role":
                raise ConfigError(f"{path}: expected roles, got {document['kind']}/{name}")
            if name in found:
                raise ConfigError(f"{path}: expected a name of its own, got {name!r} again")
            found[name] = document
        return found

    def data(self) -> dict[str, list[Mapping[str, Any]]]:
        """What the tests speak of, by kind: ``user``, ``db`` and ``lock``."""
        found: dict[str, list[Mapping[str, Any]]] = {"user": [], "db": [], "lock": []}
        for path, document in self._documents("data"):
            if document["kind"] not in found:
                raise ConfigError(f"{path}: expected users, databases and locks, got {document['kind']}")
            found[document["kind"]].append(document)
        return found

    def _documents(self, folder: str) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        for path in sorted((self.root / folder).rglob("*.yaml")):
            shown = path.relative_to(self.root)
            for item in resources.load(path.read_text(encoding="utf-8"), str(shown)):
                yield shown, item.resource.document

    def _is_hidden(self, path: Path) -> bool:
        return any(part.startswith(".") for part in path.relative_to(self.root).parts)


def at(folder: str) -> Repository:
    """The repository in *folder*; a ConfigError when there is none."""
    root = Path(folder)
    if root.is_file():
        raise ConfigError(
            f"{root} is a file, not the folder of a policy repository", hint=f"try {root.parent}"
        )
    if not any((root / name).is_dir() for name in ("roles", "guards", "team")):
        raise ConfigError(
            f"{root} is no policy repository: it has no folder roles, guards or team",
            hint=f"make one with: regate policy init {root}",
        )
    return Repository(root)


@contextmanager
def assembled(repository: Repository, program: Path) -> Iterator[Path]:
    """A folder to run OPA in, for the length of the block; its data are those of a cluster."""
    with TemporaryDirectory(prefix="regate-policy-") as name:
        folder = Path(name)
        shipped = data_dir("policies") / "gateway"
        for path in shipped.rglob("*.rego"):
            inside = path.relative_to(shipped)
            if not path.name.endswith("_test.rego") or inside == _FOR_TESTS:
                _copy(path, folder / LIBRARY / inside)
        for path in repository.rego():
            _copy(path, folder / path.relative_to(repository.root))
        _write(folder / "data.json", _data(repository, program, folder))
        yield folder


def _data(repository: Repository, program: Path, folder: Path) -> dict[str, Any]:
    given = repository.data()
    documents = build_data(
        repository.roles().values(), given["user"], given["lock"], given["db"], DATA_REVISION
    )
    whole = canary.with_canary(documents)
    asked = folder / ".question.json"
    _write(asked, questions.index(whole["roles"], whole["locks"], whole["guards"]))
    said = opa.run(
        program, "eval", "--format=json", "--data", LIBRARY, "--input", asked.name,
        "data.gateway.prepare.index", cwd=folder,
    )  # fmt: skip
    asked.unlink()
    index = json.loads(said)["result"][0]["expressions"][0]["value"]
    return {"regate": {**whole, "index": index}}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
