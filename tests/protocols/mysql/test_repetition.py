"""What runs again takes the short way, nothing else does, and both ways leave the same behind."""

import pytest

from gateway.classify import sql
from gateway.errors import ProtocolError
from gateway.model.obligation import Obligations
from gateway.model.statement import Catalog, Phase
from gateway.sansio.exchange import (
    Duty,
    Facts,
    Obliged,
    Repetition,
    Request,
)
from tests.protocols.mysql import wire
from tests.protocols.mysql.talk import DENIAL, Talk

SELECT = "select item from orders where id = ?"
VALUES = b"\0\1\x08\0\x01\0\0\0\0\0\0\0"
AGAIN = b"\0\0\x02\0\0\0\0\0\0\0"  # without the types
RUN = wire.execute(7, values=AGAIN)


def answers(data: bytes) -> bytes:
    if data[4] == 0x16:
        return wire.prepared(7, parameters=1, columns=1)
    if data[4] in {0x18, 0x19}:
        return b""
    return wire.rows(b"lamp") if data[4] in {3, 0x17} else wire.ok()


def facts_of(request: Request) -> Facts:
    return tuple(item for statement in request.statements for item in sql.classify(statement))


def session() -> Talk:
    made = Talk(answers, facts=facts_of)
    made.send(wire.prepare(SELECT))
    made.send(wire.execute(7, values=VALUES))
    return made


def found(talk: Talk, data: bytes) -> Repetition | None:
    return talk.talk.repeat(data)


def test_a_prepared_statement_that_runs_again_is_known() -> None:
    talk = session()
    repeated = found(talk, RUN)
    assert repeated is not None
    assert repeated.request.raw is RUN
    assert (repeated.request.phase, repeated.request.bind_types) == (Phase.EXECUTE, ("bigint",))
    assert repeated.request.statements[0].text == SELECT
    assert repeated.request.name == talk.requests[-1].name
    assert repeated.facts == facts_of(repeated.request)
    assert talk.talk.is_still(repeated)
    assert talk.talk.admit_again(repeated) is RUN
    assert not talk.talk.is_settled()
    assert found(talk, RUN) is None
    relay = talk.talk.from_backend(wire.rows(b"lamp", b"chair"))
    assert relay.to_client == wire.rows(b"lamp", b"chair")
    assert [(each.request, each.rows, each.error_code) for each in relay.outcomes] == [
        (repeated.request, 2, "")
    ]
    assert found(talk, RUN) is not None


def test_a_text_is_known_once_one_like_it_was_allowed() -> None:
    talk = session()
    first, second = (wire.query(f"select total from orders where id = {number}") for number in (1, 2))
    assert found(talk, first) is None
    talk.send(first)
    repeated = found(talk, second)
    assert repeated is not None
    assert repeated.request.statements[0].text.endswith("id = 2")
    assert repeated.facts[0].effects[0].columns == ("total", "id")
    assert found(talk, wire.query("select total from salaries where id = 2")) is None


NEVER = {
    "what uses another database": "use elsewhere",
    "a setting that steers": "set sql_mode = 'ansi_quotes'",
    "what defines": "create table made (a int)",
    "what nobody understands": "handler orders read first",
    "a call": "call something()",
    "nothing": "-- nothing",
    "one that steers behind one that does not": "select item from orders; use elsewhere",
    "a text of some length": "select item from orders where item = '" + "x" * 5000 + "'",
}


@pytest.mark.parametrize("text", NEVER.values(), ids=NEVER.keys())
def test_what_changes_anything_never_takes_it(text: str) -> None:
    talk = session()
    for _ in range(3):
        assert found(talk, wire.query(text)) is None
        talk.send(wire.query(text))


OTHERWISE = {
    "two commands": RUN + RUN,
    "half of one": RUN[:-1],
    "a byte too many": RUN + b"\0",
    "nothing": b"",
    "an empty packet": wire.packet(b""),
    "out of order": wire.packet(RUN[4:], 1),
    "another statement": wire.execute(8, values=AGAIN),
    "the last statement": wire.execute(0xFFFFFFFF, values=AGAIN),
    "values that end early": wire.execute(7),
    "a ping": wire.command(0x0E),
    "a fetch": wire.command(0x1C, b"\x07\0\0\0\x01\0\0\0"),
}


@pytest.mark.parametrize("data", OTHERWISE.values(), ids=OTHERWISE.keys())
def test_anything_else_is_read_as_ever(data: bytes) -> None:
    assert found(session(), data) is None


def test_a_command_that_has_begun_is_read_to_its_end() -> None:
    talk = session()
    assert talk.send(RUN[:9]) == b""
    assert found(talk, RUN[9:]) is None
    assert found(talk, RUN) is None
    assert talk.send(RUN[9:]) == wire.rows(b"lamp")
    assert found(talk, RUN) is not None


CHANGED = {
    "closed": wire.command(0x19, b"\x07\0\0\0"),
    "prepared anew": wire.prepare("select amount from salaries where id = ?"),
    "the session begins anew": wire.command(0x1F),
}


@pytest.mark.parametrize("data", CHANGED.values(), ids=CHANGED.keys())
def test_a_number_that_stands_for_something_else_is_not_known(data: bytes) -> None:
    talk = session()
    repeated = found(talk, RUN)
    assert repeated is not None
    talk.send(data)
    assert found(talk, RUN) is None
    assert not talk.talk.is_still(repeated)


def test_another_catalogue_is_another_meaning() -> None:
    talk = session()
    text = wire.query("select total from orders where id = 1")
    talk.send(text)
    known = [found(talk, RUN), found(talk, text)]
    talk.talk.set_catalog(Catalog({}))
    for repeated in known:
        assert repeated is not None
        assert not talk.talk.is_still(repeated)
    assert found(talk, RUN) is None
    talk.send(RUN)
    assert found(talk, RUN) is not None


def test_a_prepared_text_is_not_known_in_another_character_set() -> None:
    talk = Talk(answers, facts=facts_of)
    talk.send(wire.prepare("select item from orders where id = ? and item <> 'Ü'"))
    talk.send(wire.execute(7, values=VALUES))
    assert found(talk, RUN) is not None
    talk.talk._state.charset = "latin1"
    assert found(talk, RUN) is None
    talk.talk._state.is_known = False
    assert found(talk, wire.query("select 1")) is None


def test_a_prepared_text_is_not_known_where_quotes_mean_something_else() -> None:
    talk = Talk(answers, facts=facts_of)
    talk.send(wire.prepare('select item from orders where id = ? and item <> "salary"'))
    talk.send(wire.execute(7, values=VALUES))
    assert found(talk, RUN) is not None
    talk.talk._state.modes = frozenset({"STRICT_TRANS_TABLES"})
    assert found(talk, RUN) is not None
    talk.talk._state.modes = frozenset({"ANSI_QUOTES"})
    assert found(talk, RUN) is None


def test_a_packet_that_ends_early_is_read_as_ever() -> None:
    talk = Talk(lambda data: wire.prepared(7) if data[4] == 0x16 else wire.rows(b"lamp"), facts=facts_of)
    talk.send(wire.prepare("select item from orders"))
    talk.send(wire.execute(7))
    run = wire.execute(7)
    assert found(talk, run) is not None
    for size in range(1, len(run) - 4):
        assert found(talk, wire.packet(run[4 : 4 + size])) is None, "the first bytes of a number are another"


def test_shapes_are_remembered_for_some_statements_only() -> None:
    talk = session()
    for number in range(1_100):
        talk.send(wire.query(f"select c{number} from orders"))
    assert len(talk.talk._state.shapes) == 1_000
    assert found(talk, wire.query("select c0 from orders")) is None
    assert found(talk, wire.query("select c1099 from orders")) is not None


def test_both_ways_leave_the_same_behind() -> None:
    seen = []
    for again in (True, False):
        talk = session()
        talk.repeats = again
        read = [
            talk.send(data)
            for data in (wire.execute(7, values=VALUES), RUN, wire.query(SELECT[:-1] + "3"), RUN)
        ]
        asked = [(each.phase, each.name, each.bind_types, each.statements) for each in talk.requests]
        ends = [(each.rows, each.bytes, each.error_code, each.executed) for each in talk.outcomes]
        seen.append((read, talk.to_server, asked, ends, talk.talk.is_settled()))
        assert bool(talk.repetitions) is again
    assert seen[0] == seen[1]


def test_an_error_and_a_reply_that_is_nonsense_end_it_as_ever() -> None:
    talk = session()
    for answer, code in ((wire.error(1, 1146), "1146"), (wire.ok(), "")):
        repeated = found(talk, RUN)
        assert repeated is not None
        talk.talk.admit_again(repeated)
        relay = talk.talk.from_backend(answer)
        assert (relay.to_client, relay.outcomes[0].error_code) == (answer, code)
    repeated = found(talk, RUN)
    assert repeated is not None
    talk.talk.admit_again(repeated)
    with pytest.raises(ProtocolError):
        talk.talk.from_backend(wire.packet(b"\1\1"))
    (over,) = talk.talk.abandon()
    assert (over.request, over.error_code) == (repeated.request, "unknown")


@pytest.mark.parametrize("answer", ["no", "yes, but"])
def test_what_got_another_answer_than_a_plain_yes_is_not_asked_about_in_haste(answer: str) -> None:
    talk = session()
    text = wire.query("select total from orders where id = 1")
    talk.send(text)
    for data in (RUN, text):
        assert found(talk, data) is not None
        (request,) = talk.talk.from_client(data)
        assert isinstance(request, Request)
        if answer == "no":
            talk.talk.refuse(request, facts_of(request), DENIAL)
        else:
            duty = Duty(Obligations(timeout_ms=5))
            assert isinstance(talk.talk.oblige(request, facts_of(request), duty), Obliged)
            talk.talk.admit(request, facts_of(request))
            talk.talk.from_backend(wire.ok())
        assert found(talk, data) is None
