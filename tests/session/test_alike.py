"""What is made of a statement's like, for record and policy, is what would have been made of it alone."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.audit.encode import body, decode
from gateway.classify import sql
from gateway.clock import SystemClock
from gateway.model.classification import Classification, Named
from gateway.model.decision import Allowed, Decision, Denied, Reason, Revisions
from gateway.model.event import Event
from gateway.model.identity import Identity, Route, Use
from gateway.model.resource import Database
from gateway.model.statement import NameContext, Phase, Statement
from gateway.policy.document import FactsCache, encode
from gateway.sansio.exchange import Request
from gateway.session.record import KEPT_FORMS, Recorder, Who

NAMES = NameContext("shop", "ada", search_path=("public",))
ALLOWED = Allowed("d1", Revisions("p", 1), "digest", roles=("r",))
DENIED = Denied("d2", (Reason("no_role"),), Revisions("p", 1), "digest")


def recorder() -> Recorder:
    now = datetime.now(UTC)
    identity = Identity("ada", ("r",), {}, "c", Use.DATABASE, now, now, "1", Route("d", "mysql", "u", "shop"))
    who = Who("s", identity, Database("d", "mysql", "h:1"), ("u", "shop"), "127.0.0.1:1")
    return Recorder(who, SystemClock())


def request(text: str) -> Request:
    return Request(text.encode(), Phase.QUERY, (Statement(text, "mariadb", NAMES, server_version="10.11"),))


def items() -> Iterator[tuple[Request, Classification]]:
    """Statements of two forms by turns, and some that share their parts with none or differ in one."""
    for number in range(4):
        for text in (f"select a from t where b = {number}", f"select a from u where b = {number} limit 3"):
            asked = request(text)
            (item,) = sql.classify(asked.statements[0])
            yield asked, item
            yield asked, replace(item, redacted='ü "\x7f\\ \ud800 %s \U0001f600')
            yield asked, replace(item, complete=False, unknown_reason="syntax")
            yield asked, replace(item, fingerprint=f"other {number}")
            yield asked, replace(item, casts=(Named("money"),))


def said(events: list[Event]) -> list[dict[str, object]]:
    """The fields as they stand in the log, each line canonical."""
    return [dict(decode(body(event).line(7)).event.fields) for event in events]


@pytest.mark.parametrize("decision", [ALLOWED, DENIED])
def test_the_record_of_a_like_is_its_own(decision: Decision) -> None:
    one = recorder()
    for asked, item in items():
        made = one.requested(asked, (item,), decision)
        fresh = recorder().requested(asked, (item,), decision)
        assert said(made) == said(fresh)
        assert [event.fields for event in made] == [event.fields for event in fresh]


def test_another_verdict_is_recorded_of_a_like() -> None:
    one = recorder()
    verdicts: list[Decision] = [ALLOWED, DENIED, replace(ALLOWED, revisions=Revisions("p", 2)), ALLOWED]
    for number, decision in enumerate(verdicts):
        asked = request(f"select a from t where b = {number}")
        facts = sql.classify(asked.statements[0])
        assert said(one.requested(asked, facts, decision)) == said(
            recorder().requested(asked, facts, decision)
        )


def test_of_many_forms_few_are_kept() -> None:
    one = recorder()
    for number in range(KEPT_FORMS + 5):
        asked = request(f"select a{number} from t where b = 1")
        one.requested(asked, sql.classify(asked.statements[0]), ALLOWED)
    assert len(one._alike) == KEPT_FORMS


def test_what_is_asked_about_a_like_is_its_own() -> None:
    cache = FactsCache(limit=3)
    for _, item in items():
        assert cache.encode((item,)) == encode([item.to_json()])
        assert cache.encode((item, item)) == encode([item.to_json()] * 2)
