"""Expressions: operands and operators by turns; whatever stands where neither may is not understood.

No tree is made. What counts is which columns and functions are named, and which queries stand inside: those
begin with a word that is reserved in every version, so a bracket says what it holds.
"""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.mysql.collector import Collector
from gateway.classify.mysql.lexer import lowered
from gateway.classify.mysql.scope import Scope
from gateway.classify.mysql.words import (
    BINARY_WORDS,
    CALLED_THOUGH_RESERVED,
    CONSTANTS,
    HIDING_INTRODUCERS,
    INTRODUCERS,
    NEVER_NAMES,
    NO_BLANK,
    TYPES,
    UNITS,
)  # fmt: skip
from gateway.classify.tokens import (
    LITERALS,
    MARK,
    NAME,
    NUMBER,
    OPERATOR,
    PARAMETER,
    STRING,
    SYSTEM,
    VARIABLE,
    WORD,
)
from gateway.model.classification import Setting

QUERY_WORDS = frozenset(("select", "with", "values", "table"))
_PREFIXES = frozenset("-+~!")
_TRUTHS = frozenset(("null", "true", "false", "unknown"))
_NEGATED = frozenset(("like", "rlike", "regexp", "between", "in", "escape"))
_WITH_UNIT = frozenset(("timestampadd", "timestampdiff", "extract", "get_format"))
_FORMATS = frozenset(("date", "time", "datetime", "timestamp"))
_WITH_FROM = frozenset(("trim", "extract", "substring", "substr", "mid"))
_LITERAL_TYPES = frozenset(("date", "time", "timestamp"))
_BEHIND_VALUE = ("null", "error", "default", "empty", "on", "return")
_FRAME = frozenset(
    """
    rows range groups between unbounded preceding following current row and exclude no others ties group
    """.split()  # noqa: SIM905 - a list of words reads best as words
)


class Expressions(Collector):
    """Reads expressions; the queries in them are read by ``Queries``."""

    def query(self, scope: Scope) -> None:
        """A query without brackets around it; what ``Queries`` does."""
        raise NotImplementedError

    def query_tail(self, scope: Scope) -> None:
        """What follows a query in brackets: a set operation, ORDER BY, LIMIT; what ``Queries`` does."""
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

    # -- operands

    def _operand(self, scope: Scope) -> None:  # noqa: C901, PLR0912 - one branch for each kind of operand
        cursor = self.cursor
        while True:
            token = cursor.peek()
            if token.kind is OPERATOR and token.value in _PREFIXES:
                cursor.next()
                if token.value in "-+":
                    self.operators["", token.value] = None
            elif not (token.kind is WORD and token.value in {"not", "binary"}):
                break
            else:
                cursor.next()
        kind = token.kind
        if kind is STRING:
            while cursor.peek().kind is STRING:
                cursor.next()
        elif kind is NUMBER or kind is PARAMETER:
            cursor.next()
        elif kind is VARIABLE:
            self._variable()
        elif kind is SYSTEM:
            self.effect("show", "setting", cursor.next().value.rpartition(".")[2])
        elif kind is NAME:
            self._named(scope)
        elif kind is WORD:
            self._word(token.value, scope)
        elif kind is MARK and token.value == "(":
            self.brackets(scope)
        elif kind is MARK and token.value == "{":
            cursor.next()
            cursor.label()
            self.expression(scope)
            cursor.expect_mark("}")
        else:
            raise DoubtError(Doubt.SYNTAX)

    def _variable(self) -> None:
        name = self.cursor.next().value
        if self.cursor.is_mark(":="):
            self.settings[Setting(f"@{name}", "user", None)] = None

    def _word(self, word: str, scope: Scope) -> None:  # noqa: C901, PLR0912 - one branch for each word of syntax
        cursor = self.cursor
        follows = cursor.peek(1)
        opens = follows.kind is MARK and follows.value == "("
        if word in {"case", "interval"} and not (word == "interval" and opens):
            cursor.next()
            if word == "case":
                self._case(scope)
            else:
                self.expression(scope)
                self._unit()
        elif word == "interval":
            cursor.next()
            self.brackets(scope)
            while self._operator(scope):  # INTERVAL (a) + b DAY
                self._operand(scope)
            cursor.take_any(UNITS)
        elif word in {"exists", "any", "all", "some", "row"} and opens:
            cursor.next()
            self.brackets(scope)
        elif word == "match" and opens:
            self._match(scope)
        elif word in {"next", "previous"} and cursor.word(1) == "value" and cursor.word(2) == "for":
            cursor.at += 3
            self._sequence("update" if word == "next" else "select")
        elif word in {"default", "values", "value"} and (opens or word == "default"):
            cursor.next()
            if cursor.mark("("):
                self._column(scope)
                cursor.expect_mark(")")
        elif word in HIDING_INTRODUCERS and follows.kind in LITERALS:
            raise DoubtError(Doubt.CHARACTER)
        elif (word in INTRODUCERS and follows.kind in LITERALS) or (
            word in _LITERAL_TYPES and follows.kind is STRING
        ):
            cursor.at += 2
        elif word in CALLED_THOUGH_RESERVED and opens:
            cursor.next()
            self._call("", word, scope)
        elif word in CONSTANTS:
            cursor.next()
        else:
            self._named(scope)

    def _unit(self) -> None:
        if not self.cursor.take_any(UNITS):
            raise DoubtError(Doubt.SYNTAX)

    def _case(self, scope: Scope) -> None:
        cursor = self.cursor
        if cursor.word() != "when":
            self.expression(scope)
        while cursor.take("when"):
            self.expression(scope)
            cursor.expect("then")
            self.expression(scope)
        if cursor.take("else"):
            self.expression(scope)
        cursor.expect("end")

    def _match(self, scope: Scope) -> None:
        cursor = self.cursor
        cursor.next()
        self.brackets(scope)
        cursor.expect("against")
        cursor.expect_mark("(")
        self._operand(scope)
        while self.cursor.peek().kind is OPERATOR and self._operator(scope):
            self._operand(scope)
        while cursor.take_any(("in", "boolean", "natural", "language", "mode", "with", "query", "expansion")):
            pass
        cursor.expect_mark(")")

    def _sequence(self, operation: str) -> None:
        schema, name = self.cursor.path()
        self.relations[self.relation(schema, name, "sequence")].does(operation)

    def _column(self, scope: Scope) -> None:
        parts = self._path()
        self.refer(scope, *parts)

    def _path(self) -> tuple[str, str, str]:
        """``column``, ``table.column`` or ``schema.table.column``."""
        cursor = self.cursor
        parts = [cursor.name()]
        while cursor.mark("."):
            parts.append(cursor.label())
        if len(parts) > 3:
            raise DoubtError(Doubt.SYNTAX)
        schema, table, name = ["", "", *parts][-3:]
        return schema, table, name

    def _named(self, scope: Scope) -> None:
        """A column, or a call."""
        cursor = self.cursor
        token = cursor.peek()
        if cursor.is_mark("(", 1):
            if token.kind is WORD and token.value in NO_BLANK and cursor.peek(1).start != token.end:
                raise DoubtError(Doubt.SYNTAX)  # a stored function of that name, or none
            cursor.at += 1
            if token.kind is WORD and token.value in NEVER_NAMES:
                raise DoubtError(Doubt.SYNTAX)
            # A quoted name is never syntax, and never one of the functions that the lexer knows.
            self._call("", lowered(token.raw), scope, is_quoted=token.kind is NAME)
            return
        schema, table, name = self._path()
        if cursor.is_mark("("):
            if schema:
                raise DoubtError(Doubt.SYNTAX)
            self._call(table, lowered(name), scope)
            return
        self.refer(scope, schema, table, name)

    # -- calls

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

    # -- operators

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


TAIL_WORDS = frozenset(
    ("union", "except", "intersect", "order", "limit", "for", "lock", "into", "offset", "fetch")
)
