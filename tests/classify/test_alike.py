"""A text that is taken for another's like is read exactly as if it had been read by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.classify import alike, sql
from gateway.classify.facts import Parsed
from gateway.model.statement import NameContext, Statement

VERSIONS = {"postgres": "15.4", "mysql": "8.0.35", "mariadb": "10.11.6-MariaDB"}
NUMBERS = ("0", "1", "7", "007", "12345", "999999999")

_NAMES = st.sampled_from(
    ["a", "t.b", "s.t.c", "id", "pad", "password", "users.token", "limit", "rows", "f", "count", "A1", "_x"]
)
_NUMBER = st.sampled_from([*NUMBERS, "2147483648", "1.5", "1e3", "0x1f"])
_TERM = st.one_of(
    st.builds("{} = {}".format, _NAMES, _NUMBER),
    st.builds("{}={}".format, _NAMES, _NUMBER),
    st.builds("{} >= {}".format, _NAMES, _NUMBER),
    st.builds("{} in ({}, {})".format, _NAMES, _NUMBER, _NUMBER),
    st.builds("f({} = {})".format, _NAMES, _NUMBER),
    st.builds("sleep({})".format, _NUMBER),
    st.builds("({} = {})".format, _NAMES, _NUMBER),
    st.builds("{} = {} = {}".format, _NAMES, _NUMBER, _NUMBER),
    _NAMES,
)
_TAIL = st.sampled_from(
    ["", " limit 5", " for update", " order by 2", " group by a", " ;", " union select 1", ")"]
)
_TEXT = st.builds(
    lambda what, table, terms, tail: f"select {what} from {table} where {' and '.join(terms)}{tail}",
    _TERM,
    st.sampled_from(["t", "s.t", "t, u", "t join u on t.a = 4", "(select a from u where b = 9) as d"]),
    st.lists(_TERM, min_size=1, max_size=3),
    _TAIL,
)


def read(text: str, dialect: str) -> Parsed:
    return sql.parse_uncached(text, dialect, VERSIONS[dialect])


@pytest.mark.parametrize("dialect", VERSIONS)
@given(text=_TEXT, number=st.sampled_from(NUMBERS))
def test_what_is_said_of_its_like_is_what_is_said_of_it(dialect: str, text: str, number: str) -> None:
    form, parsed = alike.form(text), read(text, dialect)
    if not form or not alike.is_pattern(parsed, text):
        return
    other = form.replace("?", number)
    assert alike.form(other) == form
    assert alike.like(parsed, other).pieces == read(other, dialect).pieces


@pytest.mark.parametrize("dialect", VERSIONS)
def test_facts_of_its_like_are_its_own(dialect: str) -> None:
    names = NameContext("shop", "ada", search_path=("public",))
    texts = [f"select total from orders where id = {number} and kind=3" for number in NUMBERS]
    for text in texts:
        statement = Statement(text, dialect, names, server_version=VERSIONS[dialect])
        (fact,) = sql.classify(statement)
        assert (fact.text, fact.redacted) == (text, text)
        fresh = sql.resolve(read(text, dialect), names)
        assert (fact,) == fresh
        assert sql.classify(statement)[0] is fact


def test_a_number_behind_a_name_and_a_sign_is_all_that_makes_no_difference() -> None:
    assert alike.form("SELECT c FROM t WHERE id=5") == "SELECT c FROM t WHERE id=?"
    assert (
        alike.form("select a from t where b = 5 and t.c =\n7") == "select a from t where b = ? and t.c =\n?"
    )
    assert alike.form("select a from t where b = 5 limit 10") == "select a from t where b = ? limit 10"


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "select a from t limit 5",
        "select a from t where 1 = 1",
        "select a from t where b = '5'",
        "select a from t where b = 5 and c = 'x'",
        "select a from t where `b` = 5",
        'select a from t where "b" = 5',
        "select a from t where b = 5 -- c",
        "select a from t where b = 5 /* c */",
        "select a from t where b = 5 # c",
        "select a from t where b = 5; drop table t",
        "select a from t where b = 5.5",
        "select a from t where b = 5e5",
        "select a from t where b = 0x5",
        "select a from t where b = 5000000000",
        "select a from t where b = -5",
        "select a from t where b >= 5",
        "select a from t where b <=> 5",
        "select f(a => 5)",
        "select f(a := 5)",
        "select @a = 5",
        "select a from t where b = $1",
        "select a from t where ü = 5",
        "set a = 5",
        "update t set a = 5",
        "delete from t where a = 5",
        "set statement max_statement_time=5 for select 1",
        "selected = 5",
        "select a from t where b = 5" + " " * 2_000,
    ],
)
def test_anything_else_is_read_by_itself(text: str) -> None:
    assert alike.form(text) == ""


def test_what_is_not_understood_stands_for_nothing_else() -> None:
    for text in ("select a from where b = 5", "select a from t where password = 5"):
        assert alike.form(text)
        assert not alike.is_pattern(read(text, "mariadb"), text)


def test_a_long_text_is_looked_at_once() -> None:
    long = ["select " + "a" * 1_990, "select a" + " " * 1_990, "select " + "a = " * 490]
    for text in [*long, "select " + "1" * 1_990]:
        assert alike.form(text) == ""
