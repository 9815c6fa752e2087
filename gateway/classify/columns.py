"""Whose the bare columns of a query are: the same search in every dialect."""

from collections.abc import Callable, Iterable

from gateway.classify.facts import Action, Loose
from gateway.classify.operations import CLASS_OF


def column_owners(
    loose: Iterable[Loose], is_known: Callable[[int], bool], has: Callable[[int, str], bool]
) -> dict[int, tuple[str, ...]]:
    """Which relations, by number, each bare column may belong to; all in question where nobody knows.

    *is_known* is true of a relation whose columns the catalogue has; *has* says whether one has a column.
    """
    found: dict[int, list[str]] = {}
    for item in loose:
        for number in _owners(item, is_known, has):
            found.setdefault(number, []).append(item.name)
    return {number: tuple(names) for number, names in found.items()}


def with_reading(actions: tuple[Action, ...], columns: tuple[str, ...]) -> tuple[Action, ...]:
    """What a relation may own bare *columns* of is read, even where nothing else of it is."""
    if not columns or any(action.operation == "select" for action in actions):
        return actions
    return (*actions, Action("select", CLASS_OF["select"]))


def _owners(item: Loose, is_known: Callable[[int], bool], has: Callable[[int, str], bool]) -> list[int]:
    found: list[int] = []
    is_somewhere = item.elsewhere
    for group in item.groups:
        unknown = [number for number in group if not is_known(number)]
        having = [number for number in group if is_known(number) and has(number, item.name)]
        found += unknown + having
        is_somewhere = is_somewhere or bool(having)
        if having and not unknown:
            break
    if is_somewhere:
        return found
    return [number for group in item.groups for number in group]  # a column that somebody may just have added
