"""What many commands have: a value, variables, and fields that are known."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from bson.code import Code

from gateway.protocols.mongodb.effects import Effects
from gateway.protocols.mongodb.fields import DoubtError, Fields, expression, query

Command: TypeAlias = Mapping[str, Any]


def value(command: Command) -> Any:
    """The value of the command's own field, which is the first."""
    return command[next(iter(command))]


def let(command: Command, fields: Fields) -> None:
    """The variables of a command are expressions."""
    for value in command.get("let", {}).values() if isinstance(command.get("let"), dict) else ():
        expression(value, fields)


def only(given: Command, known: set[str]) -> None:
    """A DoubtError where a document has more fields than are *known*, or code for one."""
    if not set(given) <= known or any(isinstance(value, Code) for value in given.values()):
        raise DoubtError("unknown_field")


def validator(command: Command, effects: Effects) -> None:
    """The condition that a collection puts to its documents."""
    fields = Fields()
    query(command.get("validator") or {}, fields)
    effects.code(fields)
