"""Texts are read as the server reads them, or not at all."""

import pytest

from gateway.classify.doubt import DoubtError
from gateway.classify.postgres.lexer import tokenize
from gateway.classify.tokens import Kind


def values(text: str) -> list[str]:
    return [token.value for token in tokenize(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("foo$$ $$x$$", ["foo$$", "x"]),
        ("$a$ $b$ $a$", [" $b$ "]),
        ("E'a\\'b' e'\\x41\\n'", ["a'b", "A\n"]),
        ("'a''b'\n  'c'", ["a'bc"]),
        ("E'a'\n'\\'' x", ["a'", "x"]),
        ("U&'d!0061t' UESCAPE '!'", ["dat"]),
        ('U&"\\0061\\+000062"', ["ab"]),
        ('"a""b" AbC', ['a"b', "abc"]),
        ("a/* /* */ */b--c\rd", ["a", "b", "d"]),
        ("1+-2 a<@-1 b=-1", ["1", "+", "-", "2", "a", "<@-", "1", "b", "=", "-", "1"]),
        ("3 +-- x\n4 */* y */ 5", ["3", "+", "4", "*", "5"]),
        ("1.5e3 .5 $1 a.b::c", ["1.5e3", ".5", "$1", "a", ".", "b", "::", "c"]),
        ("ORDER\u017f", ["order\u017f"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert values(text) == expected


NOT_READ = [
    "'", '"', "$$", "/* /* */", '""', "1a", "0x1", "1_0", "$1a", "\x0b", "\u00a0", "a\u2003", "{", "\\",
    'U&"\\00"', "E'\\000'", "U&'\\D800'", '"\x01"', "\u200b",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_READ)
def test_what_is_not_read(text: str) -> None:
    with pytest.raises(DoubtError):
        tokenize(text)


def test_control_characters_may_stand_in_comments_and_literals() -> None:
    assert values("1 --\x0c x\n '\x0c'") == ["1", "\x0c"]


def test_a_form_feed_is_a_blank_and_a_vertical_tab_one_to_newer_servers_only() -> None:
    assert values("a\x0cb\x0c'c'\x0c\n'd'") == ["a", "b", "cd"]


def test_kinds() -> None:
    kinds = [token.kind for token in tokenize("a \"b\" 'c' 1 $1 + (")]
    assert kinds == [
        Kind.WORD, Kind.NAME, Kind.STRING, Kind.NUMBER, Kind.PARAMETER, Kind.OPERATOR, Kind.MARK,
    ]  # fmt: skip
