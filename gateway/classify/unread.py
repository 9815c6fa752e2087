"""What is left to say of a text that could not be read at all."""

from typing import Final

from gateway.classify import redact
from gateway.classify.doubt import Doubt
from gateway.classify.facts import Piece
from gateway.classify.operations import CLASS_OF
from gateway.model.classification import Effect

_SHOWN: Final = 100_000  # characters of it that are kept


def unread(text: str, reason: Doubt) -> Piece:
    """The one statement that *text* counts as; its record shows no more than its first words."""
    return Piece(
        text=text[:_SHOWN],
        operation="unknown",
        effects=(Effect("unknown", CLASS_OF["unknown"]),),
        reason=reason.value,
        redacted=redact.unreadable(text),
    )
