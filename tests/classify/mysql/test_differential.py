"""The classifier is never looser than a real MariaDB: what the server touches, it has found or refused."""

import random
import re

import pytest

from tests.classify.mysql.oracle import Oracle, connected
from tests.classify.mysql.seeds import SEEDS, SPARE
from tests.classify.mysql.test_corpus import ENTRIES
from tests.servers import mariadb

_TOKEN = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|`[^`]*`|[A-Za-z_]\w*|\d+|\s+|.", re.DOTALL)
MODES = ("", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT,IGNORE_SPACE")
TEXTS = [*SEEDS, *(entry["payload"] for entry in ENTRIES if len(entry["payload"]) < 300)]
COUNT = 4_000
SOAK = 200_000


def mutated(text: str, chance: random.Random) -> str:
    """*text* with a few tokens dropped, doubled, swapped, put in or taken from another seed."""
    tokens = _TOKEN.findall(text)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(tokens) + 1)
        match chance.randrange(6):
            case 0 if at < len(tokens):
                del tokens[at]
            case 1 if at < len(tokens):
                tokens[at] = chance.choice(SPARE)
            case 2 if len(tokens) > 2:
                other = chance.randrange(len(tokens))
                at = min(at, len(tokens) - 1)
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                others = _TOKEN.findall(chance.choice(TEXTS))
                start = chance.randrange(len(others))
                tokens[at:at] = [" ", *others[start : start + chance.randint(1, 12)], " "]
            case _:
                tokens[at:at] = [" ", chance.choice(SPARE), " "]
    return "".join(tokens)


def holes(oracle: Oracle, seed: int, count: int) -> list[tuple[str, str]]:
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        text = mutated(chance.choice(TEXTS), chance)
        hole = oracle.hole(text)
        if hole:
            found.append((text, hole))
    return found


@pytest.mark.db
def test_every_seed_is_understood_as_the_server_does(server: mariadb.Mariadb) -> None:
    oracle = connected(server)
    assert [(text, hole) for text in TEXTS if (hole := oracle.hole(text))] == []
    assert oracle.named > len(SEEDS)  # the server did say what it touched


@pytest.mark.db
@pytest.mark.parametrize("mode", MODES)
def test_no_mutation_touches_what_was_not_found(server: mariadb.Mariadb, mode: str) -> None:
    oracle = connected(server, mode)
    assert holes(oracle, MODES.index(mode), COUNT // len(MODES)) == []
    assert oracle.named > COUNT // len(MODES) // 50  # the server did say what it touched


@pytest.mark.db
@pytest.mark.soak
@pytest.mark.parametrize("mode", MODES)
def test_no_mutation_touches_what_was_not_found_many(server: mariadb.Mariadb, mode: str) -> None:
    assert holes(connected(server, mode), 100 + MODES.index(mode), SOAK // len(MODES)) == []
