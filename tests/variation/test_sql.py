"""Every statement of the corpora in other clothes: what it means, and what it gets, stays.

The verdicts are those of the corpora's reference policy in a few lines of Python, which other tests hold
against the one in Rego. A seeded sample runs each time; all of it is the soak.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.classify.sql import classify
from gateway.model.classification import Classification
from gateway.model.statement import Statement
from gateway.protocols.postgres.rehearsal import NAMES as POSTGRES_NAMES
from tests.classify import judge as postgres
from tests.classify.mysql import judge as mysql
from tests.variation import sql, texts

CORPUS = Path(__file__).resolve().parents[1] / "corpus"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SAMPLE = {"postgresql": 80, "mysql": 60, "mariadb": 20}
PROTOCOLS = tuple(SAMPLE)
QUERIES = frozenset(("select", "values", "table"))


@dataclass(frozen=True, slots=True)
class Case:
    """One statement of a corpus, or a few; ``tokens`` are those of its text."""

    id: str
    protocol: str
    text: str
    tokens: list[texts.Token]

    @property
    def statement(self) -> str:
        """The text as something that may stand inside another: without the comments around it."""
        whole = texts.joined([texts.Token(self.tokens[0].kind, self.tokens[0].text), *self.tokens[1:]])
        return whole.rstrip("; \n")

    @property
    def template(self) -> str:
        """The name of the dialect's sentences."""
        return "postgresql" if self.protocol == "postgresql" else "mysql"


@cache
def corpora() -> list[dict[str, Any]]:
    """Every entry of every corpus."""
    paths = sorted(CORPUS.glob("*.yaml"))
    return [entry for path in paths for entry in yaml.load(path.read_text(), LOADER)]  # the safe one, in C


@cache
def cases(protocol: str) -> list[Case]:
    """Every statement of the corpora that can be cut into tokens, once."""
    found: dict[str, Case] = {}
    for entry in corpora():
        if (entry["protocol"], entry["kind"], entry.get("encoding", "text")) == (protocol, "sql", "text"):
            text = str(entry["payload"])
            tokens = texts.tokens(text, protocol)
            if tokens:
                found.setdefault(text, Case(str(entry["id"]), protocol, text, tokens))
    return list(found.values())


def facts_of(text: str, protocol: str) -> tuple[Classification, ...]:
    """The facts, where the names mean what they mean to the rehearsal of the corpora."""
    if protocol == "postgresql":
        return classify(Statement(text, "postgres", POSTGRES_NAMES))
    return mysql.facts_of(text, protocol)


def is_refused(facts: tuple[Classification, ...], protocol: str) -> bool:
    """What the reference policy says."""
    return bool((postgres if protocol == "postgresql" else mysql).objections(facts))


def meaning(facts: tuple[Classification, ...]) -> list[Any]:
    """All that policies see but the fingerprint, without the order in which things were met."""
    shown = []
    for item in facts:
        given = item.to_json()
        given.pop("fingerprint")
        for key in ("functions", "operators", "casts"):
            given[key] = sorted(map(str, given[key]))
        shown.append(given if given["complete"] else {"complete": False})
    return shown


def things(facts: tuple[Classification, ...]) -> set[tuple[str, ...]]:
    """Everything that is named in these facts."""
    found: set[tuple[str, ...]] = set()
    for item in facts:
        objects = [effect.object for effect in item.effects if effect.object is not None]
        found |= {("object", thing.kind, thing.schema, thing.name) for thing in objects}
        found |= {("setting", setting.name) for setting in item.settings}
        for kind in ("functions", "operators", "casts"):
            found |= {(kind, named.schema, named.name) for named in getattr(item, kind)}
    return found


def is_whole(facts: tuple[Classification, ...]) -> bool:
    return all(item.complete for item in facts)


def same_in_other_clothes(case: Case, rng: random.Random) -> Iterator[str]:
    expected = meaning(facts_of(case.text, case.protocol))
    for name, change in sql.same(case.protocol).items():
        text = change(case.tokens, rng)
        if text is not None and meaning(facts_of(text, case.protocol)) != expected:
            yield f"{case.id}, {name}: {text!r}"


def seen_inside_others(case: Case, rng: random.Random, most: int) -> Iterator[str]:
    known = facts_of(case.text, case.protocol)
    if len(known) != 1:
        return
    is_query = (
        is_whole(known) and known[0].operation in QUERIES and case.tokens[0].text.lower() != "do"
    )  # DO evaluates as SELECT does, and stands alone
    around = [(text, False) for text in sql.QUERIES[case.template]] if is_query else []
    around += [(text, True) for text in sql.STATEMENTS[case.template]]
    for sentence, is_refused_itself in rng.sample(around, min(most, len(around))):
        text = sentence.replace("{}", case.statement)
        facts = facts_of(text, case.protocol)
        must_be_refused = is_refused_itself or is_refused(known, case.protocol)
        if is_refused(facts, case.protocol) != must_be_refused:
            yield f"{case.id}, the verdict: {text!r}"
        elif is_query and is_whole(facts) and not things(known) <= things(facts):
            yield f"{case.id}, without {things(known) - things(facts)}: {text!r}"


def judged_among_others(case: Case, rng: random.Random) -> Iterator[str]:
    del rng
    expected = is_refused(facts_of(case.text, case.protocol), case.protocol)
    for sentence in sql.AMONG:
        text = sentence.replace("{}", texts.joined(case.tokens))
        if is_refused(facts_of(text, case.protocol), case.protocol) != expected:
            yield f"{case.id}: {text!r}"


def wrong(chosen: list[Case], look: Callable[[Case, random.Random], Iterator[str]]) -> list[str]:
    """What one look finds in these cases; the same each time."""
    return [found for case in chosen for found in look(case, random.Random(case.id))]


def sample(protocol: str) -> list[Case]:
    """Some cases, the same each time."""
    return random.Random(protocol).sample(cases(protocol), SAMPLE[protocol])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_statement_in_other_clothes_means_the_same(protocol: str) -> None:
    assert wrong(sample(protocol), same_in_other_clothes) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_statement_inside_another_is_seen(protocol: str) -> None:
    assert wrong(sample(protocol), lambda case, rng: seen_inside_others(case, rng, 4)) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_statement_among_others_gets_what_it_gets_alone(protocol: str) -> None:
    assert wrong(sample(protocol), judged_among_others) == []


SLICES = 8


@pytest.mark.soak
@pytest.mark.parametrize("number", range(SLICES))
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_all_of_them(protocol: str, number: int) -> None:
    found = cases(protocol)[number::SLICES]
    assert wrong(found, same_in_other_clothes) == []
    assert wrong(found, lambda case, rng: seen_inside_others(case, rng, 1_000)) == []
    assert wrong(found, judged_among_others) == []
