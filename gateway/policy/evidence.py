"""What decisions were made from, kept by digest: inputs, snapshots of the data, and bundles.

One SQLite file beside the log, ``evidence.db``. ``content`` holds canonical JSON or a bundle under its
SHA-256, compressed; ``revision`` says which content a data or policy revision was, and since when. A value
that may be a secret (a custom setting's) is withheld before it is kept, and the entry says so.

This module reads and writes; ``keeper`` decides when.
"""

import json
import re
import sqlite3
import typing
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import NotFoundError, PolicyError
from gateway.policy import document

FILE = "evidence.db"
WITHHELD = "(withheld)"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS content (
    digest TEXT PRIMARY KEY, withheld INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS revision (
    kind TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, since_ns INTEGER NOT NULL,
    PRIMARY KEY (kind, name, digest)
) WITHOUT ROWID;
"""
_BUSY_SECONDS = 10.0
_AT_ONCE = 500  # digests in one SELECT
_MOST = 256 * 1024 * 1024  # bytes that one entry may unfold to
_SECRET_NAME = re.compile(r"pass|pwd|secret|token|credential|key|jwt|auth", re.IGNORECASE)
_SOME_SETTING = b'"settings":[{'

Kind: typing.TypeAlias = typing.Literal["data", "policy"]


@dataclass(frozen=True, slots=True)
class Content:
    """Something to be kept: ``digest`` is that of the whole, ``body`` may lack what is withheld."""

    digest: str
    body: bytes
    is_withheld: bool = False


@dataclass(frozen=True, slots=True)
class Revision:
    """Which content a revision was, from ``since_ns`` (UTC nanoseconds) on."""

    kind: Kind
    name: str
    digest: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Question:
    """What a decision was asked: ``value`` as in ``schemas/input.*.json`` but for the contract and the time.

    ``is_withheld``: the values of custom settings read ``(withheld)``.
    """

    digest: str
    value: dict[str, Any]
    is_withheld: bool = False


def without_secrets(digest: str, body: bytes) -> Content:
    """*body*, the canonical JSON of a question, less the values of settings that may be secrets."""
    if _SOME_SETTING not in body:
        return Content(digest, body)
    value = json.loads(body)
    is_withheld = False
    for statement in value.get("statements", ()):
        for setting in statement["settings"]:
            if setting["value"] and ("." in setting["name"] or _SECRET_NAME.search(setting["name"])):
                setting["value"] = WITHHELD
                is_withheld = True
    return Content(digest, document.encode(value), is_withheld) if is_withheld else Content(digest, body)


class Evidence:
    """The file, opened in *folder*; made unless *read_only*. Used from one thread.

    Raises:
        PolicyError: it cannot be opened, read or written; so does every method.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        path = folder / FILE
        if read_only and not path.is_file():
            hint = (
                "give the folder of a log: data_dir/audit of the auth service, data_dir/audit/ID of another"
            )
            raise PolicyError(f"there is no {FILE} in {folder}", hint=hint)
        try:
            if not read_only:
                path.touch(mode=0o600)
            mode = "ro" if read_only else "rw"
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            self._db = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
            if not read_only:
                # After a crash of the machine the last moments may be missing; the file is whole.
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
                self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise PolicyError(f"{path} cannot be opened: {error}") from error

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def write(self, contents: Iterable[Content], revisions: Iterable[Revision]) -> None:
        """Keep all of these, or none; what is there already stays as it is."""
        packed = [(item.digest, int(item.is_withheld), zlib.compress(item.body, 3)) for item in contents]
        named = [(item.kind, item.name, item.digest, item.since_ns) for item in revisions]
        with self.changing() as cursor:
            cursor.executemany("INSERT OR IGNORE INTO content VALUES (?, ?, ?)", packed)
            cursor.executemany("INSERT OR IGNORE INTO revision VALUES (?, ?, ?, ?)", named)

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Cursor]:
        """One transaction: all of the block, or nothing."""
        try:
            with closing(self._db.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    yield cursor
                except BaseException:
                    cursor.execute("ROLLBACK")
                    raise
                cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise PolicyError(f"evidence cannot be written: {error}") from error

    def question(self, digest: str) -> Question:
        """What was asked under *digest*; NotFoundError when it was not kept."""
        for found in self.questions([digest]):
            return found
        raise NotFoundError(f"no input was kept under {digest}")

    def questions(self, digests: Iterable[str]) -> Iterator[Question]:
        """Those of *digests* that were kept, in any order, each once."""
        for kept in self.contents(digests):
            yield Question(kept.digest, document_in(kept.digest, kept.body), kept.is_withheld)

    def contents(self, digests: Iterable[str]) -> Iterator[Content]:
        """The same as they were kept: canonical JSON, proved by its digest where nothing is withheld."""
        wanted = sorted(set(digests))
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            sql = f"SELECT digest, withheld, body FROM content WHERE digest IN ({marks})"  # noqa: S608 # marks only
            for digest, withheld, body in self.rows(sql, some):
                unfolded = _unfold(digest, body, is_withheld=bool(withheld))
                yield Content(digest, unfolded, bool(withheld))

    def latest_queries(self, most: int) -> list[dict[str, Any]]:
        """The newest questions about statements, as they were asked."""
        sql = "SELECT digest, withheld, body FROM content ORDER BY rowid DESC LIMIT ?"
        found: list[dict[str, Any]] = []
        for digest, withheld, body in self.rows(sql, [str(4 * most)]):
            content = _unfold(digest, body, is_withheld=bool(withheld))
            if content.startswith(b'{"session":') and len(found) < most:
                found.append(document_in(digest, content))
        return found

    def data(self, revision: int, at_ns: int) -> dict[str, Any]:
        """The documents of a data revision as they were at *at_ns*; NotFoundError when they were not kept."""
        digest = self.digest_of("data", str(revision), at_ns)
        return document_in(digest, self.content(digest))

    def bundle(self, revision: str, at_ns: int) -> bytes:
        """The bundle (tar.gz) of a policy revision at *at_ns*; NotFoundError when it was not kept."""
        return self.content(self.digest_of("policy", revision, at_ns))

    def digest_of(self, kind: Kind, name: str, at_ns: int) -> str:
        """Which content a revision was at *at_ns*.

        A revision names one content but after a restore from a backup: then the one in force at that time.
        """
        return in_force(kind, name, self.revisions(kind, name), at_ns)

    def revisions(self, kind: Kind, name: str) -> list[Revision]:
        """Each content that this revision was."""
        sql = "SELECT digest, since_ns FROM revision WHERE kind = ? AND name = ?"
        return [Revision(kind, name, digest, since_ns) for digest, since_ns in self.rows(sql, [kind, name])]

    def content(self, digest: str) -> bytes:
        """What was kept under *digest*; NotFoundError when nothing was."""
        for withheld, body in self.rows("SELECT withheld, body FROM content WHERE digest = ?", [digest]):
            return _unfold(digest, body, is_withheld=bool(withheld))
        raise NotFoundError(f"nothing was kept under {digest}")

    def rows(self, sql: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """What a SELECT finds."""
        try:
            yield from self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise PolicyError(f"evidence cannot be read: {error}") from error


def _unfold(digest: str, body: bytes, *, is_withheld: bool) -> bytes:
    try:
        unfolding = zlib.decompressobj()
        content = unfolding.decompress(body, _MOST)
    except zlib.error as error:
        raise PolicyError(f"the evidence under {digest} cannot be unfolded") from error
    if unfolding.unconsumed_tail or not unfolding.eof:
        raise PolicyError(f"the evidence under {digest} is cut, or larger than {_MOST} bytes")
    if not is_withheld and document.digest(content) != digest:
        raise PolicyError(f"the evidence under {digest} is not what was kept: its digest differs")
    return content


def in_force(kind: Kind, name: str, found: Iterable[Revision], at_ns: int) -> str:
    """The digest of what a revision was at *at_ns*, of all that it ever was; NotFoundError when never."""
    ordered = sorted(found, key=lambda item: item.since_ns)
    if not ordered:
        raise NotFoundError(f"{kind} revision {name} was not kept")
    before = [item for item in ordered if item.since_ns <= at_ns]
    # It was in force for a moment before it was kept.
    return (before[-1] if before else ordered[0]).digest


def document_in(digest: str, body: bytes) -> dict[str, Any]:
    """The JSON object that was kept under *digest*; PolicyError when it is none."""
    value = json.loads(body)
    if not isinstance(value, dict):
        raise PolicyError(f"the evidence under {digest} is no document")
    return value
