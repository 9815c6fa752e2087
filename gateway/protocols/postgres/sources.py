"""Where a query reads which relation, and which of its columns it uses for what.

The walk is the classifier's own, over the same tokens; here each relation also has its place in the text, so
that something else can be put there.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlglot import exp

from gateway.classify.postgres import tree
from gateway.classify.postgres.changes import Walk
from gateway.classify.postgres.lexer import Token
from gateway.classify.postgres.reduce import reduce
from gateway.classify.postgres.reduced import PLACE
from gateway.classify.postgres.scope import Scope, Source
from gateway.classify.tokens import NAMES, WORD

_NO_PLACE_BEHIND: Final = frozenset(("only", "table"))
_NO_PLACE_AHEAD: Final = frozenset(("tablesample",))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a relation stands in FROM: its number, its tokens (the end is outside), and if it has an alias.

    ``is_free`` says that a subquery may stand there, ``renames`` that the alias gives columns new names.
    """

    relation: int
    start: int
    stop: int
    has_alias: bool
    renames: bool
    is_free: bool


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """A column by the relations that may be meant: bare in a select list, or used for anything else."""

    name: str
    relations: tuple[int, ...]
    is_bare: bool


class Sources(Walk):
    """The walk that notes places and uses."""

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__()
        self.tokens = tokens
        self.places: list[Place] = []
        self.uses: list[ColumnUse] = []
        # Relations of which a whole row is one value, unless they have a column of that name.
        self.rows: set[tuple[int, str]] = set()

    def name(self, node: Any) -> str:
        """A name without its place."""
        found = super().name(node)
        bare, mark, _ = found.partition(PLACE)
        if mark:
            self.names.add(bare)
        return bare

    def _table(self, node: exp.Table, scope: Scope) -> None:
        before = len(self.relations)
        super()._table(node, scope)
        if len(self.relations) == before + 1 and isinstance(node.this, exp.Identifier):
            self.places.append(self._place(node, before))

    def _place(self, node: exp.Table, number: int) -> Place:
        parts = [part for part in (node.args.get(key) for key in ("catalog", "db", "this")) if part]
        at = [_token_of(part) for part in parts]
        start, stop = at[0], at[-1] + 1
        behind = self.tokens[start - 1] if start > 0 else None
        ahead = self.tokens[stop] if stop < len(self.tokens) else None
        is_free = (
            min(at) >= 0
            and at == list(range(start, stop, 2))
            and all(self.tokens[index].kind in NAMES for index in at)
            and not (behind is not None and behind.kind is WORD and behind.value in _NO_PLACE_BEHIND)
            and not (ahead is not None and ahead.kind is WORD and ahead.value in _NO_PLACE_AHEAD)
            and not (ahead is not None and ahead.value in {"*", "("} and ahead.kind not in NAMES)
        )
        alias = node.args.get("alias")
        renames = alias is not None and bool(alias.args.get("columns"))
        return Place(number, start, stop, alias is not None, renames, is_free)

    # -- what columns are used for

    def met_column(self, node: Any, scope: Scope) -> None:
        """Note which relations' column it may be, and whether it only stands in a select list."""
        table, column = node.args.get("table"), node.args["this"]
        is_bare = _is_item(node)
        if table is not None:
            found = scope.find(self.name(table), self.optional_name(node.args.get("db")))
        else:
            found = _in_sight(scope)
        numbers = tuple(dict.fromkeys(source.relation for source in found if source.relation >= 0))
        if isinstance(column, exp.Star):
            if not is_bare:
                self.rows.update((number, "") for number in numbers)
            return
        name = self.name(column)
        if numbers:
            self.uses.append(ColumnUse(name, numbers, is_bare))
        if table is None:
            whole = [source for source in found if source.alias == name and source.relation >= 0]
            self.rows.update((source.relation, name) for source in whole)

    def _join(self, node: exp.Join, scope: Scope, start: int) -> None:
        super()._join(node, scope, start)
        numbers = tuple(dict.fromkeys(source.relation for source in scope.sources if source.relation >= 0))
        for column in self.shared_columns(node.args.get("using") or ())[0]:
            self.uses.append(ColumnUse(column, numbers, is_bare=False))
        if str(node.args.get("method") or "").upper() == "NATURAL":
            self.rows.update((number, "") for number in numbers)


def find(tokens: list[Token]) -> Sources:
    """Walk one query or change; DoubtError where the classifier would not understand it either."""
    reduced = reduce(tokens, with_places=True)
    sources = Sources(tokens)
    sources.statement(tree.parse_plain(reduced.text))
    return sources


def _in_sight(scope: Scope | None) -> list[Source]:
    found: list[Source] = []
    while scope is not None:
        found += scope.sources
        scope = scope.outer
    return found


def _is_item(node: Any) -> bool:
    """True for ``a`` and ``a AS b`` as an item of a select list."""
    if isinstance(node.parent, exp.Alias) and node.arg_key == "this":
        node = node.parent
    return isinstance(node.parent, exp.Select) and node.arg_key == "expressions"


def _token_of(part: Any) -> int:
    """The number of the token that an identifier was, or -1."""
    _, mark, number = str(part.this).partition(PLACE)
    return int(number) if mark and number.isdigit() else -1
