"""Every command of the corpora otherwise written, and inside others: the shipped policy says the same to it.

A seeded sample runs each time; all of it is the soak.
"""

import asyncio
import json
import random
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.analysis import corpus, world
from gateway.analysis.corpus import Entry, Must
from gateway.cli.policy.rehearsing import judge
from gateway.schema import data_dir
from tests.variation import commands

pytestmark = pytest.mark.opa

CORPORA = sorted((Path(__file__).resolve().parents[1] / "corpus").glob("*.yaml"))
SAMPLE = 60  # commands of either protocol
MOST = 4  # changes of each


class RepeatedError(Exception):
    """A key stands twice: what a reader of JSON makes of that is not the subject here."""


def entries(protocol: str) -> list[Entry]:
    """Every command of the corpora, once."""
    found: dict[str, Entry] = {}
    for path in CORPORA:
        if protocol in path.read_text():
            for entry in corpus.read(path.read_text(), path.name):
                if (entry.protocol, entry.kind) == (protocol, "command"):
                    found.setdefault(str(entry.payload), entry)
    return list(found.values())


def document(text: str) -> dict[str, Any]:
    """A command as it is written; RepeatedError where a key stands twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise RepeatedError
        return dict(pairs)

    made: dict[str, Any] = json.loads(text, object_pairs_hook=once)
    return made


def changed(entry: Entry, what: str, kind: str, payload: str | bytes) -> Entry:
    return Entry(f"{entry.id}, {what}", entry.protocol, kind, payload, entry.must, entry.line)


def mongodb(entry: Entry, rng: random.Random) -> Iterator[Entry]:
    """One command of MongoDB in all that may be done to it."""
    try:
        command = document(str(entry.payload))
    except (ValueError, RepeatedError):
        return
    if "$db" not in command or "$minKey" in str(entry.payload):
        return
    for what, made in commands.same(command, rng):
        yield changed(entry, what, "command", json.dumps(made))
    if keeps_its_meaning(command, entry.must):
        for made in commands.around(command):
            if "explain" not in made or entry.must is not Must.PARSE:
                yield changed(entry, "inside another", "command", json.dumps(made))


def keeps_its_meaning(command: dict[str, Any], must: Must) -> bool:
    """True where what is taken into another is what the verdict is about."""
    if "find" in command:
        is_about_it = set(command) <= {"find", "filter", "$db"} and command.get("filter") != {}
        return must is Must.PARSE or is_about_it
    stages = command.get("pipeline", [])
    may_be_moved = isinstance(stages, list) and all(
        isinstance(stage, dict) and commands.ANYWHERE.issuperset(stage) for stage in stages
    )
    return must is not Must.PARSE or may_be_moved


def redis(entry: Entry, rng: random.Random) -> Iterator[Entry]:
    """One command of Redis as it may be sent."""
    try:
        words = [word.encode() for word in shlex.split(str(entry.payload))]
    except ValueError:
        return
    if not words:
        return
    for what, data in commands.frames(words, rng):
        # Quotes and escapes in inline commands are refused: two readers may split them differently.
        if entry.must is not Must.PARSE or not (what.startswith("inline") and b'"' in data):
            yield changed(entry, what, "wire", data)


def variants(most: int, sample: int) -> list[Entry]:
    """At most *most* changes of each of *sample* commands of either protocol; the same each time."""
    found: list[Entry] = []
    for protocol, change in (("mongodb", mongodb), ("redis", redis)):
        known = entries(protocol)
        rng = random.Random(protocol)
        for entry in rng.sample(known, min(sample, len(known))):
            made = list(change(entry, rng))
            found += rng.sample(made, min(most, len(made)))
    return found


def wrong(chosen: list[Entry]) -> list[tuple[str, object, tuple[str, ...]]]:
    """What came out otherwise than it must."""
    reference = world.read(data_dir("examples") / "corpus")
    results = asyncio.run(judge(chosen, reference, "analyst", None))
    return [(item.entry.id, item.entry.payload, item.differences) for item in results if item.differences]


def test_a_command_otherwise_written_gets_what_it_got() -> None:
    chosen = variants(MOST, SAMPLE)
    assert len(chosen) > SAMPLE
    assert {entry.must for entry in chosen} >= {Must.DENY, Must.PARSE}
    assert wrong(chosen) == []


@pytest.mark.soak
def test_all_commands_in_all_that_may_be_done_to_them() -> None:
    assert wrong(variants(1_000, 100_000)) == []
