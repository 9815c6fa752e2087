"""A reader over one statement's tokens."""

from collections.abc import Collection

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Use
from gateway.classify.mysql.lexer import MARK, NAME, NUMBER, STRING, VARIABLE, WORD, Kind, Token
from gateway.classify.mysql.words import NEVER_NAMES
from gateway.classify.operations import CLASS_OF

_END = Token(Kind.MARK, "", "", 0, 0)


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
        """The unquoted word *ahead* of here in small letters, or nothing."""
        token = self.peek(ahead)
        return token.value if token.kind is WORD else ""

    def is_mark(self, mark: str, ahead: int = 0) -> bool:
        """True when that mark or operator stands *ahead* of here."""
        token = self.peek(ahead)
        return token.value == mark and (token.kind is MARK or token.kind is Kind.OPERATOR)

    def is_end(self) -> bool:
        """True when nothing is left."""
        return self.at >= len(self.tokens)

    def next(self) -> Token:
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

    def is_name(self, ahead: int = 0) -> bool:
        """True when a name stands *ahead* of here: a quoted one, or a word that may be one."""
        token = self.peek(ahead)
        return token.kind is NAME or (token.kind is WORD and token.value not in NEVER_NAMES)

    def name(self) -> str:
        """One name, as it was written."""
        if not self.is_name():
            raise DoubtError(Doubt.SYNTAX)
        return self.next().raw

    def label(self) -> str:
        """A name behind a dot, where every word is one."""
        token = self.next()
        if token.kind is not NAME and token.kind is not WORD:
            raise DoubtError(Doubt.SYNTAX)
        return token.raw

    def path(self) -> tuple[str, str]:
        """``name`` or ``schema.name``; the schema is empty where none was written."""
        first = self.name()
        return (first, self.label()) if self.mark(".") else ("", first)

    def use(self, operation: str, kind: str = "table", *, is_new: bool = False) -> Use:
        """A named thing, to which *operation* is done."""
        schema, name = self.path()
        return Use("", schema, name, (Action(operation, CLASS_OF[operation]),), kind, is_new)

    def uses(self, operation: str, kind: str = "table") -> list[Use]:
        """A list of named things."""
        found = [self.use(operation, kind)]
        while self.mark(","):
            found.append(self.use(operation, kind))
        return found

    def names(self) -> list[str]:
        """Names in brackets: ``(a, b)``, perhaps none."""
        self.expect_mark("(")
        found: list[str] = []
        while not self.mark(")"):
            if found:
                self.expect_mark(",")
            found.append(self.name())
        return found

    def string(self) -> str:
        """A literal."""
        token = self.next()
        if token.kind is not STRING:
            raise DoubtError(Doubt.SYNTAX)
        return token.value

    def number(self) -> str:
        """A number."""
        token = self.next()
        if token.kind is not NUMBER:
            raise DoubtError(Doubt.SYNTAX)
        return token.value

    def account(self) -> str:
        """``'user'@'host'``, a role, or the session's own user."""
        if self.take("current_user"):
            if self.mark("("):
                self.expect_mark(")")
            return "current_user"
        token = self.next()
        if token.kind is not STRING and token.kind is not NAME and token.kind is not WORD:
            raise DoubtError(Doubt.SYNTAX)
        if self.peek().kind is VARIABLE and self.peek().start == token.end:
            return f"{token.raw}@{self.next().raw}"
        return token.raw

    def rest(self) -> list[Token]:
        """All that is left."""
        tokens = self.tokens[self.at :]
        self.at = len(self.tokens)
        return tokens

    def plain_rest(self) -> None:
        """All that is left, in which no query may stand."""
        if any(token.kind is WORD and token.value in {"select", "values", "with"} for token in self.rest()):
            raise DoubtError(Doubt.SYNTAX)

    def brackets(self) -> list[Token]:
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
