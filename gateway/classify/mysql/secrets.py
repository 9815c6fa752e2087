# ruff: noqa: SIM905 - lists of words read best as words
"""Which tokens of a statement are secrets, or may hold one."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from gateway.classify.mysql.lexer import LITERALS, MARK, NAMES, NUMBER, STRING, VARIABLE, WORD, Token
from gateway.classify.redact import HIDDEN, holds_secret

_WRITES: Final = frozenset(("insert", "update", "replace"))
_SECRET_OBJECTS: Final = frozenset(("user", "server", "role"))
_SECRET_CALLS: Final = re.compile(
    r"aes_\w+|des_\w+|encrypt|decrypt|encode|decode|password|old_password|md5|sha[12]?|kdf|load_file"
)
_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)?$|pwd|secret|token|credential|api_?key|private_?key|jwt|authentication_string"
)
_SUSPECTS: Final = tuple(
    """pass pwd secret token credential key jwt identified server create alter change master replication
    start aes_ des_ encrypt decrypt encode decode md5 sha kdf load_file
    authentication :// /* -- # connection""".split()
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
        kind, value, _, start, end = token
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
        elif kind is NUMBER:
            replacement = "0" if hide_all else (HIDDEN if hidden_until >= 0 or hide_strings else None)
        yield start, end, replacement


def _is_about_secrets(tokens: list[Token]) -> bool:
    """Statements whose every literal is or may be a credential."""
    words = [token.value for token in tokens[:6] if token.kind is WORD]
    if words[:1] in (["create"], ["alter"]):
        return not _SECRET_OBJECTS.isdisjoint(words[1:5]) or any(
            token.kind is WORD and token.value in {"connection", "identified", "password"} for token in tokens
        )
    if words[:1] == ["grant"]:
        return any(token.kind is WORD and token.value == "identified" for token in tokens)
    if words[:2] in (
        ["change", "master"],
        ["change", "replication"],
        ["start", "slave"],
        ["start", "replica"],
    ):
        return True
    if words[:1] == ["set"]:
        return any(
            _SECRET_NAME.search(token.value) for token in tokens[1:] if token.kind in {*NAMES, VARIABLE}
        )
    # In INSERT (a, b) VALUES (…) only the position says which value goes where.
    return any(token.kind is WORD and token.value in _WRITES for token in tokens) and any(
        token.kind in NAMES and after.value != "." and _SECRET_NAME.search(token.value.lower())
        for token, after in pairwise(tokens)
    )


def _is_secret_call(tokens: list[Token], at: int) -> bool:
    name = tokens[at - 1] if at else None
    return name is not None and name.kind in NAMES and bool(_SECRET_CALLS.fullmatch(name.value.lower()))


def _follows_secret(tokens: list[Token], at: int) -> bool:
    """Behind PASSWORD, IDENTIFIED BY, AS of a plugin, and behind ``secret = ``."""
    if at == 0:
        return False
    token, before = tokens[at], tokens[at - 1]
    is_literal = token.kind in LITERALS
    if before.kind is WORD:
        if before.value in {"password", "random"}:
            return is_literal
        if before.value == "by" and at > 1 and tokens[at - 2].value == "identified":
            return is_literal or token.kind in NAMES
    if is_literal and before.value in {"=", ":="} and at > 1:
        name = tokens[at - 2]
        return name.kind in {*NAMES, VARIABLE} and bool(_SECRET_NAME.search(name.value.lower()))
    return False
