"""The nodes and the parts of nodes that are understood; whatever is not listed makes a statement unknown.

sqlglot adds nodes and arguments with each version: an allow-list turns each into a refusal, not into a hole.
"""

from sqlglot import exp

_BINARY = frozenset(("this", "expression", "safe", "typed"))
_LIST = frozenset(("this", "expressions"))
_QUERY = frozenset(("with_", "order", "limit", "offset", "locks"))

ALLOWED: dict[type[exp.Expr], frozenset[str]] = {
    # expressions
    exp.Add: _BINARY,
    exp.Alias: frozenset(("this", "alias")),
    exp.All: frozenset(("this",)),
    exp.And: _BINARY,
    exp.Anonymous: _LIST,
    exp.Any: frozenset(("this",)),
    exp.Array: frozenset(("expressions", "bracket_notation", "value_constructor")),
    exp.Between: frozenset(("this", "low", "high", "symmetric", "negate")),
    exp.Boolean: frozenset(("this",)),
    exp.Bracket: frozenset(("this", "expressions", "offset")),
    exp.Case: frozenset(("this", "ifs", "default")),
    exp.Column: frozenset(("this", "table", "db", "catalog")),
    exp.CurrentTimestamp: frozenset(),
    exp.DPipe: _BINARY,
    exp.Distinct: frozenset(("expressions", "on")),
    exp.Div: _BINARY,
    exp.Dot: frozenset(("this", "expression")),
    exp.EQ: _BINARY,
    exp.Escape: _BINARY,
    exp.Exists: frozenset(("this",)),
    exp.Filter: frozenset(("this", "expression")),
    exp.GT: _BINARY,
    exp.GTE: _BINARY,
    exp.ILike: _BINARY | {"negate"},
    exp.Identifier: frozenset(("this", "quoted")),
    exp.If: frozenset(("this", "true")),
    exp.In: frozenset(("this", "expressions", "query", "negate")),
    exp.Is: frozenset(("this", "expression", "negate")),
    exp.Kwarg: _BINARY,
    exp.LT: _BINARY,
    exp.LTE: _BINARY,
    exp.Like: _BINARY | {"negate"},
    exp.Literal: frozenset(("this", "is_string")),
    exp.Mod: _BINARY,
    exp.Mul: _BINARY,
    exp.NEQ: _BINARY,
    exp.Neg: frozenset(("this",)),
    exp.Not: frozenset(("this",)),
    exp.Null: frozenset(),
    exp.NullSafeEQ: _BINARY,
    exp.NullSafeNEQ: _BINARY,
    exp.Or: _BINARY,
    exp.Order: frozenset(("this", "expressions")),
    exp.Ordered: frozenset(("this", "desc", "nulls_first")),
    exp.Parameter: frozenset(("this",)),
    exp.Paren: frozenset(("this",)),
    exp.SimilarTo: _BINARY | {"negate"},
    exp.Slice: frozenset(("this", "expression")),
    exp.Star: frozenset(),
    exp.Sub: _BINARY,
    exp.Tuple: frozenset(("expressions",)),
    exp.Var: frozenset(("this",)),
    exp.Window: frozenset(("this", "partition_by", "order", "spec", "alias", "over", "first")),
    exp.WindowSpec: frozenset(("kind", "start", "start_side", "end", "end_side", "exclude")),
    exp.WithinGroup: frozenset(("this", "expression")),
    # queries
    exp.CTE: frozenset(("this", "alias", "materialized")),
    exp.Cube: frozenset(("expressions",)),
    exp.Except: _QUERY | {"this", "expression", "distinct"},
    exp.Fetch: frozenset(("direction", "count", "limit_options")),
    exp.From: frozenset(("this",)),
    exp.Group: frozenset(("expressions", "grouping_sets", "cube", "rollup", "all")),
    exp.GroupingSets: frozenset(("expressions",)),
    exp.Having: frozenset(("this",)),
    exp.Intersect: _QUERY | {"this", "expression", "distinct"},
    exp.Into: frozenset(("this", "temporary", "unlogged")),
    exp.Join: frozenset(("this", "side", "kind", "using", "on", "method")),
    exp.Lateral: frozenset(("this", "alias", "ordinality")),
    exp.Limit: frozenset(("expression",)),
    exp.LimitOptions: frozenset(("rows", "with_ties")),
    exp.Lock: frozenset(("update", "expressions", "wait", "key")),
    exp.Offset: frozenset(("expression",)),
    exp.Rollup: frozenset(("expressions",)),
    exp.Select: _QUERY
    | {"expressions", "distinct", "into", "from_", "joins", "where", "group", "having", "windows"},
    exp.Subquery: _QUERY | {"this", "alias", "joins", "sample"},
    exp.Table: frozenset(
        ("this", "db", "catalog", "alias", "only", "joins", "ordinality", "sample", "rows_from")
    ),
    exp.TableAlias: frozenset(("this", "columns")),
    exp.TableSample: frozenset(("method", "percent", "size", "seed")),
    exp.Union: _QUERY | {"this", "expression", "distinct"},
    exp.Values: _QUERY | {"expressions", "alias"},
    exp.Where: frozenset(("this",)),
    exp.With: frozenset(("expressions", "recursive")),
    # changes
    exp.Delete: frozenset(("with_", "this", "using", "where", "returning")),
    exp.Insert: frozenset(("with_", "this", "expression", "conflict", "returning", "default", "alias")),
    exp.Merge: frozenset(("with_", "this", "using", "on", "whens")),
    exp.OnConflict: frozenset(
        ("expressions", "action", "conflict_keys", "index_predicate", "constraint", "where")
    ),
    exp.Returning: frozenset(("expressions",)),
    exp.Schema: _LIST,
    exp.Update: frozenset(("with_", "this", "expressions", "from_", "where", "returning")),
    exp.When: frozenset(("matched", "condition", "then")),
    exp.Whens: frozenset(("expressions",)),
}
"""Every node that is understood, and those of its arguments that may be set."""

IMPLIED_OPERATORS: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Between: (">=", "<=", "<", ">"),
    exp.ILike: ("~~*", "!~~*"),
    exp.In: ("=", "<>"),
    exp.Like: ("~~", "!~~"),
    exp.NullSafeEQ: ("=",),
    exp.NullSafeNEQ: ("=",),
    exp.SimilarTo: ("~", "!~"),
}
"""Words that are operators underneath; behind NOT they are others, and the server looks up those."""
