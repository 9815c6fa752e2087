"""What a record says of a statement's text in each mode, and what it must not say."""

import json
from collections.abc import Iterator
from dataclasses import replace

import bson
import pytest

from gateway.audit import wording
from gateway.audit.encode import body, decode
from gateway.audit.wording import HMAC, PLAIN, SEALED, Opener, Wording, digest, key_of, new_identity
from gateway.clock import SystemClock
from gateway.errors import ConfigError
from gateway.model.classification import Classification
from gateway.model.event import Event
from gateway.model.hold import Held
from gateway.model.statement import NameContext, Phase, Statement
from gateway.protocols import REGISTRY
from gateway.sansio.exchange import Request
from gateway.session.record import Recorder
from gateway.texts import Texts
from tests.audit.shape import problems
from tests.audit.test_schema import ALLOWED, DENIED, WHO

CANARY = "geheim4711"
NAMES = NameContext("mydb", "ada", search_path=("public",))
SECRET, PUBLIC = new_identity()
DIGESTS = wording.of(Texts("fingerprint"), "cluster", "example/audit")
SEALS = wording.of(Texts("sealed", (PUBLIC,)), "cluster", "example/audit")

SQL = (
    f"select a, '{CANARY}' from t where b = '{CANARY}' /* {CANARY} */",
    f"insert into t (a) values ('{CANARY}'), ('{CANARY}x')",
    f"update t set a = '{CANARY}' where b = 1",
    f"select '{CANARY}",
    f"grblfx '{CANARY}'",
    f"alter user bob password '{CANARY}'",
    f"set x = '{CANARY}'",
    f"call f('{CANARY}')",
    f"prepare x as select '{CANARY}'",
    f"explain select '{CANARY}'",
    f"select date '{CANARY}', x'{CANARY}'",
    f"-- {CANARY}\nselect 1",
)
POSTGRES = (
    f"select $${CANARY}$$, e'{CANARY}', u&'{CANARY}'",
    f"do $$ begin perform '{CANARY}'; end $$",
    f"copy t from program '{CANARY}'",
    f"declare c cursor for select '{CANARY}'",
    f"notify a, '{CANARY}'",
    f"comment on table t is '{CANARY}'",
)
MYSQL = (
    f'select "{CANARY}", _utf8\'{CANARY}\', @v := "{CANARY}"',
    f"load data infile 'x' into table t set a = '{CANARY}'",
)
COMMANDS = (
    {"find": "people", "filter": {"name": CANARY}, "comment": CANARY},
    {"update": "people", "updates": [{"q": {"a": CANARY}, "u": {"$set": {"b": CANARY}}}]},
    {"grblfx": "people", "name": CANARY},
)
WORDS = (("SET", "app:x", CANARY), ("AUTH", CANARY), ("EVAL", f"return '{CANARY}'", "0"), ("GRBLFX", CANARY))


def statements() -> Iterator[tuple[str, Statement]]:
    """By the name of their protocol, statements that hold the canary as a literal."""
    versions = {"postgres": "15.0", "mysql": "8.0.30", "mariadb": "10.11.6-MariaDB"}
    for name, texts in (("postgres", SQL + POSTGRES), ("mysql", SQL + MYSQL), ("mariadb", SQL + MYSQL)):
        for text in texts:
            yield name, Statement(text, name, NAMES, server_version=versions[name])
    for command in COMMANDS:
        raw = bson.encode({**command, "$db": "mydb"})
        yield "mongodb", Statement("", "mongodb", NAMES, arguments=(next(iter(command)).encode(), raw))
    for words in WORDS:
        yield "redis", Statement("", "redis", NAMES, arguments=tuple(map(str.encode, words)))


EVERY = [
    pytest.param(item, id=f"{name}-{number}")
    for number, (name, statement) in enumerate(statements())
    for item in REGISTRY[name].classify(statement)
]


def recorder(mode: Wording = PLAIN) -> Recorder:
    return Recorder(WHO, SystemClock(), mode)


def request(phase: Phase = Phase.QUERY) -> Request:
    return Request(b"", phase, ())


def line(event: Event) -> bytes:
    return body(event).line(7)


@pytest.mark.parametrize("mode", [DIGESTS, SEALS], ids=["fingerprint", "sealed"])
@pytest.mark.parametrize("item", EVERY)
def test_no_literal_is_in_the_record(item: Classification, mode: Wording) -> None:
    one = recorder(mode)
    for decision in (ALLOWED, DENIED):
        (made,) = one.requested(request(), (item,), decision)
        assert problems(made) == []
        assert decode(line(made)).event.fields == made.fields, "kept ready as it is made"
        assert CANARY.encode() not in line(made)
        assert "sha256:" not in made.fields["statement"], "no plain digest to try texts on"
        assert made.fields["statement"]


@pytest.mark.parametrize("item", EVERY)
def test_the_text_is_known_again_and_opened(item: Classification) -> None:
    raw = item.text or item.redacted
    (made,) = recorder(DIGESTS).requested(request(), (item,), ALLOWED)
    assert made.fields[HMAC] == digest(key_of("cluster", "example/audit"), raw)
    (made,) = recorder(SEALS).requested(request(), (item,), ALLOWED)
    assert Opener(SECRET).open(made.fields[SEALED]) == raw


@pytest.mark.parametrize("item", EVERY)
def test_by_default_the_record_is_what_it_was(item: Classification) -> None:
    assert wording.of(Texts(), "cluster", "example/audit") is PLAIN
    (made,) = recorder().requested(request(), (item,), ALLOWED)
    assert made.fields["statement"] == item.redacted
    assert not {HMAC, SEALED} & made.fields.keys()


def test_each_log_and_each_cluster_has_digests_of_its_own() -> None:
    keys = {key_of(secret, origin) for secret in ("a", "b") for origin in ("x", "y")}
    assert len({digest(key, "select 1") for key in keys}) == 4


@pytest.mark.parametrize("mode", [DIGESTS, SEALS], ids=["fingerprint", "sealed"])
def test_texts_alike_have_each_their_own(mode: Wording) -> None:
    """Of texts that differ in a number only the first is read, and their records share a template."""
    one, found = recorder(mode), []
    for number in (1, 2, 3, 1, 2, 3):
        text = f"select a from t where b = {number}"
        (item,) = REGISTRY["postgres"].classify(Statement(text, "postgres", NAMES, server_version="15.0"))
        (made,) = one.requested(request(), (item,), ALLOWED)
        fields = json.loads(line(made))["fields"]
        assert fields["statement"] == "select a from t where b = ?"
        found.append((text, fields.get(HMAC) or Opener(SECRET).open(fields[SEALED])))
    key = key_of("cluster", "example/audit")
    assert [at for _, at in found] == [text if mode is SEALS else digest(key, text) for text, _ in found]


@pytest.mark.parametrize("mode", [DIGESTS, SEALS], ids=["fingerprint", "sealed"])
def test_what_was_sent_in_its_stead_and_what_waits_are_told_by_their_form(mode: Wording) -> None:
    text = f"select a from t where b = '{CANARY}'"
    (item,) = REGISTRY["postgres"].classify(Statement(text, "postgres", NAMES, server_version="15.0"))
    held = Held("01H", "01S", "ada", "sales", "ada", "mydb", (item.redacted,), "why", 1, 2)
    made = recorder(mode).held(held, (item,))
    assert problems(made) == []
    assert CANARY.encode() not in line(made)
    decision = replace(ALLOWED, sent=(mode.shown(item),))
    (made,) = recorder(mode).requested(request(), (item,), decision)
    assert CANARY.encode() not in line(made)


def test_a_text_is_sealed_for_each_recipient_and_for_nobody_else() -> None:
    other, also = new_identity()
    mode = wording.of(Texts("sealed", (PUBLIC, also)), "cluster", "example/audit")
    item = EVERY[0].values[0]
    assert isinstance(item, Classification)
    sealed = mode.beside(item)[SEALED]
    assert Opener(SECRET).open(sealed) == Opener(f"# mine\n{other}\n").open(sealed) == item.text
    stranger, _ = new_identity()
    assert Opener(stranger).open(sealed) is None
    for damaged in (sealed[:-8] + "AAAAAAA=", sealed[:40], "", "ü", "!"):
        assert Opener(SECRET).open(damaged) is None


@pytest.mark.parametrize("text", ["", "# a comment\n", "AGE-SECRET-KEY-1X", PUBLIC])
def test_an_identity_file_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no secret key of age"):
        Opener(text)
