"""A reader over one statement's tokens: what is the same in every dialect."""

from collections.abc import Collection
from typing import Generic, TypeVar

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.tokens import MARK, OPERATOR, STRING, WORD, Lexeme

TokenT = TypeVar("TokenT", bound=Lexeme)


class TokenCursor(Generic[TokenT]):
    """Takes words and marks from the left; what it cannot take is a DoubtError.

    *behind* is what stands behind the last token: an empty mark, which nobody can take.
    """

    __slots__ = ("at", "behind", "tokens")

    def __init__(self, tokens: list[TokenT], at: int, behind: TokenT) -> None:
        self.tokens = tokens
        self.at = at
        self.behind = behind

    def peek(self, ahead: int = 0) -> TokenT:
        """The token *ahead* of here, or an empty mark behind the end."""
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else self.behind

    def word(self, ahead: int = 0) -> str:
        """The unquoted word *ahead* of here, folded, or nothing."""
        token = self.peek(ahead)
        return token.value if token.kind is WORD else ""

    def is_mark(self, mark: str, ahead: int = 0) -> bool:
        """True when that mark or operator stands *ahead* of here."""
        token = self.peek(ahead)
        return token.value == mark and (token.kind is MARK or token.kind is OPERATOR)

    def is_end(self) -> bool:
        """True when nothing is left."""
        return self.at >= len(self.tokens)

    def next(self) -> TokenT:
        """Take the next token."""
        if self.at >= len(self.tokens):
            raise DoubtError(Doubt.SYNTAX)
        self.at += 1
        return self.tokens[self.at - 1]

    def take(self, *words: str) -> bool:
        """Take this run of words if it stands here."""
        for ahead, word in enumerate(words):
            if self.word(ahead) != word:
                return False
        self.at += len(words)
        return True

    def take_any(self, words: Collection[str]) -> str:
        """Take one of *words*, or nothing."""
        word = self.word()
        if word and word in words:
            self.at += 1
            return word
        return ""

    def mark(self, mark: str) -> bool:
        """Take that mark or operator if it stands here."""
        if self.is_mark(mark):
            self.at += 1
            return True
        return False

    def expect(self, *words: str) -> None:
        """Take this run of words."""
        if not self.take(*words):
            raise DoubtError(Doubt.SYNTAX)

    def expect_mark(self, mark: str) -> None:
        """Take that mark."""
        if not self.mark(mark):
            raise DoubtError(Doubt.SYNTAX)

    def string(self) -> str:
        """A literal."""
        token = self.next()
        if token.kind is not STRING:
            raise DoubtError(Doubt.SYNTAX)
        return token.value

    def rest(self) -> list[TokenT]:
        """All that is left."""
        tokens = self.tokens[self.at :]
        self.at = len(self.tokens)
        return tokens

    def brackets(self) -> list[TokenT]:
        """What stands between this bracket and its end, both taken."""
        self.expect_mark("(")
        start, depth = self.at, 1
        while depth:
            token = self.next()
            if token.kind is MARK:
                depth += (token.value == "(") - (token.value == ")")
        return self.tokens[start : self.at - 1]

    def end(self) -> None:
        """Nothing may be left."""
        if self.at < len(self.tokens):
            raise DoubtError(Doubt.SYNTAX)
