"""Queries: every node is looked at once, and an unknown one makes the whole unknown.

Relations are collected wherever they stand (CTEs, subqueries, locks, INTO), so the node on top says nothing
about what a statement does. Common table expressions are resolved as the server does: per query, the name
of a CTE that is not recursive means the outer thing inside its own body, and a qualified name is never one.
"""

from sqlglot import exp

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres.collector import Node
from gateway.classify.postgres.expressions import Expressions
from gateway.classify.postgres.inventory import OUTPUTS
from gateway.classify.postgres.scope import Environment, Output, Scope, Source, rename

_CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)


class Queries(Expressions):
    """Walks SELECT, VALUES, set operations, and what stands in FROM."""

    def change(self, node: Node, environment: Environment, outer: Scope | None) -> Output:
        """A change, alone or in a CTE; what ``Walk`` does."""
        raise NotImplementedError

    def statement(self, node: Node) -> Output:
        """Walk the statement *node*."""
        return self.query(node, {}, None)

    def query(
        self, node: Node, environment: Environment, outer: Scope | None, pending: "_Pending | None" = None
    ) -> Output:
        """Walk anything that yields rows, and say which columns they have."""
        self.check(node)
        if isinstance(node, exp.Select):
            output = self._select(node, self._with(node, environment, outer), outer)
        elif isinstance(node, exp.SetOperation):
            output = self._set_operation(node, environment, outer, pending)
        elif isinstance(node, exp.Subquery):
            output = self._brackets(node, environment, outer, pending)
        elif isinstance(node, exp.Values):
            output = self._values(node, environment, outer)
        elif isinstance(node, _CHANGES):
            output = self.change(node, self._with(node, environment, outer), outer)
        else:
            raise DoubtError(Doubt.NODE)
        return output

    def _with(self, node: Node, environment: Environment, outer: Scope | None) -> Environment:
        clause = node.args.get("with_")
        if clause is None:
            return environment
        self.check(clause)
        environment = dict(environment)
        is_recursive = bool(clause.args.get("recursive"))
        if is_recursive:
            for cte in clause.expressions:
                environment[self.name(cte.args["alias"].this)] = ()
        for cte in clause.expressions:
            self.check(cte)
            alias = cte.args["alias"]
            self.check(alias)
            name, columns = (
                self.name(alias.this),
                [self.name(column) for column in alias.args.get("columns") or ()],
            )
            pending = _Pending(environment, name, columns) if is_recursive else None
            inside = environment if is_recursive else dict(environment)
            environment[name] = rename(self.query(cte.this, inside, outer, pending), columns)
        return environment

    def _select(self, node: exp.Select, environment: Environment, outer: Scope | None) -> Output:
        scope, args = Scope(environment, outer), node.args
        first = len(self.relations)
        for part in (args.get("from_"), *(args.get("joins") or ())):
            if part is not None:
                self.source(part, scope)
        mine = range(first, len(self.relations))
        if args.get("where") is not None or isinstance(args.get("limit"), exp.Limit):
            self._bound(node, mine)
        locks = args.get("locks")
        if locks:
            self._lock(locks, scope, mine)
        self._into(args.get("into"))
        for key in (
            "expressions",
            "where",
            "group",
            "having",
            "windows",
            "order",
            "limit",
            "offset",
            "distinct",
        ):
            self.part(args.get(key), scope)
        output: list[str | tuple[int, int]] = []
        for item in node.expressions:
            output.extend(self.output(item, scope))
        return tuple(output)

    def _bound(self, node: exp.Select, mine: range) -> None:
        limit = node.args.get("limit")
        count = limit.args.get("expression") if isinstance(limit, exp.Limit) else None
        for number in mine:
            doing = self.relations[number].doing.get("select")
            if doing is not None:
                doing.has_where = doing.has_where or node.args.get("where") is not None
                if (
                    isinstance(count, exp.Literal)
                    and not count.args.get("is_string")
                    and str(count.this).isdigit()
                ):
                    doing.limit = int(count.this)

    def _lock(self, locks: list[Node], scope: Scope, mine: range) -> None:
        for lock in locks:
            self.check(lock)
            named = {self.name(table.this) for table in lock.expressions}
            for number in mine:
                aliases = {source.alias for source in scope.sources if source.relation == number}
                if not named or not aliases or aliases & named:
                    self.relations[number].does("lock")

    def _into(self, into: Node | None) -> None:
        if into is None:
            return
        self.check(into)
        relation = self.relation(into.this, "create")
        relation.is_new = True
        if into.args.get("temporary") and not relation.schema:
            relation.schema = "pg_temp"

    def _set_operation(
        self,
        node: exp.SetOperation,
        environment: Environment,
        outer: Scope | None,
        pending: "_Pending | None",
    ) -> Output:
        arms: list[Node] = []
        left: Node = node
        scope = Scope(environment, outer)
        while isinstance(left, exp.SetOperation):
            self.check(left)
            environment = self._with(left, environment, outer)
            arms.append(left.expression)
            for key in ("order", "limit", "offset"):
                self.part(left.args.get(key), scope)
            left = left.this
        output = self.query(left, environment, outer)
        if pending is not None:
            pending.environment[pending.name] = rename(output, pending.columns)
        for arm in reversed(arms):
            self.query(arm, environment, outer)
        return output

    def _brackets(
        self, node: exp.Subquery, environment: Environment, outer: Scope | None, pending: "_Pending | None"
    ) -> Output:
        environment = self._with(node, environment, outer)
        if node.args.get("joins") or node.args.get("alias"):
            scope = Scope(environment, outer)
            self.source(node, scope)
            return tuple(item for source in scope.sources for item in source.output)
        output = self.query(node.this, environment, outer, pending)
        scope = Scope(environment, outer)
        for key in ("order", "limit", "offset"):
            self.part(node.args.get(key), scope)
        return output

    def _values(self, node: exp.Values, environment: Environment, outer: Scope | None) -> Output:
        scope = Scope(self._with(node, environment, outer), outer)
        for key in ("expressions", "order", "limit", "offset"):
            self.part(node.args.get(key), scope)
        first = node.expressions[0] if node.expressions else None
        width = len(first.expressions) if isinstance(first, exp.Tuple) else 1
        return tuple(f"column{number + 1}" for number in range(width))

    # -- what stands in FROM

    def source(self, node: Node, scope: Scope) -> None:
        """Add what *node* brings into sight, and walk all that stands in it."""
        self.check(node)
        if isinstance(node, exp.From):
            self.source(node.this, scope)
        elif isinstance(node, exp.Join):
            self._join(node, scope)
        elif isinstance(node, exp.Table):
            self._table(node, scope)
        elif isinstance(node, exp.Lateral):
            self._lateral(node, scope)
        elif isinstance(node, exp.Subquery):
            self._derived(node, scope)
        elif isinstance(node, exp.Values):
            self._add(scope, node.args.get("alias"), self._values(node, scope.environment, scope.outer))
        else:
            raise DoubtError(Doubt.NODE)
        for join in node.args.get("joins") or ():
            if not isinstance(node, exp.Subquery):
                self.source(join, scope)

    def _join(self, node: exp.Join, scope: Scope) -> None:
        self.source(node.this, scope)
        self.part(node.args.get("on"), scope)
        shared = [self.name(column) for column in node.args.get("using") or ()]
        if str(node.args.get("method") or "").upper() == "NATURAL":
            shared = ["*"]
        if shared:
            self.operators["", "="] = None
        for source in scope.sources:
            if source.relation >= 0:
                for column in shared:
                    self.relations[source.relation].does("select").columns[column] = None

    def _table(self, node: exp.Table, scope: Scope) -> None:
        args = node.args
        self.part(args.get("sample"), scope)
        rows_from = args.get("rows_from")
        if rows_from:
            output: list[str | tuple[int, int]] = []
            for item in rows_from:
                inner = Scope(scope.environment, scope)
                self.source(item, inner)
                output.extend(inner.sources[0].output)
            self._add(scope, args.get("alias"), tuple(output))
            return
        if not isinstance(node.this, exp.Identifier):
            self._function(node, scope)
            return
        name, has_schema = self.name(node.this), args.get("db") is not None
        if not has_schema and name in scope.environment:
            self._add(scope, args.get("alias"), scope.environment[name], default=name)
            return
        relation = self.relation(node, "select")
        number = len(self.relations) - 1
        self._add(
            scope, args.get("alias"), ((number, 0),), default=name, schema=relation.schema, relation=number
        )

    def _function(self, node: exp.Table, scope: Scope) -> None:
        call, args = node.this, node.args
        if isinstance(call, exp.Anonymous) and args.get("db") is not None:
            schema, name = self.name(args["db"]), self._called(call)
            self.check(call)
            self.calls[schema, name] = None
            for argument in call.expressions:
                self.part(argument, scope)
        else:
            self.part(call, scope)
            name = self._called(call)
        output: Output = OUTPUTS.get(name, ())
        if args.get("ordinality"):
            output = (*output, "ordinality")
        alias = args.get("alias")
        given = self.optional_name(alias.this) if alias is not None else name
        self._add(scope, alias, (given or name, *output), default=name, keep_first=bool(output))

    def _called(self, call: Node) -> str:
        if isinstance(call, exp.Dot):
            call = call.expression
        if not isinstance(call, exp.Anonymous):
            raise DoubtError(Doubt.NODE)
        return self.name(call.this)

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
        environment = self._with(node, scope.environment, scope.outer)
        if isinstance(inner, exp.Table):
            joined = Scope(environment, scope.outer)
            self.source(inner, joined)
            for join in node.args.get("joins") or ():
                self.source(join, joined)
            if alias is None:
                scope.sources.extend(joined.sources)
                return
            output: Output = tuple(item for source in joined.sources for item in source.output)
        else:
            output = self.query(inner, environment, scope.outer)
            bare = Scope(environment, scope.outer)
            for key in ("order", "limit", "offset"):
                self.part(node.args.get(key), bare)
            if node.args.get("joins"):
                joined = Scope(environment, scope.outer)
                joined.sources.append(Source("", "", output))
                for join in node.args["joins"]:
                    self.source(join, joined)
        self._add(scope, alias, output)

    def _add(
        self,
        scope: Scope,
        alias: Node | None,
        output: Output,
        *,
        default: str = "",
        schema: str = "",
        relation: int = -1,
        keep_first: bool = False,
    ) -> None:
        given, columns = default, []
        if alias is not None:
            self.check(alias)
            given = self.optional_name(alias.this) or default
            columns = [self.name(column) for column in alias.args.get("columns") or ()]
            schema = ""
        if keep_first and columns:
            output = output[1:]
        scope.sources.append(Source(given, schema, rename(output, columns), relation))


class _Pending:
    """A recursive CTE whose columns its first arm tells."""

    __slots__ = ("columns", "environment", "name")

    def __init__(self, environment: Environment, name: str, columns: list[str]) -> None:
        self.environment = environment
        self.name = name
        self.columns = columns
