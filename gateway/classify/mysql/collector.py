"""What reading a statement collects, and what its columns turn out to belong to."""

from gateway.classify.doubt import Doubt, DoubtError
from gateway.classify.facts import Loose, Piece, Qualified, Use
from gateway.classify.mysql.cursor import Cursor
from gateway.classify.mysql.lexer import lowered
from gateway.classify.mysql.scope import Reference, Scope, Source
from gateway.classify.operations import CLASS_OF
from gateway.classify.relation import Relation
from gateway.model.classification import Effect, ObjectRef, Setting

MOST_IN_QUESTION = 10_000  # columns times the relations that each may belong to


class Collector:
    """The facts of one statement so far.

    Reading is six classes, one upon the other, because expressions hold queries, queries hold tables, and
    tables hold both: ``Expressions``, ``Calls``, ``Operands``, ``Tables``, ``Queries``, ``Changes``.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.relations: list[Relation] = []
        self.effects: dict[Effect, None] = {}
        self.calls: dict[Qualified, None] = {}
        self.casts: dict[Qualified, None] = {}
        self.operators: dict[Qualified, None] = {}
        self.settings: dict[Setting, None] = {}
        self.references: list[Reference] = []
        self.loose: dict[Loose, None] = {}
        self._in_question = 0
        self.is_update = False  # VALUES(a) is a function in ON DUPLICATE KEY UPDATE

    def relation(self, schema: str, name: str, kind: str = "table", *, is_new: bool = False) -> int:
        """Note a relation; the answer is its number. Names stand as they were written."""
        self.relations.append(Relation("", schema, name, kind, is_new))
        return len(self.relations) - 1

    def effect(self, operation: str, kind: str = "", name: str = "", schema: str = "") -> None:
        """Note an effect on something that is no relation."""
        self.effects[
            Effect(operation, CLASS_OF[operation], ObjectRef(kind, name, schema) if kind else None)
        ] = None

    def refer(self, scope: Scope, schema: str, table: str, name: str) -> None:
        """Note that a column is looked at."""
        scope.looked_at += 1
        self.references.append(Reference(scope, schema, table, name))

    def settle(self) -> None:
        """Say which relations the columns belong to that were referred to."""
        for reference in self.references:
            if reference.table:
                self._qualified(reference)
            else:
                self._bare(reference)
        self.references.clear()

    def in_question(self, count: int) -> None:
        """So many relations were gone through for one column; DoubtError once that is too many."""
        self._in_question += count
        if self._in_question > MOST_IN_QUESTION:
            raise DoubtError(Doubt.TOO_DEEP)

    def reads(self, number: int, column: str) -> None:
        """A column of a relation is read; one's own spelling and the folded one are the same column."""
        self.relations[number].does("select").columns[lowered(column)] = None

    def find(self, scope: Scope, schema: str, table: str) -> list[Source]:
        """The sources that a qualifier may name, from the inside; those that may not be in sight as well."""
        found: list[Source] = []
        place: Scope | None = scope
        is_outside = False  # of a query in a FROM list: what stands beside it there may not be in sight
        while place is not None:
            here = [source for source in place.sources if _is_named(source, schema, table)]
            found += here
            if here and not is_outside:
                return found
            is_outside = is_outside or place.is_derived
            place = place.outer
        return found

    def _qualified(self, reference: Reference) -> None:
        found = self.find(reference.scope, reference.schema, reference.table)
        self.in_question(max(0, len(found) - 1))
        if not found:
            self._anywhere(reference)
        for source in found:
            if source.relation >= 0:
                self.reads(source.relation, reference.name)

    def _anywhere(self, reference: Reference) -> None:
        """Nobody knows whose it is: everybody's."""
        scope: Scope | None = reference.scope
        while scope is not None:
            numbers = scope.relations()
            self.in_question(len(numbers))
            for number in numbers:
                self.reads(number, reference.name)
            scope = scope.outer

    def _bare(self, reference: Reference) -> None:
        scope = reference.scope
        if reference.name == "*":
            numbers = scope.relations()
            self.in_question(max(0, len(numbers) - 1))
            for number in numbers:
                self.reads(number, "*")
            return
        groups: list[tuple[int, ...]] = []
        elsewhere = is_outside = False
        place: Scope | None = scope
        while place is not None:
            numbers = place.relations()
            self.in_question(max(0, len(numbers) - (place is scope)))
            if numbers and is_outside and groups:
                groups[-1] += numbers  # nobody knows which of them is in sight
            elif numbers:
                groups.append(numbers)
            elsewhere = elsewhere or place.has_others() or lowered(reference.name) in place.also
            is_outside = is_outside or place.is_derived
            place = place.outer
        if len(groups) == 1 and len(groups[0]) == 1 and not elsewhere:
            self.reads(groups[0][0], reference.name)
        elif groups:
            self.loose[Loose(lowered(reference.name), tuple(groups), elsewhere)] = None

    def piece(self, operation: str) -> Piece:
        """All that was collected; text, fingerprint and redaction are the caller's."""
        self.settle()
        self.cursor.end()
        return Piece(
            text="",
            operation=operation,
            effects=tuple(self.effects),
            uses=tuple(_frozen(relation) for relation in self.relations),
            calls=tuple(self.calls),
            operators=tuple(self.operators),
            casts=tuple(self.casts),
            loose=tuple(self.loose),
            settings=tuple(self.settings),
        )


def _frozen(relation: Relation) -> Use:
    if not relation.doing:
        raise DoubtError(Doubt.LOST)  # a relation that nothing is done to: a mistake in here
    return relation.freeze()


def _is_named(source: Source, schema: str, table: str) -> bool:
    """Whether aliases compare with or without case depends on the server: without is the wider."""
    if lowered(source.alias) != lowered(table):
        return False
    return not schema or not source.schema or lowered(source.schema) == lowered(schema)
