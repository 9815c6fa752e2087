# ruff: noqa: SIM905 - lists of words read best as words
"""Which tokens of a statement are secrets, or may hold one."""

import re
from collections.abc import Sequence
from typing import Final

from gateway.classify import secret_names
from gateway.classify.mysql.lexer import Token
from gateway.classify.tokens import LITERALS, NAMES, VARIABLE, WORD

_WRITES: Final = frozenset(("insert", "update", "replace"))
_SECRET_OBJECTS: Final = frozenset(("user", "server", "role"))
_SECRET_CALLS: Final = re.compile(
    r"aes_\w+|des_\w+|encrypt|decrypt|encode|decode|password|old_password|md5|sha[12]?|kdf|load_file"
)
_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)?$|pwd|secret|token|credential|api_?key|private_?key|jwt|authentication_string|^pw$"
)
_OF_SERVER: Final = frozenset(("global_priv", "slave_master_info", "slave_relay_log_info", "servers"))
"""Tables of the server's own whose rows hold passwords; ``user`` is one behind ``mysql.`` only."""
_BEFORE_TABLE: Final = ("into", "insert", "replace", "ignore", "delayed", "low_priority", "high_priority")
SUSPECTS: Final = tuple(
    """pass pwd secret token credential key jwt identified server create alter change master replication
    start aes_ des_ encrypt decrypt encode decode md5 sha kdf load_file
    authentication :// /* -- # connection pw global_priv slave_ mysql""".split()
    + list(secret_names.PEOPLE)
)


def is_about_secrets(tokens: Sequence[Token]) -> bool:
    """Statements whose every literal is or may be a credential."""
    words = [token.value for token in tokens[:6] if token.kind is WORD]
    if words[:1] in (["create"], ["alter"]) and (
        not _SECRET_OBJECTS.isdisjoint(words[1:5])
        or any(
            token.kind is WORD and token.value in {"connection", "identified", "password"} for token in tokens
        )
    ):
        return True
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
    is_write = any(token.kind is WORD and token.value in _WRITES for token in tokens)
    return (
        secret_names.uses(tokens, _SECRET_NAME.search)
        or any(token.kind in NAMES and token.value.lower() in _OF_SERVER for token in tokens)
        or (is_write and _is_positional(tokens))
    )


def _is_positional(tokens: Sequence[Token]) -> bool:
    """Only the position says which value goes where: a secret's name anywhere may be that of a column."""
    if secret_names.is_positional(tokens, _BEFORE_TABLE):
        return True
    for at, token in enumerate(tokens):
        behind = tokens[at + 1].value if at + 1 < len(tokens) else ""
        if token.kind in NAMES and (
            token.value.lower() == "mysql" if behind == "." else _SECRET_NAME.search(token.value.lower())
        ):
            return True
    return False


def is_secret_call(tokens: Sequence[Token], at: int) -> bool:
    """True of the bracket at *at* when what stands in it is a secret, or is to be made one."""
    name = tokens[at - 1] if at else None
    return name is not None and name.kind in NAMES and bool(_SECRET_CALLS.fullmatch(name.value.lower()))


def follows_secret(tokens: Sequence[Token], at: int) -> bool:
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
