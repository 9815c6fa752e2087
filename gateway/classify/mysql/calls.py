"""Calls: what stands between the brackets of a function, and behind them.

Many functions have words of their own where others have commas. Those are part of the grammar of all calls
here; only where a word could be an operand too does the name of the function count.
"""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.mysql.expressions import Expressions
from gateway.classify.mysql.scope import Scope
from gateway.classify.mysql.words import NO_BLANK, TYPES, UNITS
from gateway.classify.tokens import NUMBER, PARAMETER, STRING, VARIABLE

_WITH_UNIT = frozenset(("timestampadd", "timestampdiff", "extract", "get_format"))
_FORMATS = frozenset(("date", "time", "datetime", "timestamp"))
_WITH_FROM = frozenset(("trim", "extract", "substring", "substr", "mid"))
_BEHIND_VALUE = ("null", "error", "default", "empty", "on", "return")
_FRAME = frozenset(
    """
    rows range groups between unbounded preceding following current row and exclude no others ties group
    """.split()  # noqa: SIM905 - a list of words reads best as words
)


class Calls(Expressions):
    """Reads calls of functions, their windows, and the types that some of them take."""

    def _call(self, schema: str, name: str, scope: Scope, *, is_quoted: bool = False) -> None:
        cursor = self.cursor
        if not schema and name in {"nextval", "lastval", "setval"}:
            cursor.expect_mark("(")
            self._sequence("select" if name == "lastval" else "update")
            while cursor.mark(","):
                self.expression(scope)
            cursor.expect_mark(")")
            return
        if is_quoted and name in NO_BLANK:
            raise DoubtError(Doubt.SYNTAX)
        self.calls[schema, name] = None
        cursor.expect_mark("(")
        self._arguments("" if schema else name, scope)
        self._behind_call(scope)

    def _sequence(self, operation: str) -> None:
        schema, name = self.cursor.path()
        self.relations[self.relation(schema, name, "sequence")].does(operation)

    def _arguments(self, name: str, scope: Scope) -> None:  # noqa: C901, PLR0912 - the grammar of calls has many words
        cursor = self.cursor
        while cursor.take_any(("distinct", "all", "leading", "trailing", "both")):
            pass
        if cursor.mark("*"):
            cursor.expect_mark(")")
            return
        if name in _WITH_UNIT and cursor.word() in (UNITS | _FORMATS):
            cursor.next()
            if not cursor.mark(","):
                cursor.expect("from")
        while not cursor.mark(")"):
            if self._starts_query():
                self.query(Scope(scope.environment, scope))
                continue
            if name in _WITH_FROM and cursor.take_any(("from", "for")):
                continue
            if name == "position":
                self._position(scope)
                continue
            if cursor.take("as"):
                self.type()
            elif cursor.take("using"):
                cursor.label()
            elif cursor.take("order", "by"):
                self.ordered(scope)
            elif cursor.take("separator"):
                cursor.string()
            elif cursor.take_any(("limit", "returning")):
                self.type()
            elif (
                cursor.word() in {"null", "error", "default"}
                and cursor.word(1) in {"on", ""}
                and name == "json_value"
            ):
                while not cursor.is_mark(")"):
                    if not cursor.take_any(_BEHIND_VALUE):
                        self._operand(scope)
            else:
                self.expression(scope)
            if name == "convert" and cursor.mark(","):
                self.type()
            elif not cursor.is_mark(")") and not cursor.mark(",") and not self._goes_on(name):
                raise DoubtError(Doubt.SYNTAX)

    def _goes_on(self, name: str) -> bool:
        word = self.cursor.word()
        if word in {"from", "for"}:
            return name in _WITH_FROM
        return word in {"as", "using", "order", "separator", "limit", "returning", "null", "error", "default"}

    def _position(self, scope: Scope) -> None:
        """``POSITION(a IN b)``: IN is no operator there."""
        self._operand(scope)
        while self.cursor.word() != "in" and self._operator(scope):
            self._operand(scope)
        self.cursor.expect("in")
        self.expression(scope)

    def type(self) -> None:
        """A type, as CAST has it; or what LIMIT in GROUP_CONCAT has."""
        cursor = self.cursor
        while True:
            if (
                cursor.take("character", "set")
                or cursor.take("char", "set")
                or cursor.take_any(("charset", "collate"))
            ):
                cursor.label()
            elif cursor.is_mark("("):
                cursor.next()
                while not cursor.mark(")"):
                    if not cursor.mark(","):
                        cursor.number()
            elif cursor.peek().kind in {STRING, NUMBER, PARAMETER}:
                cursor.next()
            elif not (
                cursor.take_any(TYPES)
                or (cursor.is_mark(",") and cursor.peek(1).kind is NUMBER and cursor.mark(","))
            ):
                return

    def _behind_call(self, scope: Scope) -> None:
        cursor = self.cursor
        if cursor.take("within", "group"):
            cursor.expect_mark("(")
            cursor.expect("order", "by")
            self.ordered(scope)
            cursor.expect_mark(")")
        if cursor.take("from", "first") or cursor.take("from", "last"):
            pass
        if cursor.take("respect", "nulls") or cursor.take("ignore", "nulls"):
            pass
        if cursor.take("over"):
            if cursor.is_mark("("):
                self.window(scope)
            else:
                cursor.name()

    def window(self, scope: Scope) -> None:
        """``( … )`` behind OVER."""
        cursor = self.cursor
        cursor.expect_mark("(")
        if cursor.is_name() and cursor.word() not in {"rows", "groups"}:
            cursor.name()
        if cursor.take("partition", "by"):
            self.expressions(scope)
        if cursor.take("order", "by"):
            self.ordered(scope)
        while not cursor.mark(")"):
            if cursor.take("interval"):
                self.expression(scope)
                self._unit()
            elif cursor.peek().kind in {NUMBER, PARAMETER, VARIABLE}:
                cursor.next()
            elif not cursor.take_any(_FRAME):
                raise DoubtError(Doubt.SYNTAX)

    def _unit(self) -> None:
        if not self.cursor.take_any(UNITS):
            raise DoubtError(Doubt.SYNTAX)
