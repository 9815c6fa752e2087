"""What the gateway lets pass for some keys, the server's own ACL for the same keys lets pass as well.

The server is asked (``ACL DRYRUN``) about thousands of commands that are put together from its own table and
from words that steer where keys are. Whatever is understood here, and touches only what is granted, must not
touch anything else there.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis

from gateway.classify.operations import CLASS_OF
from gateway.model.classification import Classification
from gateway.model.statement import NameContext, Statement
from gateway.protocols.redis import table
from gateway.protocols.redis.commands import classify
from tests.servers import certificates
from tests.servers import redis as servers

pytestmark = pytest.mark.db

NAMES = NameContext("0", "default")
KEYS = ("app:a", "app:b", "secret:k", "app:{secret:k}", "APP:a", "secret:app:a")
WORDS = (
    "0", "1", "2", "3", "-1", "01", "STORE", "store", "STOREDIST", "KEYS", "STREAMS", "BY", "GET",
    "LIMIT", "COPY", "REPLACE", "DB", "WEIGHTS", "AGGREGATE", "SUM", "COUNT", "BLOCK", "GROUP", "g", "c",
    "NX", "XX", "EX", "LEFT", "RIGHT", "MIN", "MAX", "BYSCORE", "BYLEX", "WITHSCORES", "ANY",
    "FROMMEMBER", "BYRADIUS", "km", "ASC", "#", "*", "nosort", "AUTH", "AUTH2", "u", "p", "ALPHA", "+",
    "-", "$", ">", "NOACK", "FREQ", "IDLETIME", "news", "MATCH", "TYPE", "ENCODING", "FIELDS", "PERSIST",
    "i8", "SET", "INCRBY", "OVERFLOW", "FAIL",
)  # fmt: skip
SEED = 20
MUCH = 60  # for each command


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Redis]:
    folder: Path = tmp_path_factory.mktemp("redis-oracle")
    authority = certificates.Authority(folder)
    files = authority.server()
    rules = "on nopass resetchannels &news +@all"
    users = {"writer": f"{rules} ~app:*", "reader": f"{rules} %R~app:*"}
    with servers.running(
        certificate=files.certificate, key=files.key, client_ca=authority.ca, users=users
    ) as running:
        yield running


def vectors(count: int) -> Iterator[tuple[str, ...]]:
    """Commands of every name, with arguments of all kinds."""
    chance = random.Random(SEED)
    for name in sorted(table.commands()):
        head = name.split("|")
        arity = abs(table.commands()[name].arity)
        for _ in range(count):
            size = max(0, arity - len(head) + chance.choice((0, 0, 0, 1, 2, 3, 5)))
            tail = [chance.choice(KEYS if chance.random() < 0.5 else WORDS) for _ in range(size)]
            shown = [chance.choice((str.upper, str.lower, str.title))(word) for word in head]
            yield (*shown, *tail)


def found(words: Sequence[str]) -> Classification:
    (item,) = classify(Statement("", "redis", NAMES, arguments=tuple(word.encode() for word in words)))
    return item


def is_granted(item: Classification) -> bool:
    """Complete, and on nothing but the keys and the channel that are granted."""
    return item.complete and all(
        effect.object is None
        or (effect.object.kind == "key" and effect.object.name.startswith("app:"))
        or (effect.object.kind == "channel" and effect.object.name == "news")
        for effect in item.effects
    )


def is_read(item: Classification) -> bool:
    return all(effect.cls is CLASS_OF["select"] for effect in item.effects if effect.object is not None)


def test_the_server_says_no_to_what_nobody_granted(server: servers.Redis) -> None:
    with redis.Redis(port=server.plain, decode_responses=True) as client:
        for words in (
            ("reader", "SET", "app:a", "1"),
            ("writer", "GET", "secret:k"),
            ("writer", "PUBLISH", "c", "m"),
        ):
            assert "no permissions" in str(client.execute_command("ACL", "DRYRUN", *words))


def test_what_is_granted_here_is_granted_by_the_servers_own_rules(server: servers.Redis) -> None:
    asked = [(words, item) for words in vectors(MUCH) if is_granted(item := found(words))]
    assert len(asked) > 800
    assert sum(any(effect.object for effect in item.effects) for _, item in asked) > 500
    with redis.Redis(port=server.plain, decode_responses=True) as client:
        pipeline = client.pipeline(transaction=False)
        for words, item in asked:
            pipeline.execute_command("ACL", "DRYRUN", "reader" if is_read(item) else "writer", *words)
        said = pipeline.execute(raise_on_error=False)
    wrong = [
        (words, answer)
        for (words, _), answer in zip(asked, said, strict=True)
        if str(answer) != "OK" and "wrong number of arguments" not in str(answer)
    ]
    assert wrong == []
