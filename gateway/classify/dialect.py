"""What a SQL dialect is to the classifier: three pure functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.classify.facts import Piece
from gateway.model.classification import Classification
from gateway.model.statement import NameContext


@dataclass(frozen=True, slots=True)
class Dialect:
    """``read`` raises nothing; ``startup`` judges settings that came with the connection as SET would be."""

    name: str
    read: Callable[[str], tuple[Piece, ...]]
    resolve: Callable[[tuple[Piece, ...], NameContext], tuple[Classification, ...]]
    startup: Callable[[Mapping[str, str]], Piece]
