"""What a statement tells of, or sets going, by way of what hangs on its relations."""

from dataclasses import replace

import pytest

from gateway.model.obligation import Conceal, Mask, Obligations, RowFilter
from gateway.model.statement import Catalog, ForeignKey, NameContext, Relation, Statement, Ties
from gateway.protocols.postgres import POSTGRES
from gateway.protocols.postgres.concealment import RefusedError
from gateway.protocols.postgres.cursors import Cursors, made
from gateway.protocols.postgres.rewriting import rewrite
from gateway.sansio.exchange import Duty, Facts

Key = tuple[str, str]
PEOPLE, REFS, VISITS, NOTES = ("app", "people"), ("app", "refs"), ("app", "visits"), ("app", "notes")
RELATIONS = {
    PEOPLE: Relation("table", ("id", "name", "ssn", "low", "high"), ("int",) * 5, (1, 2, 3, 4, 5), 1),
    REFS: Relation("table", ("ssn", "note"), ("text",) * 2, (1, 2), 2),
    VISITS: Relation("table", ("id", "person"), ("int",) * 2, (1, 2), 3),
    NOTES: Relation("table", ("id", "visit"), ("int",) * 2, (1, 2), 4),
    ("app", "shown"): Relation("view", ("id", "who"), ("int", "text"), (1, 2), 5),
}
TIES = Ties(
    frozenset(
        {
            ForeignKey(REFS, frozenset({"ssn"}), PEOPLE, frozenset({"ssn"})),
            ForeignKey(VISITS, frozenset({"person"}), PEOPLE, frozenset({"id"}), spreads=True),
            ForeignKey(NOTES, frozenset({"visit"}), VISITS, frozenset({"id"})),
        }
    ),
    unique={PEOPLE: frozenset({frozenset({"id"}), frozenset({"name", "ssn"})})},
    checked={PEOPLE: frozenset({frozenset({"low", "high"})})},
)
CATALOG = Catalog(RELATIONS, shares={("app", "shown"): frozenset({PEOPLE})}, ties=TIES)


def names(catalog: Catalog = CATALOG) -> NameContext:
    return NameContext("db", "u", ("app",), catalog)


def masked(**columns: Conceal) -> Duty:
    return Duty(Obligations(masks=tuple(Mask(*PEOPLE, column, how) for column, how in columns.items())))


def filtered(*tables: str, **other: str) -> Duty:
    conditions = dict.fromkeys(tables, "regate_row.id < 3") | other
    filters = tuple(RowFilter("app", table, "rows/few") for table in conditions)
    return Duty(Obligations(row_filters=filters), tuple(zip(filters, conditions.values(), strict=True)))


def facts(text: str, catalog: Catalog = CATALOG) -> Facts:
    return POSTGRES.classify(Statement(text, "postgres", names(catalog), server_version="15.1"))


def code(text: str, duty: Duty, catalog: Catalog = CATALOG) -> str:
    """Why it is refused; empty when it is not."""
    try:
        rewrite(text, facts(text, catalog), names(catalog), duty)
    except RefusedError as error:
        return error.code
    return ""


SSN, HIGH = masked(ssn=Conceal.FULL), masked(high=Conceal.NULL)
CHANGES = [
    ("insert into people (id, ssn) values (1, 'x')", SSN, "mask_refused"),
    ("insert into people values (1, 'a', 'x', 1, 2)", SSN, "mask_refused"),
    ("insert into people (id, name) values (1, 'a')", SSN, ""),
    ("update people set ssn = 'x' where id = 1", SSN, "mask_refused"),
    ("update people set name = 'a' where id = 1", SSN, "mask_refused"),
    ("update people set low = 1 where id = 1", SSN, ""),
    ("update people set low = 1 where id = 1", HIGH, "mask_refused"),
    ("insert into people (id, low, high) values (1, 2, 3)", HIGH, ""),
    ("insert into refs (ssn) values ('x')", SSN, "mask_refused"),
    ("insert into refs (note) values ('x')", SSN, ""),
    ("insert into refs values ('x')", HIGH, ""),
    ("update refs set ssn = 'x'", SSN, "mask_refused"),
    ("update refs set note = 'x'", SSN, ""),
    ("copy refs from stdin", SSN, "mask_refused"),
    ("copy refs (note) from stdin", SSN, ""),
    ("merge into refs using notes on false when not matched then insert values ('x')", SSN, "mask_refused"),
    ("with n as (insert into refs (ssn) values ('x') returning 1) select 1", SSN, "mask_refused"),
    ("delete from people where id = 1", filtered("visits"), "row_filter_refused"),
    ("delete from people where id = 1", filtered("notes"), "row_filter_refused"),
    ("delete from visits where id = 1", filtered("notes"), "row_filter_refused"),
    ("delete from notes where id = 1", filtered("visits"), ""),
    ("delete from shown where id = 1", filtered("notes"), "row_filter_refused"),
    ("update people set id = 2 where id = 1", filtered("visits"), "row_filter_refused"),
    ("update people set name = 'a' where id = 1", filtered("visits"), ""),
    ("with gone as (delete from people returning 1) select 1", filtered("visits"), "row_filter_refused"),
    ("insert into visits (id, person) values (1, 1)", filtered("notes"), ""),
    ("select id from people", filtered("visits"), ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "duty", "refusal"), CHANGES)
def test_a_change_that_would_tell_is_refused_and_no_other(text: str, duty: Duty, refusal: str) -> None:
    assert code(text, duty) == refusal


def test_a_column_that_refers_tells_of_nothing_masked_but_by_what_it_refers_to() -> None:
    duty = Duty(Obligations(masks=(Mask(*VISITS, "person", Conceal.NULL),)))
    assert code("delete from people where id = 1", duty) == "mask_refused"
    assert code("delete from people where id = 1", SSN) == ""


PARENT, PART = ("app", "sales"), ("app", "sales_us")
SALES = Relation("table", ("id", "card"), ("int", "text"), (1, 2), 7)
PARTED = Catalog(
    {PARENT: SALES, PART: replace(SALES, oid=8)},
    shares={PARENT: frozenset({PART}), PART: frozenset({PARENT})},
)


def both(parent: str, part: str) -> Duty:
    masks = [Mask(*key, "card", Conceal(how)) for key, how in ((PARENT, parent), (PART, part)) if how]
    return Duty(Obligations(masks=tuple(masks)))


READS: list[tuple[Duty, bool, bool]] = [
    (filtered("sales"), True, False),
    (filtered("sales_us"), False, True),
    (filtered("sales", "sales_us"), True, True),
    (filtered("sales", sales_us="regate_row.id < 2"), False, False),
    (both("full", ""), True, False),
    (both("full", "full"), True, True),
    (both("null", "full"), True, False),
    (both("partial", "full"), False, True),
]


@pytest.mark.parametrize(("duty", "parent", "part"), READS)
def test_a_parent_and_a_partition_show_of_each_other_no_more_than_either_may(
    duty: Duty, *, parent: bool, part: bool
) -> None:
    assert (code("select id from sales", duty, PARTED) == "") is parent
    assert (code("select id from sales_us", duty, PARTED) == "") is part


@pytest.mark.parametrize("duty", [SSN, filtered("people")])
def test_what_is_to_be_concealed_and_is_not_known_yet_is_not_read(duty: Duty) -> None:
    young = Catalog({key: relation for key, relation in RELATIONS.items() if key != PEOPLE})
    assert code("select * from app.people", duty, young) == "relation_unknown"
    assert code("copy app.people to stdout", duty, young) == "relation_unknown"
    assert code("select * from app.notes", duty, young) == ""


CURSORS: list[tuple[str, str, set[Key], bool]] = [
    ("insert into notes (id) values (1)", "opens", {NOTES}, False),
    ("insert into notes (id) values (1)", "", {NOTES}, True),
    ("insert into notes (id) values (1)", "opens", {PEOPLE}, True),
    ("delete from people where id = 1", "opens", {VISITS}, False),
    ("delete from people where id = 1", "opens", {NOTES}, True),
    ("select id from shown", "opens", {PEOPLE}, False),
    ("select 1 from pg_catalog.pg_class", "opens", {NOTES}, True),
    ("insert into made_just_now values (1)", "opens", set(), False),
    ("create table made (id int)", "opens", set(), False),
    ("commit", "opens", {NOTES}, True),
    ("commit", "opens late", {NOTES}, False),
    ("set constraints all immediate", "opens late", {NOTES}, False),
    ("set application_name = 'x'", "opens late", {NOTES}, True),
]


@pytest.mark.parametrize(("text", "has", "with_code", "known"), CURSORS)
def test_a_cursor_is_forgotten_where_code_that_no_text_names_may_run(
    text: str, has: str, with_code: set[Key], *, known: bool
) -> None:
    opens, late = "opens" in has, "late" in has
    ties = replace(TIES, code=frozenset(with_code), opens_cursors=opens, runs_late=late)
    catalog = replace(CATALOG, ties=ties)
    declare = "declare c cursor for select id from refs"
    cursor = made(Statement(declare, "postgres", names(catalog)), facts(declare, catalog), declare)
    assert cursor is not None
    cursors = Cursors()
    cursors.declared(cursor)
    cursors.met(facts(text, catalog), names(catalog))
    assert bool(cursors) is known
