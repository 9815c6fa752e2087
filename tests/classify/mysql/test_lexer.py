"""Texts are cut into tokens as the servers cut them, or refused."""

import pytest

from gateway.classify.doubt import DoubtError
from gateway.classify.mysql.lexer import Reading, tokenize
from gateway.classify.tokens import Kind
from tests.classify.mysql.judge import facts_of, relations

PLAIN = Reading(is_mariadb=True, version=101119, folds=False)
ANSI = Reading(ansi_quotes=True)
UNESCAPED = Reading(no_backslash_escapes=True)


def values(text: str, how: Reading = PLAIN) -> list[str]:
    return [token.value for token in tokenize(text, how)]


@pytest.mark.parametrize(
    ("text", "how", "expected"),
    [
        ("a -- b\nc", PLAIN, ["a", "c"]),
        ("a --b", PLAIN, ["a", "-", "-", "b"]),
        ("a --", PLAIN, ["a"]),
        ("a # b\rc\nd", PLAIN, ["a", "d"]),
        ("a /* /* */ b", PLAIN, ["a", "b"]),
        ("a /*! b */ c", PLAIN, ["a", "b", "c"]),
        ("a /*!50000b*/c", PLAIN, ["a", "b", "c"]),
        ("a /*M!100100 b */", PLAIN, ["a", "b"]),
        (r"'a\'b' c", PLAIN, ["a'b", "c"]),
        (r"'a\' b", UNESCAPED, ["a\\", "b"]),
        ("'a''b'", PLAIN, ["a'b"]),
        ('"a""b"', PLAIN, ['a"b']),
        ("`a``b`", PLAIN, ["a`b"]),
        ("a.b .c", PLAIN, ["a", ".", "b", ".", "c"]),
        ("0x41 b'1' x'41' N'a' 1.5e3 .5", PLAIN, ["0x41", "1", "41", "a", "1.5e3", ".5"]),
        ("@a @'b c' @`d` @@global.e", PLAIN, ["a", "b c", "d", "global.e"]),
        ("a\x0bb\x0cc --\x0b d\ne --\x0c'\nf", PLAIN, ["a", "b", "c", "e", "f"]),
        ("a<=>b->>c||d:=e", PLAIN, ["a", "<=>", "b", "->>", "c", "||", "d", ":=", "e"]),
    ],
)
def test_tokens(text: str, how: Reading, expected: list[str]) -> None:
    assert values(text, how) == expected


def test_double_quotes_mean_what_the_mode_says() -> None:
    assert [token.kind for token in tokenize('"a"', PLAIN)] == [Kind.STRING]
    assert [token.kind for token in tokenize('"a"', ANSI)] == [Kind.NAME]


@pytest.mark.parametrize(
    "text",
    [
        "1a", "1e1FROM", "0X41", "a.1", "1..2", "'a", "`a", "/* a", "/*! a", "/*! a /* b */ */",
        "/*! a; b */",
        "/*! a -- */", "/*!99999 a */", "/*!101120 a */", "/*!50700 a */", "/*!5000 a */", "/*!050000 a */",
        "/*!1234567 a */", "``", "`a `", "`a/b`", "`#mysql50#a`", "$a", "a\x01b", "--\x01 a", "a\x00",
        "a\u00a0b", "\\N", "@ a", "@@ a",
        "a\U0001f600", "[a]",
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(DoubtError):
        tokenize(text, PLAIN)


def test_a_comment_of_mariadbs_is_refused_where_the_server_says_that_it_is_none() -> None:
    with pytest.raises(DoubtError):
        tokenize("a /*M! b */", Reading(version=80031))


@pytest.mark.parametrize("modes", [None, frozenset({"ORACLE"}), frozenset({"MSSQL"})])
def test_a_mode_that_is_not_known_or_another_grammar_is_refused(modes: frozenset[str] | None) -> None:
    assert [item.unknown_reason for item in facts_of("select 1", modes=modes)] == ["sql_mode"]


@pytest.mark.parametrize(
    ("dialect", "version", "understood"),
    [
        ("mariadb", "10.11.19-MariaDB", True),
        ("mariadb", "5.5.5-10.11.19-MariaDB-log", True),
        ("mariadb", "10.0.1-MariaDB", False),
        ("mariadb", "", False),
        ("mysql", "8.0.31", False),  # whether it counts five digits or six depends
    ],
)
def test_an_executable_comment_is_read_only_where_it_surely_runs(
    dialect: str, version: str, *, understood: bool
) -> None:
    facts = facts_of("select 1 /*!100100 , (select who from secret.pay) */", dialect, version=version)
    assert [item.complete for item in facts] == [understood]
    assert relations(facts) == ({"secret.pay"} if understood else set())
