"""A clock for issuing certificates that refuses to follow the machine's clock backwards.

A clock set back would make certificates that look valid for longer than they are; issuing stops until the
time is right again, or an operator removes the stored mark.
"""

from datetime import UTC, datetime

from gateway.clock import Clock
from gateway.errors import CertificateError

TOLERANCE_NS = 60 * 1_000_000_000


class SteadyClock:
    """The wall clock, held against the latest time at which anything was issued."""

    def __init__(self, clock: Clock, latest_ns: int = 0) -> None:
        self._clock = clock
        self.latest_ns = latest_ns
        """The latest time seen; whoever keeps it over restarts hands it in again."""

    def now(self) -> datetime:
        """The time to issue at; CertificateError when the clock moved back by more than a minute."""
        now_ns = self._clock.now_ns()
        if now_ns < self.latest_ns - TOLERANCE_NS:
            back = (self.latest_ns - now_ns) // 1_000_000_000
            raise CertificateError(
                f"the clock moved back by {back} seconds, so no certificate is issued",
                hint="set the clock; issuing goes on when it has caught up",
            )
        self.latest_ns = max(self.latest_ns, now_ns)
        return datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
