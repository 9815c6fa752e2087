"""What a command does so far, collected while it is read: effects on collections, code, doubts."""

from dataclasses import dataclass, field
from typing import Any, Final

from gateway.classify.operations import CLASS_OF
from gateway.model.classification import Effect, Named, ObjectRef
from gateway.protocols.mongodb.fields import DoubtError, Fields

MAX_NAME: Final = 255
MOST: Final = 200  # things that one command is about
_STRANGE_IN_DATABASE: Final = frozenset('\0/\\. "$*<>:|?')


@dataclass(slots=True)
class Effects:
    """The effects of one command, in its ``database``; the session may use ``opened`` alone, empty: any."""

    database: str
    opened: str
    found: dict[tuple[str, str, str, str], Effect] = field(default_factory=dict)
    functions: dict[str, Named] = field(default_factory=dict)
    elsewhere: str = ""  # a database that the session did not open

    def of_collection(
        self,
        operation: str,
        name: Any,
        fields: Fields | None = None,
        *,
        database: Any = None,
        has_where: bool = False,
        limit: int | None = None,
    ) -> None:
        """*operation* on a collection; the name may be anything that came from outside."""
        place = self.place(self.database if database is None else database)
        if type(name) is not str:  # code is a text too, to Python
            raise DoubtError("no_collection_name")
        if not name or "\0" in name or "$" in name or len(name) > MAX_NAME:
            raise DoubtError("strange_name")
        kind = "system" if name.startswith("system.") else "collection"
        columns = () if fields is None else fields.columns
        self._add(
            Effect(operation, CLASS_OF[operation], ObjectRef(kind, name, place), columns, has_where, limit)
        )

    def of_database(self, operation: str, name: Any = None) -> None:
        """*operation* on a database as a whole."""
        place = self.place(self.database if name is None else name)
        self._add(Effect(operation, CLASS_OF[operation], ObjectRef("database", place)))

    def of_thing(self, operation: str, kind: str, name: str) -> None:
        """*operation* on something that is in no database."""
        self._add(Effect(operation, CLASS_OF[operation], ObjectRef(kind, name[:MAX_NAME])))

    def of_session(self, operation: str) -> None:
        """*operation* on nothing but this connection."""
        self._add(Effect(operation, CLASS_OF[operation]))

    def of_namespace(self, operation: str, namespace: Any, fields: Fields | None = None) -> None:
        """*operation* on ``database.collection``, as some commands write it."""
        if type(namespace) is not str or "." not in namespace:
            raise DoubtError("no_namespace")
        database, _, name = namespace.partition(".")
        self.of_collection(operation, name, fields, database=database)

    def place(self, name: Any) -> str:
        """The name of a database; one that the session did not open is remembered."""
        if type(name) is not str:
            raise DoubtError("no_database_name")
        if self.opened and name != self.opened:
            self.elsewhere = self.elsewhere or name or "?"
        if not name or len(name) > 63 or not _STRANGE_IN_DATABASE.isdisjoint(name):
            raise DoubtError("strange_name")
        return name

    def code(self, fields: Fields) -> None:
        """Code that stood among *fields*."""
        for name in fields.code:
            self.functions[name] = Named(name.lstrip("$"))

    def _add(self, effect: Effect) -> None:
        thing = effect.object
        key = (effect.operation, *(("", "", "") if thing is None else (thing.kind, thing.schema, thing.name)))
        known = self.found.get(key)
        if known is not None:
            columns = tuple(dict.fromkeys((*known.columns, *effect.columns)))
            effect = Effect(
                effect.operation, effect.cls, thing, columns,
                known.has_where and effect.has_where,
                known.limit if known.limit == effect.limit else None,
            )  # fmt: skip
        if len(self.found) >= MOST and key not in self.found:
            raise DoubtError("too_long")
        self.found[key] = effect
