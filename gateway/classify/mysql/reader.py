"""A whole text to its statements: lexed once, cut at semicolons, each piece read on its own."""

from collections.abc import Callable
from dataclasses import replace

from gateway.classify.dialect import Modes
from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Piece
from gateway.classify.mysql import lexer, limits, secrets, statements
from gateway.classify.mysql.lexer import Reading, Token, tokenize
from gateway.classify.mysql.words import STORED
from gateway.classify.operations import CLASS_OF
from gateway.classify.record import Recording
from gateway.classify.tokens import MARK, NAME, SYSTEM, VARIABLE, WORD
from gateway.classify.unread import unread
from gateway.model.classification import Effect


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
        if token.kind is WORD and token.value in STORED:
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
    return _RECORDING.recorded(piece, text, tokens)


def _spelt(token: Token) -> str:
    kind, value, raw, _, _ = token
    if kind is NAME:
        return raw if raw.isidentifier() else "`" + raw.replace("`", "``") + "`"
    if kind is VARIABLE:
        return "@" + value
    return "@@" + value if kind is SYSTEM else value


_RECORDING = Recording(
    _spelt,
    secrets.SUSPECTS,
    secrets.is_about_secrets,
    secrets.is_secret_call,
    secrets.follows_secret,
    text_quote='"',
)
