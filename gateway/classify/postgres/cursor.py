"""A reader over one statement's tokens, for the statements that are read by hand."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Use
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres.lexer import Kind, Token

_END = Token(Kind.MARK, "", 0, 0)


class Cursor:
    """Takes words, names and marks from the left; what it cannot take is a DoubtError."""

    __slots__ = ("at", "tokens")

    def __init__(self, tokens: list[Token], at: int = 0) -> None:
        self.tokens = tokens
        self.at = at

    def peek(self, ahead: int = 0) -> Token:
        """The token *ahead* of here, or an empty mark behind the end."""
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else _END

    def word(self, ahead: int = 0) -> str:
        """The unquoted word *ahead* of here, or nothing."""
        token = self.peek(ahead)
        return token.value if token.kind is Kind.WORD else ""

    def is_mark(self, mark: str, ahead: int = 0) -> bool:
        """True when that mark stands *ahead* of here."""
        token = self.peek(ahead)
        return token.value == mark and token.kind is not Kind.STRING and token.kind is not Kind.NAME

    def next(self) -> Token:
        """Take the next token."""
        token = self.peek()
        if token is _END:
            raise DoubtError(Doubt.SYNTAX)
        self.at += 1
        return token

    def take(self, *words: str) -> bool:
        """Take this run of words if it stands here."""
        if all(self.word(ahead) == word for ahead, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def take_any(self, words: frozenset[str]) -> str:
        """Take one of *words*, or nothing."""
        word = self.word()
        if word in words:
            self.at += 1
            return word
        return ""

    def mark(self, mark: str) -> bool:
        """Take that mark if it stands here."""
        if self.is_mark(mark):
            self.at += 1
            return True
        return False

    def expect(self, *words: str) -> None:
        """Take this run of words."""
        if not self.take(*words):
            raise DoubtError(Doubt.SYNTAX)

    def name(self) -> str:
        """One name."""
        token = self.next()
        if token.kind not in {Kind.WORD, Kind.NAME}:
            raise DoubtError(Doubt.SYNTAX)
        return token.value

    def names(self) -> list[str]:
        """A name of one to three parts."""
        parts = [self.name()]
        while self.mark("."):
            parts.append(self.name())
        if len(parts) > 3:
            raise DoubtError(Doubt.SYNTAX)
        return parts

    def use(self, operation: str, kind: str = "table", *, is_new: bool = False) -> Use:
        """A relation's name, to which *operation* is done."""
        catalog, schema, name = (["", "", *self.names()])[-3:]
        return Use(catalog, schema, name, (Action(operation, CLASS_OF[operation]),), kind, is_new)

    def uses(self, operation: str, kind: str = "table") -> list[Use]:
        """A list of relations, each perhaps with ONLY or a star."""
        found: list[Use] = []
        while True:
            self.take("only")
            found.append(self.use(operation, kind))
            self.mark("*")
            if not self.mark(","):
                return found

    def string(self) -> str:
        """A literal."""
        token = self.next()
        if token.kind is not Kind.STRING:
            raise DoubtError(Doubt.SYNTAX)
        return token.value

    def rest(self) -> list[Token]:
        """All that is left."""
        tokens = self.tokens[self.at :]
        self.at = len(self.tokens)
        return tokens

    def brackets(self) -> list[Token]:
        """What stands between this bracket and its end, both taken."""
        if not self.mark("("):
            raise DoubtError(Doubt.SYNTAX)
        start, depth = self.at, 1
        while depth:
            token = self.next()
            if token.kind is Kind.MARK:
                depth += (token.value == "(") - (token.value == ")")
        return self.tokens[start : self.at - 1]

    def end(self) -> None:
        """Nothing may be left."""
        if self.at < len(self.tokens):
            raise DoubtError(Doubt.SYNTAX)
