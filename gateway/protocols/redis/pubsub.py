"""Subscriptions of one connection, counted as the server counts them in its confirmations.

https://redis.io/docs/latest/develop/pubsub/: channels and patterns have one number between them, shard
channels one of their own.
"""

from dataclasses import dataclass, field
from typing import Final

_KIND: Final = {
    "subscribe": "channel", "unsubscribe": "channel",
    "psubscribe": "pattern", "punsubscribe": "pattern",
    "ssubscribe": "shard", "sunsubscribe": "shard",
}  # fmt: skip
WORDS: Final = frozenset(_KIND)
MESSAGES: Final = frozenset({"message", "pmessage", "smessage"})


def number_of(frame: bytes) -> int:
    """The number at the end of a confirmation."""
    digits = frame[frame.rfind(b":") + 1 : -2]
    return int(digits) if digits.isdigit() and len(digits) < 10 else 0


@dataclass(slots=True)
class Subscriptions:
    """How many there are of each kind."""

    _counts: dict[str, int] = field(default_factory=lambda: {"channel": 0, "pattern": 0, "shard": 0})

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self._counts.values())

    @property
    def shard(self) -> int:
        """Shard channels alone."""
        return self._counts["shard"]

    def frames(self, word: str, channels: int) -> int:
        """How many confirmations a command with so many *channels* gets, as of now.

        Without any it ends all subscriptions of its kind: one for each, and one where there is none.
        """
        return channels or max(1, self._counts[_KIND[word]])

    def confirmed(self, word: str, number: int) -> None:
        """The server confirmed *word*, and says how many there are now."""
        kind = _KIND[word]
        other = {"channel": "pattern", "pattern": "channel"}.get(kind)
        self._counts[kind] = max(0, number - (self._counts[other] if other else 0))
