"""Replacing an authority while the cluster runs: pure; phases and their names are Teleport's.

===============  ===================  ===================  =============
phase            signs for clients    signs for servers    trusted
===============  ===================  ===================  =============
standby          current              current              current
init             current              current              both
update-clients   next                 current              both
update-servers   next                 next                 both
rollback         current              current              both
===============  ===================  ===================  =============

Going from update-servers to standby makes the next authority the current one; going there from rollback
forgets it. Nothing is signed by an authority before every verifier had a phase to learn it, and none is
forgotten before nothing is signed by it. A rotation that nobody continues stays where it is: both are
trusted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from gateway.ca.authority import Authority
from gateway.ca.profile import Kind
from gateway.errors import ConflictError


class Phase(StrEnum):
    """Where a rotation stands."""

    STANDBY = "standby"
    INIT = "init"
    UPDATE_CLIENTS = "update-clients"
    UPDATE_SERVERS = "update-servers"
    ROLLBACK = "rollback"


FOLLOWS: Mapping[Phase, tuple[Phase, ...]] = {
    Phase.STANDBY: (Phase.INIT,),
    Phase.INIT: (Phase.UPDATE_CLIENTS, Phase.ROLLBACK),
    Phase.UPDATE_CLIENTS: (Phase.UPDATE_SERVERS, Phase.ROLLBACK),
    Phase.UPDATE_SERVERS: (Phase.STANDBY, Phase.ROLLBACK),
    Phase.ROLLBACK: (Phase.STANDBY,),
}
"""What may come after each phase; the first is the way forward."""

GRACE_DEFAULT = timedelta(hours=30)
"""Longer than two of the longest logins, as Teleport has it."""

_PARTS = 3  # init, update-clients and update-servers share the grace period


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation that goes on; an *automatic* one moves by the clock, a third of *grace* in each phase."""

    phase: Phase
    automatic: bool
    started: datetime
    entered: datetime
    grace: timedelta


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of authority: the one in force, and during a rotation the one that is to follow it."""

    kind: Kind
    current: Authority
    next: Authority | None = None
    rotation: Rotation | None = None
    rotated_at: datetime | None = None

    @property
    def phase(self) -> Phase:
        """Where it stands; standby when no rotation is going on."""
        return Phase.STANDBY if self.rotation is None else self.rotation.phase

    @property
    def trusted(self) -> tuple[Authority, ...]:
        """Every authority whose certificates count, the one in force first."""
        return (self.current,) if self.next is None else (self.current, self.next)

    def signer(self, *, serving: bool = False) -> Authority:
        """Who signs now: for those who connect, or with *serving* for those who are connected to."""
        switched = self.phase is Phase.UPDATE_SERVERS or (self.phase is Phase.UPDATE_CLIENTS and not serving)
        return self.next if switched and self.next is not None else self.current


Make: TypeAlias = Callable[[Kind], Authority]


def begin(series: Series, *, automatic: bool, grace: timedelta, now: datetime, make: Make) -> Series:
    """Phase init, with a new authority from *make*; ConflictError while another rotation is going on.

    An automatic rotation with no grace at all ends at once: whatever the old one signed is refused.
    """
    _expect(series, Phase.INIT)
    rotation = Rotation(Phase.INIT, automatic=automatic, started=now, entered=now, grace=grace)
    begun = replace(series, next=make(series.kind), rotation=rotation)
    if automatic and not grace:
        for phase in (Phase.UPDATE_CLIENTS, Phase.UPDATE_SERVERS, Phase.STANDBY):
            begun = enter(begun, phase, now)
    return begun


def enter(series: Series, phase: Phase, now: datetime) -> Series:
    """The series in *phase*; ConflictError when that does not follow the phase it is in."""
    _expect(series, phase)
    if phase is not Phase.STANDBY:
        assert series.rotation is not None
        return replace(series, rotation=replace(series.rotation, phase=phase, entered=now))
    assert series.next is not None
    if series.phase is Phase.ROLLBACK:
        return replace(series, next=None, rotation=None)
    return Series(series.kind, current=series.next, rotated_at=now)


def due(series: Series, now: datetime) -> Phase | None:
    """The phase that an automatic rotation enters now, if its time has come.

    Counted from when the phase was entered, so that a cluster that was down for the whole grace period
    still gives every phase its time.
    """
    at = due_at(series)
    return FOLLOWS[series.phase][0] if at is not None and now >= at else None


def due_at(series: Series) -> datetime | None:
    """When an automatic rotation moves on; None for a manual one, after a rollback and in standby."""
    rotation = series.rotation
    if rotation is None or not rotation.automatic or rotation.phase is Phase.ROLLBACK:
        return None
    return rotation.entered + rotation.grace / _PARTS


def _expect(series: Series, phase: Phase) -> None:
    if phase in FOLLOWS[series.phase]:
        return
    ways = " or ".join(FOLLOWS[series.phase])
    raise ConflictError(
        f"the {series.kind} authority is in phase {series.phase}, which {phase} does not follow",
        hint=f"next comes {ways}",
    )
