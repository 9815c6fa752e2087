"""Expressions: operands and operators by turns; whatever stands where neither may is not understood.

No tree is made. What counts is which columns and functions are named, and which queries stand inside: those
begin with a word that is reserved in every version, so a bracket says what it holds.
"""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.mysql.collector import Collector
from gateway.classify.mysql.scope import Scope
from gateway.classify.mysql.words import BINARY_WORDS
from gateway.classify.tokens import OPERATOR, STRING, VARIABLE, WORD

QUERY_WORDS = frozenset(("select", "with", "values", "table"))
TAIL_WORDS = frozenset(
    ("union", "except", "intersect", "order", "limit", "for", "lock", "into", "offset", "fetch")
)
_TRUTHS = frozenset(("null", "true", "false", "unknown"))
_NEGATED = frozenset(("like", "rlike", "regexp", "between", "in", "escape"))


class Expressions(Collector):
    """Reads expressions; ``Operands`` reads what operators stand between, ``Queries`` the queries in them."""

    def query(self, scope: Scope) -> None:
        """A query without brackets around it; what ``Queries`` does."""
        raise NotImplementedError

    def query_tail(self, scope: Scope) -> None:
        """What follows a query in brackets: a set operation, ORDER BY, LIMIT; what ``Queries`` does."""
        raise NotImplementedError

    def _operand(self, scope: Scope) -> None:
        """One operand, with what stands in front of it; what ``Operands`` does."""
        raise NotImplementedError

    def expression(self, scope: Scope) -> None:
        """Read one expression, up to what cannot go on with it."""
        self._operand(scope)
        while self._operator(scope):
            self._operand(scope)

    def expressions(self, scope: Scope) -> None:
        """Read one or more, with commas between them."""
        self.expression(scope)
        while self.cursor.mark(","):
            self.expression(scope)

    def ordered(self, scope: Scope) -> None:
        """What stands behind ORDER BY or GROUP BY."""
        while True:
            self.expression(scope)
            self.cursor.take_any(("asc", "desc"))
            if not self.cursor.mark(","):
                return

    def brackets(self, scope: Scope) -> bool:
        """``( … )`` around a query (True), an expression or several."""
        cursor = self.cursor
        cursor.expect_mark("(")
        if self._starts_query():
            self.query(Scope(scope.environment, scope))
            cursor.expect_mark(")")
            return True
        if cursor.is_mark("("):
            if self.brackets(scope):
                if cursor.mark(")"):
                    return True
                if cursor.word() in TAIL_WORDS:
                    self.query_tail(Scope(scope.environment, scope))
                    cursor.expect_mark(")")
                    return True
            while self._operator(scope):
                self._operand(scope)
        else:
            self.expression(scope)
        while cursor.mark(","):
            self.expression(scope)
        cursor.expect_mark(")")
        return False

    def _starts_query(self) -> bool:
        word = self.cursor.word()
        if word == "values" and self.is_update:
            return False
        return word in QUERY_WORDS

    def _operator(self, scope: Scope) -> bool:
        """Take an operator behind which an operand must stand; those that end an expression are done here."""
        cursor = self.cursor
        while True:
            token = cursor.peek()
            if token.kind is OPERATOR:
                if token.value in {"!", "~"}:
                    raise DoubtError(Doubt.SYNTAX)
                if token.value == ":=" and cursor.tokens[cursor.at - 1].kind is not VARIABLE:
                    raise DoubtError(Doubt.SYNTAX)
                cursor.next()
                self.operators["", token.value] = None
                return True
            if token.kind is not WORD:
                return False
            word = token.value
            if word in BINARY_WORDS or (word == "not" and cursor.word(1) in _NEGATED):
                cursor.next()
                if word == "not" and cursor.next().value == "in":
                    self.brackets(scope)
                    continue
                return True
            if word == "sounds" and cursor.word(1) == "like":
                cursor.at += 2
                return True
            if not self._postfix(word, scope):
                return False

    def _postfix(self, word: str, scope: Scope) -> bool:
        """``IS NULL``, ``IN (…)``, ``COLLATE x``, ``MEMBER OF (…)``."""
        cursor = self.cursor
        if word == "is":
            cursor.next()
            cursor.take("not")
            if not cursor.take_any(_TRUTHS):
                raise DoubtError(Doubt.SYNTAX)
        elif word == "in":
            cursor.next()
            self.brackets(scope)
        elif word == "collate":
            cursor.next()
            if cursor.peek().kind is STRING or cursor.word() == "binary":
                cursor.next()
            else:
                cursor.name()
        elif word == "member" and cursor.word(1) == "of" and cursor.is_mark("(", 2):
            cursor.at += 2
            self.brackets(scope)
        else:
            return False
        return True
