"""What a walk over sqlglot's tree collects, and how it reads names and checks nodes."""

from typing import Any, TypeAlias

from sqlglot import exp

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Attribute, Loose, Qualified
from gateway.classify.postgres.grammar import ALLOWED
from gateway.classify.postgres.reduced import CALL, MORE
from gateway.classify.relation import Relation

Node: TypeAlias = exp.Expr


class Collector:
    """The facts of one statement so far; ``names`` holds every name met, to find what a parser lost.

    The walk is four classes, one upon the other, because expressions hold queries, queries hold changes,
    and both hold expressions: ``Expressions``, ``Sources``, ``Queries``, ``Walk``.
    """

    def __init__(self) -> None:
        self.relations: list[Relation] = []
        self.calls: dict[Qualified, None] = {}
        self.empty_calls: dict[Qualified, None] = {}
        self.operators: dict[Qualified, None] = {}
        self.attributes: list[Attribute] = []
        self.loose: list[Loose] = []
        self.names: set[str] = set()

    def name(self, node: Any) -> str:
        """An identifier as the server sees it, without the mark of a call."""
        if not isinstance(node, exp.Identifier):
            raise DoubtError(Doubt.NODE)
        text = str(node.this)
        if not node.args.get("quoted"):
            text = text.lower()
        elif text[:1] == CALL:
            text = text[1:]
        self.names.add(text)
        return text

    def name_and_columns(self, node: Any) -> tuple[str, tuple[str, ...]]:
        """A name, and those of the columns that come with it."""
        if not isinstance(node, exp.Identifier) or MORE not in str(node.this):
            return self.name(node), ()
        *columns, name = str(node.this).removeprefix(CALL).split(MORE)
        plain = exp.Identifier(this=name, quoted=True)
        return self.name(plain), tuple(column for column in columns if column)

    def optional_name(self, node: Any) -> str:
        """The same, or nothing where there is no name."""
        return "" if node is None else self.name(node)

    def check(self, node: Node) -> None:
        """Raise unless the node and all its arguments are known."""
        allowed = ALLOWED.get(type(node))
        if allowed is None:
            raise DoubtError(Doubt.NODE)
        for key, value in node.args.items():
            if value and key not in allowed:
                raise DoubtError(Doubt.NODE)

    def relation(self, table: Node, operation: str) -> Relation:
        """Note a relation that *table* names, and that *operation* is done to it."""
        if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier):
            raise DoubtError(Doubt.NODE)
        args = table.args
        found = Relation(
            self.optional_name(args.get("catalog")), self.optional_name(args.get("db")), self.name(table.this)
        )
        found.does(operation)
        self.relations.append(found)
        return found
