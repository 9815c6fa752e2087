# ruff: noqa: SIM905 - lists of words read best as words
"""Which tokens of a PostgreSQL statement are secrets, or may hold one."""

import re
from collections.abc import Iterator
from itertools import pairwise

from gateway.classify.postgres.lexer import LITERALS, MARK, NAMES, NUMBER, STRING, WORD, Token
from gateway.classify.redact import HIDDEN, holds_secret

_WRITES = frozenset(("insert", "update", "merge"))
_SECRET_OBJECTS = frozenset(("role", "user", "group", "subscription", "server", "mapping"))
_SECRET_CALLS = re.compile(
    r"dblink\w*|http\w*|url|s3|mysql|postgresql|remote\w*|aws_\w+|pgp_\w+|crypt|hmac|digest|encrypt\w*|decrypt\w*|armor|postgres_fdw\w*"
)
_SECRET_NAME = re.compile(r"pass(word|wd|phrase)?$|pwd|secret|token|credential|api_?key|private_?key|jwt")


_SUSPECTS = tuple(
    """pass pwd secret token credential key jwt identified program create alter dblink http url s3 mysql
    postgres remote
    aws_ pgp_ crypt hmac digest armor :// /* --""".split()
)


def is_clean(shown: str) -> bool:
    """True when nothing even looks like a secret or a comment, so that no token need be looked at."""
    lowered = shown.lower()
    return not any(word in lowered for word in _SUSPECTS)


def spans(text: str, tokens: list[Token], *, hide_all: bool) -> Iterator[tuple[int, int, str | None]]:
    """Each token's place, and what is recorded in its stead (None: itself)."""
    hide_strings = hide_all or _is_about_secrets(tokens)
    depth, hidden_until = 0, -1
    for at, token in enumerate(tokens):
        kind, value, start, end = token
        replacement: str | None = None
        if kind is MARK:
            depth += (value == "(") - (value == ")")
            if depth <= hidden_until:
                hidden_until = -1
            if value == "(" and hidden_until < 0 and _is_secret_call(tokens, at):
                hidden_until = depth - 1
        elif _follows_secret(tokens, at):
            replacement = HIDDEN
        elif kind is STRING:
            raw = text[start:end]
            is_secret = hide_strings or hidden_until >= 0 or holds_secret(raw)
            replacement = HIDDEN if is_secret else None
        elif kind is NUMBER and hide_all:
            replacement = "0"
        yield start, end, replacement


def _is_about_secrets(tokens: list[Token]) -> bool:
    """Statements whose every literal is or may be a credential."""
    words = [token.value for token in tokens[:6] if token.kind is WORD]
    if words[:1] in (["create"], ["alter"]):
        return not _SECRET_OBJECTS.isdisjoint(words[1:4])
    if words[:1] == ["set"]:
        return any(_SECRET_NAME.search(token.value) for token in tokens[1:6] if token.kind in NAMES)
    # In INSERT (a, b) VALUES (…) and SET (a, b) = (…) only the position says which value goes where.
    return any(token.kind is WORD and token.value in _WRITES for token in tokens) and any(
        token.kind in NAMES and after.value != "." and _SECRET_NAME.search(token.value.lower())
        for token, after in pairwise(tokens)
    )


def _is_secret_call(tokens: list[Token], at: int) -> bool:
    name = tokens[at - 1] if at else None
    if name is None or name.kind not in NAMES:
        return False
    if name.value == "set_config":
        first = tokens[at + 1] if at + 1 < len(tokens) else None
        return first is not None and bool(_SECRET_NAME.search(first.value.lower()))
    qualifier = tokens[at - 3].value if at > 2 and tokens[at - 2].value == "." else ""
    return bool(_SECRET_CALLS.fullmatch(name.value) or (qualifier and _SECRET_CALLS.fullmatch(qualifier)))


def _follows_secret(tokens: list[Token], at: int) -> bool:
    """Behind PASSWORD, IDENTIFIED BY, PROGRAM, and behind ``secret = ``."""
    if at == 0:
        return False
    token, before = tokens[at], tokens[at - 1]
    is_literal = token.kind in LITERALS
    if before.kind is WORD:
        if before.value == "password":
            is_definition = tokens[0].value in {"create", "alter", "set"}
            return is_literal or (is_definition and token.kind in NAMES and token.value != "null")
        if before.value == "by" and at > 1 and tokens[at - 2].value == "identified":
            return True
        if before.value == "program":
            return is_literal
    if is_literal and before.value in {"=", "=>", ":="} and at > 1:
        name = tokens[at - 2]
        return name.kind in NAMES and bool(_SECRET_NAME.search(name.value.lower()))
    return False
