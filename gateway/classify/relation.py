"""A relation that a statement names, while what is done to it is collected."""

from dataclasses import dataclass, field

from gateway.classify.facts import Action, Use
from gateway.classify.operations import CLASS_OF


@dataclass(slots=True)
class Doing:
    """One thing done to one relation, while it is collected."""

    columns: dict[str, None] = field(default_factory=dict)
    has_where: bool = False
    limit: int | None = None


@dataclass(slots=True)
class Relation:
    """A relation as it was written, with all that is done to it so far."""

    catalog: str
    schema: str
    name: str
    kind: str = "table"
    is_new: bool = False
    doing: dict[str, Doing] = field(default_factory=dict)

    def does(self, operation: str) -> Doing:
        """What *operation* collects, started if it is new."""
        found = self.doing.get(operation)
        if found is None:
            found = self.doing[operation] = Doing()
        return found

    def freeze(self) -> Use:
        """The finished use."""
        actions = tuple(
            Action(operation, CLASS_OF[operation], tuple(doing.columns), doing.has_where, doing.limit)
            for operation, doing in self.doing.items()
        )
        return Use(self.catalog, self.schema, self.name, actions, self.kind, self.is_new)
