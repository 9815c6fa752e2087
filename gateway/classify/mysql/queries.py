"""Queries: SELECT, VALUES, TABLE, what joins them, and common table expressions.

Relations are collected wherever they stand, so the word in front says nothing about what a statement does.
The name of a common table expression means the table outside within its own body, unless RECURSIVE stands.
"""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.mysql.expressions import QUERY_WORDS
from gateway.classify.mysql.lexer import lowered
from gateway.classify.mysql.scope import Environment, Scope
from gateway.classify.mysql.tables import Tables
from gateway.classify.tokens import MARK, NUMBER, PARAMETER, STRING, VARIABLE, WORD
from gateway.model.classification import Class, Effect, ObjectRef, Setting

_OPTIONS = frozenset(
    """
    all distinct distinctrow high_priority straight_join sql_small_result sql_big_result sql_buffer_result
    sql_no_cache sql_cache sql_calc_found_rows
    """.split()  # noqa: SIM905 - a list of words reads best as words
)
_SET_OPERATIONS = frozenset(("union", "except", "intersect"))
_EXPORT = frozenset(
    """
    fields columns lines terminated by optionally enclosed escaped starting
    """.split()  # noqa: SIM905 - a list of words reads best as words
)


class Queries(Tables):
    """Reads whatever yields rows."""

    def query(self, scope: Scope) -> None:
        """``[WITH …] SELECT … [UNION …] [ORDER BY …]``; *scope* becomes that of its first SELECT."""
        if scope.start is None:
            scope.start = len(self.relations)
        if self.cursor.word() == "with":
            scope.environment = self.with_clause(scope)
        self._arm(scope)
        self.query_tail(scope)

    def query_tail(self, scope: Scope) -> None:
        """Further arms, and what stands behind them all."""
        cursor = self.cursor
        self._behind(scope)
        while cursor.take_any(_SET_OPERATIONS):
            cursor.take_any(("all", "distinct"))
            arm = Scope(scope.environment, scope.outer, scope.is_derived, start=scope.start)
            self._arm(arm)
            self._behind(arm)

    def _arm(self, scope: Scope) -> None:
        cursor = self.cursor
        if cursor.take("select"):
            self._select(scope)
        elif cursor.is_mark("("):
            cursor.next()
            around = scope.environment
            self.query(scope)
            scope.environment = around  # a WITH in the brackets is not in sight behind them
            cursor.expect_mark(")")
        elif cursor.take("values"):
            self.rows(scope)
        elif cursor.take("table"):
            schema, name = cursor.path()
            number = self.relation(schema, name)
            if not schema and lowered(name) in {lowered(other) for other in scope.environment}:
                raise DoubtError(Doubt.NODE)
            self.reads(number, "*")
        else:
            raise DoubtError(Doubt.SYNTAX)

    def rows(self, scope: Scope) -> None:
        """``(1, 2), ROW(3, 4)`` behind VALUES."""
        cursor = self.cursor
        while True:
            cursor.take("row")
            cursor.expect_mark("(")
            while not cursor.mark(")"):
                self.expression(scope)
                if not cursor.is_mark(")"):
                    cursor.expect_mark(",")
            if not cursor.mark(","):
                return

    def with_clause(self, scope: Scope) -> Environment:
        """``WITH [RECURSIVE] a (x) AS (…), …``: the expressions in sight behind it, all of them read."""
        cursor = self.cursor
        cursor.expect("with")
        is_recursive = cursor.take("recursive")
        environment = dict(scope.environment)
        if is_recursive:
            for name in self._names_ahead():
                environment[name] = False  # one server knows those that come later, the other does not
        while True:
            name = cursor.name()
            if cursor.is_mark("("):
                cursor.names()
            cursor.expect("as")
            cursor.expect_mark("(")
            if is_recursive:
                environment[name] = True
            self.query(Scope(dict(environment), scope, is_derived=True))
            cursor.expect_mark(")")
            if cursor.take("cycle"):
                while cursor.name() and cursor.mark(","):
                    pass
                cursor.expect("restrict")
            environment[name] = True
            if not cursor.mark(","):
                return environment

    def _names_ahead(self) -> list[str]:
        """The names of all expressions of this WITH: each stands at its start or behind a comma."""
        found: list[str] = []
        depth, is_next = 0, True
        for token in self.cursor.tokens[self.cursor.at :]:
            if token.kind is MARK:
                depth += (token.value == "(") - (token.value == ")")
                is_next = token.value == "," and depth == 0
                if depth < 0:
                    break
                continue
            if is_next:
                found.append(token.raw)
            elif depth == 0 and token.kind is WORD and token.value in QUERY_WORDS:
                break
            is_next = False
        return found

    def _select(self, scope: Scope) -> None:  # noqa: C901 - clause by clause
        cursor = self.cursor
        while cursor.take_any(_OPTIONS):
            pass
        looked = scope.looked_at
        self.select_list(scope)
        self.into()
        if cursor.take("from"):
            self.tables(scope)
        for number in scope.relations():
            self.relations[number].does("select")
        looked = scope.looked_at
        if cursor.take("where"):
            self.expression(scope)
        if scope.looked_at > looked:
            for number in scope.relations():
                self.relations[number].does("select").has_where = True
        if cursor.take("group", "by"):
            self.ordered(scope)
            cursor.take("with", "rollup")
        if cursor.take("having"):
            self.expression(scope)
        if cursor.take("window"):
            while True:
                cursor.name()
                cursor.expect("as")
                self.window(scope)
                if not cursor.mark(","):
                    break

    def select_list(self, scope: Scope) -> None:
        """``*``, ``t.*``, expressions with their names."""
        cursor = self.cursor
        while True:
            if cursor.mark("*"):
                self.refer(scope, "", "", "*")
                scope.looked_at -= 1
            elif not self._star(scope):
                self.expression(scope)
                alias = ""
                if cursor.take("as"):
                    alias = cursor.next().value if cursor.peek().kind is STRING else cursor.name()
                elif cursor.peek().kind is STRING:
                    alias = cursor.next().value
                elif cursor.is_name():
                    alias = cursor.name()
                if alias:
                    scope.also.add(lowered(alias))
            if not cursor.mark(","):
                return

    def _star(self, scope: Scope) -> bool:
        """``t.*`` or ``s.t.*``."""
        cursor = self.cursor
        for width in (2, 4):
            if cursor.is_mark(".", width - 1) and cursor.is_mark("*", width) and cursor.is_name():
                parts = ["", cursor.name()]
                while cursor.mark("."):
                    if not cursor.mark("*"):
                        parts.append(cursor.label())
                schema, table = parts[-2:]
                self.refer(scope, schema, table, "*")
                return True
        return False

    def _behind(self, scope: Scope) -> None:
        """ORDER BY, LIMIT, INTO and locks, in whatever order the versions have them."""
        cursor = self.cursor
        while True:
            if cursor.take("order", "by"):
                self.ordered(scope)
            elif cursor.take("limit"):
                self.limit(scope, "select")
            elif cursor.word() == "into":
                self.into()
            elif cursor.take("lock", "in", "share", "mode"):
                self._lock(scope)
            elif cursor.word() == "for" and cursor.word(1) in {"update", "share"}:
                cursor.at += 2
                if cursor.take("of"):
                    cursor.uses("lock")
                self._lock(scope)
            elif cursor.word() == "offset" or (
                cursor.word() == "fetch" and cursor.word(1) in {"first", "next"}
            ):
                self._fetch()
            else:
                return

    def limit(self, scope: Scope, operation: str) -> None:
        """``LIMIT n``, ``LIMIT m, n``, ``LIMIT n OFFSET m``, ``ROWS EXAMINED n``."""
        cursor = self.cursor
        counts: list[str] = []
        if not cursor.take("rows", "examined"):
            counts.append(self._count())
            if cursor.mark(","):
                counts.insert(0, self._count())
            elif cursor.take("offset"):
                self._count()
            if not cursor.take("rows", "examined"):
                self._note_limit(scope, operation, counts)
                return
        self._count()
        self._note_limit(scope, operation, counts)

    def _note_limit(self, scope: Scope, operation: str, counts: list[str]) -> None:
        if not counts or not counts[0].isdigit():
            return
        for number in scope.relations():
            self.relations[number].does(operation).limit = int(counts[0])

    def _count(self) -> str:
        token = self.cursor.next()
        if token.kind not in {NUMBER, PARAMETER}:
            raise DoubtError(Doubt.SYNTAX)
        return token.value

    def _fetch(self) -> None:
        """``OFFSET n ROWS FETCH FIRST n ROWS ONLY``."""
        cursor = self.cursor
        if cursor.take("offset"):
            self._count()
            cursor.take_any(("row", "rows"))
        if cursor.take("fetch"):
            cursor.take_any(("first", "next"))
            if cursor.peek().kind in {NUMBER, PARAMETER}:
                cursor.next()
            cursor.take_any(("row", "rows"))
            if not cursor.take("only"):
                cursor.expect("with", "ties")

    def _lock(self, scope: Scope) -> None:
        """What is locked: the tables of FROM; behind TABLE, brackets or a subquery all that was read."""
        cursor = self.cursor
        locked = scope.relations()
        if not locked or scope.has_others():
            locked = tuple(range(scope.start or 0, len(self.relations)))
        for number in locked:
            self.relations[number].does("lock")
        if cursor.take("wait"):
            cursor.number()
        elif not cursor.take("nowait"):
            cursor.take("skip", "locked")

    def into(self) -> None:
        """``INTO OUTFILE``, ``INTO DUMPFILE``, ``INTO @a``: nothing else has a place outside of routines."""
        cursor = self.cursor
        if not cursor.take("into"):
            return
        if cursor.take_any(("outfile", "dumpfile")):
            self.effects[Effect("copy_out", Class.ADMIN, ObjectRef("file", cursor.string()))] = None
            if cursor.take("character", "set") or cursor.take("charset"):
                cursor.label()
            while cursor.take_any(_EXPORT) or cursor.peek().kind in {STRING, NUMBER}:
                if cursor.peek().kind in {STRING, NUMBER}:
                    cursor.next()
            return
        while True:
            token = cursor.next()
            if token.kind is not VARIABLE:
                raise DoubtError(Doubt.SYNTAX)
            self.settings[Setting(f"@{token.value}", "user", None)] = None
            if not cursor.mark(","):
                return
