"""Rewriting as values: what stands in the place of a relation, and that results are cut and confirmed."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify.sql import classify
from gateway.errors import ProtocolError
from gateway.model.obligation import KINDS, Conceal, Mask, Obligations, RowFilter
from gateway.model.statement import Catalog, NameContext, Relation, Statement
from gateway.protocols import REGISTRY
from gateway.protocols.postgres import errors, messages, results
from gateway.protocols.postgres.concealment import RefusedError
from gateway.protocols.postgres.pipeline import Expected
from gateway.protocols.postgres.rewriting import Rewritten, rewrite
from gateway.sansio.exchange import Duty

ROOT = Path(__file__).parents[3]
PEOPLE = Relation("table", ("id", "name", "ssn"), ("integer", "text", "text"), (1, 2, 4), 100)
ORDERS = Relation("table", ("id", "person"), ("integer", "integer"), (1, 2), 101)
CATALOG = Catalog(
    {("app", "people"): PEOPLE, ("app", "orders"): ORDERS, ("app", "seen"): Relation("view", ("id",))},
    shares={("app", "seen"): frozenset({("app", "people")})},
)
NAMES = NameContext("db", "u", ("app",), CATALOG)
MASKED = Duty(Obligations(masks=(Mask("app", "people", "ssn", Conceal.NULL),)))
FILTER = RowFilter("app", "orders", "rows/eu")
MASK = 'CASE WHEN false THEN regate_row."ssn" END AS "ssn"'
SHOWN = f'(SELECT regate_row."id", {MASK} FROM "app"."people" AS regate_row)'


def done(text: str, duty: Duty, names: NameContext = NAMES) -> Rewritten:
    return rewrite(text, classify(Statement(text, "postgres", names)), names, duty)


def filtered(condition: str | None) -> Duty:
    return Duty(Obligations(row_filters=(FILTER,)), ((FILTER, condition),))


REWRITTEN = [
    ("select id, ssn from people", f'select id, ssn from {SHOWN} AS "people"'),
    (
        "select id, ssn from app.people p /* x */ where id = 1",
        f"select id, ssn from {SHOWN} p /* x */ where id = 1",
    ),
    ("select id, ssn from people; select 1", f'select id, ssn from {SHOWN} AS "people"; select 1'),
    (
        "copy (select id, ssn from people) to stdout",
        f'copy (select id, ssn from {SHOWN} AS "people") to stdout',
    ),
    ("select 'people' from orders", "select 'people' from orders"),
    ("with people as (select 1 as ssn) select ssn from people where ssn = 1",) * 2,
]


@pytest.mark.parametrize(("text", "sent"), REWRITTEN)
def test_a_subquery_stands_where_the_relation_stood_and_all_else_stays(text: str, sent: str) -> None:
    assert done(text, MASKED).text == sent


def test_the_masked_columns_are_known_by_their_numbers() -> None:
    assert done("select 1 from people", MASKED).masked == {(100, 4)}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select id from people where ssn = ''", "mask_refused"),
        ("select * from seen", "mask_refused"),
        ("select * from nowhere", "relation_unknown"),
        ("select regate_row from people", "obligation_unsupported"),
        ("select 1" + " " * 17_000, "statement_too_long"),
    ],
)
def test_what_cannot_be_done_says_why(text: str, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        done(text, MASKED)
    assert refused.value.code == code


def test_a_mask_of_a_column_that_is_gone_refuses() -> None:
    renamed = Relation("table", ("id", "name", "other"), ("integer", "text", "text"), (1, 2, 4), 100)
    names = NameContext("db", "u", ("app",), Catalog({("app", "people"): renamed}))
    with pytest.raises(RefusedError):
        done("select id from people", MASKED, names)


@pytest.mark.parametrize(
    "names",
    [
        NameContext("db", "u", None, CATALOG),
        NameContext("db", "u", ("app",), None),
        NameContext("db", "u", ("app",), CATALOG, has_temporary=True),
    ],
)
def test_a_name_that_may_mean_another_relation_refuses(names: NameContext) -> None:
    with pytest.raises(RefusedError):
        done("select id from people", MASKED, names)


def test_the_three_answers_of_a_filter() -> None:
    assert done("select id from orders", filtered("")).text == "select id from orders"
    assert "WHERE (false)" in done("select id from orders", filtered(None)).text
    assert (
        "WHERE ((regate_row.id < 3)) OFFSET 0"
        in done("select id from orders", filtered("regate_row.id < 3")).text
    )


@pytest.mark.parametrize(
    "condition",
    ["1=1) --", "true; drop table x", "exists (select 1 from people)", "pg_sleep(1) is null", "(", "id = "],
)
def test_a_condition_is_one_expression_over_columns(condition: str) -> None:
    with pytest.raises(RefusedError) as refused:
        done("select id from orders", filtered(condition))
    assert refused.value.code == "row_filter_unfit"


@given(st.text(alphabet="selctfromphwy*'\"(),.;=-/ \n123", max_size=60))
def test_whatever_is_asked_the_masked_column_is_read_by_our_subquery_alone(junk: str) -> None:
    text = f"select {junk} from people"
    try:
        sent = done(text, MASKED).text
    except RefusedError:
        return
    outside = sent.replace(MASK, "")
    assert 'regate_row."ssn"' not in outside
    facts = classify(Statement(text, "postgres", NAMES))
    reads = {effect.object.name for item in facts for effect in item.effects if effect.object is not None}
    if all(item.complete for item in facts) and "people" in reads:
        assert '"app"."people" AS regate_row' in sent


def description(*fields: tuple[int, int]) -> bytes:
    body = struct.pack(">H", len(fields))
    for table, number in fields:
        body += b"x\0" + struct.pack(">IHIHIH", table, number, 25, 0, 0, 0)
    return body


@pytest.mark.parametrize(
    ("field", "may"),
    [((100, 2), True), ((0, 0), True), ((101, 4), True), ((100, 4), False), ((100, 0), False)],
)
def test_a_description_with_a_masked_column_ends_the_session(field: tuple[int, int], *, may: bool) -> None:
    body = description((0, 0), field)
    if may:
        results.check_origins(body, frozenset({(100, 4)}))
        return
    with pytest.raises(ProtocolError):
        results.check_origins(body, frozenset({(100, 4)}))


@given(bound=st.integers(1, 20), sizes=st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_each_result_gives_its_first_rows_and_says_when_there_were_more(bound: int, sizes: list[int]) -> None:
    head = Expected(messages.QUERY, bound=bound)
    for size in sizes:
        assert sum(results.may_pass(head) for _ in range(size)) == min(size, bound)
        end = results.ended(head, messages.frame(messages.COMMAND_COMPLETE, b"SELECT %d\0" % size))
        assert (end is None) == (size <= bound)
        if end is not None:
            assert end[0] == messages.NOTICE_RESPONSE
            assert end.endswith(messages.frame(messages.COMMAND_COMPLETE, b"SELECT %d\0" % bound))


def test_an_error_without_details_is_still_an_error() -> None:
    whole = b"SERROR\0VERROR\0C23514\0Mno\0DFailing row contains (123-45-6789).\0WSQL 123-45-6789\0nnamed\0\0"
    kept = errors.without_details(whole)
    assert b"123-45" not in kept
    assert errors.fields(kept[5:]) == {"S": "ERROR", "V": "ERROR", "C": "23514", "M": "no", "n": "named"}
    assert kept.endswith(b"\0\0")


def test_the_page_says_what_each_protocol_carries_out() -> None:
    page = (ROOT / "docs" / "obligations.md").read_text()
    header = next(line for line in page.splitlines() if line.startswith("| protocol |"))
    assert tuple(word.strip() for word in header.split("|")[2:-1]) == KINDS
    for name, protocol in REGISTRY.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
        cells = [word.strip() for word in row.split("|")[2:-1]]
        assert {
            kind for kind, cell in zip(KINDS, cells, strict=True) if cell == "yes"
        } == protocol.obligations
