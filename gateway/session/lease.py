"""How long a database service goes on by itself: what it knows is worth a minute, counted from the last word.

Whoever hears from the control plane calls ``renew``: in one process the watch over the state, in an agent the
answer to its heartbeat. After a minute of silence no session begins, since nobody knows who was locked
meanwhile; those that are open end with their certificate.
"""

from dataclasses import dataclass, field

from gateway.clock import Clock

SILENCE_SECONDS = 60.0
CODE = "control_plane_unreachable"
SENTENCE = "the gateway has had no word from its control plane for more than a minute; try again later"


@dataclass(slots=True)
class Lease:
    """Renewed by each word from the control plane."""

    clock: Clock
    silence_seconds: float = SILENCE_SECONDS
    renewed_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.renewed_at = self.clock.monotonic()

    def renew(self) -> None:
        """There was word just now."""
        self.renewed_at = self.clock.monotonic()

    @property
    def has_lapsed(self) -> bool:
        """True when there was none for too long."""
        return self.clock.monotonic() - self.renewed_at > self.silence_seconds
