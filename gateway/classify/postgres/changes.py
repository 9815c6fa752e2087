"""INSERT, UPDATE, DELETE and MERGE: what they change, what they read while they do, what they return."""

from typing import Any

from sqlglot import exp

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.postgres.collector import Node
from gateway.classify.postgres.scope import Environment, Output, Scope, Source
from gateway.classify.postgres.walk import Queries, chooses
from gateway.classify.relation import Relation


class Walk(Queries):
    """The whole walk over one statement."""

    def change(self, node: Node, environment: Environment, outer: Scope | None) -> Output:
        """Walk one changing statement; its rows are what RETURNING gives."""
        scope = Scope(environment, outer)
        if isinstance(node, exp.Insert):
            _insert(self, node, scope)
        elif isinstance(node, exp.Update):
            _update(self, node, scope)
        elif isinstance(node, exp.Delete):
            _delete(self, node, scope)
        else:
            _merge(self, node, scope)
        returning = node.args.get("returning")
        if returning is None:
            return ()
        self.check(returning)
        self.part(returning.expressions, scope)
        return tuple(part for item in returning.expressions for part in self.output(item, scope))


def _target(walker: Queries, node: Any, scope: Scope, operation: str) -> Relation:
    """The relation that changes: never a CTE, and in sight under its alias."""
    if not isinstance(node, exp.Table):
        raise DoubtError(Doubt.NODE)
    walker.check(node)
    relation = walker.relation(node, operation)
    number = len(walker.relations) - 1
    alias = node.args.get("alias")
    name = walker.name(alias.this) if alias is not None else relation.name
    schema = "" if alias is not None else relation.schema
    scope.sources.append(Source(name, schema, ((number, 0),), number))
    return relation


def _insert(walker: Queries, node: exp.Insert, scope: Scope) -> None:
    target, columns = node.this, []
    if isinstance(target, exp.Schema):
        walker.check(target)
        columns = [walker.name(column) for column in target.expressions if isinstance(column, exp.Identifier)]
        if len(columns) != len(target.expressions):
            raise DoubtError(Doubt.NODE)
        target = target.this
    source = node.args.get("expression")
    if source is not None:
        # The rows come from outside: they do not see the table they go to.
        walker.query(source, scope.environment, scope.outer)
    elif not node.args.get("default"):
        raise DoubtError(Doubt.NODE)
    relation = _target(walker, target, scope, "insert")
    relation.does("insert").columns.update(dict.fromkeys(columns or ["*"]))
    conflict = node.args.get("conflict")
    if conflict is not None:
        _conflict(walker, conflict, relation, scope)


def _conflict(walker: Queries, node: Any, relation: Relation, scope: Scope) -> None:
    walker.check(node)
    action = str(node.args["action"].this).upper()
    inner = Scope(scope.environment, scope.outer, [*scope.sources])
    if action == "DO UPDATE":
        number = scope.sources[-1].relation
        # The server asks for the right to read what is read of the rejected row, too.
        inner.sources.append(Source("excluded", "", ((number, 0),), number))
        doing = relation.does("update")
        doing.has_where = True  # the conflict chooses the row
        _assign(walker, node.expressions, relation, inner)
    elif action != "DO NOTHING":
        raise DoubtError(Doubt.NODE)
    for key in ("conflict_keys", "index_predicate", "where"):
        walker.part(node.args.get(key), inner)
    walker.optional_name(node.args.get("constraint"))


def _assign(walker: Queries, items: list[Any], relation: Relation, scope: Scope) -> None:
    """``SET a = …, (b, c) = …, d[1] = …, e.f = …``."""
    for item in items:
        if not isinstance(item, exp.EQ):
            raise DoubtError(Doubt.NODE)
        walker.check(item)
        targets = item.this.this if isinstance(item.this, exp.Paren) else item.this
        for target in targets.expressions if isinstance(targets, exp.Tuple) else [targets]:
            _assigned(walker, target, relation, scope)
        walker.part(item.expression, scope)


def _assigned(walker: Queries, target: Any, relation: Relation, scope: Scope) -> None:
    columns = relation.does("update").columns
    while isinstance(target, (exp.Bracket, exp.Dot)):
        walker.check(target)
        if isinstance(target, exp.Dot):
            walker.name(target.expression)
        else:
            walker.part(target.expressions, scope)
        target = target.this
    if not isinstance(target, exp.Column) or not isinstance(target.this, exp.Identifier):
        raise DoubtError(Doubt.NODE)
    first = target.args.get("db") or target.args.get("table")
    columns[walker.name(first if first is not None else target.this)] = None
    walker.name(target.this)


def _bound(relation: Relation, node: Node) -> None:
    has_where = chooses(node.args.get("where"))
    for doing in relation.doing.values():
        doing.has_where = has_where


def _update(walker: Queries, node: exp.Update, scope: Scope) -> None:
    relation = _target(walker, node.this, scope, "update")
    source = node.args.get("from_")
    if source is not None:
        walker.source(source, scope)
    _assign(walker, node.expressions, relation, scope)
    walker.part(node.args.get("where"), scope)
    _bound(relation, node)


def _delete(walker: Queries, node: exp.Delete, scope: Scope) -> None:
    relation = _target(walker, node.this, scope, "delete")
    for source in node.args.get("using") or ():
        walker.source(source, scope)
    walker.part(node.args.get("where"), scope)
    _bound(relation, node)


def _merge(walker: Queries, node: Any, scope: Scope) -> None:
    relation = _target(walker, node.this, scope, "merge")
    walker.source(node.args["using"], scope)
    walker.part(node.args.get("on"), scope)
    whens = node.args["whens"]
    walker.check(whens)
    for when in whens.expressions:
        walker.check(when)
        walker.part(when.args.get("condition"), scope)
        then = when.args["then"]
        if isinstance(then, exp.Update):
            walker.check(then)
            relation.does("update")
            _assign(walker, then.expressions, relation, scope)
        elif isinstance(then, exp.Insert):
            _merge_insert(walker, then, relation, scope)
        elif isinstance(then, exp.Var) and str(then.this).upper() == "DELETE":
            relation.does("delete")
        elif not (isinstance(then, exp.Var) and str(then.this).upper() == "DO NOTHING"):
            raise DoubtError(Doubt.NODE)
    for doing in relation.doing.values():
        doing.has_where = chooses(node.args.get("on"))


def _merge_insert(walker: Queries, then: exp.Insert, relation: Relation, scope: Scope) -> None:
    walker.check(then)
    doing = relation.does("insert")
    columns = then.this
    if isinstance(columns, exp.Tuple):
        for column in columns.expressions:
            doing.columns[walker.name(column.this)] = None
    elif columns is not None:
        raise DoubtError(Doubt.NODE)
    else:
        doing.columns["*"] = None
    walker.part(then.args.get("expression"), scope)
