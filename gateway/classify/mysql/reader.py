"""A whole text to its statements: lexed once, cut at semicolons, each piece read on its own."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from gateway.classify import redact
from gateway.classify.dialect import Modes
from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece
from gateway.classify.fingerprint import fingerprint
from gateway.classify.mysql import lexer, limits, secrets, statements
from gateway.classify.mysql.lexer import MARK, NAME, PLACEHOLDERS, WORD, Reading, Token, tokenize
from gateway.classify.operations import CLASS_OF
from gateway.classify.unread import unread
from gateway.model.classification import Effect

_NOTHING: frozenset[int] = frozenset()
_STORED: Final = frozenset(("procedure", "function", "trigger", "event", "package"))


def read_as(dialect: str) -> Callable[[str, str, Modes], tuple[Piece, ...]]:
    """The reader for servers of that dialect."""

    def read(text: str, version: str, modes: Modes) -> tuple[Piece, ...]:
        return _read(text, lexer.reading(dialect, version, modes))

    return read


def _read(text: str, how: Reading) -> tuple[Piece, ...]:
    """The pieces of *text*, none if it holds no statement; raises nothing."""
    if len(text) > limits.MAX_TEXT:
        return (unread(text, Doubt.TOO_LONG),)
    if "\0" in text:
        return (unread(text, Doubt.CHARACTER),)
    try:
        tokens = tokenize(text, how)
        limits.check(tokens)
    except DoubtError as error:
        return (unread(text, error.reason),)
    return tuple(_statement(text, piece, how) for piece in split(tokens))


def split(tokens: list[Token]) -> list[list[Token]]:
    """Statements between semicolons; what defines a routine is one with all that follows it."""
    pieces: list[list[Token]] = []
    current: list[Token] = []
    for token in tokens:
        if token.kind is MARK and token.value == ";" and not _holds_body(current):
            if current:
                pieces.append(current)
            current = []
            continue
        current.append(token)
    if current:
        pieces.append(current)
    return pieces


def _holds_body(tokens: list[Token]) -> bool:
    """CREATE PROCEDURE and its like, and MariaDB's BEGIN NOT ATOMIC: semicolons belong to the body."""
    words = [token.value for token in tokens[:3] if token.kind is WORD]
    if words[:2] == ["begin", "not"]:
        return True
    if words[:1] not in (["create"], ["alter"]):
        return False
    for token in tokens[1:20]:
        if token.kind is WORD and token.value in _STORED:
            return True
        if token.kind is WORD and token.value in {
            "table",
            "view",
            "as",
            "user",
            "role",
            "database",
            "schema",
            "index",
        }:
            return False
    return False


def _statement(text: str, tokens: list[Token], how: Reading) -> Piece:
    shown = text[tokens[0].start : tokens[-1].end]
    try:
        piece = statements.read(tokens)
    except DoubtError as error:
        operation = statements.operation_of(tokens)
        effects = (Effect(operation, CLASS_OF[operation]),)
        piece = Piece("", operation, effects, reason=error.reason.value)
    piece = replace(piece, text=shown, folds=how.folds)
    hide_all = bool(piece.reason)
    if piece.reason == Doubt.STATEMENT:
        return replace(piece, redacted=redact.unreadable(shown))
    if not hide_all and secrets.is_clean(shown):
        return replace(piece, fingerprint=fingerprint(_words(tokens, _NOTHING)), redacted=shown)
    spans = list(secrets.spans(text, tokens, hide_all=hide_all))
    redacted = redact.rebuild(text, spans)
    if hide_all:
        redacted = redact.mark(shown, redacted)
    hidden = {start for start, _, replacement in spans if replacement is not None}
    return replace(piece, fingerprint=fingerprint(_words(tokens, hidden)), redacted=redacted)


def _words(tokens: list[Token], hidden: AbstractSet[int]) -> list[str]:
    words: list[str] = []
    is_glued = False
    for kind, value, raw, start, _ in tokens:
        if kind in PLACEHOLDERS or start in hidden:
            word = "?"
        elif kind is MARK and value == "." and words:
            words[-1] += "."
            is_glued = True
            continue
        elif kind is NAME:
            word = raw if raw.isidentifier() else "`" + raw.replace("`", "``") + "`"
        elif kind is lexer.VARIABLE:
            word = "@" + value
        elif kind is lexer.SYSTEM:
            word = "@@" + value
        else:
            word = value
        if is_glued:
            words[-1] += word
            is_glued = False
        else:
            words.append(word)
    return words
