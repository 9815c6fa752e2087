"""What decisions were made from, as commands get it: through the API, or from a folder of the log."""

import base64
import typing
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from gateway.cli.client import Api, segment
from gateway.errors import ConfigError, NotFoundError
from gateway.policy.evidence import Evidence, Question

_AT_ONCE = 500
WHERE_ELSE = (
    "what a service elsewhere decided from comes a little after its records, once it is reached again; "
    "the last moments before a crash have none"
)


def need_one_log(decision_id: str, origins: Collection[str]) -> None:
    """ConfigError when records of several logs have the id: who took a service over can repeat another's."""
    if len(origins) > 1:
        raise ConfigError(
            f"decision {decision_id} stands in {len(origins)} logs: {', '.join(sorted(origins))}",
            hint="no two services make the same id; say which log you mean: --origin=LOG",
        )


class Source(typing.Protocol):
    """Where evidence is read; what was not kept is a NotFoundError."""

    def questions(self, digests: Iterable[str]) -> Iterator[Question]:
        """Those of *digests* that were kept, in any order."""
        ...

    def data(self, revision: int, at_ns: int) -> tuple[str, dict[str, Any]]:
        """The digest and the documents of a data revision as of *at_ns*."""
        ...

    def bundle(self, revision: str, at_ns: int) -> tuple[str, bytes]:
        """The digest and the content (tar.gz) of a policy revision as of *at_ns*."""
        ...


class Remote:
    """The evidence of a cluster's log of that *origin*, by its API."""

    def __init__(self, api: Api, origin: str) -> None:
        self._api = api
        self._origin = origin

    def questions(self, digests: Iterable[str]) -> Iterator[Question]:
        """Those of *digests* that were kept, in any order."""
        wanted = sorted(set(digests))
        while wanted:
            some, wanted = wanted[:_AT_ONCE], wanted[_AT_ONCE:]
            found = self._api.post("/v1/evidence/inputs", {"digests": some, "origin": self._origin})
            for digest, entry in found["inputs"].items():
                yield Question(digest, entry["input"], entry["withheld"])
            wanted = found["rest"] + wanted

    def data(self, revision: int, at_ns: int) -> tuple[str, dict[str, Any]]:
        """The digest and the documents of a data revision as of *at_ns*."""
        found = self._api.get(f"/v1/evidence/data/{revision}", {"at": at_ns, "origin": self._origin})
        return found["digest"], found["data"]

    def bundle(self, revision: str, at_ns: int) -> tuple[str, bytes]:
        """The digest and the content (tar.gz) of a policy revision as of *at_ns*."""
        found = self._api.get(
            f"/v1/evidence/policy/{segment(revision)}", {"at": at_ns, "origin": self._origin}
        )
        return found["digest"], base64.b64decode(found["bundle"])


class Local:
    """The evidence beside a copy of the log."""

    def __init__(self, folder: Path) -> None:
        self._kept = Evidence(folder, read_only=True)

    def questions(self, digests: Iterable[str]) -> Iterator[Question]:
        """Those of *digests* that were kept, in any order."""
        return self._kept.questions(digests)

    def data(self, revision: int, at_ns: int) -> tuple[str, dict[str, Any]]:
        """The digest and the documents of a data revision as of *at_ns*."""
        return self._kept.digest_of("data", str(revision), at_ns), self._kept.data(revision, at_ns)

    def bundle(self, revision: str, at_ns: int) -> tuple[str, bytes]:
        """The digest and the content (tar.gz) of a policy revision as of *at_ns*."""
        return self._kept.digest_of("policy", revision, at_ns), self._kept.bundle(revision, at_ns)


def question(source: Source, digest: str) -> Question:
    """One input; NotFoundError when it was not kept."""
    for found in source.questions([digest]):
        return found
    raise NotFoundError(
        f"the input {digest} was not kept",
        hint=WHERE_ELSE,
    )
