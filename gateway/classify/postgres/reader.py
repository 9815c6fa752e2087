"""A whole text to its statements: lexed once, cut at semicolons, each piece read on its own."""

import itertools
from dataclasses import replace

from gateway.classify.dialect import Modes
from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres import limits, plain, secrets, statements
from gateway.classify.postgres.lexer import Token, tokenize
from gateway.classify.record import Recording
from gateway.classify.tokens import MARK, NAME, WORD
from gateway.classify.unread import unread
from gateway.model.classification import Effect


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
    return _RECORDING.recorded(replace(piece, text=shown), text, tokens)


def _spelt(token: Token) -> str:
    kind, value, _, _ = token
    return '"' + value.replace('"', '""') + '"' if kind is NAME and not value.isidentifier() else value


_RECORDING = Recording(
    _spelt, secrets.SUSPECTS, secrets.is_about_secrets, secrets.is_secret_call, secrets.follows_secret
)
