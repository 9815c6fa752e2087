"""A reader over one statement's tokens, for the statements that are read by hand."""

from gateway.classify.cursor import TokenCursor
from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Action, Use
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres.lexer import Token
from gateway.classify.tokens import MARK, NAMES

_END = Token(MARK, "", 0, 0)


class Cursor(TokenCursor[Token]):
    """Takes names as PostgreSQL reads them, too: of one to three parts."""

    __slots__ = ()

    def __init__(self, tokens: list[Token], at: int = 0) -> None:
        super().__init__(tokens, at, _END)

    def name(self) -> str:
        """One name."""
        token = self.next()
        if token.kind not in NAMES:
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
