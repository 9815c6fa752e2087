"""A reader over one statement's tokens."""

from gateway.classify.cursor import TokenCursor
from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Use
from gateway.classify.mysql.lexer import Token
from gateway.classify.mysql.words import NEVER_NAMES
from gateway.classify.operations import CLASS_OF
from gateway.classify.tokens import MARK, NAME, NUMBER, STRING, VARIABLE, WORD

_END = Token(MARK, "", "", 0, 0)


class Cursor(TokenCursor[Token]):
    """Takes names as MySQL reads them, too: of one or two parts, and accounts."""

    __slots__ = ()

    def __init__(self, tokens: list[Token], at: int = 0) -> None:
        super().__init__(tokens, at, _END)

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

    def number(self) -> str:
        """A number."""
        token = self.next()
        if token.kind is not NUMBER:
            raise DoubtError(Doubt.SYNTAX)
        return token.value

    def skip_wait(self) -> None:
        """How long to wait for a lock, if that is said: ``WAIT 5``, ``NOWAIT``."""
        if self.take("wait"):
            self.number()
        else:
            self.take("nowait")

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

    def plain_rest(self) -> None:
        """All that is left, in which no query may stand."""
        if any(token.kind is WORD and token.value in {"select", "values", "with"} for token in self.rest()):
            raise DoubtError(Doubt.SYNTAX)
