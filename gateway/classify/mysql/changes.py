"""INSERT, REPLACE, UPDATE, DELETE: which tables they change, which columns, and what they read for it."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.mysql.expressions import QUERY_WORDS
from gateway.classify.mysql.lexer import lowered
from gateway.classify.mysql.queries import Queries
from gateway.classify.mysql.scope import Scope, Source

_PRIORITIES = frozenset(("low_priority", "delayed", "high_priority", "quick", "ignore"))


class Changes(Queries):
    """Reads what changes rows."""

    def read(self) -> str:
        """A query or a change; the answer is its operation."""
        scope = Scope({}, start=0)
        if self.cursor.word() == "with":
            scope.environment = self.with_clause(scope)
        word = self.cursor.take_any(("insert", "replace", "update", "delete"))
        match word:
            case "insert" | "replace":
                self._insert(scope, is_replace=word == "replace")
                return "insert"
            case "update":
                self._update(scope)
            case "delete":
                self._delete(scope)
            case _:
                self.query(scope)
                return "select"
        return word

    def _insert(self, scope: Scope, *, is_replace: bool) -> None:
        cursor = self.cursor
        while cursor.take_any(_PRIORITIES):
            pass
        cursor.take("into")
        schema, name = cursor.path()
        number = self.relation(schema, name)
        doing = self.relations[number].does("insert")
        if is_replace:
            self.relations[number].does("delete")
        if cursor.take("partition"):
            cursor.names()
        source = Source(name, schema, number)
        scope.add(source)
        if self._has_columns():
            doing.columns.update(dict.fromkeys(self._columns()))
        self._inserted(scope, number)
        if not doing.columns:
            doing.columns["*"] = None
        if cursor.take("as"):
            scope.add(Source(cursor.name()))
            if cursor.is_mark("("):
                cursor.names()
        if cursor.take("on", "duplicate", "key", "update"):
            self.is_update = True
            self._assignments(scope, [number])
            self.is_update = False
            self.relations[number].does("update").has_where = True
        self._returning(scope, number)

    def _has_columns(self) -> bool:
        """A bracket behind the table: columns, unless a query begins in it."""
        cursor = self.cursor
        return cursor.is_mark("(") and cursor.word(1) not in QUERY_WORDS and not cursor.is_mark("(", 1)

    def _columns(self) -> list[str]:
        cursor = self.cursor
        cursor.expect_mark("(")
        found: list[str] = []
        while not cursor.mark(")"):
            if found:
                cursor.expect_mark(",")
            found.append(lowered(self._path()[2]))
        return found

    def _inserted(self, scope: Scope, number: int) -> None:
        """What is inserted: rows, assignments or a query."""
        cursor = self.cursor
        if cursor.word() in {"values", "value"}:
            cursor.next()
            self.rows(scope)
        elif cursor.take("set"):
            doing = self.relations[number].does("insert")
            while True:
                doing.columns[lowered(self._path()[2])] = None
                if not cursor.mark("="):
                    cursor.expect_mark(":=")
                self.expression(scope)
                if not cursor.mark(","):
                    return
        else:
            inner = Scope(scope.environment, None)
            self.query(inner)
            # What is assigned behind it may come from the query's tables.
            scope.sources += inner.sources

    def _assignments(self, scope: Scope, targets: list[int]) -> None:
        """``a = 1, t.b = 2``; a column that stands alone may be any target's."""
        cursor = self.cursor
        while True:
            schema, table, name = self._path()
            if not cursor.mark("="):
                cursor.expect_mark(":=")
            for number in self._targets(scope, targets, schema, table):
                self.relations[number].does("update").columns[lowered(name)] = None
            self.expression(scope)
            if not cursor.mark(","):
                return

    def _targets(self, scope: Scope, targets: list[int], schema: str, table: str) -> list[int]:
        if not table:
            found = targets
        else:
            found = [
                source.relation for source in self.find(scope, schema, table) if source.relation in targets
            ]
        if not found:
            raise DoubtError(Doubt.NODE)  # a common table expression, or nothing that is here
        self.in_question(len(found) - 1)
        return found

    def _update(self, scope: Scope) -> None:
        cursor = self.cursor
        while cursor.take_any(_PRIORITIES):
            pass
        self.tables(scope)
        cursor.expect("set")
        numbers = list(scope.relations())
        if len(scope.sources) > 1:
            for number in numbers:  # joined, so all of them are read
                self.relations[number].does("select")
        self._assignments(scope, numbers)
        self._bounded(scope, "update")

    def _bounded(self, scope: Scope, operation: str) -> None:
        """WHERE, ORDER BY and LIMIT; every table beside those that change is read."""
        cursor = self.cursor
        looked = scope.looked_at
        if cursor.take("where"):
            self.expression(scope)
        has_where = scope.looked_at > looked
        for number in scope.relations():
            relation = self.relations[number]
            doing = relation.does(operation if operation in relation.doing else "select")
            doing.has_where = has_where
        if cursor.take("order", "by"):
            self.ordered(scope)
        if cursor.take("limit"):
            first = scope.relations()[0]
            if operation in self.relations[first].doing:
                self.limit(Scope(scope.environment, None, sources=[Source("", "", first)]), operation)
            else:
                raise DoubtError(Doubt.SYNTAX)

    def _delete(self, scope: Scope) -> None:
        cursor = self.cursor
        while cursor.take_any(_PRIORITIES):
            pass
        if cursor.take("history"):
            raise DoubtError(Doubt.STATEMENT)
        is_from = cursor.take("from")
        if is_from and not self._names_targets():
            source = self.table(Scope({}))
            if source.relation < 0:
                raise DoubtError(Doubt.NODE)
            scope.add(source)
            self.relations[source.relation].does("delete")
        else:
            targets = self._deleted()
            cursor.expect("using" if is_from else "from")
            self.tables(scope)
            for number in scope.relations():  # joined, so all of them are read
                self.relations[number].does("select")
            for schema, table in targets:
                for number in self._targets(scope, list(scope.relations()), schema, table):
                    self.relations[number].does("delete")
        self._bounded(scope, "delete")
        if scope.relations():
            self._returning(scope, scope.relations()[0])

    def _names_targets(self) -> bool:
        """``DELETE FROM a, b USING …``: a list of names up to USING."""
        cursor = self.cursor
        at = cursor.at
        try:
            self._deleted()
            found = cursor.word() == "using"
        except DoubtError:
            found = False
        cursor.at = at
        return found

    def _deleted(self) -> list[tuple[str, str]]:
        cursor = self.cursor
        found: list[tuple[str, str]] = []
        while True:
            parts = ["", cursor.name()]
            while cursor.mark("."):
                if not cursor.mark("*"):
                    parts.append(cursor.label())
            schema, table = parts[-2:]
            found.append((schema, table))
            if not cursor.mark(","):
                return found

    def _returning(self, scope: Scope, number: int) -> None:
        if self.cursor.take("returning"):
            self.relations[number].does("select")
            self.select_list(scope)
