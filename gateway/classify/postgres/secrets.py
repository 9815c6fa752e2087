# ruff: noqa: SIM905 - lists of words read best as words
"""Which tokens of a PostgreSQL statement are secrets, or may hold one."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from gateway.classify import secret_names
from gateway.classify.postgres.lexer import Token
from gateway.classify.tokens import LITERALS, NAMES, STRING, WORD

_WRITES = frozenset(("insert", "update", "merge"))
_SECRET_OBJECTS = frozenset(("role", "user", "group", "subscription", "server", "mapping"))
_SECRET_CALLS = re.compile(
    r"dblink\w*|http\w*|url|s3|mysql|postgresql|remote\w*|aws_\w+|pgp_\w+|crypt|hmac|digest|encrypt\w*|decrypt\w*|armor|postgres_fdw\w*"
)
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|pwd|secret|token|credential|api_?key|private_?key|jwt|(^|_)pw(_|$)"
)
_WITHIN: Final = frozenset(("->", "->>", "#>", "#>>", "#-", "["))
"""What stands before the name of a field in a document."""

NAMES_OF_SECRETS: Final[tuple[str, ...]] = (
    "pass",
    "pwd",
    "pw_",
    "_pw",
    "secret",
    "token",
    "credential",
    "key",
    "jwt",
    *secret_names.PEOPLE,
)
"""What the names of columns that hold secrets have in them; a number beside one may be a secret too."""

SUSPECTS: Final[tuple[str, ...]] = (
    *NAMES_OF_SECRETS,
    *secret_names.PEOPLE,
    *"""identified program create alter dblink http url s3 mysql postgres remote
    aws_ pgp_ crypt hmac digest armor :// /* --""".split(),
)


def is_about_secrets(tokens: Sequence[Token]) -> bool:
    """Statements whose every literal is or may be a credential."""
    words = [token.value for token in tokens[:6] if token.kind is WORD]
    if words[:1] in (["create"], ["alter"]) and not _SECRET_OBJECTS.isdisjoint(words[1:4]):
        return True
    if words[:1] == ["set"]:
        return any(_SECRET_NAME.search(token.value) for token in tokens[1:6] if token.kind in NAMES)
    if secret_names.uses(tokens, _SECRET_NAME.search) or _is_field(tokens):
        return True
    if not any(token.kind is WORD and token.value in _WRITES for token in tokens):
        return False
    # In INSERT (a, b) VALUES (…) and SET (a, b) = (…) only the position says which value goes where.
    return secret_names.is_positional(tokens, ("into",)) or any(
        token.kind in NAMES and after.value != "." and _SECRET_NAME.search(token.value.lower())
        for token, after in pairwise(tokens)
    )


def _is_field(tokens: Sequence[Token]) -> bool:
    """``doc->>'password'``, and ``jsonb_build_object('password', …)``: a secret's name in quotes."""
    return any(
        token.kind is STRING
        and (tokens[at - 1].value in _WITHIN or (at + 1 < len(tokens) and tokens[at + 1].value == ","))
        and _SECRET_NAME.search(token.value.lower().rstrip("}"))
        for at, token in enumerate(tokens)
    )


def is_secret_call(tokens: Sequence[Token], at: int) -> bool:
    """True of the bracket at *at* when what stands in it is a secret, or is to be made one."""
    name = tokens[at - 1] if at else None
    if name is None or name.kind not in NAMES:
        return False
    if name.value == "set_config":
        first = tokens[at + 1] if at + 1 < len(tokens) else None
        return first is not None and bool(_SECRET_NAME.search(first.value.lower()))
    qualifier = tokens[at - 3].value if at > 2 and tokens[at - 2].value == "." else ""
    return bool(
        _SECRET_CALLS.fullmatch(name.value)
        or (qualifier and _SECRET_CALLS.fullmatch(qualifier))
        or _SECRET_NAME.search(name.value.lower())
    )


def follows_secret(tokens: Sequence[Token], at: int) -> bool:
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
