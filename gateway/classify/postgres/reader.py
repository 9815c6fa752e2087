"""A whole text to its statements: lexed once, cut at semicolons, each piece read on its own."""

import itertools
from collections.abc import Set as AbstractSet
from dataclasses import replace

from gateway.classify import redact
from gateway.classify.dialect import Modes
from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece
from gateway.classify.fingerprint import fingerprint
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres import limits, plain, secrets, statements
from gateway.classify.postgres.lexer import MARK, NAME, PLACEHOLDERS, WORD, Token, tokenize
from gateway.classify.unread import unread
from gateway.model.classification import Effect

_NOTHING: frozenset[int] = frozenset()


def read(text: str, _version: str = "", _modes: Modes = frozenset()) -> tuple[Piece, ...]:
    """The pieces of *text*, none if it holds no statement; raises nothing.

    What steers lexing is pinned, and where versions differ the text is refused: both arguments say nothing.
    """
    try:
        piece = plain.read(text)
    except DoubtError:
        piece = None  # the long way says why, and redacts
    if piece is not None:
        return (piece,)
    if len(text) > limits.MAX_TEXT:
        return (unread(text, Doubt.TOO_LONG),)
    if "\0" in text:
        return (unread(text, Doubt.CHARACTER),)
    try:
        tokens = tokenize(text)
        limits.check(tokens)
    except DoubtError as error:
        return (unread(text, error.reason),)
    return tuple(_statement(text, piece) for piece in split(tokens))


def split(tokens: list[Token]) -> list[list[Token]]:
    """Statements between semicolons; a body in BEGIN ATOMIC … END has some of its own, and is not cut."""
    pieces: list[list[Token]] = []
    current: list[Token] = []
    depth = 0
    for token in tokens:
        if token.kind is MARK:
            depth += (token.value in "([") - (token.value in ")]")
            if token.value == ";" and depth <= 0 and not _holds_body(current):
                if current:
                    pieces.append(current)
                current, depth = [], 0
                continue
        current.append(token)
    if current:
        pieces.append(current)
    return pieces


def _holds_body(tokens: list[Token]) -> bool:
    if not tokens or tokens[0].kind is not WORD or tokens[0].value != "create":
        return False
    values = [token.value if token.kind is WORD else "" for token in tokens]
    return any(pair == ("begin", "atomic") for pair in itertools.pairwise(values))


def _statement(text: str, tokens: list[Token]) -> Piece:
    shown = text[tokens[0].start : tokens[-1].end]
    try:
        piece = statements.read(tokens)
    except DoubtError as error:
        operation = statements.operation_of(tokens)
        effects = (Effect(operation, CLASS_OF[operation]),)
        piece = Piece("", operation, effects, reason=error.reason.value)
    hide_all = bool(piece.reason)
    if piece.reason == Doubt.STATEMENT:
        return replace(piece, text=shown, redacted=redact.unreadable(shown))
    if not hide_all and secrets.is_clean(shown):
        return replace(piece, text=shown, fingerprint=fingerprint(_words(tokens, _NOTHING)), redacted=shown)
    spans = list(secrets.spans(text, tokens, hide_all=hide_all))
    redacted = redact.rebuild(text, spans)
    if hide_all:
        redacted = redact.mark(shown, redacted)
    hidden = {start for start, _, replacement in spans if replacement is not None}
    return replace(piece, text=shown, fingerprint=fingerprint(_words(tokens, hidden)), redacted=redacted)


def _words(tokens: list[Token], hidden: AbstractSet[int]) -> list[str]:
    words: list[str] = []
    is_glued = False
    for kind, value, start, _ in tokens:
        if kind in PLACEHOLDERS or start in hidden:
            word = "?"
        elif kind is MARK and value == "." and words:
            words[-1] += "."
            is_glued = True
            continue
        else:
            word = value
            if kind is NAME and not value.isidentifier():
                word = '"' + value.replace('"', '""') + '"'
        if is_glued:
            words[-1] += word
            is_glued = False
        else:
            words.append(word)
    return words
