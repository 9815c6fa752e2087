"""Where a statement uses what is called a secret, and does not merely list it: then any literal may be one.

``WHERE 'x' = password``, ``password IN ('x')`` and ``'x' = ANY(ARRAY[a, password])`` have nothing in common
but the name, so it is the clause that counts. Pure; the dialect says which names are secrets.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from gateway.classify.tokens import MARK, NAMES, VARIABLE, WORD, Lexeme

_PEOPLE: Final = re.compile(r"(?:\w*_)?(?:users?|accounts?|logins?|members?|customers?|credentials?)")
PEOPLE: Final = ("user", "account", "login", "member", "customer", "credential")
"""What a statement must hold for ``is_positional`` to be true of it, in small letters."""

_LIST, _FROM, _USE = range(3)
_CLAUSES: Final = {
    "select": _LIST,
    "returning": _LIST,
    "by": _LIST,
    "from": _FROM,
    "join": _FROM,
    "into": _FROM,
    "on": _USE,
    "where": _USE,
    "having": _USE,
    "set": _USE,
    "values": _USE,
    "using": _USE,
}
"""What a word makes of the names behind it; inside a bracket each is used, up to the next such word."""
_BEFORE_LISTED: Final = frozenset(("select", "distinct", "all", "by", "returning", ","))
_BEHIND_LISTED: Final = frozenset((",", "from", "as", "asc", "desc", ""))


def uses(tokens: Sequence[Lexeme], is_secret: Callable[[str], object]) -> bool:
    """True when a name of a secret stands anywhere but alone in a list of what is asked for."""
    clauses = [_USE]
    begins = 0  # where the name with dots in it begins that ends here
    for at, token in enumerate(tokens):
        kind, value = token.kind, token.value
        if kind is MARK:
            _step(clauses, value)
            continue
        if at == 0 or tokens[at - 1].value != ".":
            begins = at
        before = tokens[begins - 1].value if begins else ""
        behind = tokens[at + 1].value if at + 1 < len(tokens) else ""
        if kind is WORD and value in _CLAUSES:
            _enter(clauses, value, before)
            continue
        is_listed = before in _BEFORE_LISTED and behind in _BEHIND_LISTED and clauses[-1] == _LIST
        is_column = kind in NAMES and clauses[-1] != _FROM and behind != "."
        if (kind is VARIABLE or (is_column and not is_listed)) and is_secret(value.lower()):
            return True
    return False


def _enter(clauses: list[int], word: str, before: str) -> None:
    """What *word* begins; FROM begins nothing in ``trim(x FROM y)`` and in ``IS DISTINCT FROM``."""
    if word == "from" and ((len(clauses) > 1 and clauses[-1] == _USE) or before == "distinct"):
        return
    clauses[-1] = _CLAUSES[word]


def _step(clauses: list[int], mark: str) -> None:
    if mark in {"(", "["}:
        clauses.append(_USE)
    elif mark in {")", "]"} and len(clauses) > 1:
        clauses.pop()


def is_positional(tokens: Sequence[Lexeme], writes: Sequence[str]) -> bool:
    """``INSERT INTO users VALUES (…)``: a table of people, without the names of its columns.

    *writes* are the words before the table's name: of what puts rows into it.
    """
    for at, token in enumerate(tokens):
        if token.kind not in NAMES or _PEOPLE.fullmatch(token.value.lower()) is None or not at:
            continue
        begins = at
        while begins > 1 and tokens[begins - 1].value == ".":
            begins -= 2
        if tokens[begins - 1].value in writes:
            behind = tokens[at + 1].value if at + 1 < len(tokens) else ""
            return behind != "(" or any(one.kind is WORD and one.value == "select" for one in tokens)
    return False
