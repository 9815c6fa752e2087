"""The evidence of another service's decisions, on its way here: what its log names, and what of that came.

It lies in ``evidence.db`` beside the copy of the log, where a service has its own, with two tables more:
``wanted`` holds the digests that records name and nothing was kept under yet, ``read`` how many records of
the copy were looked through. All of it follows from the copy: without the file it is made anew.

What comes is taken only under a digest that the log named, and only as what it was named. An input is the
canonical JSON of a question; its digest is proved unless values of settings were withheld before it was
sent. Data are canonical JSON, proved always. A bundle is nothing that a service brings: it is code that an
auditor runs, and only the auth service's own is believed.
"""

import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import PolicyError
from gateway.policy import document, evidence
from gateway.policy.evidence import Content, Evidence, Revision

MOST_INPUT = document.MAX_ITEM + 1024
"""Bytes of an input; what is longer was refused unasked, so that there is nothing to prove."""

MOST_DATA = 64 * 1024 * 1024
"""Bytes of a snapshot of the data; a service is told no more at once."""

AT_ONCE = 500
"""Digests that are asked for together."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS wanted (
    digest TEXT PRIMARY KEY, what TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, due_ns INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS wanted_due ON wanted (due_ns);
CREATE INDEX IF NOT EXISTS wanted_bundles ON wanted (digest) WHERE what = 'policy';
CREATE TABLE IF NOT EXISTS read (one INTEGER PRIMARY KEY CHECK (one = 1), records INTEGER NOT NULL);
"""
_AGAIN_NS = 60_000_000_000
_NEVER = 2**63 - 1  # of what was given up, and of bundles, which no service is asked for
_MOST_TRIES = 6  # a minute, four, … : for a day; and again when another record names it
_SESSION = frozenset({"user", "roles", "data_revision", "database", "db_user", "db_name", "client_address"})
_STATEMENT = frozenset(
    {
        "operation", "class", "effects", "functions", "operators", "casts", "settings", "complete",
        "unknown_reason", "fingerprint",
    }
)  # fmt: skip

What: typing.TypeAlias = typing.Literal["input", "data", "policy"]


@dataclass(frozen=True, slots=True)
class Named:
    """What a piece of a log names: inputs by digest, and what data and policy revisions were."""

    inputs: Sequence[str]
    revisions: Sequence[Revision]


class Collection:
    """One copy's evidence, in *folder*; used from one thread, as a context.

    Raises:
        PolicyError: the file cannot be opened, read or written; so does every method.
    """

    def __init__(self, folder: Path) -> None:
        self._evidence = Evidence(folder)
        with self._evidence.changing() as cursor:
            for statement in _SCHEMA.split(";"):
                cursor.execute(statement)

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._evidence.close()

    @property
    def read(self) -> int:
        """How many records of the copy were looked through."""
        return sum(row[0] for row in self._evidence.rows("SELECT records FROM read"))

    def note(self, named: Named, records: int) -> None:
        """Want what is *named* and not kept; so many records of the copy were looked through with it."""
        wanted = [(digest, "input") for digest in named.inputs]
        wanted += [(item.digest, item.kind) for item in named.revisions]
        rows = [(item.kind, item.name, item.digest, item.since_ns) for item in named.revisions]
        with self._evidence.changing() as cursor:
            cursor.executemany("INSERT OR IGNORE INTO revision VALUES (?, ?, ?, ?)", rows)
            # One that was given up may be kept by now: the question was asked again.
            cursor.executemany(
                "INSERT INTO wanted (digest, what, due_ns) SELECT ?1, ?2, iif(?2 = 'policy', ?3, 0)"
                " WHERE NOT EXISTS (SELECT 1 FROM content WHERE digest = ?1)"
                " ON CONFLICT DO UPDATE SET tries = 0, due_ns = excluded.due_ns WHERE due_ns = ?3",
                [(digest, what, _NEVER) for digest, what in wanted],
            )
            cursor.execute("INSERT OR REPLACE INTO read VALUES (1, ?)", [records])

    def start_anew(self) -> None:
        """The copy is another one than was looked through."""
        with self._evidence.changing() as cursor:
            cursor.execute("DELETE FROM read")

    def bundles(self) -> list[str]:
        """The digests of bundles that are wanted: those are taken from what is kept here."""
        return [row[0] for row in self._evidence.rows("SELECT digest FROM wanted WHERE what = 'policy'")]

    def copy(self, found: Iterable[Content]) -> None:
        """Take over what is kept here already, wanted or not by now."""
        contents = [item for item in found if not item.is_withheld]
        self._evidence.write(contents, [])
        with self._evidence.changing() as cursor:
            cursor.executemany("DELETE FROM wanted WHERE digest = ?", [(item.digest,) for item in contents])

    def due(self, now_ns: int) -> list[str]:
        """What the service is to be asked for now, the oldest first."""
        sql = "SELECT digest FROM wanted WHERE due_ns <= ? ORDER BY due_ns, rowid LIMIT ?"
        return [row[0] for row in self._evidence.rows(sql, [now_ns, AT_ONCE])]

    def left(self) -> int:
        """How much is wanted, and was not given up."""
        sql = "SELECT count(*) FROM wanted WHERE due_ns < ?"
        return sum(row[0] for row in self._evidence.rows(sql, [_NEVER]))

    def take(self, contents: Sequence[Content], missing: Iterable[str], now_ns: int) -> list[str]:
        """Keep what is wanted of *contents*; those that are not what they were named are returned.

        They, and the *missing* ones, are asked for again later, some times. What nobody wants is let go.
        """
        sql = "SELECT digest, what FROM wanted WHERE digest = ?"
        wanted: Mapping[str, What] = dict(
            row for item in contents for row in self._evidence.rows(sql, [item.digest])
        )
        good: list[Content] = []
        bad: list[str] = []
        aside = list(missing)
        for item in contents:
            what = wanted.get(item.digest)
            if what == "input" and len(item.body) > MOST_INPUT:
                aside.append(item.digest)
            elif what is not None:
                try:
                    good.append(checked(what, item))
                except PolicyError:
                    bad.append(item.digest)
        self._evidence.write(good, [])
        with self._evidence.changing() as cursor:
            cursor.executemany("DELETE FROM wanted WHERE digest = ?", [(item.digest,) for item in good])
            cursor.executemany(
                "UPDATE wanted SET tries = tries + 1, due_ns = CASE WHEN tries + 1 < ?"
                " THEN ? + ? * (1 << (2 * tries)) ELSE ? END WHERE digest = ?",
                [(_MOST_TRIES, now_ns, _AGAIN_NS, _NEVER, digest) for digest in (*aside, *bad)],
            )
        return bad


def checked(what: What, item: Content) -> Content:
    """*item* as it may be kept.

    Raises:
        PolicyError: it is not what a log named under that digest.
    """
    if what == "policy":
        raise PolicyError("a bundle is taken from nobody")
    if not item.is_withheld and document.digest(item.body) != item.digest:
        raise PolicyError(f"what came under {item.digest} has another digest")
    value = _canonical(item)
    if what == "data":
        if item.is_withheld:
            raise PolicyError(f"of the data under {item.digest} nothing may be missing")
        return item
    if not _is_question(value):
        raise PolicyError(f"the evidence under {item.digest} is no question")
    if not item.is_withheld:
        return evidence.without_secrets(item.digest, item.body)
    # What was withheld is what would have been withheld here: nothing more may be, nothing less.
    if evidence.without_secrets(item.digest, item.body).body != item.body or not _lacks_values(value):
        raise PolicyError(f"of the input under {item.digest} nothing was to be withheld")
    return item


def _canonical(item: Content) -> Mapping[str, typing.Any]:
    """The object in a body that is the one form of it: the body goes into answers of the API as it is."""
    try:
        value = json.loads(item.body)
        is_canonical = document.encode(value) == item.body
    except (ValueError, RecursionError):
        is_canonical = False
    if not is_canonical or not isinstance(value, dict):
        raise PolicyError(f"the evidence under {item.digest} is not a canonical document")
    return value


def _is_question(value: Mapping[str, typing.Any]) -> bool:
    """What is read of a question later is there; what it says is the policy's business."""
    if "identity" in value:
        return isinstance(value["identity"], dict) and "statements" not in value
    session, statements = value.get("session"), value.get("statements")
    return (
        value.keys() == {"session", "statements"}
        and isinstance(session, dict)
        and session.keys() >= _SESSION
        and isinstance(statements, list)
        and all(_is_statement(item) for item in statements)
    )


def _is_statement(value: object) -> bool:
    if not isinstance(value, dict) or not value.keys() >= _STATEMENT:
        return False
    settings = value["settings"]
    return isinstance(settings, list) and all(
        isinstance(item, dict)
        and item.keys() == {"name", "scope", "value"}
        and isinstance(item["name"], str)
        and isinstance(item["value"], str | None)
        for item in settings
    )


def _lacks_values(value: Mapping[str, typing.Any]) -> bool:
    return any(
        setting["value"] == evidence.WITHHELD
        for statement in value.get("statements", ())
        for setting in statement["settings"]
    )
