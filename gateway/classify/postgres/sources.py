"""What stands in FROM: tables, functions, subqueries and their joins, and what each brings into sight."""

from collections.abc import Iterable

from sqlglot import exp

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres.collector import Node
from gateway.classify.postgres.expressions import Expressions
from gateway.classify.postgres.inventory import ONE_COLUMN, OUTPUTS
from gateway.classify.postgres.reduced import MORE
from gateway.classify.postgres.scope import SOME, Environment, Output, Scope, Source, everything, rename


class Sources(Expressions):
    """Walks FROM lists; the queries in them are walked by ``Queries``."""

    def with_clause(self, node: Node, environment: Environment, outer: Scope | None) -> Environment:
        """The common table expressions in sight inside *node*; what ``Queries`` does."""
        raise NotImplementedError

    def values(self, node: exp.Values, environment: Environment, outer: Scope | None) -> Output:
        """Rows that are written out; what ``Queries`` does."""
        raise NotImplementedError

    def source(self, node: Node, scope: Scope, start: int | None = None) -> None:
        """Add what *node* brings into sight, and walk all that stands in it.

        Conditions of joins see the sources from number *start* on, this one's own first where it is None.
        """
        self.check(node)
        start = len(scope.sources) if start is None else start
        if isinstance(node, exp.From):
            self.source(node.this, scope)
        elif isinstance(node, exp.Join):
            self._join(node, scope, start)
        elif isinstance(node, exp.Table):
            self._table(node, scope)
        elif isinstance(node, exp.Lateral):
            self._lateral(node, scope)
        elif isinstance(node, exp.Subquery):
            self._derived(node, scope)
        elif isinstance(node, exp.Values):
            self._add(scope, node.args.get("alias"), self.values(node, scope.environment, scope.outer))
        else:
            raise DoubtError(Doubt.NODE)
        for join in node.args.get("joins") or ():
            self.source(join, scope, start)

    def _join(self, node: exp.Join, scope: Scope, start: int) -> None:
        self.source(node.this, scope)
        seen = scope if start == 0 else Scope(scope.environment, scope.outer, scope.sources, is_wide=True)
        self.part(node.args.get("on"), seen)
        shared, alias = self.shared_columns(node.args.get("using") or ())
        if str(node.args.get("method") or "").upper() == "NATURAL":
            shared = ["*"]
        if shared:
            self.operators["", "="] = None
            scope.is_merged = True
        for source in scope.sources:
            if source.relation >= 0:
                for column in shared:
                    self.relations[source.relation].does("select").columns[column] = None
        if alias:
            scope.sources.append(Source(alias, "", (), shown=tuple(shared)))

    def shared_columns(self, columns: Iterable[Node]) -> tuple[list[str], str]:
        """The columns that two sides share, and the name that they have together, if any."""
        shared, alias = [], ""
        for column in columns:
            if isinstance(column, exp.Identifier) and str(column.this)[:1] == MORE:
                alias, _ = self.name_and_columns(column)
            else:
                shared.append(self.name(column))
        return shared, alias

    def _table(self, node: exp.Table, scope: Scope) -> None:
        args = node.args
        self.part(args.get("sample"), scope)
        if args.get("rows_from"):
            self._rows_from(node, scope)
            return
        if not isinstance(node.this, exp.Identifier):
            self._function(node, scope)
            return
        name, has_schema = self.name(node.this), args.get("db") is not None
        if not has_schema and name in scope.environment:
            output, added = scope.environment[name]
            if added and args.get("alias") is not None and args["alias"].args.get("columns"):
                raise DoubtError(Doubt.NODE)  # new names for columns, and nobody knows which
            self._add(scope, args.get("alias"), output, default=name)
            scope.sources[-1].shown = added
            return
        relation = self.relation(node, "select")
        number = len(self.relations) - 1
        self._add(
            scope, args.get("alias"), ((number, 0),), default=name, schema=relation.schema, relation=number
        )

    def _rows_from(self, node: exp.Table, scope: Scope) -> None:
        """``ROWS FROM (f(…), g(…))``: what is not called anything bears the function's name, or the alias."""
        output: list[str | tuple[int, int]] = []
        for item in node.args["rows_from"]:
            inner = Scope(scope.environment, scope)
            self.source(item, inner)
            output.extend(inner.sources[0].output)
        if len(output) == 1 and node.args.get("alias") is not None:
            output = [SOME]
        if node.args.get("ordinality"):
            output.append("ordinality")
        self._add(scope, node.args.get("alias"), tuple(output))

    def _function(self, node: exp.Table, scope: Scope) -> None:
        call, args = node.this, node.args
        if isinstance(call, exp.Anonymous) and args.get("db") is not None:
            schema, (name, columns) = self.name(args["db"]), self._called(call)
            self.check(call)
            self.calls[schema, name] = None
            for argument in call.expressions:
                self.part(argument, scope)
        else:
            self.part(call, scope)
            name, columns = self._called(call)
        alias = args.get("alias")
        given = self.optional_name(alias.this) if alias is not None else ""
        output: Output = columns or OUTPUTS.get(name, ())
        if not output:  # rows of a type that only the server knows have its columns, and none of this name
            output = (given or name,) if name in ONE_COLUMN else (SOME,)
        if args.get("ordinality"):
            output = (*output, "ordinality")
        self._add(scope, alias, output, default=name)

    def _called(self, call: Node) -> tuple[str, tuple[str, ...]]:
        """The function's name, and its columns where they stand in the call."""
        if isinstance(call, exp.Dot):
            call = call.expression
        if not isinstance(call, exp.Anonymous):
            raise DoubtError(Doubt.NODE)
        return self.name_and_columns(call.this)

    def _lateral(self, node: exp.Lateral, scope: Scope) -> None:
        inner = node.this
        if isinstance(inner, exp.Subquery):
            output = self.query(inner, scope.environment, scope)
            self._add(scope, node.args.get("alias"), output)
            return
        table = exp.Table(this=inner, alias=node.args.get("alias"), ordinality=node.args.get("ordinality"))
        self._function(table, scope)

    def _derived(self, node: exp.Subquery, scope: Scope) -> None:
        """A subquery, which does not see its neighbours, or joined tables in brackets."""
        self.part(node.args.get("sample"), scope)
        inner, alias = node.this, node.args.get("alias")
        if not joins_tables(node):
            environment = self.with_clause(node, scope.environment, scope.outer)
            self._add(scope, alias, self.query(inner, environment, scope.outer, None, (node,)))
            return
        if any(node.args.get(key) for key in ("with_", "order", "limit", "offset", "locks")):
            raise DoubtError(Doubt.NODE)
        around = Scope(scope.environment, scope.outer, scope.sources, is_wide=True)
        joined = Scope(scope.environment, around)
        self.source(inner, joined)
        if alias is None:
            scope.sources.extend(joined.sources)
            scope.is_merged = scope.is_merged or joined.is_merged
            return
        for source in joined.sources:
            self.reads_all(source)  # behind the new name nobody knows which column is whose
        self._add(scope, alias, everything(joined))

    def _add(
        self,
        scope: Scope,
        alias: Node | None,
        output: Output,
        *,
        default: str = "",
        schema: str = "",
        relation: int = -1,
    ) -> None:
        given, columns = default, []
        if alias is not None:
            self.check(alias)
            given = self.optional_name(alias.this) or default
            columns = [self.name(column) for column in alias.args.get("columns") or ()]
            schema = ""
            if columns and relation >= 0:
                self.relations[relation].does("select").columns["*"] = (
                    None  # which is called what, nobody knows
                )
        scope.sources.append(Source(given, schema, rename(output, columns), relation))


def joins_tables(node: exp.Subquery) -> bool:
    """Brackets around tables in FROM, not around a query."""
    inner = node.this
    if isinstance(inner, exp.Table):
        return True
    return isinstance(inner, exp.Subquery) and (
        bool(inner.args.get("alias") or inner.args.get("joins")) or joins_tables(inner)
    )
