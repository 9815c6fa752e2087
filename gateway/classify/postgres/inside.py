"""What stands between the brackets of a function with a grammar of its own, read by hand."""

from collections.abc import Callable
from typing import Final

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Qualified
from gateway.classify.postgres import types
from gateway.classify.postgres.lexer import Token
from gateway.classify.tokens import MARK, NAMES, NUMBER, PARAMETER, STRING, WORD

_CONSTANTS: Final = frozenset((STRING, NUMBER, PARAMETER))

Part = tuple[int, int]
"""An expression: the numbers of its first token and of the one behind its last."""


class Inside:
    """What stands between the brackets: a place in it, and what was found so far."""

    def __init__(self, tokens: list[Token], start: int) -> None:
        self.tokens = tokens
        self.at = start
        self.end = closing(tokens, start)
        self.parts: list[Part] = []
        self.casts: list[Qualified] = []
        self.columns: list[str] = []

    def word(self, ahead: int = 0) -> str:
        """The word there, or nothing; what stands behind the brackets does not count."""
        at = self.at + ahead
        return self.tokens[at].value if at < self.end and self.tokens[at].kind is WORD else ""

    def take(self, *words: str) -> bool:
        """Past *words*, if they stand here."""
        if any(self.word(number) != word for number, word in enumerate(words)):
            return False
        self.at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Past *words*, which must stand here."""
        if not self.take(*words):
            raise DoubtError(Doubt.SYNTAX)

    def comma(self) -> bool:
        """Past a comma, if one stands here."""
        if self.at >= self.end or self.tokens[self.at].kind is not MARK or self.tokens[self.at].value != ",":
            return False
        self.at += 1
        return True

    def label(self) -> str:
        """Past a name of the result's, which names nothing in the database."""
        if self.at >= self.end or self.tokens[self.at].kind not in NAMES:
            raise DoubtError(Doubt.SYNTAX)
        self.at += 1
        return self.tokens[self.at - 1].value

    def type(self) -> None:
        """Past a type: what becomes of a value is a cast."""
        name, at = types.read(self.tokens, self.at)
        if name == types.NO_TYPE or at > self.end:
            raise DoubtError(Doubt.SYNTAX)
        self.casts.append(name)
        self.at = at

    def until(self, stops: Callable[["Inside", int], bool]) -> None:
        """An expression: up to a comma outside of brackets, or to where *stops* says; at least one token."""
        start = self.at
        while self.at < self.end:
            token = self.tokens[self.at]
            if token.kind is MARK and token.value == ",":
                break
            if self.at > start and token.kind is WORD and stops(self, start):
                break
            opens = token.kind is MARK and token.value in {"(", "["}
            self.at = closing(self.tokens, self.at + 1) + 1 if opens else self.at + 1
        if self.at == start or self.at > self.end:
            raise DoubtError(Doubt.SYNTAX)
        self.parts.append((start, self.at))

    def operand(self) -> None:
        """A constant, a column, a call, or anything in brackets: what needs no sign of its end."""
        if self.at >= self.end:
            raise DoubtError(Doubt.SYNTAX)
        start, token = self.at, self.tokens[self.at]
        self.at += 1
        if token.kind in NAMES:
            self._name()
        elif token.kind is MARK and token.value == "(":
            self.at = closing(self.tokens, self.at) + 1
        elif token.kind not in _CONSTANTS:
            raise DoubtError(Doubt.SYNTAX)
        while self._mark() == "[":
            self.at = closing(self.tokens, self.at + 1) + 1
        if self.at > self.end:
            raise DoubtError(Doubt.SYNTAX)
        self.parts.append((start, self.at))

    def _name(self) -> None:
        while self._mark() == "." and self.tokens[self.at + 1].kind in NAMES:
            self.at += 2
        if self._mark() == "(":
            self.at = closing(self.tokens, self.at + 1) + 1
        elif self.at < self.end and self.tokens[self.at].kind is STRING:
            self.at += 1  # a constant of a type

    def _mark(self) -> str:
        if self.at >= self.end or self.tokens[self.at].kind is not MARK:
            return ""
        return self.tokens[self.at].value

    def done(self) -> None:
        """Nothing may be left."""
        if self.at != self.end:
            raise DoubtError(Doubt.SYNTAX)


def closing(tokens: list[Token], start: int) -> int:
    """The number of the bracket that closes the one ahead of *start*."""
    depth = 1
    for at in range(start, len(tokens)):
        token = tokens[at]
        if token.kind is MARK:
            depth += (token.value in {"(", "["}) - (token.value in {")", "]"})
            if depth == 0:
                return at
    raise DoubtError(Doubt.SYNTAX)
