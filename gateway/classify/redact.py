# ruff: noqa: SIM905 - lists of words read best as words
"""The text that may be recorded: secrets replaced, comments gone, and all literals where nothing is sure.

Works on spans that a dialect's lexer found. A text that no lexer could read is reduced to its first words.
"""

import re
from collections.abc import Iterable
from hashlib import sha256

HIDDEN = "'***'"
_PASSWORD_INSIDE = re.compile(
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api_?key|access_?key)"
    r"(?:['\"\\]*\s*[=:(]\s*\S|\s*['\"])|identified\s+(?:by|via|with)\b",
    re.IGNORECASE,
)
_URL_CREDENTIALS = re.compile(r"://[^/@\s']*:[^@\s']+@")
_FIRST_WORD = re.compile(r"\s*([A-Za-z]+)")
_VERBS = frozenset(
    """
    abort alter analyze begin call close cluster comment commit copy create deallocate declare
    delete discard do drop end execute explain fetch grant import insert listen load lock merge move
    notify prepare reassign refresh reindex release reset revoke rollback savepoint security select
    set show start table truncate unlisten update vacuum values with
    """.split()
)


def rebuild(text: str, spans: Iterable[tuple[int, int, str | None]]) -> str:
    """*text* token by token: each span's own text, or its replacement; what lay between is a blank."""
    parts: list[str] = []
    last = -1
    for start, end, replacement in spans:
        if last >= 0 and start > last:
            parts.append(" ")
        parts.append(text[start:end] if replacement is None else replacement)
        last = end
    return "".join(parts)


def holds_secret(literal: str) -> bool:
    """True for a connection string with a password, and for an address with one."""
    return _PASSWORD_INSIDE.search(literal) is not None or _URL_CREDENTIALS.search(literal) is not None


def mark(text: str, shown: str) -> str:
    """*shown* with the digest and length of what it stands for, so that the record can be matched."""
    raw = text.encode(errors="surrogatepass")
    return f"{shown} /* sha256:{sha256(raw).hexdigest()} length:{len(raw)} */"


def unreadable(text: str) -> str:
    """What may be said of a text that no lexer could read: how it starts, its digest and its length."""
    match = _FIRST_WORD.match(text)
    shown = match[1].upper() if match is not None and match[1].lower() in _VERBS else ""
    return mark(text, f"{shown} …".strip())
