"""What a statement does, to what: the facts that policies judge and auditors read."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Class(StrEnum):
    """The kind of an effect, in rising order of concern (``WORST`` below has the order)."""

    SESSION = "session"
    READ = "read"
    WRITE = "write"
    DDL = "ddl"
    DCL = "dcl"
    ADMIN = "admin"
    UNKNOWN = "unknown"


ORDER: tuple[Class, ...] = tuple(Class)


def worst(classes: list[Class]) -> Class:
    """The class of most concern; ``session`` when there is none."""
    return max(classes, key=ORDER.index, default=Class.SESSION)


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A thing in a database.

    ``kind`` is table, view, sequence, function, schema, database, role and what else a database has.
    ``schema`` is empty where the kind has none, or where it is not known (then the classification is not
    complete).
    """

    kind: str
    name: str
    schema: str = ""
    catalog: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing a statement does to one object.

    ``operation`` is a word of ``classify.operations``. ``columns`` are the columns read or written, wherever
    they stand: in a condition, an order, a join or an expression as well. ``*`` is among them where all are
    or may be, together with the relation's own where the catalogue has it; a lone ``*`` is not resolved.
    ``has_where`` says that a condition which looks at a column chooses the rows; ``limit`` is a literal one.
    """

    operation: str
    cls: Class
    object: ObjectRef | None = None
    columns: tuple[str, ...] = ()
    has_where: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A function, operator or type: ``schema`` is empty when it stood without one and was not resolved.

    ``attribute`` marks ``b`` in ``a.b`` where no column ``b`` is known: a call only if there is none.
    """

    name: str
    schema: str = ""
    builtin: bool = False
    attribute: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A session setting that changes: ``scope`` is session, local, startup, role or database."""

    name: str
    scope: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Classification:
    """The facts about one SQL statement.

    ``text`` is the statement's own piece of the message. ``complete`` is False when any part was not
    understood, and ``unknown_reason`` then is a short stable code. ``redacted`` is the text that may be
    recorded: secrets are replaced, and where the statement was not understood, every literal.
    """

    operation: str
    cls: Class
    effects: tuple[Effect, ...]
    functions: tuple[Named, ...] = ()
    operators: tuple[Named, ...] = ()
    casts: tuple[Named, ...] = ()
    settings: tuple[Setting, ...] = ()
    complete: bool = True
    unknown_reason: str = ""
    fingerprint: str = ""
    text: str = ""
    redacted: str = ""

    def to_json(self) -> dict[str, Any]:
        """The shape that ``schemas/input.query.json`` describes; the texts stay out of it."""
        return {
            "operation": self.operation,
            "class": self.cls.value,
            "effects": [_effect(effect) for effect in self.effects],
            "functions": [_named(item) for item in self.functions],
            "operators": [_named(item) for item in self.operators],
            "casts": [_named(item) for item in self.casts],
            "settings": [
                {"name": item.name, "scope": item.scope, "value": item.value} for item in self.settings
            ],
            "complete": self.complete,
            "unknown_reason": self.unknown_reason,
            "fingerprint": self.fingerprint,
        }

    def sameness(self) -> tuple[object, ...]:
        """Equal for what differs in nothing but its texts and shares its parts; only while both are held."""
        parts = (self.effects, self.functions, self.operators, self.casts, self.settings)
        words = (self.operation, self.cls, self.complete, self.unknown_reason, self.fingerprint)
        return (*map(id, parts), *words)


def _effect(effect: Effect) -> dict[str, Any]:
    target = effect.object
    return {
        "operation": effect.operation,
        "class": effect.cls.value,
        "object": None
        if target is None
        else {"kind": target.kind, "catalog": target.catalog, "schema": target.schema, "name": target.name},
        "columns": list(effect.columns),
        "has_where": effect.has_where,
        "limit": effect.limit,
    }


def _named(item: Named) -> dict[str, Any]:
    return {"schema": item.schema, "name": item.name, "builtin": item.builtin}
