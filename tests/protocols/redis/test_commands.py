"""What commands do to which keys; nothing is guessed, and no secret is shown."""

import pytest

from gateway.model.classification import Class, Classification
from gateway.model.statement import NameContext, Statement
from gateway.protocols.redis import table
from gateway.protocols.redis.commands import classify, is_never

NAMES = NameContext("0", "default")


def facts(*words: str) -> Classification:
    (found,) = classify(Statement("", "redis", NAMES, arguments=tuple(word.encode() for word in words)))
    return found


def effects(*words: str) -> set[tuple[str, str]]:
    found = facts(*words)
    assert found.complete, found.unknown_reason
    return {(effect.operation, effect.object.name) for effect in found.effects if effect.object is not None}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("GET a", {("select", "a")}),
        ("get a", {("select", "a")}),
        ("SET a 1", {("select", "a"), ("update", "a")}),
        ("MGET a b c", {("select", "a"), ("select", "b"), ("select", "c")}),
        ("MSET a 1 b 2", {("update", "a"), ("update", "b")}),
        ("DEL a b", {("delete", "a"), ("delete", "b")}),
        ("LPUSH l 1", {("insert", "l")}),
        ("LPOP l", {("select", "l"), ("delete", "l")}),
        ("RENAME a b", {("select", "a"), ("delete", "a"), ("update", "b")}),
        ("COPY a b", {("select", "a"), ("update", "b")}),
        ("ZUNIONSTORE d 2 a b", {("update", "d"), ("select", "a"), ("select", "b")}),
        ("XREAD COUNT 1 STREAMS a b 0 0", {("select", "a"), ("select", "b")}),
        (
            "XREADGROUP GROUP g c STREAMS a b > >",
            {("select", "a"), ("update", "a"), ("select", "b"), ("update", "b")},
        ),
        ("PFCOUNT a", {("select", "a"), ("update", "a")}),
        ("GEORADIUS g 0 0 1 km STORE d", {("select", "g"), ("update", "d")}),
        ("SORT l BY nosort LIMIT 0 1 STORE d", {("select", "l"), ("update", "d")}),
        ("OBJECT ENCODING a", {("select", "a")}),
        ("PUBLISH c hello", {("notify", "c")}),
        ("SUBSCRIBE c d", {("listen", "c"), ("listen", "d")}),
        ("KEYS *", {("select", "*")}),
        ("FLUSHDB", {("truncate", "*")}),
        ("CONFIG GET dir", {("administer", "config get")}),
        ("SHUTDOWN", {("administer", "shutdown")}),
        ("PING", set()),
        ("MULTI", set()),
        ("CLIENT SETNAME me", set()),
        ("SELECT 0", set()),
        ("CLIENT TRACKING ON OPTIN", set()),
    ],
)
def test_effects(words: str, expected: set[tuple[str, str]]) -> None:
    assert effects(*words.split()) == expected


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("EVAL x 0", "script"),
        ("FCALL f 1 a", "script"),
        ("ZUNIONSTORE d 99 a", "key_count_not_clear"),
        ("EVAL x -1", "key_count_not_clear"),
        ("GEORADIUS app:g 0 0 1 km STORE app:x STORE secret:k", "keyword_twice"),
        ("GEORADIUS app:g 0 0 1 km store app:x Store secret:k", "keyword_twice"),
        ("XREAD STREAMS STREAMS 0", "keyword_twice"),
        ("XREAD STREAMS a secret:b 0", "key_count_not_clear"),
        ("SORT l GET secret:*", "key_pattern"),
        ("SORT l BY w_*", "key_pattern"),
        ("SORT l NONSENSE", "argument_not_known"),
        ("MIGRATE h 1 k 0 1", "key_not_known"),
        ("MOVE a 1", "other_database"),
        ("COPY a b DB 1", "other_database"),
        ("SWAPDB 0 1", "other_database"),
        ("SELECT 1", "other_database"),
        ("FLUSHALL", "other_database"),
        ("GET", "wrong_number_of_arguments"),
        ("GET a b", "wrong_number_of_arguments"),
        ("NOSUCH a", "unknown_command"),
        ("CLIENT NOSUCH", "unknown_command"),
        ("AUTH u p", "not_offered"),
        ("HELLO 3 AUTH u p", "not_offered"),
        ("MONITOR", "not_offered"),
        ("CLIENT REPLY OFF", "not_offered"),
    ],
)
def test_what_is_not_clear_is_not_complete(words: str, reason: str) -> None:
    found = facts(*words.split())
    assert (found.complete, found.unknown_reason, found.cls) == (False, reason, Class.UNKNOWN)


@pytest.mark.parametrize(
    ("words", "is_left"),
    [
        ("SELECT 1", True), ("SELECT 3", False), ("SELECT 03", True), ("SELECT", True), ("select 3 3", True),
        ("MOVE a 1", True), ("SWAPDB 3 1", True), ("FLUSHALL SYNC", True), ("FLUSHDB", False),
        ("COPY a b", False), ("COPY a b DB 3", False), ("COPY a b REPLACE db 1", True),
        ("COPY DB DB DB 3", False), ("COPY a b DB 3 DB 1", True), ("GET DB", False),
    ],
)  # fmt: skip
def test_a_session_leaves_the_database_that_it_named_by_no_command(words: str, *, is_left: bool) -> None:
    arguments = tuple(word.encode() for word in words.split())
    assert bool(is_never(arguments, "3")) is is_left
    assert not is_never(arguments), "where it names none, the policy alone says"


def test_the_keys_of_a_script_are_known_all_the_same() -> None:
    assert {effect.object.name for effect in facts("EVAL", "x", "1", "a").effects if effect.object} == {"a"}


@pytest.mark.parametrize(
    ("words", "hidden"),
    [
        ("AUTH user Hunter-2!", "Hunter-2!"),
        ("HELLO 3 AUTH user Hunter-2!", "Hunter-2!"),
        ("CONFIG SET requirepass Hunter-2!", "Hunter-2!"),
        ("config set masterauth Hunter-2!", "Hunter-2!"),
        ("ACL SETUSER bob on >Hunter-2! ~*", "Hunter-2!"),
        ("MIGRATE h 1 k 0 1 AUTH Hunter-2!", "Hunter-2!"),
        ("AUTHH user Hunter-2!", "Hunter-2!"),
    ],
)
def test_no_secret_is_written_down(words: str, hidden: str) -> None:
    found = facts(*words.split())
    assert hidden not in found.redacted
    assert found.redacted.startswith(words.split(maxsplit=1)[0])


def test_a_name_that_is_no_text_is_not_guessed() -> None:
    (found,) = classify(Statement("", "redis", NAMES, arguments=(b"GET", b"\xff\xfe")))
    assert (found.complete, found.unknown_reason) == (False, "name_not_text")


ONLY_WITH_STORE = {"georadius", "georadiusbymember", "sort"}  # they write where they are told to


def test_every_command_of_the_table_is_understood_or_says_why_not() -> None:
    for name, command in table.commands().items():
        words = name.split("|") + ["1"] * (abs(command.arity) - name.count("|") - 1)
        found = facts(*words)
        assert found.complete or found.unknown_reason
        assert found.effects or not found.complete, name
        if "write" in command.categories and found.complete and name not in ONLY_WITH_STORE:
            assert found.cls is not Class.SESSION, name
            assert found.cls is not Class.READ, name


def test_what_is_never_forwarded() -> None:
    assert is_never((b"monitor",))
    assert is_never((b"Gateway.Address", b"evil:1")), "no server answers it, so it would shift the answers"
    assert is_never((b"HELLO", b"3", b"auth", b"u", b"p"))
    assert not is_never((b"HELLO", b"3"))
