"""What decisions were made from, kept in several places: each beginning of a log has one of its own."""

import typing
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gateway.errors import NotFoundError
from gateway.policy import evidence
from gateway.policy.evidence import FILE, Content, Evidence, Kind, Question


class Kept:
    """The evidence in *folders*, the first that has something wins; those without a file are left out.

    Used from one thread, as a context.

    Raises:
        PolicyError: a file cannot be opened or read; so does every method.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._stack = ExitStack()
        with ExitStack() as opening:
            self._places: Sequence[Evidence] = [
                opening.enter_context(Evidence(folder, read_only=True))
                for folder in folders
                if (folder / FILE).is_file()
            ]
            self._stack = opening.pop_all()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def contents(self, digests: Iterable[str]) -> Iterator[Content]:
        """Those of *digests* that were kept, in any order, each once."""
        left = set(digests)
        for place in self._places:
            for found in place.contents(list(left)):
                left.discard(found.digest)
                yield found

    def questions(self, digests: Iterable[str]) -> Iterator[Question]:
        """The same, read."""
        for found in self.contents(digests):
            yield Question(found.digest, evidence.document_in(found.digest, found.body), found.is_withheld)

    def data(self, revision: int, at_ns: int) -> tuple[str, dict[str, Any]]:
        """The digest and the documents of a data revision at *at_ns*; NotFoundError when not kept."""
        digest = self._digest_of("data", str(revision), at_ns)
        return digest, evidence.document_in(digest, self._content(digest))

    def bundle(self, revision: str, at_ns: int) -> tuple[str, bytes]:
        """The digest and the bundle (tar.gz) of a policy revision at *at_ns*; NotFoundError when not kept."""
        digest = self._digest_of("policy", revision, at_ns)
        return digest, self._content(digest)

    def _digest_of(self, kind: Kind, name: str, at_ns: int) -> str:
        every = [item for place in self._places for item in place.revisions(kind, name)]
        return evidence.in_force(kind, name, every, at_ns)

    def _content(self, digest: str) -> bytes:
        for found in self.contents([digest]):
            return found.body
        raise NotFoundError(f"nothing was kept under {digest}")
