"""What a SQL dialect is to the classifier: three pure functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gateway.classify.facts import Piece
from gateway.model.classification import Classification
from gateway.model.statement import NameContext

Modes: TypeAlias = frozenset[str] | None
"""Words of settings that steer how text is read; None while they are not known."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """``read`` raises nothing; ``startup`` judges settings that came with the connection as SET would be.

    ``read`` gets the text, the server's version and the modes that steer how it reads text.
    """

    name: str
    read: Callable[[str, str, Modes], tuple[Piece, ...]]
    resolve: Callable[[tuple[Piece, ...], NameContext], tuple[Classification, ...]]
    startup: Callable[[Mapping[str, str]], Piece]
