"""How fast somebody may open connections, or ask for cancels: so many a second, as many at once. Pure.

The generic cell rate algorithm (ITU-T I.371, annex A): of each user one number is kept, the moment at which
all that was let in so far would be over had it come evenly. Who is refused uses nothing up, so that whoever
knocks without end gets in as often as the limit says, and no less often.
"""

from collections.abc import Callable
from typing import Final

CANCELS_PER_SECOND: Final = 100  # of one address: what a pool whose statements all time out at once sends

_KEPT: Final = 4_096  # users or addresses, until those who are not in anybody's way are forgotten


class Pace:
    """Admits what each user, or each address, asks for at *per_second*, by *monotonic* seconds."""

    def __init__(self, per_second: int, monotonic: Callable[[], float]) -> None:
        self._interval = 1 / per_second
        self._monotonic = monotonic
        self._over_at: dict[str, float] = {}

    def admits(self, who: str) -> bool:
        """Whether another one may begin now; if so, it counts."""
        now, interval = self._monotonic(), self._interval
        over_at = max(self._over_at.get(who, now), now)
        if over_at - now > 1 - interval / 2:  # what a second holds is taken; half a turn more, for rounding
            return False
        if len(self._over_at) >= _KEPT:
            self._over_at = {name: at for name, at in self._over_at.items() if at > now}
        self._over_at[who] = over_at + interval
        return True
