# ruff: noqa: SIM905 - lists of words read best as words
"""The short way for the plainest statements: no literal in quotes, no call, no cast, no comment.

One regular expression says that every lexer reads the text alike, one set that no word in it means something
to sqlglot that it does not mean to the server. Whatever is not plain goes the long way round.
"""

import re
from functools import cache

from gateway.classify import secret_names
from gateway.classify.facts import Piece
from gateway.classify.fingerprint import fingerprint
from gateway.classify.postgres import inventory, limits, secrets, sqlglot_words, tree
from gateway.classify.postgres.changes import Walk

MAX_PLAIN = 2_000
_MAX_BRACKETS = 16

_PLAIN = re.compile(
    r"""(?:
      [ \t\n]++
    | [A-Za-z_][A-Za-z0-9_]{0,62}+ (?![A-Za-z0-9_$\x80-\U0010ffff])
    | \$?[0-9]++ (?:\.[0-9]++)? (?![A-Za-z0-9_$.\x80-\U0010ffff])
    | [(),.]
    | (?:<=|>=|<>|!=|[-+*/=<>]) (?![-+*/<>=~!@#%^&|`?])
    )*""",
    re.VERBOSE,
)
_TOKEN = re.compile(r"[a-z0-9_$]+(?:\.[a-z0-9_]+)*|[^\sa-z0-9_$]+")
_WORD = re.compile(r"(?<![0-9$])[a-z_][a-z0-9_]*")
_NUMBER = re.compile(r"\$?[0-9]+(?:\.[0-9]+)?")
_BEFORE_BRACKET = re.compile(r"(?<![a-z0-9_])([a-z0-9_]++)[ \t\n]*+\(")
_OPERATOR = re.compile(r"[a-z0-9_)][ \t\n]*+(<=|>=|<>|!=|[-+*/=<>])")
_ALL_COLUMNS = re.compile(r"(?<![a-z0-9_])(?:select|distinct|returning)[ \t\n]*+\*")
_SIGN = re.compile(r"([-+])")
_UNDERSTOOD = frozenset(
    """
    and as asc between by current_timestamp delete desc distinct from group having in inner insert
    into is join left limit not null offset on or order returning select set update values where
    """.split()
)
_BRACKETS_BEHIND = frozenset(
    ("and", "as", "by", "distinct", "from", "having", "in", "not", "on", "or", "select", "values", "where")
)
_FIRST = frozenset(("select", "insert", "update", "delete"))


@cache
def _foreign_words() -> frozenset[str]:
    """Words that mean something to sqlglot or the server, and that are not read here."""
    return (sqlglot_words.WORDS | inventory.KEYWORDS) - _UNDERSTOOD


def _quoted(lowered: str, foreign: set[str]) -> str:
    """Names in quotes where a bare one would mean something to sqlglot."""
    return _WORD.sub(lambda match: f'"{match[0]}"' if match[0] in foreign else match[0], lowered)


def _are_in_place(words: list[str], met: set[str]) -> bool:
    """Words that may also be names stand only where they are none."""
    first = words[0]
    if not (_FIRST & met) <= {first} or (first != "select" and words.count(first) > 1):
        return False
    if words.count("set") != (first == "update") or ("values" in met and first != "insert"):
        return False
    if words.count("join") > limits.MAX_OPEN_JOINS:
        return False
    return words.count("by") == words.count("group") + words.count("order")


def _may_hold_secrets(lowered: str) -> bool:
    """A number beside a name of secrets: what is recorded of it takes a closer look."""
    names = secrets.NAMES_OF_SECRETS
    if lowered.startswith("insert"):
        names += secret_names.PEOPLE
    return any(name in lowered for name in names)


def read(text: str) -> Piece | None:  # noqa: C901 - a chain of reasons to go the long way
    """The facts of *text* if it is one plain statement; None when it must go the long way."""
    body = text.strip(" \t\n")
    if body.endswith(";"):
        body = body[:-1].rstrip(" \t\n")
    if not body or len(body) > MAX_PLAIN or _PLAIN.fullmatch(body) is None:
        return None
    if body.count("(") > _MAX_BRACKETS or body.count("-") + body.count("+") > limits.MAX_UNARY:
        return None
    lowered = body.lower()
    words = _WORD.findall(lowered)
    met = set(words)
    if not words or words[0] not in _FIRST or _may_hold_secrets(lowered):
        return None
    if not _are_in_place(words, met):
        return None
    foreign = met & _foreign_words()
    if not foreign.isdisjoint(inventory.KEYWORDS):
        return None
    openers = _BEFORE_BRACKET.findall(lowered)
    if words[0] == "insert" and openers and openers[0] in words[2:4]:
        del openers[0]
    if words.count("values") != openers.count("values") or not _BRACKETS_BEHIND.issuperset(openers):
        return None
    walk = Walk()
    root = tree.parse_plain(_quoted(lowered, foreign) if foreign else body)
    walk.statement(root)
    if not met - _UNDERSTOOD <= walk.names:
        return None
    for sign in _OPERATOR.findall(_ALL_COLUMNS.sub("", lowered) if "*" in lowered else lowered):
        walk.operators["", sign] = None
    if "+" in body or "-" in body:
        for sign in _SIGN.findall(body):
            walk.operators["", sign] = None
    literal_free = fingerprint(
        "?" if _NUMBER.fullmatch(token) else token for token in _TOKEN.findall(lowered)
    )
    operation = tree.OPERATIONS.get(type(root), "select")
    return tree.piece(walk, operation, text=body, literal_free=literal_free)
