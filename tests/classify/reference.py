"""What a role that may read two tables allows, in a few lines of Python.

The policy that counts is Rego; this only says whether the facts are enough to judge by.
"""

from collections.abc import Collection

from gateway.model.classification import Classification

READABLE = {("app", "orders"), ("app", "customers")}


def objections(
    facts: tuple[Classification, ...], *, free: Collection[str], settable: Collection[str]
) -> list[str]:
    """Why the role refuses all but reading, what has no object and is *free*, and what is *settable*."""
    found: list[str] = []
    for item in facts:
        if not item.complete:
            found.append(f"not understood: {item.unknown_reason}")
        for effect in item.effects:
            thing = effect.object
            is_read = effect.operation == "select" and thing is not None and thing.kind == "table"
            if is_read and thing is not None and (thing.schema, thing.name) in READABLE:
                continue
            if not (thing is None and effect.operation in free):
                found.append(f"{effect.operation} {thing}")
        found += [f"set {item.name}" for item in item.settings if item.name not in settable]
        named = (*item.functions, *item.operators, *item.casts)
        found += [f"use of {thing.schema}.{thing.name}" for thing in named if not thing.builtin]
    return found
