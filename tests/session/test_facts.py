"""A long text is read in another process, and means there what it means here."""

import asyncio
import multiprocessing
import os
import signal

import pytest

from gateway.model.statement import Catalog, NameContext, Phase, Statement
from gateway.protocols.postgres import POSTGRES
from gateway.sansio.exchange import Request
from gateway.session import facts as limits
from gateway.session.facts import Classifier

NAMES = NameContext("appdb", "analyst", ("app",), Catalog({}))


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [5_000, 300_000])
async def test_what_an_earlier_statement_changes_a_long_text_s_later_one_meets(length: int) -> None:
    text = "SELECT app.f(); SELECT * FROM orders" + " " * length
    statement = Statement(text, "postgres", NAMES, parameters=(16_400,))
    request = Request(b"", Phase.QUERY, (statement,))
    classifier = Classifier()
    try:
        assert classifier.now(POSTGRES, request) is None
        facts = await classifier.later(POSTGRES, request)
    finally:
        await classifier.close()
    assert [item.complete for item in facts] == [True, False]
    assert facts[0].casts[0].name == "oid 16400"


def _long(number: int) -> Request:
    """A text that only the other process reads; *number* makes it one that nobody has read yet."""
    text = f"SELECT {'1, ' * 2_000}{number}"
    return Request(b"", Phase.QUERY, (Statement(text, "postgres", NAMES),))


def _reader() -> int:
    (process,) = multiprocessing.active_children()
    assert process.pid is not None
    return process.pid


async def test_a_reader_that_gets_no_processor_for_a_while_is_waited_for() -> None:
    async with Classifier() as classifier:
        reader = _reader()
        os.kill(reader, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(2 * limits.PARSE_SECONDS, os.kill, reader, signal.SIGCONT)
        (facts,) = await classifier.later(POSTGRES, _long(1))
    assert facts.complete


async def test_a_reader_that_never_answers_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Classifier() as classifier:
        os.kill(_reader(), signal.SIGSTOP)
        with monkeypatch.context() as hurried:
            hurried.setattr(limits, "WAIT_FACTOR", 0.5)
            (facts,) = await classifier.later(POSTGRES, _long(2))
        assert not facts.complete
        (facts,) = await classifier.later(POSTGRES, _long(3))
    assert facts.complete


async def test_a_text_that_costs_too_much_of_the_processor_is_not_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Classifier() as classifier:
        with monkeypatch.context() as strict:
            strict.setattr(limits, "PARSE_SECONDS", 0.0005)
            strict.setattr(limits, "PARSE_SECONDS_PER_KIB", 0)
            strict.setattr(limits, "WAIT_FACTOR", 1_000_000)
            (facts,) = await classifier.later(POSTGRES, _long(4))
        assert not facts.complete
        (facts,) = await classifier.later(POSTGRES, _long(5))
    assert facts.complete


@pytest.mark.parametrize(("away", "code"), [(0, 0), (1, 1)])
def test_a_reader_whose_service_is_gone_ends(away: int, code: int) -> None:
    reader = multiprocessing.get_context("spawn").Process(
        target=limits._belong_to,  # what it begins with
        args=(os.getpid() + away,),
    )
    reader.start()
    reader.join(60)
    assert reader.exitcode == code
