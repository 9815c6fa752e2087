"""Facts out of recorded inputs: the way back from ``Classification.to_json``. Pure.

Inputs are kept as they were asked; what comes out here is asked again byte for byte, whatever fields a later
version may have added to the facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.model.classification import Class, Classification, Effect, Named, ObjectRef, Setting


@dataclass(frozen=True, slots=True)
class Recorded(Classification):
    """Facts as they were recorded; ``to_json`` gives them back unchanged."""

    original: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """What was recorded."""
        return dict(self.original or {})


def facts_of(statements: Sequence[Mapping[str, Any]]) -> tuple[Classification, ...]:
    """The facts of recorded statements (``statements`` of ``schemas/input.query.json``)."""
    return tuple(_one(item) for item in statements)


def _one(item: Mapping[str, Any]) -> Classification:
    return Recorded(
        operation=item["operation"],
        cls=Class(item["class"]),
        effects=tuple(_effect(effect) for effect in item["effects"]),
        functions=_named(item["functions"]),
        operators=_named(item["operators"]),
        casts=_named(item["casts"]),
        settings=tuple(Setting(one["name"], one["scope"], one["value"]) for one in item["settings"]),
        complete=item["complete"],
        unknown_reason=item["unknown_reason"],
        fingerprint=item["fingerprint"],
        original=item,
    )


def _effect(item: Mapping[str, Any]) -> Effect:
    thing = item["object"]
    return Effect(
        item["operation"],
        Class(item["class"]),
        thing and ObjectRef(thing["kind"], thing["name"], thing["schema"], thing["catalog"]),
        tuple(item["columns"]),
        item["has_where"],
        item["limit"],
    )


def _named(items: Sequence[Mapping[str, Any]]) -> tuple[Named, ...]:
    return tuple(Named(item["name"], item["schema"], builtin=item["builtin"] is True) for item in items)
