"""What the names in a statement mean: which database a bare one is in, and what the catalogue knows of it.

https://dev.mysql.com/doc/refman/8.0/en/identifier-qualifiers.html. A schema is a database here; ``USE`` in
front of a statement steers what follows it in the same text.
"""

from dataclasses import replace
from functools import lru_cache

from gateway.classify.columns import column_owners, with_reading
from gateway.classify.doubt import Doubt
from gateway.classify.facts import Piece, Use
from gateway.classify.mysql import inventory
from gateway.classify.mysql.lexer import lowered
from gateway.classify.operations import CLASS_OF
from gateway.model.classification import Class, Classification, Effect, Named, ObjectRef, Setting, worst
from gateway.model.statement import Catalog, NameContext, Relation

_INFORMATION = "information_schema"
STEERING = frozenset(("sql_mode", "character_set_client", "*"))
"""Settings that change how the text behind them is read."""


def resolve(pieces: tuple[Piece, ...], names: NameContext) -> tuple[Classification, ...]:
    """The classifications of *pieces* where names mean what *names* says."""
    path, is_steered = names.search_path, False
    found: list[Classification] = []
    for piece in pieces:
        item = _Resolver(names, path, is_steered=is_steered).piece(piece)
        found.append(item)
        path = _path_behind(piece, path)
        is_steered = is_steered or bool(piece.reason) or any(_steers(setting) for setting in piece.settings)
    return tuple(found)


def _steers(setting: Setting) -> bool:
    return setting.name in STEERING and setting.scope != "user"


def _path_behind(piece: Piece, path: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The current database once *piece* ran."""
    if piece.operation == "use":
        return next(((e.object.name,) for e in piece.effects if e.object is not None), None)
    if piece.reason or (
        piece.operation == "drop" and any(e.object and e.object.kind == "database" for e in piece.effects)
    ):
        return None
    return path


class _Resolver:
    def __init__(self, names: NameContext, path: tuple[str, ...] | None, *, is_steered: bool) -> None:
        self.catalog = names.catalog if names.catalog is not None else Catalog({})
        self.here = path[0] if path else ""
        self.is_steered = is_steered
        self.is_unsure = False
        self.columns: dict[tuple[str, str], frozenset[str]] = {}

    def piece(self, piece: Piece) -> Classification:
        places = [self._places(use, piece) for use in piece.uses]
        effects = dict.fromkeys(self._placed(effect) for effect in piece.effects)
        extra = self._loose(piece, places)
        for number, use in enumerate(piece.uses):
            self._effects(use, places[number], extra.get(number, ()), effects)
        calls = dict.fromkeys(self._call(*call) for call in piece.calls)
        reason = piece.reason
        if not reason and self.is_steered:
            reason = Doubt.MODE.value
        if not reason and self.is_unsure:
            reason = Doubt.UNQUALIFIED.value
        classes = [effect.cls for effect in effects] or [CLASS_OF[piece.operation]]
        if reason:
            classes.append(Class.UNKNOWN)
        return Classification(
            operation=piece.operation,
            cls=worst(classes),
            effects=tuple(effects),
            functions=tuple(calls),
            operators=tuple(Named(sign, "", builtin=True) for _, sign in piece.operators),
            settings=piece.settings,
            complete=not reason,
            unknown_reason=reason,
            fingerprint=piece.fingerprint,
            text=piece.text,
            redacted=piece.redacted,
        )

    def _places(self, use: Use, piece: Piece) -> tuple[tuple[str, str], ...]:
        """The (schema, name) that *use* may mean: two where nobody knows whether case counts."""
        schema = use.schema or self.here
        if not schema:
            self.is_unsure = True
        if lowered(schema) == _INFORMATION:
            return ((_INFORMATION, lowered(use.name)),)
        folded = (lowered(schema), lowered(use.name))
        if piece.folds:
            return (folded,)
        written = (schema, use.name)
        return (written,) if piece.folds is False or written == folded else (written, folded)

    def _placed(self, effect: Effect) -> Effect:
        """An effect on something without a schema of its own, in the current database."""
        thing = effect.object
        if thing is not None and thing.kind == "database" and not thing.name:
            return replace(effect, object=ObjectRef("database", self.here))
        if thing is None or thing.schema or thing.kind not in _IN_DATABASES:
            return effect
        if not self.here:
            self.is_unsure = True
        thing = ObjectRef(thing.kind, thing.name, self.here)
        return Effect(effect.operation, effect.cls, thing, effect.columns, effect.has_where, effect.limit)

    def _known(self, place: tuple[str, str]) -> Relation | None:
        return self.catalog.relations.get(place)

    def _effects(
        self,
        use: Use,
        places: tuple[tuple[str, str], ...],
        extra: tuple[str, ...],
        effects: dict[Effect, None],
    ) -> None:
        for schema, name in places:
            known = self._known((schema, name))
            kind = known.kind if known is not None and not use.is_new and use.kind == "table" else use.kind
            if schema == _INFORMATION and kind == "table":
                kind = "view"
            target = ObjectRef(kind, name, schema)
            for action in with_reading(use.actions, extra):
                columns = action.columns
                if extra and action.operation == "select":
                    columns = tuple(dict.fromkeys((*columns, *extra)))
                columns = _spelt(columns, known)
                effects[
                    Effect(action.operation, action.cls, target, columns, action.has_where, action.limit)
                ] = None

    def _loose(self, piece: Piece, places: list[tuple[tuple[str, str], ...]]) -> dict[int, tuple[str, ...]]:
        return column_owners(
            piece.loose,
            lambda number: all(self._known(place) is not None for place in places[number]),
            lambda number, name: self._has(places[number], name),
        )

    def _has(self, places: tuple[tuple[str, str], ...], name: str) -> bool:
        for place in places:
            known = self._known(place)
            if known is not None and name in self._columns(place, known):
                return True
        return False

    def _columns(self, place: tuple[str, str], known: Relation) -> frozenset[str]:
        """The names of its columns as they compare, made once for a statement."""
        columns = self.columns.get(place)
        if columns is None:
            columns = self.columns[place] = frozenset(lowered(column) for column in known.columns)
        return columns

    def _call(self, schema: str, name: str) -> Named:
        """A function: the server's own where no schema stands and it has one, else a stored one."""
        if schema:
            return Named(name, schema, builtin=False)
        if name in inventory.HARMLESS and (self.here, name) not in _stored(self.catalog.functions):
            return Named(name, "", builtin=True)
        return Named(name, self.here, builtin=False)


@lru_cache(16)
def _stored(functions: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Stored functions by the names that calls have: one may stand in for what a server lacks."""
    return frozenset((schema, lowered(name)) for schema, name in functions)


_IN_DATABASES = frozenset(
    ("trigger", "event", "procedure", "function", "package", "sequence", "table", "view")
)


def _spelt(columns: tuple[str, ...], known: Relation | None) -> tuple[str, ...]:
    """Columns in the spelling of the catalogue, and what the star stands for.

    In tables of more than 32 columns servers look names up without accents: ``sälary`` finds ``salary``. So a
    name that the catalogue has not may be any column's.
    """
    if known is None:
        return columns
    spelling = {lowered(column): column for column in known.columns}
    found = dict.fromkeys(spelling.get(column, column) for column in columns)
    strange = {column for column in found if column != "*" and lowered(column) not in spelling}
    if "*" in found or (strange and not all(name.isascii() for name in (*strange, *known.columns))):
        found |= dict.fromkeys(known.columns)
    return tuple(found)
