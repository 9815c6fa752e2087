"""Queries: every node is looked at once, and an unknown one makes the whole unknown.

Relations are collected wherever they stand (CTEs, subqueries, locks, INTO), so the node on top says nothing
about what a statement does. Common table expressions are resolved as the server does: per query, the name
of a CTE that is not recursive means the outer thing inside its own body, and a qualified name is never one.
"""

from typing import Any

from sqlglot import exp

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres.collector import Node
from gateway.classify.postgres.scope import Environment, Output, Pending, Scope, rename
from gateway.classify.postgres.sources import Sources, joins_tables

_CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)


class Queries(Sources):
    """Walks SELECT, VALUES, set operations and common table expressions."""

    def change(self, node: Node, environment: Environment, outer: Scope | None) -> Output:
        """A change, alone or in a CTE; what ``Walk`` does."""
        raise NotImplementedError

    def statement(self, node: Node) -> Output:
        """Walk the statement *node*."""
        return self.query(node, {}, None)

    def query(
        self,
        node: Node,
        environment: Environment,
        outer: Scope | None,
        pending: Pending | None = None,
        around: tuple[Node, ...] = (),
    ) -> Output:
        """Walk anything that yields rows, and say which columns they have.

        *around* are the brackets around it: what stands behind them is about the query inside.
        """
        self.check(node)
        if isinstance(node, exp.Select):
            return self._select(node, self.with_clause(node, environment, outer), outer, around)
        if isinstance(node, exp.Subquery):
            return self._brackets(node, environment, outer, pending, around)
        for brackets in around:
            self._behind(brackets, Scope(environment, outer), frozenset())
        if isinstance(node, exp.SetOperation):
            output = self._set_operation(node, environment, outer, pending)
        elif isinstance(node, exp.Values):
            output = self.values(node, environment, outer)
        elif isinstance(node, _CHANGES):
            output = self.change(node, self.with_clause(node, environment, outer), outer)
        else:
            raise DoubtError(Doubt.NODE)
        return output

    def with_clause(self, node: Node, environment: Environment, outer: Scope | None) -> Environment:
        """The common table expressions in sight inside *node*, all of them walked."""
        clause = node.args.get("with_")
        if clause is None:
            return environment
        self.check(clause)
        environment = dict(environment)
        is_recursive = bool(clause.args.get("recursive"))
        if is_recursive:
            for cte in clause.expressions:
                environment[self.name_and_columns(cte.args["alias"].this)[0]] = ((), ())
        for cte in clause.expressions:
            self.check(cte)
            alias = cte.args["alias"]
            self.check(alias)
            name, added = self.name_and_columns(alias.this)
            columns = [self.name(column) for column in alias.args.get("columns") or ()]
            pending = Pending(environment, name, columns) if is_recursive else None
            inside = environment if is_recursive else dict(environment)
            environment[name] = (rename(self.query(cte.this, inside, outer, pending), columns), added)
        return environment

    def _select(
        self, node: exp.Select, environment: Environment, outer: Scope | None, around: tuple[Node, ...]
    ) -> Output:
        scope, args = Scope(environment, outer), node.args
        first = len(self.relations)
        self._from(args, scope)
        mine = range(first, len(self.relations))
        if args.get("where") is not None or isinstance(args.get("limit"), exp.Limit):
            self._bound(node, scope)
        self._into(args.get("into"))
        for key in ("expressions", "where", "having", "windows"):
            self.part(args.get(key), scope)
        output: list[str | tuple[int, int]] = []
        for item in node.expressions:
            output.extend(self.output(item, scope))
        named = _output_names(node)
        if args.get("group") is not None:
            scope.also = named  # a name means an output only if no relation has such a column
            self.part(args["group"], scope)
            scope.also = frozenset()
        self._ordered(args.get("distinct"), scope, named)
        for part in (node, *around):
            self._behind(part, scope, named)
            if part.args.get("locks"):
                self._lock(part.args["locks"], scope, mine)
        return tuple(output)

    def _from(self, args: dict[str, Any], scope: Scope) -> None:
        if args.get("from_") is not None:
            self.source(args["from_"], scope)
        start = 0
        for join in args.get("joins") or ():
            if not any(join.args.get(key) for key in ("side", "kind", "method", "on", "using")):
                start = len(scope.sources)  # a comma: conditions behind it do not see what stands before
            self.source(join, scope, start)

    def _behind(self, node: Node, scope: Scope, named: frozenset[str]) -> None:
        """ORDER BY, LIMIT and OFFSET of *node*, about the rows of *scope*."""
        self._ordered(node.args.get("order"), scope, named)
        for key in ("limit", "offset"):
            self.part(node.args.get(key), scope)

    def _ordered(self, clause: Node | None, scope: Scope, named: frozenset[str]) -> None:
        """ORDER BY and DISTINCT ON: an output's name, alone, means the output, which was read already."""
        if clause is None:
            return
        self.check(clause)
        on = clause.args.get("on")
        for item in on.expressions if isinstance(on, exp.Tuple) else clause.expressions:
            self.check(item)
            lone = item.this if isinstance(item, exp.Ordered) else item
            while isinstance(lone, exp.Paren):
                lone = lone.this
            if not (isinstance(lone, exp.Column) and _lone_name(lone) in named):
                self.part(item, scope)
            else:
                self.part(lone.this, scope)
        if on is not None and not isinstance(on, exp.Tuple):
            self.part(on, scope)

    def _bound(self, node: exp.Select, scope: Scope) -> None:
        """WHERE and LIMIT bound what stands in this FROM; what a subquery in it collects, they do not."""
        limit = node.args.get("limit")
        count = limit.args.get("expression") if isinstance(limit, exp.Limit) else None
        has_where = chooses(node.args.get("where"))
        for source in scope.sources:
            if source.relation < 0:
                continue
            doing = self.relations[source.relation].does("select")
            doing.has_where = doing.has_where or has_where
            if (
                isinstance(count, exp.Literal)
                and not count.args.get("is_string")
                and str(count.this).isdigit()
            ):
                doing.limit = int(count.this)

    def _lock(self, locks: list[Node], scope: Scope, mine: range) -> None:
        for lock in locks:
            self.check(lock)
            if any(table.args.get("db") for table in lock.expressions):
                raise DoubtError(Doubt.SYNTAX)  # no server takes a schema here
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
        pending: Pending | None,
    ) -> Output:
        arms: list[Node] = []
        left: Node = node
        scope = Scope(environment, outer)
        while isinstance(left, exp.SetOperation):
            self.check(left)
            environment = self.with_clause(left, environment, outer)
            arms.append(left.expression)
            for key in ("order", "limit", "offset"):
                self.part(left.args.get(key), scope)
            left = left.this
        output = self.query(left, environment, outer)
        if pending is not None:
            pending.environment[pending.name] = (rename(output, pending.columns), ())
        for arm in reversed(arms):
            self.query(arm, environment, outer)
        return output

    def _brackets(
        self,
        node: exp.Subquery,
        environment: Environment,
        outer: Scope | None,
        pending: Pending | None,
        around: tuple[Node, ...],
    ) -> Output:
        if joins_tables(node) or node.args.get("sample"):
            raise DoubtError(Doubt.NODE)  # tables in brackets stand in FROM only
        environment = self.with_clause(node, environment, outer)
        return self.query(node.this, environment, outer, pending, (node, *around))

    def values(self, node: exp.Values, environment: Environment, outer: Scope | None) -> Output:
        """Rows that are written out."""
        scope = Scope(self.with_clause(node, environment, outer), outer)
        for key in ("expressions", "order", "limit", "offset"):
            self.part(node.args.get(key), scope)
        first = node.expressions[0] if node.expressions else None
        width = len(first.expressions) if isinstance(first, exp.Tuple) else 1
        return tuple(f"column{number + 1}" for number in range(width))


def chooses(where: Node | None) -> bool:
    """True for a condition that looks at a column; ``WHERE true`` chooses nothing."""
    return where is not None and where.find(exp.Column) is not None


def _output_names(node: exp.Select) -> frozenset[str]:
    """The names of outputs that nobody can doubt: given with AS, or a column's own."""
    found = set()
    for item in node.expressions:
        name = item.args.get("alias") if isinstance(item, exp.Alias) else item
        if isinstance(name, exp.Identifier):
            found.add(_folded(name))
        elif isinstance(name, exp.Column) and isinstance(name.this, exp.Identifier):
            found.add(_folded(name.this))
    return frozenset(found)


def _lone_name(column: exp.Column) -> str | None:
    is_lone = column.args.get("table") is None and isinstance(column.this, exp.Identifier)
    return _folded(column.this) if is_lone else None


def _folded(name: exp.Identifier) -> str:
    return str(name.this) if name.args.get("quoted") else str(name.this).lower()
