"""Expressions: calls, columns, whole rows and attributes, and the queries inside."""

from typing import Any

from sqlglot import exp

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Attribute, Loose
from gateway.classify.postgres.collector import Collector, Node
from gateway.classify.postgres.grammar import ALLOWED, IMPLIED_OPERATORS
from gateway.classify.postgres.reduced import CALL
from gateway.classify.postgres.scope import (
    SOME,
    Environment,
    Output,
    Pending,
    Scope,
    Source,
    columns_of,
    everything,
)

_NOT_CALLS = frozenset(("row",))


class Expressions(Collector):
    """Walks expressions with a stack of its own: a chain of a thousand operators is deep, not recursive."""

    def query(
        self,
        node: Node,
        environment: Environment,
        outer: Scope | None,
        pending: Pending | None = None,
        around: tuple[Node, ...] = (),
    ) -> Output:
        """A query inside; what ``Queries`` does."""
        raise NotImplementedError

    def part(self, value: Any, scope: Scope) -> None:
        """Walk an expression, a list of them, or nothing."""
        if value is None:
            return
        stack: list[Any] = list(value) if isinstance(value, list) else [value]
        while stack:
            node = stack.pop()
            handler = _HANDLERS.get(type(node))
            if handler is not None:
                handler(self, node, scope, stack)
            else:
                self._generic(node, stack)

    def _generic(self, node: Any, stack: list[Any]) -> None:
        kind = type(node)
        allowed = ALLOWED.get(kind)
        if allowed is None:
            raise DoubtError(Doubt.NODE)
        implied = IMPLIED_OPERATORS.get(kind)
        if implied is not None:
            for sign in implied:
                self.operators["", sign] = None
        if kind is exp.Case and node.args.get("this") is not None:
            self.operators["", "="] = None  # CASE a WHEN b compares the two
        for key, value in node.args.items():
            if not value:
                continue
            if key not in allowed:
                raise DoubtError(Doubt.NODE)
            if isinstance(value, exp.Expr):
                stack.append(value)
            elif isinstance(value, list):
                stack.extend(value)

    def on_leaf(self, node: Node, _scope: Scope, _stack: list[Any]) -> None:
        """Nothing in it matters."""

    def on_identifier(self, node: Node, _scope: Scope, _stack: list[Any]) -> None:
        """A name is a name."""
        self.name(node)

    def on_subquery(self, node: Node, scope: Scope, _stack: list[Any]) -> None:
        """A query inside an expression."""
        self.query(node, scope.environment, scope)

    def on_anonymous(self, node: Node, _scope: Scope, stack: list[Any]) -> None:
        """A call without a schema."""
        self._call("", node, stack)

    def _call(self, schema: str, node: Node, stack: list[Any]) -> None:
        self.check(node)
        name = node.this
        if not isinstance(name, exp.Identifier) or str(name.this)[:1] != CALL:
            raise DoubtError(Doubt.NODE)
        called, _ = self.name_and_columns(name)
        arguments = [argument for argument in node.expressions if not isinstance(argument, exp.Star)]
        if schema or called not in _NOT_CALLS:
            (self.calls if arguments else self.empty_calls)[schema, called] = None
        if not schema and called == "nullif":
            self.operators["", "="] = None
        stack.extend(arguments)

    def on_now(self, node: Node, _scope: Scope, _stack: list[Any]) -> None:
        """The one function that the short way writes bare."""
        self.check(node)
        self.empty_calls["", "current_timestamp"] = None

    def on_keyword_argument(self, node: Node, _scope: Scope, stack: list[Any]) -> None:
        """``days => 1``."""
        self.check(node)
        self.names.add(str(node.this.this))
        stack.append(node.expression)

    def on_dot(self, node: Node, scope: Scope, stack: list[Any]) -> None:
        """``app.f(…)``, ``(a).b``, ``(a).*``."""
        self.check(node)
        left, right = node.this, node.expression
        if isinstance(right, exp.Anonymous):
            while isinstance(left, exp.Dot):
                self.check(left)
                self.name(left.this)
                left = left.expression
            self._call(self.name(left), right, stack)
            return
        if isinstance(right, exp.Identifier):
            self.attributes.append(Attribute(self.name(right), columns_of(self._fields(left, scope))))
        elif not isinstance(right, exp.Star):
            raise DoubtError(Doubt.NODE)
        stack.append(left)

    def _fields(self, node: Node, scope: Scope) -> Output:
        """What may stand behind the dot of ``(a).``: the columns of a row that is named."""
        while isinstance(node, exp.Paren):
            node = node.this
        if (
            isinstance(node, exp.Column)
            and node.args.get("table") is None
            and isinstance(node.this, exp.Identifier)
        ):
            found = scope.find(self.name(node.this))
            if len(found) == 1:
                return found[0].output
        return ()

    def on_star(self, _node: Node, scope: Scope, _stack: list[Any]) -> None:
        """All columns of all sources."""
        for source in scope.sources:
            self.reads_all(source)

    def reads_all(self, source: Source) -> None:
        """Every column of *source* is read."""
        for item in source.output:
            if not isinstance(item, str) and item != SOME:
                self.relations[item[0]].does("select").columns["*"] = None

    def on_column(self, node: Node, scope: Scope, _stack: list[Any]) -> None:
        """``a``, ``t.a``, ``s.t.a``, ``t.*``."""
        args = node.args
        table, column = args.get("table"), args["this"]
        if len(args) > 1:
            self.check(node)
        self.met_column(node, scope)
        if table is None:
            self._bare(self.name(column), scope)
            return
        self.optional_name(args.get("catalog"))
        sources = scope.find(self.name(table), self.optional_name(args.get("db")))
        if not sources:
            raise DoubtError(Doubt.NODE)  # something this server knows and this walk does not
        for source in sources:
            if isinstance(column, exp.Star):
                self.reads_all(source)
            else:
                self._reads(source, self.name(column))

    def met_column(self, node: Any, scope: Scope) -> None:
        """For a walk that wants to know what columns are used for; this one does not."""

    def _reads(self, source: Source, name: str) -> None:
        if source.relation >= 0:
            self.relations[source.relation].does("select").columns[name] = None
        if not source.has(name):
            self.attributes.append(Attribute(name, columns_of(source.output)))

    def _bare(self, name: str, scope: Scope) -> None:
        """A column of some relation in sight, of a subquery, an output's name, or a whole row."""
        groups: list[tuple[int, ...]] = []
        elsewhere, is_sure = name in scope.also, True
        at: Scope | None = scope
        while at is not None:
            numbers, is_row, is_derived = self._at(at, name)
            elsewhere = elsewhere or is_row or is_derived
            if numbers and not is_sure:  # what was found further in may be out of sight: any of them, then
                numbers = tuple(dict.fromkeys((*(groups.pop() if groups else ()), *numbers)))
            if numbers:
                groups.append(numbers)
            if is_derived and not at.is_wide:
                break
            is_sure = not at.is_wide
            at = at.outer
        if len(groups) == 1 and len(groups[0]) == 1 and not elsewhere:
            self.relations[groups[0][0]].does("select").columns[name] = None
        elif groups:
            self.loose.append(Loose(name, tuple(groups), elsewhere))

    def _at(self, scope: Scope, name: str) -> tuple[tuple[int, ...], bool, bool]:
        """The relations of *scope*, and whether *name* is a row there, and whether a subquery's column."""
        is_row = is_derived = False
        for source in scope.sources:
            if source.alias == name:
                is_row = True
                self.reads_all(source)  # the whole row, unless there is such a column
            elif source.relation < 0 and source.has(name):
                is_derived = True
        numbers = dict.fromkeys(source.relation for source in scope.sources if source.relation >= 0)
        return tuple(numbers), is_row, is_derived

    def output(self, item: Any, scope: Scope) -> Output:
        """The name the server gives to a column of a select list."""
        if isinstance(item, exp.Star):
            return everything(scope)
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            found = scope.find(self.name(item.args["table"]), self.optional_name(item.args.get("db")))
            return found[0].output if len(found) == 1 else ()
        while isinstance(
            item, (exp.Paren, exp.Filter, exp.Window, exp.WithinGroup, exp.Bracket, exp.Subquery)
        ):
            if isinstance(item, exp.Subquery):
                item = (
                    item.this.expressions[0]
                    if isinstance(item.this, exp.Select) and item.this.expressions
                    else None
                )
            else:
                item = item.this
        if isinstance(item, exp.Alias):
            return (self.name(item.args["alias"]),)
        if isinstance(item, exp.Dot):
            item = item.expression
        if isinstance(item, exp.Identifier):
            return (self.name(item),)
        if isinstance(item, (exp.Column, exp.Anonymous)) and isinstance(item.this, exp.Identifier):
            return (self.name(item.this),)
        return (_OTHER_OUTPUT.get(type(item), "?column?"),)


_OTHER_OUTPUT: dict[type[Any], str] = {exp.Array: "array", exp.Exists: "exists"}

_HANDLERS: dict[type[Any], Any] = {
    exp.Anonymous: Expressions.on_anonymous,
    exp.Boolean: Expressions.on_leaf,
    exp.Column: Expressions.on_column,
    exp.CurrentTimestamp: Expressions.on_now,
    exp.Delete: Expressions.on_subquery,
    exp.Dot: Expressions.on_dot,
    exp.Except: Expressions.on_subquery,
    exp.Identifier: Expressions.on_identifier,
    exp.Insert: Expressions.on_subquery,
    exp.Intersect: Expressions.on_subquery,
    exp.Kwarg: Expressions.on_keyword_argument,
    exp.Literal: Expressions.on_leaf,
    exp.Null: Expressions.on_leaf,
    exp.Parameter: Expressions.on_leaf,
    exp.Select: Expressions.on_subquery,
    exp.Star: Expressions.on_star,
    exp.Subquery: Expressions.on_subquery,
    exp.Union: Expressions.on_subquery,
    exp.Update: Expressions.on_subquery,
    exp.Values: Expressions.on_subquery,
    exp.Var: Expressions.on_leaf,
}
