"""What the names in a statement mean under one search path and catalogue.

https://www.postgresql.org/docs/15/ddl-schemas.html#DDL-SCHEMAS-PATH. A bare name may be the thing of that
name in every schema of the path, unless the catalogue says which one exists; each candidate is an effect.
"""

from functools import lru_cache

from gateway.classify.columns import column_owners, with_reading
from gateway.classify.doubt import Doubt
from gateway.classify.facts import Columns, Piece, Qualified, Use
from gateway.classify.operations import CLASS_OF
from gateway.classify.postgres import inventory
from gateway.model.classification import Class, Classification, Effect, Named, ObjectRef, worst
from gateway.model.statement import Catalog, NameContext

_CATALOG = "pg_catalog"
_TEMPORARY = "pg_temp"
_CONTEXTS = 256  # resolvers kept: one for each session's context of late
_TARGETS = 2_048
# Types that the grammar tells apart by what stands behind their one name.
_SAME_WORD = {"float8": ("float4",), "time": ("timetz",), "timestamp": ("timestamptz",)}


def resolve(pieces: tuple[Piece, ...], names: NameContext) -> tuple[Classification, ...]:
    """The classifications of *pieces* where names mean what *names* says."""
    known = _resolvers.get(id(names))
    if known is None or known.names is not names:
        if len(_resolvers) >= _CONTEXTS:
            _resolvers.clear()
        known = _resolvers[id(names)] = _Resolver(names)
    return tuple(known.piece(piece) for piece in pieces)


@lru_cache(maxsize=4_096)
def _ours(name: str, *, harmless: bool) -> Named:
    """A name of pg_catalog: the same few come again and again."""
    return Named(name, _CATALOG, harmless)


class _Resolver:
    def __init__(self, names: NameContext) -> None:
        self.names = names
        self.targets: dict[tuple[str, str, str, str], ObjectRef] = {}
        self.database = names.db_name
        self.catalog = names.catalog if names.catalog is not None else Catalog({})
        self.has_catalog = names.catalog is not None
        self.has_temporary = names.has_temporary
        self.is_known = names.search_path is not None
        self.path = tuple(
            names.db_user if schema == "$user" else schema for schema in names.search_path or ()
        )
        # pg_catalog is searched first unless the path says where
        self.full_path = self.path if _CATALOG in self.path else (_CATALOG, *self.path)
        self.is_unsure = False

    def piece(self, piece: Piece) -> Classification:
        self.is_unsure = False
        places = [self._places(use) for use in piece.uses]
        effects = dict.fromkeys(piece.effects)
        extra = self._loose(piece, places)
        called = [item for item in piece.attributes if not self._has(item.columns, piece, places, item.name)]
        for number in {number for item in called for number, _ in item.columns.uses}:
            extra[number] = (*extra.get(number, ()), "*")  # the call gets the whole row
        for number, use in enumerate(piece.uses):
            self._effects(use, places[number], extra.get(number, ()), effects)
        calls: dict[Named, None] = {}
        for call in piece.calls:
            self._call(call, piece.trusted, calls)
        for call in piece.empty_calls:
            self._call(call, piece.trusted, calls, is_empty=True)
        for item in called:  # ``a.b`` where ``b`` is no column calls ``b`` with the row: no tree shows it
            self._call(("", item.name), frozenset(), calls, is_attribute=True)
        operators: dict[Named, None] = {}
        for operator in piece.operators:
            self._operator(operator, operators)
        casts = dict.fromkeys(self._cast(cast) for cast in piece.casts)
        self._conversions(piece, casts, calls)
        reason = piece.reason or (Doubt.UNQUALIFIED.value if self.is_unsure else "")
        classes = [effect.cls for effect in effects] or [CLASS_OF[piece.operation]]
        if reason:
            classes.append(Class.UNKNOWN)
        return Classification(
            operation=piece.operation,
            cls=worst(classes),
            effects=tuple(effects),
            functions=tuple(calls),
            operators=tuple(operators),
            casts=tuple(casts),
            settings=piece.settings,
            complete=not reason,
            unknown_reason=reason,
            fingerprint=piece.fingerprint,
            text=piece.text,
            redacted=piece.redacted,
        )

    # -- relations

    def _places(self, use: Use) -> tuple[str, ...]:  # noqa: C901 - the search, in its order
        """The schemas in which *use* may stand."""
        if use.schema:
            return (use.schema,)
        if not self.is_known:
            self.is_unsure = True
            return ("",)
        if use.is_new:
            return tuple(schema for schema in self.path if schema != _CATALOG) or ("",)
        found: list[str] = []
        if self.has_temporary and _TEMPORARY not in self.full_path:
            found.append(_TEMPORARY)
        for schema in self.full_path:
            exists = self._columns(schema, use.name) is not None
            if schema == _CATALOG and not exists and not use.name.startswith("pg_"):
                continue  # what a later server version adds there is called pg_…
            found.append(schema)
            if exists:
                # An earlier schema may still hold one if nobody knows what is in it.
                if not self.has_catalog:
                    continue
                return (*(place for place in found if place == _TEMPORARY), schema)
        if not found:
            self.is_unsure = True
            return ("",)
        if not self.has_catalog and found[0] == _CATALOG and self._columns(_CATALOG, use.name) is not None:
            return (_CATALOG,)
        return tuple(found)

    def _columns(self, schema: str, name: str) -> tuple[str, ...] | None:
        relation = self.catalog.relations.get((schema, name))
        if relation is not None:
            return relation.columns
        return inventory.relations().get((schema, name))

    def _effects(
        self, use: Use, places: tuple[str, ...], extra: tuple[str, ...], effects: dict[Effect, None]
    ) -> None:
        for schema in places:
            target = self._target(use, schema)
            for action in with_reading(use.actions, extra):
                columns = action.columns
                if extra and action.operation == "select":
                    columns = tuple(dict.fromkeys((*columns, *extra)))
                if "*" in columns:
                    columns = self._all_columns(schema, use.name)
                effect = Effect(action.operation, action.cls, target, columns, action.has_where, action.limit)
                effects[effect] = None

    def _all_columns(self, schema: str, name: str) -> tuple[str, ...]:
        """The star, and what it stands for where the catalogue knows."""
        known = self.catalog.relations.get((schema, name))
        return ("*", *known.columns) if known is not None else ("*",)

    def _target(self, use: Use, schema: str) -> ObjectRef:
        key = (use.catalog, schema, use.name, use.kind if not use.is_new else "+" + use.kind)
        target = self.targets.get(key)
        if target is None:
            if len(self.targets) >= _TARGETS:
                self.targets.clear()
            target = ObjectRef(self._kind(use, schema), use.name, schema, use.catalog or self.database)
            self.targets[key] = target
        return target

    def _kind(self, use: Use, schema: str) -> str:
        """What the catalogue calls it; the statement only says that rows come from it."""
        if use.is_new or use.kind != "table":
            return use.kind
        known = self.catalog.relations.get((schema, use.name))
        if known is not None:
            return known.kind
        return "view" if f"{schema}.{use.name}" in inventory.VIEWS else "table"

    def _loose(self, piece: Piece, places: list[tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
        return column_owners(
            piece.loose,
            lambda number: self._are_known(piece.uses[number], places[number]),
            lambda number, name: self._relation_has(piece, places, (number, 0), name),
        )

    def _are_known(self, use: Use, places: tuple[str, ...]) -> bool:
        return all(self._columns(schema, use.name) is not None for schema in places)

    # -- calls

    def _has(self, columns: Columns, piece: Piece, places: list[tuple[str, ...]], name: str) -> bool:
        return name in columns.names or any(
            self._relation_has(piece, places, use, name) for use in columns.uses
        )

    def _relation_has(
        self, piece: Piece, places: list[tuple[str, ...]], use: tuple[int, int], name: str
    ) -> bool:
        number, hidden = use
        if hidden:
            return False  # columns were renamed by position, and nobody says in which order they are
        if name in inventory.SYSTEM_COLUMNS:
            return True
        for schema in places[number]:
            known = self._columns(schema, piece.uses[number].name)
            if known is None or name not in known:
                return False
        return True

    def _call(
        self,
        call: Qualified,
        trusted: frozenset[str],
        calls: dict[Named, None],
        *,
        is_attribute: bool = False,
        is_empty: bool = False,
    ) -> None:
        schema, name = call
        if schema:
            is_ours = schema == _CATALOG and (name in inventory.HARMLESS or name in trusted)
            calls[Named(name, schema, is_ours)] = None
            return
        if name in inventory.SYNTAX and not is_attribute:
            calls[_ours(name, harmless=True)] = None
            return
        if not self.is_known:
            self.is_unsure = True
        is_ours = name in inventory.EVERY_FUNCTION or name in inventory.TYPES
        owners = [place for place in self.path if (place, name) in self.catalog.functions]
        if is_ours and not self.has_catalog:
            owners = [*self._ahead_of_catalog()]
        if is_empty and name in inventory.EMPTY_CALLS:
            # Without arguments the types agree exactly, and then the earlier schema wins.
            owners = [place for place in owners if place in self._ahead_of_catalog()]
        if is_ours:
            harmless = name in inventory.HARMLESS or name in trusted
            calls[Named(name, _CATALOG, harmless and self.is_known, is_attribute)] = None
        for place in owners:
            calls[Named(name, place, builtin=False, attribute=is_attribute)] = None
        if not is_ours and not owners:
            calls[Named(name, "", builtin=False, attribute=is_attribute)] = None

    def _ahead_of_catalog(self) -> tuple[str, ...]:
        return self.full_path[: self.full_path.index(_CATALOG)]

    def _operator(self, operator: Qualified, operators: dict[Named, None]) -> None:
        schema, sign = operator
        is_ours = sign in inventory.OPERATORS
        if schema:
            operators[Named(sign, schema, is_ours and schema == _CATALOG)] = None
            return
        if not self.is_known:
            self.is_unsure = True
        owners = [place for place in self.path if (place, sign) in self.catalog.operators]
        if is_ours and not self.has_catalog:
            owners = [*self._ahead_of_catalog()]
        if is_ours:
            operators[_ours(sign, harmless=self.is_known)] = None
        for place in owners:
            operators[Named(sign, place, builtin=False)] = None
        if not is_ours and not owners:
            operators[Named(sign, "", builtin=False)] = None

    def _cast(self, cast: Qualified) -> Named:
        schema, name = cast
        base = name[1:] if name.startswith("_") and name[1:] in inventory.TYPES else name
        is_ours = base in inventory.TYPES
        if schema:
            return Named(name, schema, is_ours and schema == _CATALOG)
        if not self.is_known:
            self.is_unsure = True
            return Named(name, "", builtin=False)
        for place in self.full_path:
            if place == _CATALOG:
                if is_ours:
                    return Named(name, _CATALOG, builtin=True)
            elif (place, name) in self.catalog.types or (
                not self.has_catalog and place in self._ahead_of_catalog()
            ):
                return Named(name, place, builtin=False)
        return Named(name, "", builtin=False)

    def _conversions(self, piece: Piece, casts: dict[Named, None], calls: dict[Named, None]) -> None:
        """The users' functions that turn a value into a type: the source's type stands in no text."""
        if not self.catalog.casts:
            return
        found: set[Qualified] = set()
        for cast in casts:
            element = cast.name.removeprefix("_")
            for name in (cast.name, element, *_SAME_WORD.get(element, ())):
                found |= self.catalog.casts.get((cast.schema, name), frozenset())
        if piece.uses or piece.operators or piece.calls:
            found |= self.catalog.implicit
        for schema, name in sorted(found):
            calls[Named(name, schema, builtin=False)] = None


_resolvers: dict[int, _Resolver] = {}
