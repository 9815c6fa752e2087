"""What stands in FROM: tables, queries, their joins, and what each brings into sight."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.mysql.expressions import QUERY_WORDS, TAIL_WORDS
from gateway.classify.mysql.lexer import lowered
from gateway.classify.mysql.operands import Operands
from gateway.classify.mysql.scope import Scope, Source
from gateway.classify.tokens import MARK, STRING, WORD

_JOINS = frozenset(("join", "inner", "cross", "straight_join", "left", "right", "natural"))
_HINTS = frozenset(("use", "force", "ignore"))
_BEHIND_TABLE = frozenset(("offset", "tablesample", "qualify"))  # syntax in some versions: no alias of ours


class Tables(Operands):
    """Reads FROM lists."""

    def tables(self, scope: Scope) -> None:
        """``a, b JOIN c ON …``."""
        self._joined(scope)
        while self.cursor.mark(","):
            self._joined(scope)

    def _joined(self, scope: Scope) -> None:
        self._factor(scope)
        self._joins(scope)

    def _joins(self, scope: Scope) -> None:
        cursor = self.cursor
        while cursor.word() in _JOINS:
            word = cursor.next().value
            is_natural = word == "natural"
            if is_natural:
                word = cursor.take_any(("left", "right", "inner")) or "natural"
            if word in {"left", "right"}:
                cursor.take("outer")
            if word not in {"join", "straight_join"}:
                cursor.expect("join")
            self._factor(scope)
            if is_natural:
                self._shared(scope, "*")
                continue
            # Two joins may wait for their conditions, the inner one's comes first.
            self._joins_before_condition(scope)
            self._condition(scope)

    def _joins_before_condition(self, scope: Scope) -> None:
        if self.cursor.word() in _JOINS:
            self._joins(scope)

    def _condition(self, scope: Scope) -> None:
        cursor = self.cursor
        if cursor.word(1) == "duplicate" and cursor.word(2) == "key":
            return  # of an INSERT around it
        if cursor.take("on"):
            self.expression(scope)
        elif cursor.take("using"):
            for column in cursor.names():
                self._shared(scope, column)

    def _shared(self, scope: Scope, column: str) -> None:
        self.operators["", "="] = None
        for number in scope.relations():
            self.reads(number, column)

    def _factor(self, scope: Scope) -> None:
        cursor = self.cursor
        if cursor.is_mark("("):
            if self._in_brackets(scope):
                self._derived(scope)
        elif cursor.take("lateral"):
            cursor.expect_mark("(")
            self.query(Scope(scope.environment, scope))
            cursor.expect_mark(")")
            self._derived(scope)
        elif cursor.word() == "json_table" and cursor.is_mark("(", 1):
            cursor.next()
            self._json_table(scope)
            self._derived(scope)
        elif cursor.take("dual"):
            return
        else:
            self.table(scope)

    def _in_brackets(self, scope: Scope) -> bool:
        """``( … )``: a query that wants a name (True), or tables that have theirs."""
        cursor = self.cursor
        cursor.expect_mark("(")
        if cursor.word() in QUERY_WORDS:
            self.query(Scope(scope.environment, scope, is_derived=True))
            cursor.expect_mark(")")
            return True
        if not cursor.is_mark("("):
            self.tables(scope)
            cursor.expect_mark(")")
            return False
        is_query = self._in_brackets(scope)
        if is_query:
            if cursor.mark(")"):
                return True
            if cursor.word() in TAIL_WORDS:
                self.query_tail(Scope(scope.environment, scope, is_derived=True))
                cursor.expect_mark(")")
                return True
            self._derived(scope)
        self._joins(scope)
        while cursor.mark(","):
            self._joined(scope)
        cursor.expect_mark(")")
        return False

    def _derived(self, scope: Scope) -> None:
        cursor = self.cursor
        alias = self.alias()
        if alias and cursor.is_mark("("):
            cursor.names()
        scope.add(Source(alias))

    def table(self, scope: Scope) -> Source:
        """A table with all that may stand behind its name."""
        cursor = self.cursor
        schema, name = cursor.path()
        if cursor.is_mark("("):
            raise DoubtError(Doubt.NODE)  # a table function
        if cursor.take("partition"):
            cursor.names()
        self._system_time(scope)
        alias = self.alias()
        self._hints()
        exact = scope.environment.get(name) if not schema else None
        if exact is None and not schema and lowered(name) in {lowered(other) for other in scope.environment}:
            exact = False
        number = -1 if exact else self.relation(schema, name)
        source = Source(alias or name, "" if alias else schema, number)
        scope.add(source)
        if exact is False:
            scope.add(Source(alias or name))
        return source

    def alias(self) -> str:
        """``[AS] name``, or nothing."""
        cursor = self.cursor
        if cursor.take("as"):
            if cursor.peek().kind is STRING:
                raise DoubtError(Doubt.SYNTAX)
            return cursor.name()
        return cursor.name() if self._may_be_alias() else ""

    def _may_be_alias(self) -> bool:
        cursor = self.cursor
        if not cursor.is_name():
            return False
        return cursor.word() not in _BEHIND_TABLE

    def _system_time(self, scope: Scope) -> None:
        cursor = self.cursor
        if not cursor.take("for", "system_time"):
            return
        inner = Scope(scope.environment, scope)
        if cursor.take("all"):
            return
        if cursor.take("as", "of"):
            cursor.take_any(("transaction",))
            self.expression(inner)
        elif cursor.take("between"):
            self.expression(inner)
        elif cursor.take("from"):
            self.expression(inner)
            cursor.expect("to")
            self.expression(inner)
        else:
            raise DoubtError(Doubt.SYNTAX)

    def _hints(self) -> None:
        cursor = self.cursor
        while cursor.word() in _HINTS and cursor.word(1) in {"index", "key"}:
            cursor.at += 2
            if cursor.take("for") and not cursor.take("join") and not cursor.take("order", "by"):
                cursor.expect("group", "by")
            cursor.expect_mark("(")
            while not cursor.mark(")"):
                cursor.label()  # PRIMARY is a name here
                cursor.mark(",")
            cursor.mark(",")

    def _json_table(self, scope: Scope) -> None:
        """``JSON_TABLE(document, path COLUMNS (…))``: only the document is an expression."""
        cursor = self.cursor
        cursor.expect_mark("(")
        self.expression(scope)
        cursor.expect_mark(",")
        self._operand(scope)
        cursor.expect("columns")
        depth = 1
        while depth:
            token = cursor.next()
            if token.kind is WORD and token.value in {*QUERY_WORDS, "from"}:
                raise DoubtError(Doubt.SYNTAX)
            if token.kind is MARK:
                depth += (token.value == "(") - (token.value == ")")
